"""The pixels within a closed contour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def filled_polygon(points_ij: npt.NDArray[np.float64], shape_ji: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Pixels (j, i) whose centers lie within a closed polygon (N, 2) of i, j; even-odd where it crosses itself."""
    mask = np.zeros(shape_ji, bool)
    if len(points_ij) < 3:
        return mask
    i, j = points_ij.T
    next_i, next_j = np.roll(i, -1), np.roll(j, -1)
    columns = np.arange(shape_ji[1])
    for row in range(max(0, int(np.ceil(j.min()))), min(shape_ji[0] - 1, int(np.floor(j.max()))) + 1):
        # Half open, so that a corner on the row counts once.
        crosses = (j <= row) != (next_j <= row)
        share = (row - j[crosses]) / (next_j[crosses] - j[crosses])
        at = i[crosses] + share * (next_i[crosses] - i[crosses])
        mask[row] = (columns[:, None] >= at[None, :]).sum(axis=1) % 2 == 1
    return mask
