"""Ties a probe's cold surface to the voxels round it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model import ThermalError
from .layered_field import DEPTH_K, LayeredField, layered_fields
from .medium import Field, Medium
from .near_field import near_field
from .patch import Box, face_sum, face_weights

Weights = Sequence[npt.NDArray[np.floating]]
"""One array for each axis, for the faces between a voxel and the next one."""
_REACH_CELLS = 4.0
_LEAST_FLUX, _MOST_SHAPED = 1e-3, 3.0


@dataclass(frozen=True, eq=False)
class ColdSurface:
    """Where a probe is cold, in voxel coordinates of a medium.

    Attributes:
        middle_kji, axis_kji: middle of the cold cylinder in voxels, and its unit direction, both (3,).
    """

    middle_kji: npt.NDArray[np.float64]
    axis_kji: npt.NDArray[np.float64]
    diameter_mm: float
    length_mm: float

    def along_across_mm(
        self, kji: npt.NDArray[np.float64], edge_mm: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Cylindrical coordinates of points (..., 3) in voxels: along the axis from the middle, and across, mm."""
        delta = (kji - self.middle_kji) * edge_mm
        along = delta @ self.axis_kji
        return along, np.sqrt(np.maximum((delta**2).sum(axis=-1) - along**2, 0.0))


@dataclass(frozen=True, eq=False)
class Shaping:
    """Factors of the faces of a box's voxels (with one layer round it), by axis.

    Attributes:
        unfrozen, frozen: (3, ...) one for each axis, for the face between a voxel and the next one.
    """

    box: Box
    unfrozen: tuple[npt.NDArray[np.float32], ...]
    frozen: tuple[npt.NDArray[np.float32], ...]


@dataclass(frozen=True, eq=False)
class Link:
    """Conductances between one probe and voxels, in the three numbers of conductance.py.

    Attributes:
        kji: (N, 3) voxels of the medium's grid.
        unfrozen, extra, deep: (N,) W/m3/K, W/m3/K and W/m3/K2; deep is zero when it is not given.
        shaping: how faces near the probe conduct otherwise than usual, where tissues meet there.
    """

    kji: npt.NDArray[np.int64]
    unfrozen: Field
    extra: Field
    deep: Field = None  # type: ignore[assignment]
    shaping: Shaping | None = None

    def __post_init__(self) -> None:
        if self.deep is None:
            object.__setattr__(self, "deep", np.zeros(len(self.kji), np.float32))


def link(medium: Medium, surface: ColdSurface) -> Link:
    """The link of one probe: so strong that the true near field is a steady state of the discrete equations.

    For every voxel near the probe the link is what its six faces carry in that field, divided by the field's value in the
    voxel. In one tissue the field is that of near_field; where tissues meet within its reach it is found on the grid of
    half voxels, unfrozen and frozen (layered_field.py).
    """
    h = medium.grid_mm
    reach = 0.5 * surface.diameter_mm / h + _REACH_CELLS
    half = 0.5 * surface.length_mm / h
    if not (np.isfinite(surface.middle_kji).all() and np.abs(surface.middle_kji).max() < 1e6):
        raise ThermalError("The cold part of a probe has no place in the block: its coordinates are not finite.")
    ends = surface.middle_kji + half * np.array([[-1.0], [1.0]]) * surface.axis_kji
    count = np.array(medium.classes_kji.shape)
    low = np.clip(np.floor(ends.min(axis=0) - reach).astype(int), 0, count - 1)
    high = np.clip(np.ceil(ends.max(axis=0) + reach).astype(int), 0, count - 1)
    grid = [np.clip(np.arange(a - 1, b + 2), 0, n - 1) for a, b, n in zip(low, high, count, strict=True)]
    classes = medium.classes_kji[np.ix_(*grid)]
    # Displacements in (k, j, i) times the edge are a right-angled frame like any other.
    padded = np.stack(
        np.meshgrid(*[np.arange(a - 1, b + 2) for a, b in zip(low, high, strict=True)], indexing="ij"), -1
    )
    along, across = surface.along_across_mm(padded, h)
    near = (across <= reach * h) & (np.abs(along) <= (half + _REACH_CELLS) * h)
    near &= medium.palette.conducts[classes]
    near[[0, -1]] = near[:, [0, -1]] = near[:, :, [0, -1]] = False
    if not near.any():
        raise ThermalError(
            "The cold part of a probe lies wholly outside the tissue that is simulated; move the probe or enlarge the block."
        )
    phi = near_field(surface.diameter_mm, surface.length_mm)(across.ravel(), along.ravel()).reshape(across.shape)
    box: Box = tuple((int(a), int(b) + 1) for a, b in zip(low, high, strict=True))  # type: ignore[assignment]
    # Inside the probe phi is zero: a link so strong that the voxel takes the probe's temperature.
    ones = np.ones(phi.shape)
    least = 1e-4 * max(float(_gained(phi, (ones, ones, ones)).max()), 1e-9)
    states = face_weights(medium, box)
    unfrozen: Weights = states[0]
    frozen: Weights = [a + b for a, b in zip(states[0], states[1], strict=True)]
    deep: Weights = states[2]
    at_depth: Weights = [f + DEPTH_K * d for f, d in zip(frozen, deep, strict=True)]
    fields = layered_fields(medium, surface, box, (_REACH_CELLS + 1.5) * h)
    warm = cold = phi
    shaping: Shaping | None = None
    if fields is not None:
        warm, cold = (np.where(phi > 0, f.value, 0.0) for f in fields)
        shaping = Shaping(box, _factors(fields[0], warm, unfrozen), _factors(fields[1], cold, at_depth))
        unfrozen = _shaped(unfrozen, shaping.unfrozen)
        frozen, deep, at_depth = (_shaped(faces, shaping.frozen) for faces in (frozen, deep, at_depth))
    strength = (_gained(warm, unfrozen) / np.maximum(warm, least))[near].astype(np.float32)
    # The frozen field is one of a certain depth of cold; at others a link changes as the voxel's own faces do.
    per_face = (_gained(cold, at_depth) / np.maximum(cold, least))[near] / face_sum(at_depth)[near]
    at_solidus, growth = ((per_face * face_sum(f)[near]).astype(np.float32) for f in (frozen, deep))
    return Link(padded[near].astype(np.int64), strength, at_solidus - strength, growth, shaping)


def _shaped(faces: Weights, factors: Weights) -> Weights:
    return [a * m for a, m in zip(faces, factors, strict=True)]


def _factors(
    field: LayeredField, value: npt.NDArray[np.float64], faces: Weights
) -> tuple[npt.NDArray[np.float32], ...]:
    """By what the faces' conductances have to be multiplied to carry the heat of the field; 1 where hardly any goes."""
    found = []
    for axis, (flux, face) in enumerate(zip(field.flux, faces, strict=True)):
        inner = [slice(None)] * 3
        inner[axis] = slice(0, -1)
        usual = face[tuple(inner)] * np.diff(value, axis=axis)
        some = np.abs(usual) > _LEAST_FLUX * np.abs(usual).max(initial=1e-30)
        ratio = np.divide(flux, usual, out=np.ones_like(flux), where=some)
        factor = np.ones(face.shape, np.float32)
        factor[tuple(inner)] = np.clip(ratio, 1.0 / _MOST_SHAPED, _MOST_SHAPED)
        found.append(factor)
    return tuple(found)


def _gained(phi: npt.NDArray[np.float64], faces: Weights) -> npt.NDArray[np.float64]:
    """Sum over the six neighbors of what the face carries to a voxel in a field: what the probe has to take out of it."""
    gained = np.zeros(phi.shape)
    for axis, face in enumerate(faces):
        inner = [slice(None)] * 3
        inner[axis] = slice(0, -1)
        flux = np.diff(phi, axis=axis) * face[tuple(inner)]
        low = [(0, 1) if n == axis else (0, 0) for n in range(3)]
        high = [(1, 0) if n == axis else (0, 0) for n in range(3)]
        gained += np.pad(flux, low) - np.pad(flux, high)
    return gained
