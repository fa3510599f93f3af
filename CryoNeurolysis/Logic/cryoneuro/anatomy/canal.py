"""The spinal canal: the hole that bone leaves behind the vertebral bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging import WorkingCt
from .morphology import Mask, fill_axial_holes, percentile_by_label

_AREA_MM2 = (90.0, 900.0)
_CONTENT_HU = (-115.0, 75.0)
"""From epidural fat to dense cord; marrow that shows in CT is above."""
_BODY_HU = 90.0
_BRIDGE_MM = 25.0
"""Arches that are open over no more than about a disc and half a body are bridged."""
_SHORTEST_MM = 25.0
_OFF_MIDDLE_MM = 55.0
"""How far a scoliotic or turned spine may lie from the middle of the trunk; hips lie farther out."""
_CUT_SHARE = 0.15
_BODY_SHARE = 0.4
"""Bodies take three quarters of the spine's length; discs and weak bone take from that."""
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
    dark = percentile_by_label(ct.array_kji, labels.astype(np.int32), count, 30.0)[1:]
    centers = np.array(ndimage.center_of_mass(core, labels, index))
    middle_r = _middle_r_mm(ct, body_kji)
    r_of = ct.geometry.ijk_to_ras[0, 3] + centers[:, 2] * spacing
    central = np.ones(count, bool) if middle_r is None else np.abs(r_of - middle_r) < _OFF_MIDDLE_MM
    good = central & (area > _AREA_MM2[0]) & (area < _AREA_MM2[1]) & (dark > _CONTENT_HU[0]) & (dark < _CONTENT_HU[1])
    if good.sum() < 3:
        return None
    good_index = index[good]
    ra = ct.geometry.ijk_to_ras_mm(centers[good][:, ::-1])[:, :2]
    k = np.rint(centers[good][:, 0]).astype(int)
    body = np.array(
        [_body_in_front(ct, labels[round(c[0])] == n, c) for n, c in zip(good_index, centers[good], strict=True)]
    )
    keep = _longest_chain(k, ra, body, spacing)
    if keep.sum() < 3 or body[keep].mean() < _BODY_SHARE:
        return None
    slices = np.unique(k[keep])
    if (slices[-1] - slices[0]) * spacing < _SHORTEST_MM:
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


def _middle_r_mm(ct: WorkingCt, body_kji: Mask) -> float | None:
    """R of the body's middle, or None where the field of view cuts off a side and the middle is not known."""
    columns = np.flatnonzero(ct.measured_kji.any(axis=(0, 1)))
    largest = body_kji.sum(axis=(0, 1)).max()
    for edge in (columns[0], columns[-1]):
        if body_kji[:, :, edge].sum() > _CUT_SHARE * largest:
            return None
    used = np.flatnonzero(body_kji.any(axis=(0, 1)))
    return float(ct.geometry.ijk_to_ras[0, 3] + 0.5 * (used[0] + used[-1]) * ct.geometry.spacing_mm[0])


def _body_in_front(ct: WorkingCt, hole: npt.NDArray[np.bool_], center_kji: npt.NDArray[np.float64]) -> bool:
    """Whether a vertebral body lies in front of a hole (j, i): marrow rings of hip or rib have no 20 mm of bone there."""
    spacing = ct.geometry.spacing_mm[0]
    front = int(np.flatnonzero(hole.any(axis=1))[-1]) if hole.any() else round(center_kji[1])
    i, half = round(center_kji[2]), round(8.0 / spacing)
    start, end = front + round(2.0 / spacing), front + round(22.0 / spacing)
    patch = ct.array_kji[round(center_kji[0]), start:end, max(0, i - half) : i + half + 1]
    return bool(patch.size and patch.mean() > _BODY_HU)


def _longest_chain(
    k: npt.NDArray[np.int64], ra: npt.NDArray[np.float64], body: npt.NDArray[np.bool_], spacing: float
) -> npt.NDArray[np.bool_]:
    """The holes that follow one another up the spine with no jump, counting those with a vertebral body in front."""
    order = np.argsort(k, kind="stable")
    score = np.where(body, 1.0, 0.0)[order]
    previous = np.full(len(order), -1)
    slices, places = k[order], ra[order]
    for n in range(len(order)):
        gap = (slices[n] - slices[:n]) * spacing
        step = np.linalg.norm(places[:n] - places[n], axis=1)
        linked = (gap > 0) & (gap <= _BRIDGE_MM) & (step <= 2.0 + 0.7 * gap)
        if linked.any():
            best = int(np.flatnonzero(linked)[np.argmax(score[:n][linked])])
            score[n] += score[best]
            previous[n] = best
    keep = np.zeros(len(order), bool)
    n = int(np.argmax(score)) if score.max() >= 3.0 else -1
    while n >= 0:
        keep[order[n]] = True
        n = int(previous[n])
    return keep
