"""Whether imported labels lie a little beside what they label: bone and lung tell by their edges."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..model import Structure

_CLIP_HU = {"bone": (-100.0, 400.0), "lung": (-900.0, 0.0)}
_SIGN = {"bone": 1.0, "lung": -1.0}
_MOST = 15_000
_FEW = 1500
_STEPS = 12
_RIM = 2
"""Voxels on both sides of the labels' edge that are compared."""


def label_shift(
    structures: tuple[Structure, ...], hu_kji: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.int64], float]:
    """By how many voxels (k, j, i) the labels would have to move to fit the CT best, and how much better they would fit.

    Fit is the difference of the CT numbers just inside and just outside the labels' edges, in parts of the difference that
    there is after the move; 0 where too little bone or lung is labeled to tell.
    """
    rims = [rim for group in _SIGN if (rim := _rim(structures, group)) is not None]
    if not rims:
        return np.zeros(3, np.int64), 0.0
    clipped = {group: np.clip(hu_kji, *_CLIP_HU[group]).astype(np.int16) for group, _, _ in rims}

    def fit(shift: npt.NDArray[np.int64]) -> float:
        total = 0.0
        for group, inner, outer in rims:
            values = clipped[group]
            total += _SIGN[group] * (_mean(values, inner + shift) - _mean(values, outer + shift)) / len(rims)
        return total

    moves = [np.array(m, np.int64) for m in itertools.product((-1, 0, 1), repeat=3) if any(m)]
    here, best = np.zeros(3, np.int64), fit(np.zeros(3, np.int64))
    start = best
    for _ in range(_STEPS):
        scores = [fit(here + move) for move in moves]
        if max(scores) <= best:
            break
        best = max(scores)
        here = here + moves[int(np.argmax(scores))]
    return here, max(0.0, best - start) / max(abs(best), 1.0)


def _rim(
    structures: tuple[Structure, ...], group: str
) -> tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Voxels (N, 3) just inside and just outside what is labeled as a group; None where that is little."""
    masks = [s.mask_kji for s in structures if s.group == group]
    if not masks:
        return None
    mask = np.logical_or.reduce(masks)
    inner = np.argwhere(mask & ~ndimage.binary_erosion(mask, iterations=_RIM, border_value=1))
    outer = np.argwhere(ndimage.binary_dilation(mask, iterations=_RIM) & ~mask)
    if min(len(inner), len(outer)) < _FEW:
        return None
    return group, inner[:: max(1, len(inner) // _MOST)], outer[:: max(1, len(outer) // _MOST)]


def _mean(values: npt.NDArray[np.int16], kji: npt.NDArray[np.int64]) -> float:
    inside = ((kji >= 0) & (kji < values.shape)).all(axis=1)
    return float(values[tuple(kji[inside].T)].mean()) if inside.any() else 0.0
