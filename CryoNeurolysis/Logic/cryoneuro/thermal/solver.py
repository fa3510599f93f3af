"""The bioheat solver: enthalpy form, semi-implicit in time, vectorised on numpy and scipy.

    dH/dt = div(k grad T) + W (T_body - T) + Q + probes + skin

H is the stored variable (volumetric enthalpy, zero at the liquidus), so latent heat is conserved. Conductive heat
through a face is a (T_j - T_i) + b (G_j - G_i): a is the harmonic mean of the unfrozen conductivities, b that of the
frozen ones less a, and G the integral of the frozen fraction over temperature, so that a face within one tissue
carries exactly the Kirchhoff-transformed difference and a face between two tissues the series conductance.

Time: the explicit rate R is filtered, dH = dt (1 - theta dt D laplace)^-1 R, with one discrete cosine transform pair
per step. With D the largest diffusivity this is stable at any dt; it keeps the total heat; and it leaves the steady
state exactly where the explicit equations have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

Field = npt.NDArray[np.float32]
_THETA = 0.6
_STASIS_C = -20.0
_FIRST_STEP_S = 0.5


@dataclass(frozen=True, eq=False)
class Properties:
    """Per-voxel properties (k, j, i), SI units; heats are volumetric (J/m3/K), latent in J/m3."""

    grid_mm: float
    conductivity: Field
    frozen_conductivity: Field
    heat: Field
    frozen_heat: Field
    latent: Field
    perfusion: Field
    perfusion_stops: npt.NDArray[np.bool_]
    perfusion_returns: npt.NDArray[np.bool_]
    metabolic: Field
    surface: Field
    conducts: npt.NDArray[np.bool_]
    solidus_c: float
    liquidus_c: float
    body_c: float
    room_c: float


@dataclass(frozen=True, eq=False)
class ProbeLink:
    """Voxels (flat indices) near one probe and their dimensionless link strengths."""

    index: npt.NDArray[np.int64]
    strength: npt.NDArray[np.float32]


class _Step:
    """Everything that does not change from step to step, and the two work arrays."""

    def __init__(self, p: Properties) -> None:
        self.p = p
        h2 = np.float32((p.grid_mm * 1e-3) ** 2)
        span = p.liquidus_c - p.solidus_c
        # Effective heat of the freezing range, J/m3/K.
        self.mushy_heat = (p.latent / np.float32(span) + np.float32(0.5) * (p.heat + p.frozen_heat)).astype(np.float32)
        self.mushy_total = self.mushy_heat * np.float32(span)
        self.unfrozen_face: list[Field] = []
        self.extra_face: list[Field] = []
        for axis in range(3):
            low, high = _pair(p.conducts, axis)
            open_face = low & high
            a = _harmonic(*_pair(p.conductivity, axis)) * open_face / h2
            b = _harmonic(*_pair(p.frozen_conductivity, axis)) * open_face / h2 - a
            self.unfrozen_face.append(a.astype(np.float32))
            self.extra_face.append(b.astype(np.float32))
        live = p.conducts
        diffusivity = float((np.maximum(p.frozen_conductivity / p.frozen_heat, p.conductivity / p.heat))[live].max())
        self.spectrum = _laplace_spectrum(p.conductivity.shape, float(np.sqrt(h2))) * np.float32(_THETA * diffusivity)
        self.h2 = h2
        self.filters: dict[float, Field] = {}

    def temperature(self, enthalpy: Field) -> Field:
        p = self.p
        t: Field = np.maximum(enthalpy, 0.0)
        t /= p.heat
        part = np.clip(enthalpy, -self.mushy_total, 0.0)
        part /= self.mushy_heat
        t += part
        np.add(enthalpy, self.mushy_total, out=part)
        np.minimum(part, 0.0, out=part)
        part /= p.frozen_heat
        t += part
        t += np.float32(p.liquidus_c)
        return t

    def enthalpy(self, temperature: Field) -> Field:
        p = self.p
        above = temperature - np.float32(p.liquidus_c)
        span = np.float32(p.liquidus_c - p.solidus_c)
        result = np.maximum(above, 0.0) * p.heat + np.clip(above, -span, 0.0) * self.mushy_heat
        result += np.minimum(above + span, 0.0) * p.frozen_heat
        field: Field = result.astype(np.float32)
        return field

    def enthalpy_at(self, index: npt.NDArray[np.int64], temperature_c: float) -> Field:
        """Enthalpy of some voxels (flat indices) at one temperature."""
        p = self.p
        above = np.float32(temperature_c - p.liquidus_c)
        span = np.float32(p.liquidus_c - p.solidus_c)
        result: Field = (
            max(above, np.float32(0.0)) * p.heat.ravel()[index]
            + np.clip(above, -span, np.float32(0.0)) * self.mushy_heat.ravel()[index]
            + min(above + span, np.float32(0.0)) * p.frozen_heat.ravel()[index]
        )
        return result

    def frozen_integral(self, temperature: Field) -> Field:
        """G: integral of the frozen fraction from the liquidus down, negative, kelvin."""
        p = self.p
        span = np.float32(p.liquidus_c - p.solidus_c)
        above = temperature - np.float32(p.liquidus_c)
        mush = np.clip(above, -span, 0.0)
        result = mush * mush
        result *= np.float32(-0.5) / span
        above += span
        np.minimum(above, 0.0, out=above)
        result += above
        field: Field = result
        return field

    def filtered(self, rate: Field, dt_s: float) -> Field:
        if dt_s not in self.filters:
            if len(self.filters) > 4:
                self.filters.clear()
            self.filters[dt_s] = np.float32(1.0) / (np.float32(1.0) + np.float32(dt_s) * self.spectrum)
        spectrum = fft.dctn(rate, type=2, workers=-1, overwrite_x=True)
        spectrum *= self.filters[dt_s]
        result: Field = fft.idctn(spectrum, type=2, workers=-1, overwrite_x=True)
        return result

    def face_means(self) -> tuple[Field, Field]:
        """Mean over a voxel's six faces of the unfrozen conductance and of what freezing adds."""
        shape = self.p.conductivity.shape
        means = []
        for faces in (self.unfrozen_face, self.extra_face):
            total = np.zeros(shape, np.float32)
            for axis in range(3):
                low, high = _pair(total, axis)
                low += faces[axis]
                high += faces[axis]
            means.append(total / np.float32(6.0))
        return means[0], means[1]

    def conduction(self, temperature: Field, integral: Field) -> Field:
        rate = np.zeros_like(temperature)
        for axis in range(3):
            low_t, high_t = _pair(temperature, axis)
            low_g, high_g = _pair(integral, axis)
            flux = high_t - low_t
            flux *= self.unfrozen_face[axis]
            extra = high_g - low_g
            extra *= self.extra_face[axis]
            flux += extra
            low_r, high_r = _pair(rate, axis)
            low_r += flux
            high_r -= flux
        return rate


@dataclass(eq=False)
class State:
    """The field at a time; what solve() yields after each step. Arrays belong to the solver: copy to keep."""

    time_s: float
    temperature: Field
    step_s: float


def solve(
    properties: Properties,
    links: list[ProbeLink],
    surface_c: Callable[[int, float], float | None],
    breaks_s: list[float],
    restarts_s: set[float],
    dt_s: float,
    start: Field | None = None,
) -> Iterator[State]:
    """Step through the breaks, yielding the state after every step.

    Args:
        links: one per probe.
        surface_c: called as surface_c(probe number, time_s); None means the probe is off.
        breaks_s: ascending times that are hit exactly (starts and ends of steps, snapshots), the last is the end.
        restarts_s: those of them at which the probes change what they do; steps start small there and grow.
        dt_s: largest step.
        start: temperatures (k, j, i) to start from, body temperature when None.
    """
    p = properties
    step = _Step(p)
    temperature = np.full(p.conductivity.shape, p.body_c, np.float32) if start is None else start.astype(np.float32)
    temperature[~p.conducts] = p.body_c
    enthalpy = step.enthalpy(temperature)
    edge_value = step.enthalpy(np.full_like(temperature, p.body_c))
    stopped = np.zeros(temperature.shape, bool)
    body, room = np.float32(p.body_c), np.float32(p.room_c)
    has_surface = bool(p.surface.any())
    time = 0.0
    # A link conducts as well as the voxel's own faces do on average, so that beside fat, bone or gas it stays in
    # proportion to what flows in.
    unfrozen_mean, extra_mean = step.face_means()
    cells = []
    for link in links:
        unfrozen = link.strength * unfrozen_mean.ravel()[link.index]
        extra = link.strength * extra_mean.ravel()[link.index]
        cells.append((link.index, unfrozen, extra, np.maximum(unfrozen + np.maximum(extra, 0.0), 0.0)))
    small = min(dt_s, _FIRST_STEP_S)
    for end in breaks_s:
        while time < end - 1e-9:
            count = max(1, int(np.ceil((end - time) / small - 1e-9)))
            dt = (end - time) / count
            small = min(dt_s, 1.3 * small)
            integral = step.frozen_integral(temperature)
            rate = step.conduction(temperature, integral)
            frozen = temperature < np.float32(p.liquidus_c)
            flow = np.where((frozen & p.perfusion_stops) | stopped, np.float32(0.0), p.perfusion)
            rate += flow * (body - temperature)
            rate += np.where(flow > 0, p.metabolic, np.float32(0.0))
            damping = flow
            if has_surface:
                rate += p.surface * (room - temperature)
                damping = damping + p.surface
            capacity = np.where(
                enthalpy > 0, p.heat, np.where(enthalpy < -step.mushy_total, p.frozen_heat, step.mushy_heat)
            )
            flat_rate, flat_damping, flat_capacity = rate.reshape(-1), damping.reshape(-1), capacity.reshape(-1)
            limits = []
            for number, (index, unfrozen, extra, strongest) in enumerate(cells):
                cold = surface_c(number, time + dt)
                if cold is None:
                    continue
                cold_array = np.full(1, cold, np.float32)
                cold_integral = step.frozen_integral(cold_array)[0]
                difference = np.float32(cold) - temperature.ravel()[index]
                flat_rate[index] += unfrozen * difference + extra * (cold_integral - integral.ravel()[index])
                flat_damping[index] += strongest
                # A voxel that is to pass through the freezing range within one step must not be judged by the
                # capacity at one end of it: the secant to the probe's temperature can never overshoot.
                wide = np.abs(difference) > 0.01
                cold_enthalpy = step.enthalpy_at(index, cold)
                secant = cold_enthalpy - enthalpy.ravel()[index]
                limits.append((index, cold_enthalpy, step.enthalpy_at(index, max(cold, p.body_c))))
                flat_capacity[index[wide]] = secant[wide] / difference[wide]
            # Point-implicit for what a voxel does by itself (link, flow, skin), then the filter for conduction.
            damping = damping * np.float32(dt)
            damping /= capacity
            damping += np.float32(1.0)
            rate /= damping
            rate *= p.conducts
            rate = step.filtered(rate, dt)
            rate *= np.float32(dt) * p.conducts
            flat_enthalpy = enthalpy.reshape(-1)
            bounds = []
            for index, low, high in limits:
                bounds.append((index, np.minimum(flat_enthalpy[index], low), np.maximum(flat_enthalpy[index], high)))
            enthalpy += rate
            # Near a probe nothing becomes colder than its surface; the filter's spread would for a few steps.
            for index, low, high in bounds:
                flat_enthalpy[index] = np.clip(flat_enthalpy[index], low, high)
            _copy_edges(edge_value, enthalpy)
            temperature = step.temperature(enthalpy)
            stopped |= (temperature < np.float32(_STASIS_C)) & p.perfusion_stops & ~p.perfusion_returns
            time = end if count == 1 else time + dt
            yield State(time, temperature, dt)
        if end in restarts_s:
            small = min(dt_s, _FIRST_STEP_S)


def _pair(array: npt.NDArray, axis: int) -> tuple[npt.NDArray, npt.NDArray]:  # type: ignore[type-arg]
    """Views on the two sides of every face along an axis."""
    low: list[slice] = [slice(None)] * 3
    high: list[slice] = [slice(None)] * 3
    low[axis] = slice(None, -1)
    high[axis] = slice(1, None)
    return array[tuple(low)], array[tuple(high)]


def _harmonic(one: Field, other: Field) -> Field:
    result: Field = 2.0 * one * other / (one + other)
    return result


def _laplace_spectrum(shape: tuple[int, ...], h: float) -> Field:
    """Eigenvalues of minus the discrete Laplacian with insulated faces, in DCT-II order."""
    total = np.zeros(shape, np.float64)
    for axis, n in enumerate(shape):
        values = (2.0 - 2.0 * np.cos(np.pi * np.arange(n) / n)) / h**2
        view = [1, 1, 1]
        view[axis] = n
        total = total + values.reshape(view)
    return total.astype(np.float32)


def _copy_edges(source: Field, target: Field) -> None:
    """The outermost layer stays at body temperature: the patient goes on beyond the box."""
    for axis in range(3):
        for side in (0, -1):
            index: list[slice | int] = [slice(None)] * 3
            index[axis] = side
            target[tuple(index)] = source[tuple(index)]
