"""Gas inside the body: lungs on both sides, and gas in bowel and airways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..imaging import WorkingCt
from ..knowledge import constant
from .morphology import Mask, closed, components, erode

_LUNG_MIN_ML = 40.0
_PURE_GAS_HU = -960.0
"""Parenchyma keeps blood in it and stays above; free gas does not."""


@dataclass(frozen=True, eq=False)
class Gas:
    """Masks on the working grid."""

    lung_left_kji: Mask
    lung_right_kji: Mask
    other_kji: Mask


def find_gas(ct: WorkingCt, body_kji: Mask) -> Gas:
    """Tell lung from other gas by size and by how much of it is free of blood, then left from right."""
    inside = body_kji & ct.measured_kji & (ct.array_kji < constant("hu_air_below"))
    labels, sizes = components(inside)
    millilitre = ct.geometry.voxel_volume_mm3 / 1000.0
    lung = np.zeros_like(inside)
    for number, size in enumerate(sizes[:60], start=1):
        if size * millilitre < _LUNG_MIN_ML:
            break
        part = labels == number
        # Judged by its inside: at the wall gas and lung alike are mixed with tissue.
        inside_part = erode(part, max(1, round(3.0 / ct.geometry.spacing_mm[0])))
        values = ct.array_kji[inside_part if inside_part.any() else part]
        pure = float(np.mean(values < _PURE_GAS_HU))
        if pure < 0.5:
            lung |= part
    other = inside & ~lung
    lung = closed(lung, max(1, round(4.5 / ct.geometry.spacing_mm[0]))) & body_kji & ~other
    middle = _midline_ras_mm(ct, body_kji, lung)
    r = ct.geometry.ijk_to_ras[0, 3] + np.arange(lung.shape[2]) * ct.geometry.spacing_mm[0]
    left_side = (r < middle)[None, None, :]
    return Gas(lung & left_side, lung & ~left_side, other)


def _midline_ras_mm(ct: WorkingCt, body_kji: Mask, lung_kji: Mask) -> float:
    """R of the plane between the lungs: the emptiest sagittal plane near the body's middle."""
    r = ct.geometry.ijk_to_ras[0, 3] + np.arange(lung_kji.shape[2]) * ct.geometry.spacing_mm[0]
    body_profile = body_kji.sum(axis=(0, 1)).astype(float)
    center = float(np.average(r, weights=body_profile))
    profile = lung_kji.sum(axis=(0, 1)).astype(float)
    near = np.abs(r - center) < 40.0
    if not lung_kji.any() or not near.any():
        return center
    width = max(1, round(10.0 / ct.geometry.spacing_mm[0]))
    smooth = np.convolve(profile, np.ones(width) / width, mode="same")
    return float(r[near][np.argmin(smooth[near] + 1e-3 * np.abs(r[near] - center))])
