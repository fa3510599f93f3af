"""Where metal spoils the CT numbers."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..imaging import WorkingCt
from .morphology import Mask

_SURE_MM = 6.0
_REACH_MM = 70.0
_NO_SOFT_HU = 120
_NO_FAT_HU = -160
"""Brighter than soft tissue and darker than fat: what is so beside metal, and neither bone, contrast nor gas, is a streak."""
_LEAST_MM2 = 20.0


def streak_zone(ct: WorkingCt, body_kji: Mask, known_kji: Mask, metal_kji: Mask) -> Mask:
    """What lies close to metal in its slices, and the bright and dark bands that come from it. Empty without metal."""
    zone = np.zeros_like(metal_kji)
    spacing = ct.geometry.spacing_mm[0]
    for k in np.flatnonzero(metal_kji.any(axis=(1, 2))):
        metal = metal_kji[k]
        far = ndimage.distance_transform_edt(~metal) * spacing
        area = float(metal.sum()) * spacing**2
        # A thin wire spoils less than a nail.
        reach = min(_REACH_MM, 3.0 * _SURE_MM + 2.0 * np.sqrt(area))
        inside = body_kji[k] & (far < reach)
        soft = inside & ~known_kji[k] & ~metal
        hu = ct.array_kji[k]
        odd = (hu > _NO_SOFT_HU) | (hu < _NO_FAT_HU)
        bands = ndimage.binary_opening(soft & odd)
        labels, count = ndimage.label(ndimage.binary_closing(bands, iterations=2))
        if count:
            sizes = np.bincount(labels.ravel()) * spacing**2
            sizes[0] = 0.0
            bands = sizes[labels] >= _LEAST_MM2
        zone[k] = (inside & (far < _SURE_MM + 0.5 * np.sqrt(area))) | (bands & inside)
    return zone & body_kji & ~metal_kji
