"""Blood with contrast: what of the bright soft parts is vessel, and how wide it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..imaging import WorkingCt
from .dense import Dense
from .morphology import Mask, closed, components, dilate, opened, race, touching

_HEIGHT_MM = 35.0
"""A large vessel runs through several vertebrae."""
_AS_BRIGHT = 0.45
"""Veins that fill later, or a false lumen, in parts of the arteries' CT number."""
_BLOOD_MM3 = 3000.0
_ORGAN_THICK_MM = 15.0
_ORGAN_ASIDE_MM = 40.0
"""A thick bright part that lies beside the spine is a kidney, spleen or bowel; heart and aneurysm lie nearer."""
_GREAT_MM = 6.0
_ORGAN_AHEAD_MM = 45.0
"""The heart lies farther in front of the canal than this, kidneys and spleen nearer."""
_SOLID_MM = 9.0
_GAP_MM = 6.0
_STEPS = 80
_FLAP_MM = 4.5
_JUMPS = 4


@dataclass(frozen=True, eq=False)
class Vessels:
    """Masks on the working grid; great vessels and heart, their branches, and organs that hold contrast."""

    great_kji: Mask
    branches_kji: Mask
    organs_kji: Mask


def find_vessels(ct: WorkingCt, dense: Dense, canal_ra_mm: np.ndarray | None) -> Vessels | None:
    """Tell vessels from organs by height, brightness, thickness and place; None where nothing bright is a vessel.

    Args:
        canal_ra_mm: middle of the spinal canal in every slice (K, 2), NaN where unknown; None when nowhere known.
    """
    blood, organ = _seeds(ct, dense, canal_ra_mm)
    if not blood.any():
        return None
    spacing = ct.geometry.spacing_mm[0]
    vessel, other = race(blood, organ, dense.contrast_kji, dense.contrast_kji, _STEPS)
    for _ in range(_JUMPS):
        # A flap or plaque may part a vessel; what goes on right behind it belongs to it.
        rest = dense.contrast_kji & ~vessel & ~other
        more = touching(rest, dilate(vessel, round(_FLAP_MM / spacing)))
        if not more.any():
            break
        vessel |= more
    solid = _solid_beside(ct, vessel, canal_ra_mm, spacing)
    vessel &= ~solid
    other |= dense.contrast_kji & ~vessel
    great = opened(vessel, round(_GREAT_MM / spacing))
    return Vessels(great, vessel & ~great, other)


def _solid_beside(ct: WorkingCt, vessel: Mask, canal_ra_mm: np.ndarray | None, spacing: float) -> Mask:
    """Thick parts beside the spine that hang on a vessel: kidneys, whose cortex fills before their marrow, and spleen."""
    result = np.zeros_like(vessel)
    if canal_ra_mm is None:
        return result
    thick = opened(closed(vessel, round(_GAP_MM / spacing)), round(_SOLID_MM / spacing))
    labels, _ = components(thick)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        k, j, i = (n.mean() + s.start for n, s in zip(np.nonzero(labels[box] == number), box, strict=True))
        middle = canal_ra_mm[round(k)]
        r, a = ct.geometry.ijk_to_ras_mm([[i, j, k]])[0, :2]
        if abs(r - middle[0]) > _ORGAN_ASIDE_MM and a - middle[1] < _ORGAN_AHEAD_MM:
            result |= labels == number
    reach = round((_SOLID_MM + _GAP_MM) / spacing)
    organ: Mask = dilate(result, reach) & vessel
    return organ


def typical_diameter_mm(mask: Mask, spacing_mm: float) -> float | None:
    """Twice the usual depth of the middle of a tubular mask; None for an empty one."""
    where = ndimage.find_objects(mask.astype(np.uint8))
    if not where:
        return None
    box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in where[0])
    part = mask[box]
    # Cut ends count as going on.
    depth = ndimage.distance_transform_edt(np.pad(part, 1, mode="edge"))[1:-1, 1:-1, 1:-1]
    ridge = part & (depth >= ndimage.maximum_filter(depth, 3))
    # Specks and the ridges of corners are many and thin; the vessel's middle is at least half as deep as its deepest place.
    values = depth[ridge]
    return float(2.0 * (np.median(values[values >= 0.5 * values.max()]) - 0.5) * spacing_mm)


def _seeds(ct: WorkingCt, dense: Dense, canal_ra_mm: np.ndarray | None) -> tuple[Mask, Mask]:
    """Even cores of blood, and of organs."""
    blood = np.zeros(dense.contrast_kji.shape, bool)
    organ = np.zeros_like(blood)
    large = [c.mean_hu for c in dense.cores if c.volume_mm3 > _BLOOD_MM3 and c.height_mm >= _HEIGHT_MM]
    brightest = max(large, default=0.0)
    spacing = ct.geometry.spacing_mm[0]
    for core, box in zip(dense.cores, ndimage.find_objects(dense.cores_kji), strict=True):
        part = dense.cores_kji[box] == core.label
        if _is_organ(ct, box, part, canal_ra_mm, spacing):
            organ[box] |= part
        elif core.height_mm >= _HEIGHT_MM and core.mean_hu >= _AS_BRIGHT * brightest:
            blood[box] |= part
    return blood, organ


def _is_organ(
    ct: WorkingCt, box: tuple[slice, slice, slice], part: Mask, canal_ra_mm: np.ndarray | None, spacing: float
) -> bool:
    if canal_ra_mm is None:
        return False
    i = float(np.nonzero(part)[2].mean())
    middle = canal_ra_mm[box[0].start : box[0].stop, 0]
    if np.isnan(middle).all():
        return False
    r = ct.geometry.ijk_to_ras[0, 3] + (box[2].start + i) * spacing
    aside = abs(r - float(np.nanmedian(middle)))
    depth = ndimage.distance_transform_edt(np.pad(part, 1)).max() * spacing
    return bool(aside > _ORGAN_ASIDE_MM and depth > _ORGAN_THICK_MM - 2.0 * spacing)
