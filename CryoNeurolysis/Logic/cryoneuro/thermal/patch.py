"""The fine box round the ice: everything that is stored per voxel, on arrays with one ghost layer on every side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .medium import Field, Medium, pair

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Voxel ranges [start, stop) along k, j, i of the medium's grid."""
Faces = tuple[Field, Field, Field]
"""One array for each axis: the face between a voxel and the next one along it."""
_DEEP_K = 60.0
"""Depth below the solidus at which layers in series are looked at, to say how their conductance grows with cold."""


@dataclass(eq=False)
class Patch:
    """State and coefficients of one box. Every array is (nk + 2, nj + 2, ni + 2) float32 unless it says otherwise.

    Attributes:
        temperature: C; enthalpy: J/m3, zero at the liquidus.
        unfrozen_face, extra_face, deep_face: for each axis what the face between a voxel and the next one conducts
            unfrozen, adds when frozen through, and adds per kelvin below that, W/m3/K (and per K); at the last ghost
            they mean nothing. See conductance.py.
        face: for each axis what it conducts at the temperatures of this step.
        inverse_heat, inverse_mushy, inverse_frozen: m3 K/J in the three ranges; mushy_total: J/m3 between them.
        perfusion, supply: W/m3/K and W/m3 while unfrozen; set to zero for good where the cold destroyed the vessels.
        exchange, exchange_supply: W/m3/K and W/m3 that no cold stops.
        coldest_c, below_s (M), first_s (M): what happened so far; first_s is negative where it never did.
        active: bool, voxels that conduct.
    """

    box: Box
    temperature: Field
    enthalpy: Field
    unfrozen_face: Faces
    extra_face: Faces
    deep_face: Faces
    face: Faces
    inverse_heat: Field
    inverse_mushy: Field
    inverse_frozen: Field
    mushy_total: Field
    liquidus_c: Field
    span: Field
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
        span = self.span[where]
        deep = np.maximum(-span - above, 0.0)
        result = np.maximum(above, 0.0) / self.inverse_heat[where]
        result += np.clip(above, -span, 0.0) / self.inverse_mushy[where]
        result -= deep * (1.0 - 0.5 * self.heat_slope[where] * deep) / self.inverse_frozen[where]
        field: Field = result.astype(np.float32)
        return field

    def set_temperature(self, where: Any, temperature_c: npt.ArrayLike) -> None:
        """Give voxels a temperature, and the enthalpy that goes with it."""
        self.temperature[where] = temperature_c
        self.enthalpy[where] = self.enthalpy_at(where, temperature_c)

    def temperature_at(self, where: Any, enthalpy: Field) -> Field:
        """Temperature of some voxels at given enthalpies."""
        lacking = np.maximum(-self.mushy_total[where] - enthalpy, 0.0) * self.inverse_frozen[where]
        root = np.sqrt(np.maximum(1.0 - 2.0 * self.heat_slope[where] * lacking, 0.01))
        result = self.liquidus_c[where] + np.maximum(enthalpy, 0.0) * self.inverse_heat[where]
        result += np.clip(enthalpy, -self.mushy_total[where], 0.0) * self.inverse_mushy[where]
        result -= 2.0 * lacking / (1.0 + root)
        field: Field = result.astype(np.float32)
        return field

    def slow_step_s(self, but: npt.NDArray[np.bool_]) -> float:
        """Largest stable step of unfrozen and freezing tissue: what flows through the six faces empties no voxel.

        Args:
            but: voxels (with ghosts) that are stepped in smaller steps anyway.
        """
        total, extra = (face_sum(f)[self.inner] for f in (self.unfrozen_face, self.extra_face))
        live = (self.active & ~but)[self.inner]
        unfrozen = total * self.inverse_heat[self.inner]
        mushy = (total + np.maximum(extra, 0.0)) * self.inverse_mushy[self.inner]
        rate = float(np.maximum(unfrozen, mushy)[live].max(initial=1e-9))
        return 0.95 / rate


def face_sum(faces: Sequence[npt.NDArray[np.floating]]) -> npt.NDArray[np.floating]:
    """Sum of the six face weights of every voxel."""
    total = np.zeros_like(faces[0])
    for axis, face in enumerate(faces):
        low, high = pair(total, axis)
        weight = pair(face, axis)[0]
        low += weight
        high += weight
    return total


def frozen_through_c(patch: Patch) -> Field:
    """Temperature below which a voxel or one beside it is frozen through: from there on heat goes quickly."""
    result: Field = patch.liquidus_c - patch.span
    own = result.copy()
    for axis in range(3):
        low, high = pair(result, axis)
        own_low, own_high = pair(own, axis)
        np.maximum(low, own_high, out=low)
        np.maximum(high, own_low, out=high)
    return result


def _pair_table(values: npt.NDArray[np.float64], conducts: npt.NDArray[np.bool_], h_m: float) -> Field:
    """Series conductance of two half voxels over h^2, for every pair of substances."""
    one, other = values[:, None], values[None, :]
    mean = 2.0 * one * other / (one + other) / h_m**2
    return (mean * conducts[:, None] * conducts[None, :]).astype(np.float32)


def face_weights(medium: Medium, box: Box) -> tuple[Faces, Faces, Faces]:
    """What the faces between every voxel of a box (with its ghosts) and the next one along each axis conduct: unfrozen,
    more at the solidus, and more per kelvin below it.

    Two half voxels stand in series in each of these states; mixed voxels have four columns of halves side by side.
    """
    palette, h_m = medium.palette, medium.grid_mm * 1e-3
    classes = padded_classes(medium, box)
    states = (palette.conductivity, palette.frozen_conductivity, palette.conductivity_at(_DEEP_K))
    pure = medium.pure if medium.halves_kji is not None else len(palette)
    tables = [_pair_table(s[:pure].astype(np.float64), palette.conducts[:pure], h_m) for s in states]
    uniform = len(palette) == 1 or bool((classes == classes.flat[0]).all())
    found = []
    for axis in range(3):
        faces = [np.zeros(classes.shape, np.float32) for _ in tables]
        low, high = pair(classes, axis)
        if uniform and int(classes.flat[0]) < pure:
            n = int(classes.flat[0])
            for face, table in zip(faces, tables, strict=True):
                pair(face, axis)[0][:] = table[n, n]
        else:
            number = np.minimum(low, pure - 1).astype(np.int32) * pure + np.minimum(high, pure - 1)
            for face, table in zip(faces, tables, strict=True):
                np.take(table.ravel(), number, out=pair(face, axis)[0], mode="clip")
        if medium.halves_kji is not None:
            mixed = np.argwhere((low >= pure) | (high >= pure))
            live = palette.conducts[low[tuple(mixed.T)]] & palette.conducts[high[tuple(mixed.T)]]
            for face in faces:
                pair(face, axis)[0][tuple(mixed[~live].T)] = 0.0
            mixed = mixed[live]
            one, other = _columns(medium, box, axis, mixed)
            for face, state in zip(faces, states, strict=True):
                pair(face, axis)[0][tuple(mixed.T)] = _mixed_conductance(state * palette.conducts, one, other, h_m)
        unfrozen, frozen, cold = faces
        cold -= frozen
        cold /= np.float32(_DEEP_K)
        frozen -= unfrozen
        found.append((unfrozen, frozen, cold))
    return tuple(zip(*found, strict=True))  # type: ignore[return-value]


def _mixed_conductance(
    conductivity: Field, one: npt.NDArray[np.uint16], other: npt.NDArray[np.uint16], h_m: float
) -> npt.NDArray[np.float64]:
    """Conductance over h^2 (M,) of faces with four half voxels (M, 4) on either side.

    Four columns side by side let no heat cross between them and conduct too little; two layers in each of which temperature
    is even conduct too much. What is true of a boundary at any angle lies between: their geometric mean.
    """
    a, b = conductivity[one].astype(np.float64), conductivity[other].astype(np.float64)

    def series(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return 2.0 * p * q / np.maximum(p + q, 1e-12)

    columns = series(a, b).mean(axis=1)
    layers = series(a.mean(axis=1), b.mean(axis=1))
    result: npt.NDArray[np.float64] = np.sqrt(columns * layers) / h_m**2
    return result


def _columns(
    medium: Medium, box: Box, axis: int, voxels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
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
    unfrozen, extra, deep = face_weights(medium, box)
    active = palette.conducts[classes]
    total = palette.mushy_total
    shape = classes.shape
    patch = Patch(
        box=box,
        temperature=np.full(shape, body, np.float32),
        enthalpy=np.empty(shape, np.float32),
        unfrozen_face=unfrozen,
        extra_face=extra,
        deep_face=deep,
        face=(unfrozen[0].copy(), unfrozen[1].copy(), unfrozen[2].copy()),
        inverse_heat=column(1.0 / palette.heat),
        inverse_mushy=column(palette.span / total),
        inverse_frozen=column(1.0 / palette.frozen_heat),
        mushy_total=column(total),
        liquidus_c=column(palette.liquidus_c),
        span=column(palette.span),
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
    for name in ("temperature", "enthalpy", "perfusion", "supply", "coldest_c"):
        getattr(new, name)[target] = getattr(old, name)[old.inner]
    for name in ("below_s", "first_s"):
        getattr(new, name)[(slice(None), *target)] = getattr(old, name)[(slice(None), *old.inner)]
    return new
