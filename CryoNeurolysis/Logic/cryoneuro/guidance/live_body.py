"""The patient in a live scan, without the table, by slices: a live scan is too thin for more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..model import CtVolume

_SHRUNK_MM = 2.5


def body_plane(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The patient in a slice (j, i) of CT numbers: denser than air, without thin things such as the table and tubes, filled."""
    dense = ndimage.binary_opening(plane > -350.0, iterations=2)
    labels, count = ndimage.label(dense)
    if not count:
        return np.zeros(plane.shape, bool)
    sizes = np.bincount(labels.ravel())[1:]
    large = np.flatnonzero(sizes >= 0.2 * sizes.max()) + 1
    filled: npt.NDArray[np.bool_] = ndimage.binary_fill_holes(np.isin(labels, large))
    return filled


def body_of(ct: CtVolume) -> npt.NDArray[np.bool_]:
    """The patient in every slice of a scan (k, j, i)."""
    factors = [max(1, round(_SHRUNK_MM / s)) for s in ct.geometry.spacing_mm[:2]]
    values = np.maximum(ct.array_kji, np.int16(-1024)).astype(np.float32)
    small = sitk.GetArrayFromImage(sitk.BinShrink(sitk.GetImageFromArray(values), [*factors, 1]))
    body = np.stack([body_plane(plane) for plane in small])
    full = body.repeat(factors[1], axis=1).repeat(factors[0], axis=2)
    _, j, i = ct.array_kji.shape
    return np.pad(full, ((0, 0), (0, j - full.shape[1]), (0, i - full.shape[2])), mode="edge")
