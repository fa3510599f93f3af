"""Points of a course moved out of what a nerve cannot run through."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..model import Anatomy, StructureRole
from .labels import blood_groups

_CLOSED_GROUPS = (
    "bone",
    "bladder",
    "rectum",
    "bowel",
    "gas",
    "metal",
)


def out_of_closed(anatomy: Anatomy, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points that lie in bone, vessels, gas or organs moved to the nearest place outside, a millimeter off."""
    closed_groups = blood_groups().union(_CLOSED_GROUPS)
    closed = ~anatomy.body_kji
    for structure in anatomy.structures:
        if structure.role is StructureRole.AVOID and structure.group in closed_groups:
            closed |= structure.mask_kji
    geometry = anatomy.geometry
    kji = geometry.ras_to_ijk(points)[:, ::-1]
    low = np.maximum(0, np.floor(kji.min(axis=0)).astype(int) - 20)
    high = np.ceil(kji.max(axis=0)).astype(int) + 21
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    part = ndimage.binary_dilation(closed[window])
    if not part.size or part.all():
        return points
    where = ndimage.distance_transform_edt(part, return_distances=False, return_indices=True)
    moved = points.copy()
    for n, place in enumerate(np.rint(kji - low).astype(int)):
        place = np.clip(place, 0, np.array(part.shape) - 1)
        if part[tuple(place)]:
            free = where[(slice(None), *place)] + low
            moved[n] = geometry.ijk_to_ras_mm(free[None, ::-1])[0]
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=1)
    result: npt.NDArray[np.float64] = moved[np.concatenate([[True], steps > 0.5])]
    return result
