"""The aorta within the vessels with contrast: descending part, arch and ascending part."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..model import AnatomyError, Structure, StructureRole, VolumeGeometry
from .axes import axis_mm
from .chain import best_chain
from .landmarks import (
    TubeCourse,
    aorta_course,
    disc_element,
    round_part,
    scratch_anatomy,
    union_of,
    without_blood,
    without_flaps,
)
from .morphology import Mask

_RADIUS_MM = (9.0, 32.0)
_AHEAD_MM = (30.0, 110.0)
_ASIDE_MM = (-15.0, 55.0)
"""Middle of the ascending aorta from that of the descending one; toward the patient's right is positive."""
_OPEN_SHARE = 0.25
"""So much of the ring around the ascending aorta is not blood; of a ring within the heart it is less."""
_USUAL_RADIUS_MM = 15.0
_WIDER = 1.25
_CORE = 0.6
_BRIDGE_MM = 6.0
_SLOPE = 1.0
_LEAST_MM = 20.0
_ARCH_MM = 60.0
_GROWTH = 1.6
_FREE_MM = 2.0
_CHANGE = 0.15
_DIVISION_MM = 15.0
_DIVISION_SLOPE = 0.55
_DIVISION_OFF_MM = 7.0


def with_aorta(geometry: VolumeGeometry, found: list[Structure]) -> list[Structure]:
    """The structures with the aorta named within the contrast vessels, where it can be followed in front of the spine."""
    if any(s.group == "aorta" for s in found):
        return found
    vessels = [s for s in found if s.name in ("vessel_contrast", "vessel_branches")]
    if not vessels:
        return found
    scratch = scratch_anatomy(geometry, found)
    try:
        course = aorta_course(scratch)
    except AnatomyError:
        return found
    course = _above_division(course, geometry.spacing_mm[2], union_of(scratch, "lung"))
    blood: Mask = np.logical_or.reduce([s.mask_kji for s in vessels])
    aorta = along_tube(geometry, blood, course)
    aorta |= _ascending(geometry, blood & ~aorta, course)
    for structure in found:
        if structure.group in ("bone", "spinal_canal"):
            aorta &= ~structure.mask_kji
    named = Structure(
        "aorta",
        "aorta",
        StructureRole.AVOID,
        aorta,
        "computed",
        "The contrast vessel in front of the spine, followed from slice to slice; arch and ascending part where they are round",
        "medium",
        diameter_mm=float(2.0 * np.median(course.radius_mm)),
    )
    return [*without_blood(found, [s for s in found if s.group == "vessel"], aorta), named]


def _above_division(course: TubeCourse, spacing_mm: float, lung: Mask | None) -> TubeCourse:
    """The course without the iliac artery that it may have run on into: the aorta goes down, that one goes aside."""
    r = course.center_ra_mm[:, 0]
    lungs = -1 if lung is None or not lung.any() else int(np.flatnonzero(lung.any(axis=(1, 2)))[0])
    for n in range(len(course.k) - 1, 0, -1):
        if lungs >= 0 and course.k[n] >= lungs:
            # The aorta divides far below the lungs.
            continue
        lower = np.flatnonzero((course.k[n] - course.k[:n]) * spacing_mm >= _DIVISION_MM)
        if not len(lower):
            break
        m = int(lower[-1])
        drop = (course.k[n] - course.k[m]) * spacing_mm
        if abs(r[n] - r[m]) > _DIVISION_SLOPE * drop and np.all(np.abs(r[: m + 1] - r[n]) > _DIVISION_OFF_MM):
            keep = slice(n, None)
            return TubeCourse(course.k[keep], course.center_ra_mm[keep], course.radius_mm[keep])
    return course


def along_tube(geometry: VolumeGeometry, blood: Mask, course: TubeCourse) -> Mask:
    """The part of a vessel mask that a course runs through; where the vessel touches another one, a disc cuts it out."""
    spacing = geometry.spacing_mm[0]
    aorta = np.zeros(geometry.shape_kji, bool)
    for k, center in zip(course.k, course.center_ra_mm, strict=True):
        parts, _ = ndimage.label(round_part(blood[k], spacing))
        i, j, _ = geometry.ras_to_ijk([*center, 0.0])[0]
        # The center of a crescent lies outside of it: the part nearest to it.
        where = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
        own = parts == parts[tuple(where[:, round(j), round(i)])]
        aorta[k] = ndimage.binary_dilation(own) & without_flaps(blood[k], spacing)
    # Where a slice of the course is missing the vessel touches another one: a disc as wide as above and below cuts it out.
    for k in np.setdiff1d(np.arange(course.k[0], course.k[-1]), course.k):
        center = [np.interp(k, course.k, course.center_ra_mm[:, n]) for n in (0, 1)]
        reach = float(np.interp(k, course.k, course.radius_mm)) + spacing
        aorta[k] = without_flaps(blood[k], spacing) & _disc(geometry, center, reach)
    return aorta


def _ascending(geometry: VolumeGeometry, blood: Mask, course: TubeCourse) -> Mask:
    """The round vessel in front of the descending aorta, up to where the arch joins both; empty where none is seen."""
    spacing = geometry.spacing_mm[0]
    slices, centers, radii, worth = [], [], [], []
    for k, middle in zip(course.k, course.center_ra_mm, strict=True):
        for place, thick, free in _round_places(geometry, blood[k], middle):
            slices.append(k)
            centers.append(place)
            radii.append(thick)
            worth.append(free * min(1.0, thick / _USUAL_RADIUS_MM))
    result = np.zeros(geometry.shape_kji, bool)
    if not slices:
        return result
    k, at, radius = np.array(slices, dtype=np.int64), np.array(centers), np.array(radii)
    chain = best_chain(k, at, np.array(worth), spacing, _BRIDGE_MM, _SLOPE)
    if len(chain) * spacing < _LEAST_MM:
        return result
    track: dict[int, tuple[npt.NDArray[np.float64], float]] = {int(k[n]): (at[n], float(radius[n])) for n in chain}
    usual = float(np.median(radius[chain]))
    for direction in (-1, 1):
        _follow(geometry, blood, track, direction, usual)
    known = np.array(sorted(track))
    places = np.array([track[n][0] for n in known])
    wide = np.array([track[n][1] for n in known])
    high = int(known[-1])
    for n in range(int(known[0]), high + 1):
        middle_ra = [np.interp(n, known, places[:, axis]) for axis in (0, 1)]
        r = float(np.interp(n, known, wide))
        part = blood[n] & _disc(geometry, middle_ra, _WIDER * r + spacing)
        core = ndimage.binary_opening(part, disc_element(_CORE * r / spacing))
        result[n] = ndimage.binary_dilation(core) & part
    # Toward the arch the section grows long: what goes on from slice to slice belongs to it until only branches go on.
    top = min(int(course.k[-1]), high + round(_ARCH_MM / spacing), len(blood) - 1)
    for n in range(high + 1, top + 1):
        parts, _ = ndimage.label(ndimage.binary_opening(blood[n], disc_element(_CORE * usual / spacing)))
        on = np.setdiff1d(np.unique(parts[result[n - 1]]), 0)
        near = ndimage.binary_dilation(result[n - 1], iterations=round(_BRIDGE_MM / spacing))
        more = np.isin(parts, on) & near
        if not more.any() or more.sum() > _GROWTH * result[n - 1].sum():
            break
        result[n] = more
    return result


def _follow(
    geometry: VolumeGeometry,
    blood: Mask,
    track: dict[int, tuple[npt.NDArray[np.float64], float]],
    direction: int,
    usual_mm: float,
) -> None:
    """Go on from an end of the track, downward (-1) or upward, as long as a place as thick lies where the last one lay."""
    spacing = geometry.spacing_mm[0]
    r, a = axis_mm(geometry, 0), axis_mm(geometry, 1)
    n = (min if direction < 0 else max)(track)
    center, radius = track[n]
    while 0 <= n + direction < len(blood):
        n += direction
        depth = ndimage.distance_transform_edt(blood[n]) * spacing
        near = np.where(_disc(geometry, center, _SLOPE * spacing + _FREE_MM), depth, 0.0)
        j, i = np.unravel_index(int(np.argmax(near)), near.shape)
        thick = float(near[j, i])
        if not (1.0 - _CHANGE) * radius <= thick <= (1.0 + _CHANGE) * radius:
            return
        if not (1.0 - 2.0 * _CHANGE) * usual_mm <= thick <= (1.0 + 2.0 * _CHANGE) * usual_mm:
            return
        center, radius = np.array([r[i], a[j]]), thick
        track[n] = (center, radius)


def _round_places(
    geometry: VolumeGeometry, blood_ji: npt.NDArray[np.bool_], middle_ra_mm: npt.NDArray[np.float64]
) -> list[tuple[npt.NDArray[np.float64], float, float]]:
    """Center (R, A), radius and free share of the ring, of every thick round place in front of the descending aorta."""
    spacing = geometry.spacing_mm[0]
    depth = ndimage.distance_transform_edt(blood_ji) * spacing
    r, a = axis_mm(geometry, 0), axis_mm(geometry, 1)
    ahead, aside = a - middle_ra_mm[1], r - middle_ra_mm[0]
    inside = ((ahead >= _AHEAD_MM[0]) & (ahead <= _AHEAD_MM[1]))[:, None] & (
        (aside >= _ASIDE_MM[0]) & (aside <= _ASIDE_MM[1])
    )[None, :]
    peak = inside & (depth >= _RADIUS_MM[0]) & (depth <= _RADIUS_MM[1]) & (depth >= ndimage.maximum_filter(depth, 9))
    found = []
    for j, i in np.argwhere(peak):
        radius = float(depth[j, i])
        away = np.hypot(r[None, :] - r[i], a[:, None] - a[j])
        # The wall between two vessels is one dark voxel wide.
        ring = (away > radius - 0.5 * spacing) & (away <= radius + 1.5 * spacing)
        free = float((ring & ~blood_ji).sum() / max(1, ring.sum()))
        if free >= _OPEN_SHARE:
            found.append((np.array([r[i], a[j]]), radius, free))
    return found


def _disc(geometry: VolumeGeometry, center_ra_mm: npt.ArrayLike, radius_mm: float) -> npt.NDArray[np.bool_]:
    center = np.asarray(center_ra_mm)
    r, a = axis_mm(geometry, 0), axis_mm(geometry, 1)
    result: npt.NDArray[np.bool_] = (r[None, :] - center[0]) ** 2 + (a[:, None] - center[1]) ** 2 < radius_mm**2
    return result
