"""Ties a probe's cold surface to the voxels round it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model import ThermalError
from .medium import Field, Medium
from .near_field import near_field
from .patch import Box, face_sum, face_weights

_REACH_CELLS = 4.0


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


@dataclass(frozen=True, eq=False)
class Link:
    """Conductances between one probe and voxels.

    Attributes:
        kji: (N, 3) voxels of the medium's grid.
        unfrozen, extra: (N,) W/m3/K: heat taken is unfrozen (T - T_s) + extra (G - G_s).
        telling: (N,) 1 for voxels whose link tells how much heat the probe takes, 0 for those that it swallows.
        telling_share: part of all the heat that goes through the telling ones in the near field.
    """

    kji: npt.NDArray[np.int64]
    unfrozen: Field
    extra: Field
    telling: Field
    telling_share: float


def link(medium: Medium, surface: ColdSurface) -> Link:
    """The link of one probe: so strong that the true near field is a steady state of the discrete equations.

    For every voxel near the probe the link is the sum over its six neighbors of (phi_j - phi_i), divided by phi_i, phi
    being the field of near_field, times the mean conductance of its own faces, so that beside fat, bone or gas it stays
    in proportion to what flows in.
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
    delta = (padded - surface.middle_kji) * h
    along = delta @ surface.axis_kji
    across = np.sqrt(np.maximum((delta**2).sum(axis=-1) - along**2, 0.0))
    near = (across <= reach * h) & (np.abs(along) <= (half + _REACH_CELLS) * h)
    near &= medium.palette.conducts[classes]
    near[[0, -1]] = near[:, [0, -1]] = near[:, :, [0, -1]] = False
    if not near.any():
        raise ThermalError(
            "The cold part of a probe lies wholly outside the tissue that is simulated; move the probe or enlarge the block."
        )
    phi = near_field(surface.diameter_mm, surface.length_mm)(across.ravel(), along.ravel()).reshape(across.shape)
    box: Box = tuple((int(a), int(b) + 1) for a, b in zip(low, high, strict=True))  # type: ignore[assignment]
    gained = _gained(phi)
    # Inside the probe phi is zero: a link so strong that the voxel takes the probe's temperature.
    strength = gained / np.maximum(phi, 1e-4 * max(float(gained.max()), 1e-9))
    mean = [face_sum(faces) / 6.0 for faces in face_weights(medium, box)]
    unfrozen, extra = ((strength * weight)[near].astype(np.float32) for weight in mean)
    beyond = np.maximum(across - 0.5 * surface.diameter_mm, np.abs(along) - half * h)[near] / h
    heat = (gained * mean[0])[near]
    # The voxels hardest on the probe tell least; take the farthest ring that still carries a fair part of the heat.
    for limit in (0.3, 0.2, 0.1, 0.0):
        outside = beyond > limit
        share = float(heat[outside].sum() / heat.sum())
        if share > 0.3:
            break
    return Link(padded[near].astype(np.int64), unfrozen, extra, outside.astype(np.float32), share)


def _gained(phi: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum over the six neighbors of (phi_j - phi_i): what the near field takes out of each voxel."""
    gained = np.zeros(phi.shape)
    for axis in range(3):
        flux = np.diff(phi, axis=axis)
        low = [(0, 1) if n == axis else (0, 0) for n in range(3)]
        high = [(1, 0) if n == axis else (0, 0) for n in range(3)]
        gained += np.pad(flux, low) - np.pad(flux, high)
    return gained
