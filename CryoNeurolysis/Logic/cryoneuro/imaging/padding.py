"""What lies outside the scanner's round field of view, where the file does not mark it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_FIT_PIXELS = 1.0
_AGREE = 0.98
_LEAST_PIXELS = 50


def padded_columns(array_kji: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_] | None:
    """Columns (j, i) that were filled up round a circular field of view; None where there are none.

    Such columns hold the volume's least value in every slice, and their inner edge is a circle. Air that was measured is
    noisy, or ends at skin, which is no circle.
    """
    least = array_kji.min()
    constant: npt.NDArray[np.bool_] = (array_kji == least).all(axis=0)
    if constant.sum() < _LEAST_PIXELS or constant.all():
        return None
    # Holes are constant air within the field of view; only what reaches the picture's edge can be padding.
    labels, _ = ndimage.label(constant)
    at_edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    constant = np.isin(labels, at_edge[at_edge > 0])
    rim = constant & ndimage.binary_dilation(~constant)
    j, i = np.nonzero(rim)
    if len(j) < _LEAST_PIXELS:
        return None
    # A circle through points: x^2 + y^2 = 2 a x + 2 b y + c.
    system = np.column_stack([2.0 * i, 2.0 * j, np.ones(len(i))])
    (a, b, c), *_ = np.linalg.lstsq(system, (i * i + j * j).astype(float), rcond=None)
    radius = float(np.sqrt(max(c + a * a + b * b, 0.0)))
    misfit = np.hypot(i - a, j - b) - radius
    if float(np.sqrt(np.mean(misfit**2))) > _FIT_PIXELS:
        return None
    jj, ii = np.indices(constant.shape)
    outside = np.hypot(ii - a, jj - b) > radius
    agree = (constant & outside).sum() / max(1, (constant | outside).sum())
    return constant if agree >= _AGREE - 2.0 * len(j) / max(1, constant.sum()) else None
