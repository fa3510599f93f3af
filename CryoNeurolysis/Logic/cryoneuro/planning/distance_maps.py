"""Distance maps that are made once: a plan with other limits, weights or probes needs the same ones again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from .clearance import signed_distance_mm

_KEPT = 12
"""About as many groups as a case has; each takes ten to thirty megabytes."""
_maps: OrderedDict[bytes, npt.NDArray[np.float32]] = OrderedDict()
_lock = threading.Lock()


def distance_map_mm(mask_kji: npt.NDArray[np.bool_], spacing_mm: float, far_mm: float) -> npt.NDArray[np.float32]:
    """Signed distance to a mask's surface up to far_mm, read-only (k, j, i), from memory where the same was asked before."""
    packed = np.packbits(mask_kji)
    key = hashlib.blake2b(packed.tobytes() + repr((mask_kji.shape, spacing_mm, far_mm)).encode()).digest()
    with _lock:
        if key in _maps:
            _maps.move_to_end(key)
            return _maps[key]
    result = np.minimum(signed_distance_mm(mask_kji, spacing_mm), np.float32(far_mm))
    result.setflags(write=False)
    with _lock:
        _maps[key] = result
        while len(_maps) > _KEPT:
            _maps.popitem(last=False)
    return result
