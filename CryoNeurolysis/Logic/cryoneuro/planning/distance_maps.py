"""Distance maps that are made once: a plan with other limits, weights or probes needs the same ones again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..imaging import KeptByContent
from .clearance import signed_distance_mm

_MOST_BYTES = 600_000_000
"""A case has about ten groups of ten to thirty megabytes each; two cases fit."""
_maps = KeptByContent(_MOST_BYTES)


def distance_map_mm(mask_kji: npt.NDArray[np.bool_], spacing_mm: float, far_mm: float) -> npt.NDArray[np.float32]:
    """Signed distance to a mask's surface up to far_mm, read-only (k, j, i), from memory where the same was asked before."""
    return _maps.get(
        mask_kji, (spacing_mm, far_mm), lambda: np.minimum(signed_distance_mm(mask_kji, spacing_mm), np.float32(far_mm))
    )
