"""The fine box round the ice: everything that is stored per voxel, on arrays with one ghost layer on every side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .medium import Field, Medium, pair

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Voxel ranges [start, stop) along k, j, i of the medium's grid."""


@dataclass(eq=False)
class Patch:
    """State and coefficients of one box. Every array is (nk + 2, nj + 2, ni + 2) float32 unless it says otherwise.

    Attributes:
        temperature, integral: T and the conduction integral G; heat through a face is a (T_j - T_i) + b (G_j - G_i).
        enthalpy: J/m3, zero at the liquidus.
        unfrozen_face, extra_face: for each axis the weights a and b (1/s times heat capacity) of the face between a
            voxel and the next one; at the last ghost they mean nothing.
        inverse_heat, inverse_mushy, inverse_frozen: m3 K/J in the three ranges; mushy_total: J/m3 between them.
        perfusion, supply: W/m3/K and W/m3 while unfrozen; set to zero for good where the cold destroyed the vessels.
        exchange, exchange_supply: W/m3/K and W/m3 that no cold stops.
        coldest_c, below_s (M), first_s (M): what happened so far; first_s is negative where it never did.
        active: bool, voxels that conduct.
    """

    box: Box
    temperature: Field
    integral: Field
    enthalpy: Field
    unfrozen_face: tuple[Field, Field, Field]
    extra_face: tuple[Field, Field, Field]
    inverse_heat: Field
    inverse_mushy: Field
    inverse_frozen: Field
    mushy_total: Field
    liquidus_c: Field
    conductivity_slope: Field
    heat_slope: Field
    perfusion: Field
    supply: Field
    stasis_c: Field
    exchange: Field
    exchange_supply: Field
    active: npt.NDArray[np.bool_]
    coldest_c: Field
    below_s: Field
    first_s: Field

    @property
    def shape(self) -> tuple[int, int, int]:
        """Counts without ghosts."""
        return tuple(b - a for a, b in self.box)  # type: ignore[return-value]

    @property
    def inner(self) -> tuple[slice, slice, slice]:
        """Slices that leave out the ghosts."""
        return (slice(1, -1), slice(1, -1), slice(1, -1))

    def enthalpy_at(self, where: Any, temperature_c: npt.ArrayLike) -> Field:
        """Enthalpy of some voxels (an index into the arrays) at given temperatures."""
        above = np.asarray(temperature_c, np.float32) - self.liquidus_c[where]
        span = self.mushy_total[where] * self.inverse_mushy[where]
        deep = np.maximum(-span - above, 0.0)
        result = np.maximum(above, 0.0) / self.inverse_heat[where]
        result += np.clip(above, -span, 0.0) / self.inverse_mushy[where]
        result -= deep * (1.0 - 0.5 * self.heat_slope[where] * deep) / self.inverse_frozen[where]
        field: Field = result.astype(np.float32)
        return field

    def integral_at(self, where: Any, temperature_c: npt.ArrayLike) -> Field:
        """G of some voxels at given temperatures: integral of the frozen share from the liquidus down, kelvin."""
        above = np.asarray(temperature_c, np.float32) - self.liquidus_c[where]
        span = self.mushy_total[where] * self.inverse_mushy[where]
        mush = np.clip(above, -span, 0.0)
        deep = np.maximum(-span - above, 0.0)
        field: Field = (-0.5 * mush * mush / span - deep * (1.0 + 0.5 * self.conductivity_slope[where] * deep)).astype(
            np.float32
        )
        return field

    def set_temperature(self, where: Any, temperature_c: npt.ArrayLike) -> None:
        """Give voxels a temperature, and the enthalpy and integral that go with it."""
        self.temperature[where] = temperature_c
        self.enthalpy[where] = self.enthalpy_at(where, temperature_c)
        self.integral[where] = self.integral_at(where, temperature_c)

    def slow_step_s(self) -> float:
        """Largest stable step of unfrozen and freezing tissue: what flows through the six faces empties no voxel."""
        total, extra = (face_sum(f)[self.inner] for f in (self.unfrozen_face, self.extra_face))
        live = self.active[self.inner]
        unfrozen = total * self.inverse_heat[self.inner]
        mushy = (total + np.maximum(extra, 0.0)) * self.inverse_mushy[self.inner]
        rate = float(np.maximum(unfrozen, mushy)[live].max(initial=1e-9))
        return 0.95 / rate

    def fast_step_s(self, coldest_c: float) -> float:
        """Largest stable step of tissue frozen down to coldest_c."""
        total, extra = (face_sum(f)[self.inner] for f in (self.unfrozen_face, self.extra_face))
        live = self.active[self.inner]
        deep = np.maximum(self.liquidus_c[self.inner] - np.float32(coldest_c), 0.0)
        grown = 1.0 + np.maximum(self.conductivity_slope[self.inner], 0.0) * deep
        shrunk = np.maximum(1.0 - self.heat_slope[self.inner] * deep, 0.1)
        rate = (total + np.maximum(extra, 0.0) * grown) * self.inverse_frozen[self.inner] / shrunk
        return 0.95 / float(rate[live].max(initial=1e-9))


def face_sum(faces: tuple[Field, Field, Field]) -> Field:
    """Sum of the six face weights of every voxel."""
    total = np.zeros_like(faces[0])
    for axis, face in enumerate(faces):
        low, high = pair(total, axis)
        weight = pair(face, axis)[0]
        low += weight
        high += weight
    return total


def _pair_table(values: Field, conducts: npt.NDArray[np.bool_], h_m: float) -> Field:
    """Series conductance of two half voxels over h^2, for every pair of substances."""
    one, other = values[:, None].astype(np.float64), values[None, :].astype(np.float64)
    mean = 2.0 * one * other / (one + other) / h_m**2
    return (mean * conducts[:, None] * conducts[None, :]).astype(np.float32)


def face_weights(medium: Medium, box: Box) -> tuple[tuple[Field, Field, Field], tuple[Field, Field, Field]]:
    """Weights a and b of the faces between every voxel of a box (with its ghosts) and the next one along each axis."""
    palette, h_m = medium.palette, medium.grid_mm * 1e-3
    classes = padded_classes(medium, box)
    unfrozen = _pair_table(palette.conductivity, palette.conducts, h_m)
    frozen = _pair_table(palette.frozen_conductivity, palette.conducts, h_m)
    uniform = len(palette) == 1 or bool((classes == classes.flat[0]).all())
    first, second = [], []
    for axis in range(3):
        a, b = (np.zeros(classes.shape, np.float32) for _ in range(2))
        low_a, low_b = pair(a, axis)[0], pair(b, axis)[0]
        if uniform:
            n = int(classes.flat[0])
            low_a[:], low_b[:] = unfrozen[n, n], frozen[n, n]
        else:
            low, high = pair(classes, axis)
            number = low.astype(np.int32) * len(palette) + high
            np.take(unfrozen.ravel(), number, out=low_a, mode="clip")
            np.take(frozen.ravel(), number, out=low_b, mode="clip")
        if medium.halves_kji is not None and not uniform:
            mixed = np.argwhere((low >= medium.pure) | (high >= medium.pure))
            live = palette.conducts[low[tuple(mixed.T)]] & palette.conducts[high[tuple(mixed.T)]]
            mixed = mixed[live]
            one, other = _columns(medium, box, axis, mixed)
            low_a[tuple(mixed.T)] = unfrozen[one, other].mean(axis=1)
            low_b[tuple(mixed.T)] = frozen[one, other].mean(axis=1)
        b -= a
        first.append(a)
        second.append(b)
    return (first[0], first[1], first[2]), (second[0], second[1], second[2])


def _columns(
    medium: Medium, box: Box, axis: int, voxels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Substances (M, 4) of the half voxels on both sides of M faces; voxels (M, 3) as indices of the padded box."""
    assert medium.halves_kji is not None
    halves = medium.halves_kji
    origin = np.array([a - 1 for a, _ in box])
    near = 2 * (voxels + origin)
    near[:, axis] += 1
    others = [n for n in range(3) if n != axis]
    sides = []
    for step in (0, 1):
        columns = []
        for p in (0, 1):
            for q in (0, 1):
                index = near.copy()
                index[:, axis] += step
                index[:, others[0]] += p
                index[:, others[1]] += q
                index = np.clip(index, 0, np.array(halves.shape) - 1)
                columns.append(halves[tuple(index.T)])
        sides.append(np.stack(columns, axis=1))
    return sides[0], sides[1]


def padded_classes(medium: Medium, box: Box) -> npt.NDArray[np.uint16]:
    """Classes of a box with one layer round it; beyond the grid the outermost layer goes on."""
    index = [
        np.clip(np.arange(a - 1, b + 1), 0, n - 1) for (a, b), n in zip(box, medium.classes_kji.shape, strict=True)
    ]
    result: npt.NDArray[np.uint16] = medium.classes_kji[np.ix_(*index)]
    return result


def make_patch(medium: Medium, box: Box, isotherms: int, stasis_c: float) -> Patch:
    """A box of the medium at body temperature."""
    classes = padded_classes(medium, box)
    palette = medium.palette

    def column(values: npt.ArrayLike) -> Field:
        table = np.asarray(values, np.float32)
        if len(table) == 1:
            return np.full(classes.shape, table[0], np.float32)
        result: Field = table[classes]
        return result

    flows = np.where(palette.always_flows, np.float32(0.0), palette.perfusion)
    always = np.where(palette.always_flows, palette.perfusion, np.float32(0.0))
    body = np.float32(medium.body_c)
    exchange = column(always)
    exchange_supply = exchange * body
    if medium.exchange_w_m3k is not None and medium.exchange_c is not None:
        inner = tuple(slice(a, b) for a, b in box)
        own = medium.exchange_w_m3k[inner]
        exchange[1:-1, 1:-1, 1:-1] += own
        exchange_supply[1:-1, 1:-1, 1:-1] += own * medium.exchange_c[inner]
    a, b = face_weights(medium, box)
    active = palette.conducts[classes]
    total = palette.mushy_total
    shape = classes.shape
    patch = Patch(
        box=box,
        temperature=np.full(shape, body, np.float32),
        integral=np.zeros(shape, np.float32),
        enthalpy=np.empty(shape, np.float32),
        unfrozen_face=a,
        extra_face=b,
        inverse_heat=column(1.0 / palette.heat),
        inverse_mushy=column(palette.span / total),
        inverse_frozen=column(1.0 / palette.frozen_heat),
        mushy_total=column(total),
        liquidus_c=column(palette.liquidus_c),
        conductivity_slope=column(palette.conductivity_slope),
        heat_slope=column(palette.heat_slope),
        perfusion=column(flows),
        supply=column(np.where(palette.always_flows, 0.0, palette.perfusion * body + palette.metabolic)),
        stasis_c=column(palette.stasis_c(stasis_c)),
        exchange=exchange,
        exchange_supply=exchange_supply,
        active=active,
        coldest_c=np.full(shape, body, np.float32),
        below_s=np.zeros((isotherms, *shape), np.float32),
        first_s=np.full((isotherms, *shape), np.float32(-1.0), np.float32),
    )
    patch.set_temperature((slice(None),) * 3, patch.temperature)
    return patch


def moved_patch(old: Patch, medium: Medium, box: Box, stasis_c: float) -> Patch:
    """A larger patch that goes on where the old one was; the new part is left at body temperature."""
    new = make_patch(medium, box, len(old.below_s), stasis_c)
    target = tuple(slice(a - c + 1, b - c + 1) for (a, b), (c, _) in zip(old.box, box, strict=True))
    for name in ("temperature", "integral", "enthalpy", "perfusion", "supply", "coldest_c"):
        getattr(new, name)[target] = getattr(old, name)[old.inner]
    for name in ("below_s", "first_s"):
        getattr(new, name)[(slice(None), *target)] = getattr(old, name)[(slice(None), *old.inner)]
    return new
