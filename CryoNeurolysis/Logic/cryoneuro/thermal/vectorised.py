"""Stepping with numpy and scipy alone, for hosts without a compiler.

The explicit rate R of the fine box is filtered, dH = dt (1 - theta dt D laplace)^-1 R, with one cosine-transform pair
a step. With D the largest diffusivity this is stable at any dt, keeps the total heat, and leaves the steady state
exactly where the explicit equations have it. The coarse grid outside never freezes and is stepped explicitly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import fft

from .far import far_step, seam_inflow, update_ghosts
from .medium import Field, pair
from .patch import Patch, face_sum

if TYPE_CHECKING:
    from .engine import Freezing

_THETA = 0.6
_FIRST_STEP_S = 0.5
_GROWTH = 1.05
_LONGEST_S = 4.0
_SPARE_C = 0.5


class VectorisedStepper:
    """Keeps what depends on the box only, and the step length that grows after every change of the probes."""

    def __init__(self) -> None:
        self.number = 0
        self.now_s = _FIRST_STEP_S
        self.before: npt.NDArray[np.float32] | None = None

    @property
    def pace(self) -> object:
        """Step length now, and what the probes did last."""
        return self.now_s, self.before

    @pace.setter
    def pace(self, value: object) -> None:
        assert isinstance(value, tuple)
        self.now_s, self.before = value

    def longest_step_s(self, freezing: Freezing) -> float:
        """Short after a probe has changed what it does, then growing to four seconds."""
        return _LONGEST_S

    def _prepare(self, freezing: Freezing) -> None:
        if self.number == freezing.box_number:
            return
        self.number = freezing.box_number
        patch = freezing.patch
        inner = patch.inner
        self.faces = [
            (np.ascontiguousarray(_along(a, axis)), np.ascontiguousarray(_along(b, axis)))
            for axis, (a, b) in enumerate(zip(patch.unfrozen_face, patch.extra_face, strict=True))
        ]
        # Cells at the border have a ghost beyond; the filter's walls are insulated, which only smooths a little more.
        h2 = (freezing.medium.grid_mm * 1e-3) ** 2
        total, extra = (face_sum(f)[inner] for f in (patch.unfrozen_face, patch.extra_face))
        live = patch.active[inner]
        unfrozen = total * patch.inverse_heat[inner]
        frozen = (total + extra) * patch.inverse_frozen[inner]
        self.diffusivity = float(np.maximum(unfrozen, frozen)[live].max()) * h2 / 6.0
        self.slope = float(max(0.0, patch.conductivity_slope[inner].max() + patch.heat_slope[inner].max()))
        self.spectrum = _laplace_spectrum(patch.shape, freezing.medium.grid_mm * 1e-3)
        self.filters: dict[float, tuple[Field, Field | None]] = {}
        self.live = live
        self.span = patch.mushy_total[inner] * patch.inverse_mushy[inner]
        self.capacity = [1.0 / a[inner] for a in (patch.inverse_heat, patch.inverse_mushy, patch.inverse_frozen)]
        # The filter may carry warmth past the warmest there is where tissues of very different kind meet.
        warmest = max(
            freezing.medium.body_c, 0.0 if freezing.medium.exchange_c is None else freezing.medium.exchange_c.max()
        )
        warmest = max(warmest, float(patch.temperature[inner].max()))
        self.most = patch.enthalpy_at(inner, np.float32(warmest + _SPARE_C))
        self.where = []
        self.telling = []
        for one in freezing.links:
            local = one.kji - np.array([a for a, _ in patch.box])
            inside = ((local >= 0) & (local < np.array(patch.shape))).all(axis=1)
            index = np.ravel_multi_index(tuple(local[inside].T), patch.shape)
            self.where.append((index, one.unfrozen[inside], one.extra[inside], tuple(local[inside].T + 1)))
            self.telling.append((one.telling[inside], one.telling_share))

    def _smooth(self, rate: Field, weight: Field) -> Field:
        spectrum = fft.dctn(rate, type=2, overwrite_x=True)
        spectrum *= weight
        result: Field = fft.idctn(spectrum, type=2, overwrite_x=True)
        return result

    def _filtered(self, rate: Field, dt_s: float, coldest_c: float) -> Field:
        grown = 1.0 + self.slope * max(0.0, -coldest_c)
        key = round(dt_s * round(grown, 1), 3)
        if key not in self.filters:
            if len(self.filters) > 8:
                self.filters.clear()
            theta = np.float32(_THETA * key * self.diffusivity)
            weight: Field = (np.float32(1.0) / (np.float32(1.0) + theta * self.spectrum)).astype(np.float32)
            share: Field | None = None
            if not self.live.all():
                # What would be spread into gas stays with the tissue that it comes from, so that no heat is dropped.
                live = self.live.astype(np.float32)
                share = (live / np.maximum(self._smooth(live.copy(), weight), np.float32(0.05))).astype(np.float32)
            self.filters[key] = (weight, share)
        weight, share = self.filters[key]
        if share is not None:
            rate *= share
        return self._smooth(rate, weight)

    def advance(self, freezing: Freezing, targets: npt.NDArray[np.float32], dt_s: float) -> int:
        """See engine.Stepper. Each step is cut into shorter ones for a while after the probes have changed."""
        for number, row in enumerate(targets):
            changed = self.before is None or bool((np.isnan(row) != np.isnan(self.before)).any())
            changed = changed or bool((np.abs(np.nan_to_num(row - self.before)) > 2.0).any())
            if changed:
                self.now_s = (
                    min(_FIRST_STEP_S, self.now_s) if self.before is None else min(2 * _FIRST_STEP_S, self.now_s)
                )
            self.before = row
            pieces = max(1, int(np.ceil(dt_s / self.now_s - 1e-9)))
            for piece in range(pieces):
                now = freezing.time_s + dt_s * (number + (piece + 1) / pieces)
                self._step(freezing, row, dt_s / pieces, now)
                self.now_s = min(_LONGEST_S, self.now_s * _GROWTH)
            if freezing._near_side():
                return number + 1
        return len(targets)

    def _step(self, freezing: Freezing, target: npt.NDArray[np.float32], dt_s: float, now_s: float) -> None:
        self._prepare(freezing)
        p, far = freezing.patch, freezing.far
        inner = p.inner
        dt = np.float32(dt_s)
        rate = np.zeros(p.shape, np.float32)
        for axis, (a, b) in enumerate(self.faces):
            flux = _difference(p.temperature, axis)
            flux *= a
            extra = _difference(p.integral, axis)
            extra *= b
            flux += extra
            low, high = [slice(None)] * 3, [slice(None)] * 3
            low[axis], high[axis] = slice(None, -1), slice(1, None)
            rate += flux[tuple(high)]
            rate -= flux[tuple(low)]
        t = p.temperature[inner]
        enthalpy = p.enthalpy[inner]
        flow = p.perfusion[inner] * (t >= p.liquidus_c[inner])
        rate += np.where(flow > 0, p.supply[inner], np.float32(0.0)) - flow * t
        damping = flow + p.exchange[inner]
        rate += p.exchange_supply[inner] - p.exchange[inner] * t
        mushy_total = p.mushy_total[inner]
        capacity = np.where(
            enthalpy > 0, self.capacity[0], np.where(enthalpy < -mushy_total, self.capacity[2], self.capacity[1])
        )
        flat_rate, flat_damping, flat_capacity = rate.reshape(-1), damping.reshape(-1), capacity.reshape(-1)
        bounds = []
        for number, (index, unfrozen, extra_link, where) in enumerate(self.where):
            if np.isnan(target[number]):
                freezing.surfaces_c[number] = np.nan
                continue
            surface = self._surface(freezing, number, float(target[number]))
            freezing.surfaces_c[number] = surface
            gap = np.float32(surface) - p.temperature[where]
            pull = unfrozen * gap + extra_link * (p.integral_at(where, surface) - p.integral[where])
            # Links that give heat back belong to a field that is cold already; before it is they wait.
            body = np.float32(freezing.medium.body_c)
            ready = np.clip((body - p.temperature[where]) / max(0.1 * (float(body) - surface), 1.0), 0.0, 1.0)
            pull = np.where(unfrozen < 0, pull * ready, pull)
            flat_rate[index] += pull
            near = np.abs(gap) > 0.01
            plain = np.maximum(unfrozen + np.maximum(extra_link, 0.0), 0.0)
            flat_damping[index] += np.where(near, np.maximum(pull / np.where(near, gap, 1.0), 0.0), plain)
            # A voxel that is to pass through the freezing range within one step must not be judged by the capacity at
            # one end of it: the secant to the probe's temperature can never overshoot.
            cold = p.enthalpy_at(where, surface)
            wide = np.abs(gap) > 0.01
            flat_capacity[index[wide]] = (cold - p.enthalpy[where])[wide] / gap[wide]
            bounds.append((where, cold, p.enthalpy_at(where, max(surface, freezing.medium.body_c))))
        # Point-implicit for what a voxel does by itself (link, flow, exchange), then the filter for conduction.
        damping *= dt
        damping /= capacity
        damping += np.float32(1.0)
        rate /= damping
        rate *= self.live
        coldest = float(np.nanmin(freezing.surfaces_c)) if np.isfinite(freezing.surfaces_c).any() else float(t.min())
        rate = self._filtered(rate, dt_s, coldest)
        rate *= dt * self.live
        limits = [(w, np.minimum(p.enthalpy[w], lo), np.maximum(p.enthalpy[w], hi)) for w, lo, hi in bounds]
        enthalpy += rate
        warm = max((float(c) for c in freezing.surfaces_c if np.isfinite(c)), default=0.0)
        if warm <= freezing.medium.body_c:
            np.minimum(enthalpy, self.most, out=enthalpy)
        # Near a probe nothing becomes colder than its surface; the filter's spread would for a few steps.
        for where, low_h, high_h in limits:
            p.enthalpy[where] = np.clip(p.enthalpy[where], low_h, high_h)
        if far is not None:
            seam_inflow(far, p, dt_s)
        self._temperatures(p)
        if far is not None:
            pieces = max(1, int(np.ceil(dt_s / far.step_s)))
            for _ in range(pieces):
                far_step(far, dt_s / pieces)
            update_ghosts(far, p)
        self._book(freezing, dt, now_s)

    def _surface(self, freezing: Freezing, number: int, target_c: float) -> float:
        """The probe's surface temperature: its target, or warmer where it cannot take so much heat."""
        tells, share = self.telling[number]
        limit = share * freezing.power_w[number] / (freezing.medium.grid_mm * 1e-3) ** 3
        if not np.isfinite(limit):
            return target_c
        _, unfrozen, extra, where = self.where[number]
        p = freezing.patch

        def taken(surface: float) -> float:
            gap = p.temperature[where] - np.float32(surface)
            heat = unfrozen * gap + extra * (p.integral[where] - p.integral_at(where, surface))
            return float((tells * heat).sum())

        if taken(target_c) <= limit:
            return target_c
        low, high = target_c, float(max(target_c, p.temperature[where].max()))
        for _ in range(20):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if taken(middle) > limit else (low, middle)
        return high

    def _temperatures(self, p: Patch) -> None:
        inner = p.inner
        h = p.enthalpy[inner]
        t = np.maximum(h, 0.0)
        t *= p.inverse_heat[inner]
        mush = np.clip(h, -p.mushy_total[inner], 0.0)
        mush *= p.inverse_mushy[inner]
        t += mush
        mush *= mush
        mush *= np.float32(-0.5)
        mush /= self.span
        x = -p.mushy_total[inner] - h
        np.maximum(x, 0.0, out=x)
        x *= p.inverse_frozen[inner]
        deep = np.flatnonzero(x.ravel())
        if len(deep):
            some = x.ravel()[deep]
            gamma = p.heat_slope[inner].ravel()[deep]
            beta = p.conductivity_slope[inner].ravel()[deep]
            d = 2.0 * some / (1.0 + np.sqrt(np.maximum(1.0 - 2.0 * gamma * some, 0.01)))
            t.reshape(-1)[deep] -= d
            mush.reshape(-1)[deep] -= d * (1.0 + 0.5 * beta * d)
        t += p.liquidus_c[inner]
        p.temperature[inner] = t
        p.integral[inner] = mush

    def _book(self, freezing: Freezing, dt: np.float32, now_s: float) -> None:
        p = freezing.patch
        inner = p.inner
        t = p.temperature[inner]
        coldest = p.coldest_c[inner]
        np.minimum(coldest, t, out=coldest)
        for number, isotherm in enumerate(freezing.isotherms_c):
            cold = t <= isotherm
            if not cold.any():
                continue
            p.below_s[number][inner][cold] += dt
            first = p.first_s[number][inner]
            first[cold & (first < 0)] = np.float32(now_s)
        lost = t < p.stasis_c[inner]
        if lost.any():
            p.perfusion[inner][lost] = 0.0
            p.supply[inner][lost] = 0.0


def _along(face: Field, axis: int) -> Field:
    """The faces of the inner voxels along an axis, first and last ones to the ghosts included."""
    index: list[slice] = [slice(1, -1)] * 3
    index[axis] = slice(0, -1)
    return face[tuple(index)]


def _difference(field: Field, axis: int) -> Field:
    index: list[slice] = [slice(1, -1)] * 3
    index[axis] = slice(None)
    low, high = pair(field[tuple(index)], axis)
    result: Field = high - low
    return result


def _laplace_spectrum(shape: tuple[int, ...], h_m: float) -> Field:
    """Eigenvalues of minus the discrete Laplacian with insulated faces, in DCT-II order."""
    total = np.zeros(shape, np.float64)
    for axis, n in enumerate(shape):
        values = (2.0 - 2.0 * np.cos(np.pi * np.arange(n) / n)) / h_m**2
        view = [1, 1, 1]
        view[axis] = n
        total = total + values.reshape(view)
    return total.astype(np.float32)
