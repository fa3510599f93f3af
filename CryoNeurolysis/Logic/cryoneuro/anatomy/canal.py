"""The spinal canal: the hole that bone leaves behind the vertebral bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging import WorkingCt
from .morphology import Mask, fill_axial_holes

_AREA_MM2 = (90.0, 900.0)
_CONTENT_HU = (-30.0, 85.0)
_RADIUS_MM = 8.0
"""Where arches are open the canal is drawn as a disc of about the usual thoracolumbar half width."""


@dataclass(frozen=True, eq=False)
class Canal:
    """Mask, and for each slice k the center (R, A) in mm; NaN where the canal is not in view."""

    mask_kji: Mask
    center_ra_mm: npt.NDArray[np.float64]


def find_canal(ct: WorkingCt, bone_kji: Mask, bright_bone_kji: Mask, body_kji: Mask) -> Canal | None:
    """Track the canal through the slices; None when too few closed arches are in view to trust it.

    Args:
        bone_kji: filled bone, whose remaining holes are looked at.
        bright_bone_kji: bone by brightness alone; where a slice of the canal was filled as marrow by mistake, the
            canal is cut out of the filling again, but never out of this.
    """
    spacing = ct.geometry.spacing_mm[0]
    steps = max(1, round(4.5 / spacing))
    disk = _disk(steps)
    closed = ndimage.binary_closing(np.pad(bone_kji, ((0, 0), (steps, steps), (steps, steps))), disk[None])
    closed = closed[:, steps:-steps, steps:-steps] | bone_kji
    holes = fill_axial_holes(closed) & ~bone_kji
    structure = np.zeros((3, 3, 3), bool)
    structure[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    core = ndimage.binary_opening(holes, _disk(max(1, round(3.0 / spacing)))[None])
    labels, count = ndimage.label(core, structure=structure)
    if not count:
        return None
    index = np.arange(1, count + 1)
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:] * spacing**2
    mean = ndimage.mean(ct.array_kji, labels, index)
    centers = np.array(ndimage.center_of_mass(core, labels, index))
    good = (area > _AREA_MM2[0]) & (area < _AREA_MM2[1]) & (mean > _CONTENT_HU[0]) & (mean < _CONTENT_HU[1])
    if good.sum() < 3:
        return None
    good_index = index[good]
    ra = ct.geometry.ijk_to_ras_mm(centers[good][:, ::-1])[:, :2]
    k = np.rint(centers[good][:, 0]).astype(int)
    # Most holes are the canal; the median leaves out orbits, joints and rings of ribs, in two passes.
    keep = np.ones(len(k), bool)
    for limit in (30.0, 14.0):
        fit = _line(k[keep], ra[keep], k)
        keep = np.linalg.norm(ra - fit, axis=1) < limit
        if keep.sum() < 3:
            return None
    slices = np.unique(k[keep])
    if len(slices) * spacing < 20.0:
        return None
    known = np.array([ra[keep & (k == n)].mean(axis=0) for n in slices])
    center = np.full((bone_kji.shape[0], 2), np.nan)
    reach = round(25.0 / spacing)
    inside = np.arange(max(0, slices[0] - reach), min(len(center), slices[-1] + reach + 1))
    for axis in range(2):
        smooth = ndimage.gaussian_filter1d(np.interp(inside, slices, known[:, axis]), 6.0 / spacing, mode="nearest")
        center[inside, axis] = smooth
    mask = np.isin(labels, good_index[keep])
    mask = ndimage.binary_dilation(mask, _disk(max(1, round(3.0 / spacing)))[None]) & holes
    r = ct.geometry.ijk_to_ras[0, 3] + np.arange(bone_kji.shape[2]) * spacing
    a = ct.geometry.ijk_to_ras[1, 3] + np.arange(bone_kji.shape[1]) * spacing
    for n in inside:
        disc = (r[None, :] - center[n, 0]) ** 2 + (a[:, None] - center[n, 1]) ** 2 < _RADIUS_MM**2
        mask[n] |= disc & ~bright_bone_kji[n]
    return Canal(mask & ~bright_bone_kji & body_kji & ct.measured_kji, center)


def _disk(radius: int) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    result: npt.NDArray[np.bool_] = x * x + y * y <= radius * radius
    return result


def _line(k: npt.NDArray[np.int64], ra: npt.NDArray[np.float64], at: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Robust course of the canal: running median over neighboring slices, evaluated at every k."""
    result = np.empty((len(at), 2))
    for n, value in enumerate(at):
        window = np.abs(k - value) < 25
        chosen = ra[window] if window.sum() >= 5 else ra
        result[n] = np.median(chosen, axis=0)
    return result
