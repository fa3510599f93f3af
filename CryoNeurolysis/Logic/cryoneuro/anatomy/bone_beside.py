"""Whether bone lies near gas: ribs go with every lung, the foam under a thigh has none beside it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .morphology import Mask, dilate

_REACH_MM = 18.0
_BONE_HU = 200.0
_LEAST_MM3 = 300.0


def bone_beside(hu_kji: npt.NDArray[np.int16], part: Mask, box: tuple[slice, slice, slice], spacing_mm: float) -> bool:
    """Whether enough that is as bright as bone lies within reach of a part of the picture.

    Args:
        part: mask within its box.
        box: where the part lies in hu_kji.
    """
    reach = round(_REACH_MM / spacing_mm)
    wide = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
    mask = np.zeros(hu_kji[wide].shape, bool)
    mask[tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))] = part
    return float((dilate(mask, reach) & (hu_kji[wide] > _BONE_HU)).sum()) * spacing_mm**3 >= _LEAST_MM3
