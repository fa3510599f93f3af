"""Freezing in layered tissue by numerics that share nothing with the engine: whatever the tissue table says, now.

Equation (Pennes with freezing; the fields of TissueRecord have the meaning of `cryoneuro.thermal.medium`):

    dH/dt = div(k(T) grad T) + [T > liquidus] (W (T_body - T) + Q)

H is volumetric enthalpy, zero at the liquidus: slope rho c above it; latent heat and 0.5 span (heat + frozen heat) spread
evenly from there to the solidus; heat frozen_heat (1 - frozen_heat_slope_per_k depth) below. k grows in a straight line
from conductivity to frozen conductivity in the freezing range and by frozen_conductivity_slope_w_mk2 below. Blood that cold
stops does not come back where it was colder than constant("stasis_c"), unless perfusion_returns; blood that it does not
stop gives W (T_body - T) at every temperature. What does not conduct (gas) is insulated. 37 C at the start and far away.

Numerics: fully implicit finite volumes around nodes, in temperature, by Newton. Tissues fill whole elements between nodes, so
a boundary between tissues is a line of nodes that have both heats, and the flux through both sides is exact for any
conductivities: fluxes are differences of the Kirchhoff integral of k over ln r. Time: SDIRK2 (Alexander 1977, L-stable,
second order). Steps grow with the time since the probe was last switched. Heat is conserved to Newton's tolerance.

`radial` is the endless probe in coaxial layers (half a second), `axisymmetric` the finite one among any tissues that are
symmetric about its axis (10 to 30 s). Running the file prints how both converge and how they meet exact solutions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from cryoneuro.knowledge import TissueRecord, constant, tissue
from scipy.linalg import solve_banded
from scipy.optimize import brentq
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import LinearOperator, SuperLU, gmres, splu
from scipy.special import kn

Surface = float | Callable[[float], float] | None
Schedule = Sequence[tuple[float, Surface]]
GAMMA = 1.0 - np.sqrt(0.5)
"""Of SDIRK2."""
NEVER_C = -1e9
TOLERANCE_K = 1e-5
"""Of Newton's last change, which is then far smaller than the error left."""


class SolverError(RuntimeError):
    """Newton does not converge, however short the step."""


class Substances:
    """Properties of records by index, SI units."""

    def __init__(self, records: Sequence[TissueRecord]) -> None:
        def column(values: Sequence[float]) -> np.ndarray:
            return np.array(values, float)

        self.liquidus_c = column([t.liquidus_c for t in records])
        self.span_k = self.liquidus_c - column([t.solidus_c for t in records])
        self.heat = column([t.density_kg_m3 * t.specific_heat_j_kgk for t in records])
        self.frozen_heat = column([t.frozen_volumetric_heat_mj_m3k * 1e6 for t in records])
        self.heat_slope = column([t.frozen_heat_slope_per_k for t in records])
        latent = column([t.latent_heat_mj_m3 * 1e6 for t in records])
        self.mushy_heat = latent / self.span_k + 0.5 * (self.heat + self.frozen_heat)
        self.k = column([t.conductivity_w_mk for t in records])
        self.frozen_k = column([t.frozen_conductivity_w_mk for t in records])
        self.k_slope = column([t.frozen_conductivity_slope_w_mk2 for t in records])
        self.perfusion = column([t.perfusion_w_m3k for t in records])
        always = np.array([not t.perfusion_stops for t in records], bool)
        self.always = always
        self.metabolic = np.where(always, 0.0, column([t.metabolic_w_m3 for t in records]))
        returns = np.array([t.perfusion_returns for t in records], bool)
        self.stasis_c = np.where(returns | always, NEVER_C, constant("stasis_c"))
        self.conducts = np.array([t.conducts for t in records], bool)

    def pick(self, index: np.ndarray) -> Substances:
        """The same for a list of indices, one entry each."""
        result = object.__new__(Substances)
        result.__dict__ = {name: values[index] for name, values in self.__dict__.items()}
        return result

    def _parts(self, temperature_c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        above = temperature_c - self.liquidus_c
        mush = np.clip(above, -self.span_k, 0.0)
        return above, np.maximum(above, 0.0), mush, np.maximum(-self.span_k - above, 0.0)

    def all_of(self, temperature_c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Enthalpy J/m3, its slope J/m3/K, Kirchhoff integral of k from the liquidus W/m, and k W/m/K."""
        above, warm, mush, deep = self._parts(temperature_c)
        added = (self.frozen_k - self.k) / self.span_k
        enthalpy = self.heat * warm + self.mushy_heat * mush
        enthalpy -= self.frozen_heat * deep * (1.0 - 0.5 * self.heat_slope * deep)
        frozen = self.frozen_heat * (1.0 - self.heat_slope * deep)
        slope = np.where(above > 0, self.heat, np.where(deep > 0, frozen, self.mushy_heat))
        integral = (
            self.k * (warm + mush) - 0.5 * added * mush * mush - deep * (self.frozen_k + 0.5 * self.k_slope * deep)
        )
        return enthalpy, slope, integral, self.k - added * mush + self.k_slope * deep

    def temperature_c(self, integral: np.ndarray) -> np.ndarray:
        """Temperature where the Kirchhoff integral has a value, W/m."""
        half = 0.5 * (self.frozen_k - self.k) / self.span_k
        at_solidus = -0.5 * self.span_k * (self.k + self.frozen_k)
        mush = np.clip(integral, at_solidus, 0.0)
        rest = np.maximum(at_solidus - integral, 0.0)
        result = self.liquidus_c + np.maximum(integral, 0.0) / self.k
        result += 2.0 * mush / (self.k + np.sqrt(self.k**2 - 4.0 * half * mush))
        return result - 2.0 * rest / (self.frozen_k + np.sqrt(self.frozen_k**2 + 2.0 * self.k_slope * rest))


@dataclass
class Mesh:
    """Nodes, the corners of elements around them, and the edges between them.

    Attributes:
        count: nodes.
        corner_node, corner_tissue, corner_volume: one entry for every corner of every element; m3 (or m2 per metre).
        corner_others: (N, C) nodes of the same element, the corner's own first, to see where in it blood flows.
        corner_weights: (P, C) shares with which points of the corner's part of the element take their values from them.
        edge_a, edge_b, edge_tissue, edge_m: conductance over k, m (or 1 per metre).
        inside: nodes within or on the probe; corner_inside, edge_inside: parts that lie in it.
        far: nodes that stay at the body's temperature.
        line: whether the nodes are a chain.
    """

    count: int
    corner_node: np.ndarray
    corner_tissue: np.ndarray
    corner_volume: np.ndarray
    corner_others: np.ndarray
    corner_weights: np.ndarray
    edge_a: np.ndarray
    edge_b: np.ndarray
    edge_tissue: np.ndarray
    edge_m: np.ndarray
    inside: np.ndarray
    corner_inside: np.ndarray
    edge_inside: np.ndarray
    far: np.ndarray
    line: bool


class _System:
    """Balance of heat of a mesh with the probe held at a temperature, taking a power, or off."""

    def __init__(self, mesh: Mesh, table: Substances, mode: str, shaft: bool, body_c: float, order: np.ndarray | None):
        self.mesh, self.mode, self.body_c = mesh, mode, body_c
        off = mode == "off"
        # The probe, where it works, and the distance are one unknown each; what is in the probe has no heat then.
        leader = np.arange(mesh.count)
        leader[mesh.far] = np.flatnonzero(mesh.far)[0]
        probe = np.flatnonzero(mesh.inside)[-1]
        if not off:
            leader[mesh.inside] = probe
        keep_corner = np.ones(len(mesh.corner_node), bool) if off and shaft else ~mesh.corner_inside
        keep_edge = np.ones(len(mesh.edge_a), bool) if off and shaft else ~mesh.edge_inside
        used = np.zeros(mesh.count, bool)
        used[leader[mesh.corner_node[keep_corner]]] = True
        leaders = np.flatnonzero(used)
        held = mesh.far[leaders] | ((leaders == probe) & (mode == "held"))
        free = leaders[~held]
        if order is not None and len(order) == len(free):
            free = free[order]
        leaders = np.concatenate([free, leaders[held]])
        number = np.full(mesh.count, -1)
        number[leaders] = np.arange(len(leaders))
        self.free, self.count = len(free), len(leaders)
        self.of_node = number[leader]
        self.probe = number[probe]
        self.order_known = mesh.line or order is not None
        self.factors: SuperLU | None = None
        # Corners of one tissue at one node are one piece.
        n = len(table.k)
        self.keep = keep_corner
        node, tissue = self.of_node[mesh.corner_node[keep_corner]], mesh.corner_tissue[keep_corner]
        key, self.piece_of_corner = np.unique(node * n + tissue, return_inverse=True)
        self.node, self.tissue = key // n, key % n
        self.volume = np.bincount(self.piece_of_corner, mesh.corner_volume[keep_corner])
        self.share = mesh.corner_volume[keep_corner] / self.volume[self.piece_of_corner]
        self.others = np.searchsorted(key, self.of_node[mesh.corner_others[keep_corner]] * n + tissue[:, None])
        self.table = table.pick(self.tissue)
        self.always = table.always[tissue]
        self.stasis = self.table.all_of(np.maximum(self.table.stasis_c, -1e4))[2]
        self.breaks_c = self._breaks(len(leaders))
        a, b, t = (x[keep_edge] for x in (self.of_node[mesh.edge_a], self.of_node[mesh.edge_b], mesh.edge_tissue))
        use = (a != b) & table.conducts[t]
        self.edge_m, self.a, self.b = mesh.edge_m[keep_edge][use], a[use], b[use]
        self.piece_a, self.piece_b = (np.searchsorted(key, x[use] * n + t[use]) for x in (a, b))
        self._pattern()
        self.solve = self._solve_line if mesh.line else self._solve_plane

    def _breaks(self, count: int) -> np.ndarray:
        """Temperatures (count, B) at which a node's heat capacity jumps."""
        starts = np.flatnonzero(np.r_[True, self.node[1:] != self.node[:-1]])
        rank = np.arange(len(self.node)) - np.repeat(starts, np.diff(np.r_[starts, len(self.node)]))
        result = np.full((count, 2 * int(rank.max()) + 2), np.inf)
        result[self.node, 2 * rank] = self.table.liquidus_c
        result[self.node, 2 * rank + 1] = self.table.liquidus_c - self.table.span_k
        return np.sort(result, axis=1)

    def _pattern(self) -> None:
        row = np.concatenate([np.arange(self.free), self.a, self.a, self.b, self.b])
        col = np.concatenate([np.arange(self.free), self.a, self.b, self.a, self.b])
        self.entry = (row < self.free) & (col < self.free)
        row, col = row[self.entry], col[self.entry]
        if self.mesh.line:
            self.place = (1 + row - col) * self.free + col
        else:
            key, self.place = np.unique(col.astype(np.int64) * self.free + row, return_inverse=True)
            self.rows = (key % self.free).astype(np.int32)
            self.starts = np.searchsorted(key // self.free, np.arange(self.free + 1)).astype(np.int32)

    def _solve_line(self, values: np.ndarray, right: np.ndarray) -> np.ndarray:
        bands = np.bincount(self.place, values, 3 * self.free).reshape(3, self.free)
        return solve_banded((1, 1), bands, right, overwrite_ab=True, check_finite=False)

    def _solve_plane(self, values: np.ndarray, right: np.ndarray) -> np.ndarray:
        matrix = csc_matrix((np.bincount(self.place, values), self.rows, self.starts), shape=(self.free, self.free))
        if self.factors is not None:
            # An older step's factors, as long as a few iterations with them do.
            near = LinearOperator(matrix.shape, self.factors.solve)
            found, failed = gmres(matrix, right, M=near, rtol=1e-4, atol=0.0, restart=9, maxiter=1)
            if not failed:
                return found
        order = "NATURAL" if self.order_known else "MMD_AT_PLUS_A"
        lu = splu(matrix, permc_spec=order, diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        if self.order_known:
            self.factors = lu
        else:
            self.best_order = np.argsort(lu.perm_c)
        return lu.solve(right)

    def flowing(self, integral: np.ndarray, coldest: np.ndarray) -> np.ndarray:
        """Share of every piece in which blood flows.

        Within an element heat, and not temperature, runs straight from node to node: so a node's blood does not stop all
        at once, and ice begins where it does.

        Args:
            integral, coldest: Kirchhoff integral of pieces, and the lowest that it was, W/m.
        """

        def above(values: np.ndarray, level: np.ndarray | float) -> np.ndarray:
            points = self.mesh.corner_weights @ values[self.others].T
            low, high = points.min(axis=0), points.max(axis=0)
            return np.clip((points.mean(axis=0) - level) / np.maximum(high - low, 1e-9) + 0.5, 0.0, 1.0)

        share = above(integral, 0.0)
        if (coldest < self.stasis).any():
            share = np.minimum(share, above(np.minimum(integral, coldest), self.stasis[self.piece_of_corner]))
        share = np.where(self.always, 1.0, share)
        return np.bincount(self.piece_of_corner, share * self.share)

    def heat(self, temperature_c: np.ndarray) -> np.ndarray:
        """Of every unknown, J."""
        return np.bincount(self.node, self.volume * self.table.all_of(temperature_c[self.node])[0], self.count)

    def stage(
        self, start_c: np.ndarray, right: np.ndarray, dt_s: float, power_w: float, coldest: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Solve heat(T) - dt inflow(T) = right for the free unknowns.

        Returns:
            T, heat J, inflow W (from neighbours and blood), and the part of it from blood.

        Raises:
            SolverError: not after 40 steps of Newton.
        """
        t, n = start_c.copy(), self.free
        table, volume = self.table, self.volume
        supply = blood = np.zeros(0)
        closed = False
        for iteration in range(40):
            at = t[self.node]
            h, slope, integral, k = table.all_of(at)
            if iteration < 3:
                share = self.flowing(integral, coldest) * volume
                blood, supply = share * table.perfusion, share * (table.perfusion * self.body_c + table.metabolic)
            heat = np.bincount(self.node, volume * h, self.count)
            flux = self.edge_m * (integral[self.piece_b] - integral[self.piece_a])
            source = np.bincount(self.node, supply - blood * at, self.count)
            inflow = source + np.bincount(self.a, flux, self.count) - np.bincount(self.b, flux, self.count)
            if self.mode == "power":
                inflow[self.probe] -= power_w
            if closed:
                return t, heat, inflow, source
            diagonal = np.bincount(self.node, volume * slope + dt_s * blood, self.count)[:n]
            to_a, to_b = dt_s * self.edge_m * k[self.piece_a], dt_s * self.edge_m * k[self.piece_b]
            values = np.concatenate([diagonal, to_a, -to_b, -to_a, to_b])[self.entry]
            change = self.solve(values, right[:n] - heat[:n] + dt_s * inflow[:n])
            # A node that would cross a jump of its heat capacity stops just behind it.
            new, old = t[:n] + change, t[:n, None]
            breaks = self.breaks_c[:n]
            below = np.where(breaks < old, breaks, -np.inf).max(axis=1) - 1e-7
            beyond = np.where(breaks > old, breaks, np.inf).min(axis=1) + 1e-7
            stopped = np.clip(new, below, beyond)
            t[:n] = stopped
            closed = bool(iteration >= 2 and np.abs(change).max() < TOLERANCE_K)
            if not np.isfinite(change).all():
                break
        raise SolverError(f"No solution of a step of {dt_s:g} s.")


@dataclass
class _State:
    """What a calculation knows while it runs; temperatures at the mesh's nodes."""

    temperature_c: np.ndarray
    coldest_c: np.ndarray
    energy_j: float = 0.0
    blood_j: float = 0.0
    far_j: float = 0.0
    stored_j: float = 0.0
    surface_c: float = np.nan
    power_w: float = 0.0
    steps: int = 0


def _advance(system: _System, state: _State, dt_s: float, surface: tuple[float, float], power_w: float) -> _State:
    """One step of SDIRK2.

    Args:
        surface: the probe's temperature at the two stages, C, where it is held.
    """
    of_node, mesh = system.of_node, system.mesh
    t = np.empty(system.count)
    some = of_node >= 0
    t[of_node[some]] = state.temperature_c[some]
    old_heat = system.heat(t)

    coldest_c = np.full(system.count, system.body_c)
    coldest_c[of_node[some]] = state.coldest_c[some]
    coldest = system.table.all_of(coldest_c[system.node])[2]
    at = t.copy()
    if system.mode == "held":
        at[system.probe] = surface[0]
    first, _, inflow_1, blood_1 = system.stage(at, old_heat, GAMMA * dt_s, power_w, coldest)
    at = first.copy()
    if system.mode == "held":
        at[system.probe] = surface[1]
    right = old_heat + (1.0 - GAMMA) * dt_s * inflow_1
    last, heat, inflow_2, blood_2 = system.stage(at, right, GAMMA * dt_s, power_w, coldest)
    came = dt_s * ((1.0 - GAMMA) * inflow_1 + GAMMA * inflow_2)
    blood = dt_s * ((1.0 - GAMMA) * blood_1 + GAMMA * blood_2)
    taken = 0.0
    if system.mode == "held":
        taken = came[system.probe] - (heat[system.probe] - old_heat[system.probe])
    elif system.mode == "power":
        taken = power_w * dt_s
    far = of_node[np.flatnonzero(mesh.far)[0]]
    nodes = np.where(some, last[of_node], last[system.probe])
    return _State(
        nodes,
        np.minimum(state.coldest_c, nodes),
        state.energy_j + taken,
        state.blood_j + float(blood.sum()),
        state.far_j - float(came[far]),
        state.stored_j + float((heat - old_heat).sum()),
        float(last[system.probe]),
        taken / dt_s,
        state.steps + 1,
    )


def _run(
    mesh: Mesh, table: Substances, schedule: Schedule, times_s: Sequence[float], body_c: float, power_w: float | None,
    shaft: bool, first_step_s: float, step_share: float, longest_step_s: float,
) -> list[_State]:  # fmt: skip
    """States at the wanted times of a schedule of (until_s, surface)."""
    systems: dict[str, _System] = {}
    orders: dict[str, np.ndarray] = {}

    def system(mode: str) -> _System:
        if mode not in systems:
            systems[mode] = _System(mesh, table, mode, shaft, body_c, orders.get(mode))
        return systems[mode]

    def step(mode: str, state: _State, at_s: float, dt_s: float, surface: Surface, depth: int = 0) -> _State:
        def temperature(when_s: float) -> float:
            return float(surface(when_s)) if callable(surface) else float(surface)  # type: ignore[arg-type]

        held = (np.nan, np.nan)
        if mode == "held":
            held = temperature(at_s + GAMMA * dt_s), temperature(at_s + dt_s)
        try:
            one = system(mode)
            result = _advance(one, state, dt_s, held, power_w or 0.0)
        except SolverError:
            if depth > 8:
                raise
            half = step(mode, state, at_s, 0.5 * dt_s, surface, depth + 1)
            return step(mode, half, at_s + 0.5 * dt_s, 0.5 * dt_s, surface, depth + 1)
        if not one.order_known:
            # The first factorization finds a good order of the unknowns; from then on they have it.
            orders[mode] = one.best_order
            del systems[mode]
        return result

    state = _State(np.full(mesh.count, body_c), np.full(mesh.count, body_c))
    wanted, states, now_s = sorted(times_s), [], 0.0
    for until_s, surface in schedule:
        begin_s, dt_s = now_s, first_step_s
        mode = "off" if surface is None else "held" if power_w is None else "power"
        while now_s < until_s - 1e-9:
            dt_s = min(max(first_step_s, step_share * (now_s - begin_s)), longest_step_s)
            stop_s = min([until_s, *(t for t in wanted if t > now_s + 1e-9)])
            dt_s = (stop_s - now_s) / np.ceil((stop_s - now_s) / dt_s - 1e-9) if stop_s - now_s < 3 * dt_s else dt_s
            if mode == "off" or power_w is None:
                state = step(mode, state, now_s, dt_s, surface)
            else:
                lowest_c = float(surface(now_s + dt_s)) if callable(surface) else float(surface)  # type: ignore[arg-type]
                new = step(mode, state, now_s, dt_s, surface)
                if mode == "power" and new.surface_c < lowest_c:
                    mode = "held"
                    new = step(mode, state, now_s, dt_s, surface)
                elif mode == "held" and new.power_w > power_w * (1.0 + 1e-9):
                    mode = "power"
                    new = step(mode, state, now_s, dt_s, surface)
                state = new
            now_s += dt_s
            if any(abs(now_s - t) < 1e-6 for t in wanted):
                states.append(state)
    return states


def graded_mm(
    breaks_mm: Sequence[float], fine_mm: float, growth: float, widest_mm: Callable[[float], float]
) -> np.ndarray:
    """Points from the first to the last break, fine at every one between and at the first, each break being a point.

    Args:
        widest_mm: spacing allowed at a place.
    """
    points = [float(breaks_mm[0])]
    last = len(breaks_mm) - 2
    for n, (low, high) in enumerate(pairwise(breaks_mm)):
        inner = [low]
        while inner[-1] < high:
            x = inner[-1]
            reach = x - low if n == last else min(x - low, max(high - x, 0.0))
            inner.append(x + min(fine_mm + (growth - 1.0) * reach, widest_mm(x)))
        # Stretched to end on the break.
        count = len(inner) - 1
        if inner[-1] - high > high - inner[-2] and count > 1:
            count -= 1
        part = np.array(inner[: count + 1])
        points.extend((low + (part[1:] - low) * (high - low) / (part[-1] - low)).tolist())
        points[-1] = float(high)
    return np.array(points)


def _over_log(r_mm: np.ndarray) -> np.ndarray:
    """2 pi over ln(outer / inner) of the gaps between radii; next to the axis by the middle of the gap."""
    inner, outer = r_mm[:-1], r_mm[1:]
    with np.errstate(divide="ignore"):
        log = np.log(outer / np.maximum(inner, 1e-300))
    return 2.0 * np.pi * np.where(inner > 0, 1.0 / log, 0.5 * (inner + outer) / (outer - inner))


def _crossing_mm(
    x_mm: np.ndarray, temperature_c: np.ndarray, tissue: np.ndarray, table: Substances, isotherm: float, log: bool
) -> float | None:
    """Outermost place where temperature rises through an isotherm; the flux between two points is one, and gas has none."""
    hits = np.flatnonzero((temperature_c[:-1] <= isotherm) & (temperature_c[1:] > isotherm))
    if not len(hits):
        return None
    n = int(hits[-1])
    if not table.conducts[tissue[n]]:
        return float(x_mm[n])
    one = table.pick(np.full(3, tissue[n]))
    low, high, middle = one.all_of(np.array([temperature_c[n], temperature_c[n + 1], isotherm]))[2]
    share = (middle - low) / (high - low)
    if log and x_mm[n] > 0:
        return float(x_mm[n] * (x_mm[n + 1] / x_mm[n]) ** share)
    return float(x_mm[n] + share * (x_mm[n + 1] - x_mm[n]))


@dataclass
class Radial:
    """An endless probe's field.

    Attributes:
        times_s: wanted times.
        r_mm: (N,) from the probe's surface out.
        temperature_c: (times, N).
        energy_j_m: taken by the probe until each time, per metre.
        imbalance: heat that got lost or came from nowhere, as a share of the heat taken.
        steps: of time.
    """

    times_s: np.ndarray
    r_mm: np.ndarray
    temperature_c: np.ndarray
    energy_j_m: np.ndarray
    imbalance: float
    steps: int
    _tissue: np.ndarray = field(repr=False)
    _table: Substances = field(repr=False)

    def _when(self, time_s: float | None) -> np.ndarray:
        return self.temperature_c[-1 if time_s is None else int(np.abs(self.times_s - time_s).argmin())]

    def radius_mm(self, isotherm: float, time_s: float | None = None) -> float | None:
        """Outermost radius at which it is just so cold, at the wanted time that is nearest (the last when None).

        None where nothing is so cold.
        """
        return _crossing_mm(self.r_mm, self._when(time_s), self._tissue, self._table, isotherm, True)

    def at(self, r_mm: float, time_s: float | None = None) -> float:
        """Temperature at a distance from the axis, C."""
        t = self._when(time_s)
        n = int(np.clip(np.searchsorted(self.r_mm, r_mm) - 1, 0, len(self.r_mm) - 2))
        if not self._table.conducts[self._tissue[n]]:
            return float(t[n + 1])
        one = self._table.pick(np.full(2, self._tissue[n]))
        low, high = one.all_of(t[n : n + 2])[2]
        share = np.log(r_mm / self.r_mm[n]) / np.log(self.r_mm[n + 1] / self.r_mm[n])
        return float(one.temperature_c(np.full(2, low + share * (high - low)))[0])


def _schedule(surface_c: Surface | Schedule, until_s: float | None) -> Schedule:
    if isinstance(surface_c, Sequence):
        return list(surface_c)
    if until_s is None:
        raise ValueError("One surface temperature needs until_s.")
    return [(float(until_s), surface_c)]


def radial(
    layers: Sequence[tuple[TissueRecord, float]], surface_c: Surface | Schedule, diameter_mm: float = 1.5,
    until_s: float | None = None, *, times_s: Sequence[float] | None = None, body_c: float | None = None,
    shaft: bool = False, far_mm: float = 100.0, fine_mm: float = 0.025, widest_mm: float = 0.07,
    first_step_s: float = 0.005, step_share: float = 0.05, longest_step_s: float = 8.0,
) -> Radial:  # fmt: skip
    """An endless probe in coaxial layers.

    Args:
        layers: (tissue, outer radius in mm) from the probe outwards; the last radius is inf.
        surface_c: the probe's surface, C; or a function of time, s; or a schedule of (until_s, one of these or None),
            None being a probe that is off, through whose surface no heat goes.
        until_s: when it ends; taken from a schedule.
        times_s: wanted times; the end of every phase when None.
        body_c: at the start and far away; the data's when None.
        shaft: whether a probe that is off counts as the innermost tissue, at the temperature that its surface had.
        fine_mm, widest_mm: spacing at the probe and where tissues meet, and out to 25 mm.
        first_step_s, step_share, longest_step_s: a step is a share of the time since the probe was switched.
    """
    schedule = _schedule(surface_c, until_s)
    body_c = constant("body_temperature_c") if body_c is None else body_c
    r0 = 0.5 * diameter_mm
    outer = [r for _, r in layers if r0 < r < far_mm]
    core = graded_mm(
        [r0, *outer, far_mm], fine_mm, 1.06, lambda r: widest_mm if r < 25.0 else widest_mm + 0.08 * (r - 25.0)
    )
    within = np.linspace(0.0, r0, 9)[:-1] if shaft else np.zeros(0)
    r_mm = np.concatenate([within, core])
    middle = 0.5 * (r_mm[:-1] + r_mm[1:])
    tissue = np.minimum(np.searchsorted([r for _, r in layers], np.maximum(middle, r0)), len(layers) - 1)
    n = len(r_mm)
    a, b = np.arange(n - 1), np.arange(1, n)
    inner_m2 = np.pi * (middle**2 - r_mm[:-1] ** 2) * 1e-6
    outer_m2 = np.pi * (r_mm[1:] ** 2 - middle**2) * 1e-6
    in_probe = middle < r0
    mesh = Mesh(
        n, np.r_[a, b], np.r_[tissue, tissue], np.r_[inner_m2, outer_m2], np.stack([np.r_[a, b], np.r_[b, a]], axis=1),
        np.array([[1.0, 0.0], [0.5, 0.5]]), a, b, tissue, _over_log(r_mm), r_mm <= r0 + 1e-9, np.r_[in_probe, in_probe],
        in_probe, np.arange(n) == n - 1, True,
    )  # fmt: skip
    table = Substances([t for t, _ in layers])
    wanted = [until for until, _ in schedule] if times_s is None else sorted(times_s)
    states = _run(mesh, table, schedule, wanted, body_c, None, shaft, first_step_s, step_share, longest_step_s)
    last = states[-1]
    wrong = abs(last.stored_j - last.blood_j - last.far_j + last.energy_j) / max(abs(last.energy_j), 1e-9)
    core_at = slice(len(within), None)
    return Radial(
        np.array(wanted), core, np.array([s.temperature_c[core_at] for s in states]),
        np.array([s.energy_j for s in states]), wrong, last.steps, tissue[core_at], table,
    )  # fmt: skip


@dataclass
class Axisymmetric:
    """A finite probe's field; its middle is z = 0.

    Attributes:
        times_s: wanted times.
        r_mm, z_mm: lines of the mesh.
        temperature_c: (times, r, z).
        energy_j, power_w, surface_c: taken by the probe until each time, just then, and its temperature.
        imbalance: heat that got lost or came from nowhere, as a share of the heat taken.
        steps: of time.
    """

    times_s: np.ndarray
    r_mm: np.ndarray
    z_mm: np.ndarray
    temperature_c: np.ndarray
    energy_j: np.ndarray
    power_w: np.ndarray
    surface_c: np.ndarray
    imbalance: float
    steps: int
    _tissue: np.ndarray = field(repr=False)
    _table: Substances = field(repr=False)

    def _when(self, time_s: float | None) -> np.ndarray:
        return self.temperature_c[-1 if time_s is None else int(np.abs(self.times_s - time_s).argmin())]

    @staticmethod
    def _between(lines_mm: np.ndarray, x_mm: float) -> tuple[int, float]:
        n = int(np.clip(np.searchsorted(lines_mm, x_mm) - 1, 0, len(lines_mm) - 2))
        return n, float((x_mm - lines_mm[n]) / (lines_mm[n + 1] - lines_mm[n]))

    def radius_mm(self, isotherm: float, z_mm: float = 0.0, time_s: float | None = None) -> float | None:
        """Outermost radius at a height at which it is just so cold; None where nothing is."""
        n, share = self._between(self.z_mm, z_mm)
        t = self._when(time_s)
        row = (1.0 - share) * t[:, n] + share * t[:, n + 1]
        return _crossing_mm(self.r_mm, row, self._tissue[:, n], self._table, isotherm, True)

    def reach_mm(self, isotherm: float, time_s: float | None = None) -> tuple[float | None, float | None]:
        """Where the isotherm crosses the axis below and above, z in mm."""
        t, tissue = self._when(time_s)[0], self._tissue[0]
        below = _crossing_mm(-self.z_mm[::-1], t[::-1], tissue[::-1], self._table, isotherm, False)
        return None if below is None else -below, _crossing_mm(self.z_mm, t, tissue, self._table, isotherm, False)

    def at(self, r_mm: float, z_mm: float, time_s: float | None = None) -> float:
        """Temperature, C."""
        (i, u), (j, v) = self._between(self.r_mm, r_mm), self._between(self.z_mm, z_mm)
        t = self._when(time_s)[i : i + 2, j : j + 2]
        one = self._table.pick(np.full(4, self._tissue[i, j]))
        low, high = (1.0 - u) * (p := one.all_of(t.ravel())[2].reshape(2, 2))[0] + u * p[1]
        return float(one.temperature_c(np.full(4, (1.0 - v) * low + v * high))[0])

    def volume_ml(self, isotherm: float, time_s: float | None = None) -> float:
        """Of what is so cold or colder, the probe's own part counted too."""
        t = self._when(time_s)
        u = (np.arange(4) + 0.5) / 4
        total = 0.0
        for a in u:
            rows = (1 - a) * t[:-1] + a * t[1:]
            ring = (self.r_mm[:-1] + a * np.diff(self.r_mm)) * np.diff(self.r_mm) * 2.0 * np.pi / 16.0
            for b in u:
                cold = ((1 - b) * rows[:, :-1] + b * rows[:, 1:]) <= isotherm
                total += float(ring @ (cold & self._table.conducts[self._tissue]) @ np.diff(self.z_mm))
        return total * 1e-3


def axisymmetric(
    labels: Callable[[np.ndarray, np.ndarray], np.ndarray], records: Sequence[TissueRecord], surface_c: Surface | Schedule,
    diameter_mm: float = 1.5, active_length_mm: float = 22.0, until_s: float | None = None, *,
    r_faces_mm: Sequence[float] = (), z_faces_mm: Sequence[float] = (), power_w: float | None = None,
    times_s: Sequence[float] | None = None, body_c: float | None = None, shaft: bool = False, far_mm: float = 85.0,
    fine_mm: float = 0.08, growth: float = 1.12, widest_mm: float = 0.3, first_step_s: float = 0.01,
    step_share: float = 0.1, longest_step_s: float = 25.0,
) -> Axisymmetric:  # fmt: skip
    """A cold cylinder with flat ends, r <= R and |z| <= length / 2, among tissues that are symmetric about its axis.

    Its shaft is tissue. Where labels are the same above and below the middle, half of it is solved.

    Args:
        labels: function of r and z (arrays, mm) giving indices into records.
        surface_c: as `radial`; with power_w the coldest that the surface can be.
        r_faces_mm, z_faces_mm: where tissues meet, so that the mesh has lines there.
        power_w: the most that the probe takes; its surface, at one temperature, is as cold as that allows.
        shaft: whether a probe that is off counts as tissue, at the temperature that its surface had; no heat goes through
            its surface otherwise.
        fine_mm, growth, widest_mm: spacing at the probe and where tissues meet, how it grows, and out to 20 mm.
        first_step_s, step_share, longest_step_s: as `radial`; a thaw wants half of them, its edge being flat (0.03 mm).
    """
    schedule = _schedule(surface_c, until_s)
    body_c = constant("body_temperature_c") if body_c is None else body_c
    r0, half_mm = 0.5 * diameter_mm, 0.5 * active_length_mm

    def spacing(reach: float) -> Callable[[float], float]:
        return lambda x: widest_mm if abs(x) < reach else widest_mm + 0.2 * (abs(x) - reach)

    def along_z(x: float) -> float:
        # At mid-length little changes along the probe; blood and ice end somewhere beyond its ends.
        return 3.0 * widest_mm if abs(x) < half_mm else spacing(half_mm + 10.0)(x)

    # The mesh is fine on both sides of the surface, so inside counts as a stretch between two breaks.
    rs = [r0, *sorted(r for r in r_faces_mm if r0 + 1e-6 < r < far_mm), far_mm]
    outside = graded_mm(rs, fine_mm, growth, spacing(20.0))
    inside_r = r0 - graded_mm([0.0, r0], fine_mm, 1.6, lambda r: 4 * fine_mm)[::-1]
    r_mm = np.concatenate([inside_r[:-1], outside])
    r_mm[0] = 0.0
    up, down = ([half_mm, *(abs(z) for z in z_faces_mm if z * s > 0)] for s in (1, -1))
    at_middle = any(abs(z) < 1e-9 for z in z_faces_mm)

    def half_line(breaks: list[float]) -> np.ndarray:
        stops = sorted({*np.round(breaks, 9), far_mm + half_mm})
        # Without a boundary in the middle the mesh is coarse there: mirrored, it is the inside of one stretch.
        first = graded_mm([0.0, stops[0]], fine_mm, growth, along_z)
        first = (
            stops[0] - first[::-1]
            if not at_middle
            else graded_mm([0.0, stops[0], 2 * stops[0]], fine_mm, growth, along_z)
        )
        first = first[first <= stops[0] + 1e-9]
        first[-1] = stops[0]
        return np.concatenate([first[:-1], graded_mm(stops, fine_mm, growth, along_z)])

    upper, lower = half_line(up), half_line(down)
    middle_r = 0.5 * (r_mm[:-1] + r_mm[1:])

    def tissues_at(z: np.ndarray) -> np.ndarray:
        return np.asarray(labels(*np.meshgrid(middle_r, 0.5 * (z[:-1] + z[1:]), indexing="ij"))).astype(int)

    half = len(upper) == len(lower) and np.allclose(upper, lower)
    half = half and bool((tissues_at(upper) == tissues_at(-lower)).all())
    z_mm = upper if half else np.concatenate([-lower[:0:-1], upper])
    tissue = tissues_at(z_mm)
    mesh = _plane_mesh(r_mm, z_mm, tissue, r0, half_mm, half)
    table = Substances(records)
    wanted = [until for until, _ in schedule] if times_s is None else sorted(times_s)
    # Half of the probe takes half of the power.
    factor = 2.0 if half else 1.0
    power = None if power_w is None else power_w / factor
    states = _run(mesh, table, schedule, wanted, body_c, power, shaft, first_step_s, step_share, longest_step_s)
    last = states[-1]
    wrong = abs(last.stored_j - last.blood_j - last.far_j + last.energy_j) / max(abs(last.energy_j), 1e-9)
    fields = np.array([s.temperature_c.reshape(len(r_mm), len(z_mm)) for s in states])
    if half:
        fields = np.concatenate([fields[:, :, :0:-1], fields], axis=2)
        tissue = np.concatenate([tissue[:, ::-1], tissue], axis=1)
        z_mm = np.concatenate([-z_mm[:0:-1], z_mm])
    return Axisymmetric(
        np.array(wanted), r_mm, z_mm, fields, factor * np.array([s.energy_j for s in states]),
        factor * np.array([s.power_w for s in states]), np.array([s.surface_c for s in states]), wrong, last.steps,
        tissue, table,
    )  # fmt: skip


def _plane_mesh(r_mm: np.ndarray, z_mm: np.ndarray, tissue: np.ndarray, r0: float, half_mm: float, half: bool) -> Mesh:
    """The mesh of lines in (r, z); node number r index times count of z, plus z index."""
    nr, nz = len(r_mm), len(z_mm)
    node = np.arange(nr * nz).reshape(nr, nz)
    mid_r, mid_z = 0.5 * (r_mm[:-1] + r_mm[1:]), 0.5 * (z_mm[:-1] + z_mm[1:])
    ring_mm2 = {0: np.pi * (mid_r**2 - r_mm[:-1] ** 2), 1: np.pi * (r_mm[1:] ** 2 - mid_r**2)}
    in_element = (mid_r < r0)[:, None] & (np.abs(mid_z) < half_mm)[None, :]
    across = _over_log(r_mm)
    dz = np.diff(z_mm)

    def at(i: int, j: int) -> np.ndarray:
        return node[i : nr - 1 + i, j : nz - 1 + j].ravel()

    corners, volumes, others, a, b, m = [], [], [], [], [], []
    for i in (0, 1):
        for j in (0, 1):
            corners.append(at(i, j))
            others.append(np.stack([at(i, j), at(1 - i, j), at(i, 1 - j), at(1 - i, 1 - j)], axis=1))
            volumes.append((ring_mm2[i][:, None] * 0.5 * dz * 1e-9).ravel())
        # Edges along z at the element's inner and outer radius, and along r at its lower and upper end.
        a.append(at(i, 0))
        b.append(at(i, 1))
        m.append((ring_mm2[i][:, None] / dz * 1e-3).ravel())
        a.append(at(0, i))
        b.append(at(1, i))
        m.append((across[:, None] * 0.5 * dz * 1e-3).ravel())
    points = np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0], [0.25, 0.25, 0.25, 0.25]])
    far = np.zeros((nr, nz), bool)
    far[-1] = far[:, -1] = True
    if not half:
        far[:, 0] = True
    inside = (r_mm <= r0 + 1e-9)[:, None] & (np.abs(z_mm) <= half_mm + 1e-9)[None, :]
    four = np.tile(tissue.ravel(), 4)
    probe4 = np.tile(in_element.ravel(), 4)
    return Mesh(
        nr * nz, np.concatenate(corners), four, np.concatenate(volumes), np.concatenate(others), points,
        np.concatenate(a), np.concatenate(b), four, np.concatenate(m), inside.ravel(), probe4, probe4, far.ravel(), False,
    )  # fmt: skip


COAXIAL: dict[str, list[tuple[str, float]]] = {
    "a": [("muscle", 3.9), ("bone_cortical", np.inf)],
    "b": [("muscle", 3.0), ("nerve", 6.0), ("muscle", np.inf)],
    "c": [("fat", 1.5), ("nerve", 4.5), ("muscle", np.inf)],
    "d": [("liver", 3.9), ("fat", np.inf)],
    "e": [("csf", 4.0), ("muscle", np.inf)],
    "f": [("muscle", 5.0), ("csf", 8.0), ("muscle", np.inf)],
    "g": [("saline", 3.0), ("fat", 6.0), ("muscle", np.inf)],
    "h": [("muscle", np.inf)],
    "i": [("fat", 3.0), ("muscle", np.inf)],
}
"""Endless probe of 1.5 mm at -140 C."""
TIMES_S, ISOTHERMS_C, PLACES_MM = (60.0, 180.0, 600.0), (0.0, -20.0, -40.0), (2.0, 3.0, 4.0, 5.0, 6.0)


def _numbers(field: Radial) -> dict[str, dict[str, dict[str, float | None]]]:
    return {
        f"{t:g}": {
            "radius_mm": {f"{c:g}": field.radius_mm(c, t) for c in ISOTHERMS_C},
            "at_c": {f"{r:g}": field.at(r, t) for r in PLACES_MM},
        }
        for t in TIMES_S
    }


def _exact() -> None:
    """What has an exact solution."""
    gel = replace(tissue("gel"), frozen_conductivity_slope_w_mk2=0.01)
    layers = [(gel, 4.0), (replace(tissue("bone_cortical"), perfusion_w_m3k=0.0, metabolic_w_m3=0.0), np.inf)]
    steady = radial(layers, -100.0, 1.5, 1e7, far_mm=20.0, step_share=1.0, longest_step_s=1e6)

    def integral(of: int, c: float) -> float:
        # By quadrature of k(T) as the records say it, not by the closed form that the solver uses.
        record, x = layers[of][0], np.linspace(c, 37.0, 400001)
        below = np.maximum(record.solidus_c - x, 0.0) * record.frozen_conductivity_slope_w_mk2
        known = [record.frozen_conductivity_w_mk, record.conductivity_w_mk]
        return float(-np.trapezoid(np.interp(x, [record.solidus_c, record.liquidus_c], known) + below, x))

    def gap(c: float) -> float:
        inner = (integral(0, c) - integral(0, -100.0)) / np.log(4.0 / 0.75)
        return inner - (integral(1, 37.0) - integral(1, c)) / np.log(20.0 / 4.0)

    at_face = brentq(gap, -90.0, 30.0)
    print(f"two layers, steady, T at their boundary: {steady.at(4.0):.4f} C, exact {at_face:.4f} C")
    for name, surface_c in (("muscle", -70.0), ("nerve", -140.0), ("liver", -140.0), ("kidney", -140.0)):
        record = replace(tissue(name), frozen_conductivity_w_mk=2.0, frozen_conductivity_slope_w_mk2=0.0)
        record = replace(record, liquidus_c=-0.5, solidus_c=-0.51, latent_heat_mj_m3=0.0)
        m = np.sqrt(record.perfusion_w_m3k / record.conductivity_w_mk)
        warm = 37.0 + record.metabolic_w_m3 / record.perfusion_w_m3k

        def balance(r_mm: float, record=record, m=m, warm=warm, surface_c=surface_c) -> float:
            x = m * r_mm * 1e-3
            out = record.conductivity_w_mk * (warm + 0.5) * x * kn(1, x) / kn(0, x)
            return 2.0 * (-0.5 - surface_c) / np.log(r_mm / 0.75) - out

        found = radial([(record, np.inf)], surface_c, 1.5, 1e7, far_mm=250.0, step_share=0.3, longest_step_s=1e6)
        print(
            f"{name} with blood, steady, ice at {found.radius_mm(-0.5):.3f} mm, exact {brentq(balance, 1.0, 80.0):.3f} mm"
        )


def _main(path: str | None) -> None:
    records = {name: tissue(name) for layers in COAXIAL.values() for name, _ in layers}
    _exact()
    results: dict[str, object] = {}
    print("\nradial: radii mm at 0, -20, -40 C; largest change of radius (mm) and of temperature (K) when halved")
    print("case  mesh        step        60 s                  180 s                 600 s")
    for case, names in COAXIAL.items():
        layers = [(records[name], r) for name, r in names]
        fine = {"fine_mm": 0.01, "widest_mm": 0.025, "first_step_s": 0.002, "step_share": 0.02, "longest_step_s": 3.0}
        shorter = {"first_step_s": 0.0025, "step_share": 0.025, "longest_step_s": 4.0}
        settings = ({}, {"fine_mm": 0.0125, "widest_mm": 0.035}, shorter, fine)
        usual, *halved, best = (radial(layers, -140.0, 1.5, 600.0, times_s=TIMES_S, **s) for s in settings)
        changes = []
        for other in halved:
            apart = [abs(usual.radius_mm(c, t) - other.radius_mm(c, t)) for c in ISOTHERMS_C for t in TIMES_S]
            warmer = [abs(usual.at(r, t) - other.at(r, t)) for r in PLACES_MM for t in TIMES_S]
            changes.append(f"{max(apart):.4f}/{max(warmer):.3f}")
        radii = ["/".join(f"{best.radius_mm(c, t):.3f}" for c in ISOTHERMS_C) for t in TIMES_S]
        print(f"{case:4s}  {'  '.join(changes)}  {'  '.join(f'{r:20s}' for r in radii)}", flush=True)
        results[case] = {"layers": [[n, None if np.isinf(r) else r] for n, r in names], "times": _numbers(best)}
    print("\naxisymmetric: j radii at z = -6 (muscle) and +6 (fat), ends; k by power")
    pair = [records["muscle"], records["fat"]]
    for name, settings in (
        ("usual", {}),
        ("fine", {"fine_mm": 0.05, "growth": 1.1, "widest_mm": 0.2, "step_share": 0.07}),
    ):
        both = axisymmetric(
            lambda r, z: (z > 0).astype(int),
            pair,
            -140.0,
            1.5,
            22.0,
            600.0,
            z_faces_mm=[0.0],
            times_s=TIMES_S,
            **settings,
        )
        results["j" if name == "fine" else "j_usual"] = j = {
            f"{t:g}": {
                **{f"radius_mm_z{z:g}": {f"{c:g}": both.radius_mm(c, z, t) for c in ISOTHERMS_C} for z in (-6.0, 6.0)},
                "reach_mm": {f"{c:g}": both.reach_mm(c, t) for c in ISOTHERMS_C},
            }
            for t in TIMES_S
        }
        print(name, both.imbalance, json.dumps(j), flush=True)
        for power_w in (5.0, 10.0):
            one = axisymmetric(
                lambda r, z: np.zeros(r.shape, int), pair, -170.0, 1.5, 22.0, 300.0, power_w=power_w,
                times_s=(60.0, 180.0, 300.0), **settings,
            )  # fmt: skip
            results[f"k{power_w:g}" if name == "fine" else f"k{power_w:g}_usual"] = k = {
                f"{t:g}": {
                    "energy_j": one.energy_j[n], "power_w": one.power_w[n], "surface_c": one.surface_c[n],
                    "radius_mm_z0": {f"{c:g}": one.radius_mm(c, 0.0, t) for c in ISOTHERMS_C},
                    "reach_mm_0": one.reach_mm(0.0, t), "ice_ml": one.volume_ml(0.0, t),
                }
                for n, t in enumerate(one.times_s)
            }  # fmt: skip
            print(name, power_w, "W", one.imbalance, json.dumps(k), flush=True)
    if path:
        Path(path).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _main(sys.argv[1] if len(sys.argv) > 1 else None)
