"""The spinal canal: a soft tube with bone all round, the vertebral bodies in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..imaging import WorkingCt
from .chain import best_chain
from .morphology import Mask, bounding_box, opened

_DEPTH_MM = (3.0, 13.0)
"""Half the canal's smaller width, from a narrow one to a wide one; a vertebral body is deeper."""
_CONTENT_HU = (-115.0, 75.0)
"""From epidural fat, which is all that the sacral canal shows, to dense cord; marrow that shows in CT is above."""
_FAT_HU = 0.0
"""Liquor and cord are above, marrow that is half fat below."""
_NOT_FAT_SHARE = 0.5
_CONTENT_SPREAD_HU = 45.0
"""What is so much brighter than the usual content is partly wall, where streaks brighten the whole canal."""
_RAY_MM = 24.0
_AZIMUTHS = 24
_TILTS_DEG = (-40.0, -20.0, 0.0, 20.0, 40.0)
"""Where no arch lies beside a place, one lies a little above or below it."""
_ENCLOSED = 0.85
_WALL_HU = 130.0
_BODY_OVER_HU = 40.0
_BODY_HU = 60.0
_BODY_MM = (4.0, 18.0)
_MIRROR_HU = (-100, 300)
_MIRROR_MM = 30.0
_MIRROR_BEHIND_MM = 39.0
_MIRROR_AHEAD_MM = 24.0
"""Farther in front lie aorta and heart, which are on one side."""
_MIRROR_LEAST = 5
_LIKENESS = (0.4, 0.9)
_BEHIND_MM = (9.0, 35.0)
_ASIDE_MM = 8.0
_SLOPE = 1.0
_SACRAL_LEAN = 0.3
"""Added where the canal runs backward on its way down, as in the sacrum, and taken where it runs forward."""
_BRIDGE_MM = 25.0
"""Arches that are open over no more than about a disc and half a body are bridged."""
_SHORTEST_MM = 25.0
_OFF_MIDDLE_MM = 55.0
"""How far a scoliotic or turned spine may lie from the middle of the trunk; hips lie farther out."""
_CUT_SHARE = 0.15
_OPEN = 0.93
_OPEN_SHARE = 0.08
_FORAMINA_SHARE = 0.05
"""Of the slices, to either side; they are a quarter of the spine."""
_BROAD_MM = 6.0
_BROAD_SHARE = 0.6
_BODY_SHARE = 0.4
"""Bodies take three quarters of the spine's length; discs and weak bone take from that."""
_RADIUS_MM = 8.0
"""Where no bone says more the canal is drawn as a disc of about the usual thoracolumbar half width."""
_WIDEST_MM = 16.0
_DEEPEST_MM = 12.0
"""Half the canal from front to back, where it is cut obliquely; weak bodies show no wall in front of it."""
_OVER_USUAL = 1.2
"""Toward the foramina the canal ends where it ends above and below, a fifth more at most."""
_END_MM = 4.5


@dataclass(frozen=True, eq=False)
class Canal:
    """Mask, and for each slice k the center (R, A) in mm; NaN where the canal is not in view."""

    mask_kji: Mask
    center_ra_mm: npt.NDArray[np.float64]


def find_canal(ct: WorkingCt, bone_kji: Mask, body_kji: Mask) -> Canal | None:
    """Track the canal through the slices; None when too little of it is enclosed by bone to trust it.

    Places deep between bones are judged by rays that are sent to all sides and a little up and down; the best chain of
    enclosed places with a vertebral body in front is the canal's middle. Its wall is where level rays meet bone, and where
    they meet none, as far as above and below.

    Args:
        bone_kji: bone by its brightness, not filled.
    """
    spacing = ct.geometry.spacing_mm[0]
    # Specks of noise in weak bone would block the rays.
    smooth = ndimage.gaussian_filter(ct.array_kji.astype(np.float32), 1.0)
    bone_kji = bone_kji & (smooth > _WALL_HU)
    places = _places(smooth, ct, bone_kji, body_kji)
    if len(places) < 3:
        return None
    places = places[_enclosed(bone_kji, places, spacing) >= _ENCLOSED]
    if len(places) < 3:
        return None
    averaged = ndimage.uniform_filter(ct.array_kji.astype(np.float32), 3)
    fronted = _fronted(averaged, bone_kji, places, places, spacing)
    likeness = np.clip((_likeness(ct, places) - _LIKENESS[0]) / (_LIKENESS[1] - _LIKENESS[0]), 0.05, 1.0)
    worth = np.where(fronted, likeness**2, 0.0)
    worth = np.where(_has_one_behind(places, fronted, spacing), 0.2 * worth, worth)
    across_mm = spacing * places[:, 1:].astype(np.float64)
    across_mm[:, 0] -= _SACRAL_LEAN * spacing * places[:, 0]
    chain = best_chain(places[:, 0], across_mm, worth, spacing, _BRIDGE_MM, _SLOPE)
    if len(chain) < 3 or fronted[chain].mean() < _BODY_SHARE:
        return None
    # Only in the sacrum does the canal hold mostly fat; the marrow of a long bone does all along.
    if (averaged[tuple(places[chain].T)] > _FAT_HU).mean() < _NOT_FAT_SHARE:
        return None
    if not _is_spine(averaged, bone_kji, places[chain], spacing):
        return None
    slices, first = np.unique(places[chain, 0], return_index=True)
    if (slices[-1] - slices[0]) * spacing < _SHORTEST_MM:
        return None
    known = places[chain][first]
    reach = round(_END_MM / spacing)
    inside = np.arange(max(0, slices[0] - reach), min(len(bone_kji), slices[-1] + reach + 1))
    middle = np.column_stack(
        [
            ndimage.gaussian_filter1d(np.interp(inside, slices, known[:, axis]), 6.0 / spacing, mode="nearest")
            for axis in (1, 2)
        ]
    )
    mask = _walled(ct, _drawn(bone_kji, inside, middle, spacing) & body_kji & ct.measured_kji)
    center = np.full((bone_kji.shape[0], 2), np.nan)
    center[inside] = ct.geometry.ijk_to_ras_mm(np.column_stack([middle[:, ::-1], inside]))[:, :2]
    return Canal(mask, center)


def _places(smooth: npt.NDArray[np.float32], ct: WorkingCt, bone: Mask, body: Mask) -> npt.NDArray[np.int64]:
    """Voxels (N, 3) k, j, i that lie deepest between bones of their slice, at the canal's depth and brightness."""
    spacing = ct.geometry.spacing_mm[0]
    i0, i1 = 0, bone.shape[2]
    middle = _middle_i(ct, body)
    if middle is not None:
        reach = round((_OFF_MIDDLE_MM + _RAY_MM) / spacing)
        i0, i1 = max(0, middle - reach), min(i1, middle + reach)
    part = bone[:, :, i0:i1]
    image = sitk.GetImageFromArray(part.astype(np.uint8))
    # Slices a meter apart make a distance map of each slice by itself.
    image.SetSpacing([spacing, spacing, 1000.0])
    depth = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, False, False, True))
    hu = smooth[:, :, i0:i1]
    good = (depth > _DEPTH_MM[0]) & (depth < _DEPTH_MM[1]) & (hu > _CONTENT_HU[0]) & (hu < _CONTENT_HU[1])
    good &= body[:, :, i0:i1] & (ndimage.maximum_filter(depth, size=(1, 5, 5)) == depth)
    found = np.argwhere(good)
    found[:, 2] += i0
    if middle is not None:
        found = found[np.abs(found[:, 2] - middle) * spacing < _OFF_MIDDLE_MM]
    return found


def _middle_i(ct: WorkingCt, body: Mask) -> int | None:
    """Column of the body's middle, or None where the field of view cuts off a side and the middle is not known."""
    columns = np.flatnonzero(ct.measured_kji.any(axis=(0, 1)))
    across = body.sum(axis=(0, 1))
    if any(across[edge] > _CUT_SHARE * across.max() for edge in (columns[0], columns[-1])):
        return None
    used = np.flatnonzero(across)
    return int(used[0] + used[-1]) // 2


def _is_spine(averaged: npt.NDArray[np.float32], bone: Mask, chain: npt.NDArray[np.int64], spacing: float) -> bool:
    """Whether a chain is open to a side here and there, as foramina and gaps between arches are, with broad bodies in front.

    The marrow of a hip bone is closed in every slice; the joint beside the sacrum has bone on one side of its front only.
    """
    slices = np.arange(chain[0, 0], chain[-1, 0] + 1)
    # Slices that the chain leaps are looked at as well: where arches are open no place is deep between bones.
    whole = np.column_stack([slices, *(np.rint(np.interp(slices, chain[:, 0], chain[:, n])) for n in (1, 2))]).astype(
        int
    )
    level = _reached(bone, whole, 0.0, round(_RAY_MM / spacing))
    aside = np.array([0, 0, round(_BROAD_MM / spacing)])
    ends = (np.zeros(3, int), np.array(bone.shape) - 1)
    both = [_fronted(averaged, bone, np.clip(chain + side * aside, *ends), chain, spacing) for side in (-1, 1)]
    # Level rays to the right are the first, to the left those half a turn on; foramina are on both sides.
    sides = [np.arange(middle - 1, middle + 2) % _AZIMUTHS for middle in (0, _AZIMUTHS // 2)]
    foramina = min(float((~level[:, side].all(axis=1)).mean()) for side in sides)
    opened_here = (level.mean(axis=1) < _OPEN).mean() > _OPEN_SHARE and foramina > _FORAMINA_SHARE
    return bool(opened_here and (both[0] & both[1]).mean() > _BROAD_SHARE)


def _reached(bone: Mask, places: npt.NDArray[np.int64], tilt: float, count: int) -> npt.NDArray[np.bool_]:
    """Whether rays of so many voxels at a tilt (radians) meet bone, (N, azimuths)."""
    n_k, n_j, n_i = bone.shape
    flat = bone.ravel()
    hit = np.zeros((len(places), _AZIMUTHS), bool)
    steps = np.arange(1, count + 1)
    for column, angle in enumerate(2.0 * np.pi * np.arange(_AZIMUTHS) / _AZIMUTHS):
        step = np.array([np.sin(tilt), np.cos(tilt) * np.sin(angle), np.cos(tilt) * np.cos(angle)])
        offsets = np.rint(steps[:, None] * step).astype(np.int64)
        k = np.clip(places[:, :1] + offsets[:, 0], 0, n_k - 1)
        j = np.clip(places[:, 1:2] + offsets[:, 1], 0, n_j - 1)
        i = np.clip(places[:, 2:] + offsets[:, 2], 0, n_i - 1)
        hit[:, column] = flat[(k * n_j + j) * n_i + i].any(axis=1)
    return hit


def _enclosed(bone: Mask, places: npt.NDArray[np.int64], spacing: float) -> npt.NDArray[np.float64]:
    """Share of the directions in which bone is near, level or a little above or below (N,)."""
    steps = round(_RAY_MM / spacing)
    hit = np.logical_or.reduce([_reached(bone, places, tilt, steps) for tilt in np.radians(_TILTS_DEG)])
    share: npt.NDArray[np.float64] = hit.mean(axis=1)
    return share


def _fronted(
    averaged: npt.NDArray[np.float32],
    bone: Mask,
    places: npt.NDArray[np.int64],
    contents: npt.NDArray[np.int64],
    spacing: float,
) -> npt.NDArray[np.bool_]:
    """Whether a vertebral body lies in front of places (N, 3), brighter than what is at `contents` (N, 3), by averaged HU.

    From where bone begins: a body is a block of bright voxels, an arch is a thin bar.
    """
    n_j = bone.shape[1]
    ahead = np.arange(0, round((_RAY_MM + _BODY_MM[1]) / spacing))
    line = bone[places[:, :1], np.clip(places[:, 1:2] + ahead, 0, n_j - 1), places[:, 2:]]
    start = np.argmax(line, axis=1)
    window = start[:, None] + np.arange(round(_BODY_MM[0] / spacing), round(_BODY_MM[1] / spacing))
    body_hu = averaged[places[:, :1], np.clip(places[:, 1:2] + window, 0, n_j - 1), places[:, 2:]]
    needed = np.maximum(averaged[tuple(contents.T)] + _BODY_OVER_HU, _BODY_HU)
    # Three quarters of the depth: the thick cortex of a long bone has muscle in front of it.
    found: npt.NDArray[np.bool_] = line.any(axis=1) & (np.percentile(body_hu, 25.0, axis=1) > needed)
    return found


def _likeness(ct: WorkingCt, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How alike left and right of each place (N,) are in its slice: correlation, 0 where one side is not in view.

    About the canal the spine mirrors itself, with 0.7 to 0.95; about a marrow cavity of the hip there is 0 to 0.6.
    """
    spacing = ct.geometry.spacing_mm[0]
    smooth = ndimage.gaussian_filter(np.clip(ct.array_kji, *_MIRROR_HU).astype(np.float32), 3.0 / spacing)
    out = np.arange(3.0, _MIRROR_MM, 3.0) / spacing
    along = np.arange(-_MIRROR_BEHIND_MM, _MIRROR_AHEAD_MM, 3.0) / spacing
    found = np.zeros(len(places))
    shifts = np.arange(-4.5, 4.6, 1.5) / spacing
    for n, (k, j, i) in enumerate(places):
        rows = np.rint(j + along).astype(int)
        rows = rows[(rows >= 0) & (rows < smooth.shape[1])]
        for shift in shifts:
            right, left = (np.rint(i + shift + side * out).astype(int) for side in (1, -1))
            seen = (right < smooth.shape[2]) & (left >= 0)
            if seen.sum() >= _MIRROR_LEAST:
                pair = [smooth[k][np.ix_(rows, columns[seen])].ravel() for columns in (right, left)]
                found[n] = max(found[n], np.corrcoef(*pair)[0, 1])
    return found


def _has_one_behind(
    places: npt.NDArray[np.int64], fronted: npt.NDArray[np.bool_], spacing: float
) -> npt.NDArray[np.bool_]:
    """Whether another place with a body in front of it lies right behind (N,): then this one is within that body."""
    found = np.zeros(len(places), bool)
    for n, (k, j, i) in enumerate(places):
        others = places[fronted & (places[:, 0] == k)]
        behind = (j - others[:, 1]) * spacing
        aside = np.abs(others[:, 2] - i) * spacing
        found[n] = bool(((behind > _BEHIND_MM[0]) & (behind < _BEHIND_MM[1]) & (aside < _ASIDE_MM)).any())
    return found


def _drawn(bone: Mask, slices: npt.NDArray[np.int64], middle_ji: npt.NDArray[np.float64], spacing: float) -> Mask:
    """The canal's mask from its middle (N, 2) j, i in the given slices: radii to the bone, bridged where there is none."""
    count = 2 * _AZIMUTHS
    angle = 2.0 * np.pi * np.arange(count) / count
    steps = np.arange(0.5 * spacing, _WIDEST_MM, 0.5 * spacing)
    j = middle_ji[:, :1, None] + steps / spacing * np.sin(angle)[None, :, None]
    i = middle_ji[:, 1:, None] + steps / spacing * np.cos(angle)[None, :, None]
    j, i = (np.clip(np.rint(v).astype(int), 0, n - 1) for v, n in ((j, bone.shape[1]), (i, bone.shape[2])))
    hit = bone[slices[:, None, None], j, i]
    met = hit.any(axis=2)
    radius = np.where(met, steps[np.argmax(hit, axis=2)], np.nan)
    # What is usual on a side, from the slices around.
    reach = round(20.0 / spacing)
    padded = np.pad(radius, ((reach, reach), (0, 0)), constant_values=np.nan)
    around = np.stack([padded[n : n + len(radius)] for n in range(0, 2 * reach + 1, max(1, round(3.0 / spacing)))])
    known = np.isfinite(around).sum(axis=0) >= 2
    usual = np.full(radius.shape, _RADIUS_MM)
    usual[known] = np.nanmedian(around[:, known], axis=0)
    radius = np.fmin(radius, _OVER_USUAL * usual)
    radius = np.fmin(radius, _DEEPEST_MM / np.maximum(np.abs(np.sin(angle)), _DEEPEST_MM / _WIDEST_MM))
    mask = np.zeros(bone.shape, bool)
    half = int(np.ceil(_WIDEST_MM / spacing)) + 1
    for n, k in enumerate(slices):
        cj, ci = middle_ji[n]
        box = tuple(
            slice(max(0, round(c) - half), min(m, round(c) + half + 1))
            for c, m in zip((cj, ci), bone.shape[1:], strict=True)
        )
        dj, di = (np.arange(s.start, s.stop) - c for s, c in zip(box, (cj, ci), strict=True))
        far = np.hypot(dj[:, None], di[None, :]) * spacing
        turn = np.arctan2(dj[:, None], di[None, :]) % (2.0 * np.pi)
        limit = np.interp(turn, np.append(angle, 2.0 * np.pi), np.append(radius[n], radius[n, 0]))
        mask[k][box] = far < limit
    return mask & ~bone


def _walled(ct: WorkingCt, mask: Mask) -> Mask:
    """The mask without what is partly bone: weak marrow and the rims of thin walls are less bright than bone."""
    box = bounding_box(mask, 1)
    if box is None:
        return mask
    level = ndimage.median_filter(ct.array_kji[box], 3)
    part = mask[box]
    limit = max(_CONTENT_HU[1], float(np.median(level[part])) + _CONTENT_SPREAD_HU)
    result = np.zeros_like(mask)
    # Veins of the bodies and gaps of the arches hang on the canal by little more than a voxel.
    result[box] = opened(part & (level < limit), 1)
    return result
