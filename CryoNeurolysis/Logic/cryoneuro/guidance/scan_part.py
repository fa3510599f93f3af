"""The part of a live scan round some places of the plan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..model import Alignment, CtVolume, VolumeGeometry, moved


def part_round(
    live_ct: CtVolume, alignment: Alignment, points_ras_mm: npt.NDArray[np.float64], reach_mm: float
) -> tuple[npt.NDArray[np.int16], VolumeGeometry, npt.NDArray[np.int_]] | None:
    """Values (k, j, i), geometry and first voxel (i, j, k) of the box that holds places and what is near; None where the scan
    hardly holds any of it.

    Args:
        points_ras_mm: (N, 3) in the planning CT's frame.
    """
    geometry = live_ct.geometry
    ijk = geometry.ras_to_ijk(moved(alignment.plan_to_live, points_ras_mm))
    reach = reach_mm / np.array(geometry.spacing_mm)
    n = np.array(geometry.shape_kji[::-1])
    low = np.clip(np.floor(ijk.min(axis=0) - reach).astype(int), 0, n)
    high = np.clip(np.ceil(ijk.max(axis=0) + reach).astype(int) + 1, 0, n)
    if (high - low < (8, 8, 1)).any():
        return None
    part = live_ct.array_kji[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, 3] = geometry.ijk_to_ras_mm(low)[0]
    return part, VolumeGeometry(part.shape, matrix), low
