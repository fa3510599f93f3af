"""The part of a grid round some voxels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def window_round(
    kji: npt.NDArray[np.floating | np.integer], reach_voxels: float, shape_kji: tuple[int, ...]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First and one past the last voxel (k, j, i) of the box round indices (N, 3) and reach_voxels more, at least one."""
    shape = np.array(shape_kji)
    low = np.clip(np.floor(kji.min(axis=0) - reach_voxels).astype(int), 0, shape - 1)
    high = np.clip(np.ceil(kji.max(axis=0) + reach_voxels).astype(int) + 1, 1, shape)
    return low, np.maximum(high, low + 1)
