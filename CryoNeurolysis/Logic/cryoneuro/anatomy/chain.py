"""What follows one another through the slices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SHIFT_COST = 0.02
_GAP_COST = 0.02
_FREE_MM = 2.0


def best_chain(
    slices: npt.NDArray[np.int64],
    across_mm: npt.NDArray[np.float64],
    worth: npt.NDArray[np.float64],
    spacing_mm: float,
    bridge_mm: float,
    slope: float,
) -> npt.NDArray[np.intp]:
    """Indices of the places that follow one another upward with no jump, of greatest worth together; best last slice last.

    Args:
        slices: slice of each place (N,).
        across_mm: where it lies within its slice (N, 2), mm.
        worth: (N,); each mm of shift and of gap costs a fiftieth.
        bridge_mm: how many mm of slices may be missing between two.
        slope: how far the next may lie aside, mm for each mm upward, and 2 mm more.
    """
    order = np.argsort(slices, kind="stable")
    slices, across_mm = slices[order], across_mm[order]
    total = worth[order].astype(float)
    previous = np.full(len(order), -1)
    first = np.searchsorted(slices, slices - int(bridge_mm / spacing_mm))
    last = np.searchsorted(slices, slices)
    for n in range(len(order)):
        before = slice(first[n], last[n])
        if before.start == before.stop:
            continue
        gap = (slices[n] - slices[before]) * spacing_mm
        shift = np.linalg.norm(across_mm[before] - across_mm[n], axis=1)
        gain = total[before] - _SHIFT_COST * shift - _GAP_COST * (gap - spacing_mm)
        gain[shift > _FREE_MM + slope * gap] = -np.inf
        best = int(np.argmax(gain))
        if gain[best] > 0:
            total[n] += gain[best]
            previous[n] = before.start + best
    chain = []
    n = int(np.argmax(total)) if len(order) else -1
    while n >= 0:
        chain.append(order[n])
        n = int(previous[n])
    return np.array(chain[::-1], dtype=np.intp)
