"""Where the planes of the working grid lie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..model import VolumeGeometry


def axis_mm(geometry: VolumeGeometry, axis: int) -> npt.NDArray[np.float64]:
    """R (axis 0), A (1) or S (2) of every column, row or slice of a grid along R, A and S, mm."""
    count = geometry.shape_kji[2 - axis]
    result: npt.NDArray[np.float64] = geometry.ijk_to_ras[axis, 3] + np.arange(count) * geometry.spacing_mm[axis]
    return result
