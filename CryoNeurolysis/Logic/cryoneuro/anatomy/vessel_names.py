"""Names for vessels with contrast besides the aorta: cava, portal system, iliac and femoral vessels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..model import Anatomy, AnatomyError, Structure, StructureRole, VolumeGeometry
from .aorta import along_tube
from .axes import axis_mm
from .landmarks import TubeWindow, canal_centers_ra_mm, scratch_anatomy, tube_course, union_of, without_blood
from .morphology import Mask, components, dilate
from .pelvis import find_hip

_CAVA = TubeWindow((0.0, 50.0), (15.0, 85.0), (4.0, 20.0), (20.0, 45.0), 12.0, 1.0, 45.0)
"""From the middle of the spinal canal: in front of the vertebral body and right of the aorta."""
_UPPER_CAVA = TubeWindow((15.0, 50.0), (25.0, 80.0), (4.0, 15.0), (32.0, 55.0), 9.0, 0.7, 25.0)
"""From the middle of the descending aorta: right of the ascending aorta, above the heart."""
_HEART_ML = 80.0
_CUT_MM = 12.0
"""Where the aorta ends nearer to the picture's lower edge than this, nobody knows whether it divides there."""
_JOINED_MM = 15.0
_BESIDE_HEAD_MM = 45.0
_LONG_MM = 30.0
_PORTAL_ML = 3.0
_PORTAL_MM = (2.5, 12.0)
_PORTAL_AHEAD_MM = (35.0, 120.0)
_PORTAL_ASIDE_MM = 45.0
"""Farther aside lies kidney or spleen."""
_TOUCH_MM = 1.5


def with_vessel_names(geometry: VolumeGeometry, found: list[Structure]) -> list[Structure]:
    """The structures with what can be named of their contrast vessels; the rest keeps the name it has.

    Nothing is named by brightness, so arteries and veins of a limb share a name: where both run side by side and only one
    holds contrast, the other one is not seen.
    """
    vessels = [s for s in found if s.origin == "computed" and s.group == "vessel" and s.mask_kji.any()]
    if not vessels:
        return found
    scratch = scratch_anatomy(geometry, found)
    try:
        canal = canal_centers_ra_mm(scratch)
    except AnatomyError:
        canal = None
    aorta = union_of(scratch, "aorta")
    rest: Mask = np.logical_or.reduce([s.mask_kji for s in vessels])
    named: list[Structure] = []

    def name(title: str, group: str, mask: Mask, method: str) -> None:
        nonlocal rest
        if mask.any():
            named.append(Structure(title, group, StructureRole.AVOID, mask, "computed", method, "low"))
            rest = rest & ~mask

    groups = {s.group for s in found}
    cava = np.zeros_like(rest)
    if canal is not None and "inferior_vena_cava" not in groups:
        cava = _tube(geometry, rest, canal, _CAVA)
        name("inferior_vena_cava", "inferior_vena_cava", cava, "Contrast right of the aorta along the spine")
    if aorta is not None and not any(s.name == "superior_vena_cava" for s in found):
        upper = _tube(geometry, _above_heart(geometry, rest), _middle_of(geometry, aorta), _UPPER_CAVA)
        name("superior_vena_cava", "vessel", upper, "Contrast right of the ascending aorta")
    below = _below_division(geometry, rest, aorta, cava, union_of(scratch, "lung"))
    for side in ("left", "right"):
        iliac, femoral = _of_limb(scratch, rest, below, canal, side)
        if "iliac_vessels" not in groups:
            name(
                f"iliac_vessels_{side}", "iliac_vessels", iliac, "Contrast that goes on below the division of the aorta"
            )
        if "femoral_vessels" not in groups:
            name(f"femoral_vessels_{side}", "femoral_vessels", femoral, "Contrast in front of and below the hip joint")
    if canal is not None and aorta is not None and "portal_vein" not in groups:
        portal = _portal(geometry, rest, canal, dilate(aorta | cava, round(_TOUCH_MM / geometry.spacing_mm[0])))
        name("portal_system", "portal_vein", portal, "Wide contrast in front of aorta and cava that joins neither")
    return [*without_blood(found, vessels, ~rest), *named]


def _tube(geometry: VolumeGeometry, blood: Mask, middle: npt.NDArray[np.float64], window: TubeWindow) -> Mask:
    course = tube_course(geometry, blood, middle, window)
    return np.zeros_like(blood) if course is None else along_tube(geometry, blood, course) & blood


def _middle_of(geometry: VolumeGeometry, aorta: Mask) -> npt.NDArray[np.float64]:
    """Middle (R, A) of the rearmost part of the aorta in every slice (K, 2), which is the descending one; NaN without any."""
    middle = np.full((aorta.shape[0], 2), np.nan)
    r, a = axis_mm(geometry, 0), axis_mm(geometry, 1)
    for k in np.flatnonzero(aorta.any(axis=(1, 2))):
        parts, count = ndimage.label(aorta[k])
        centers = ndimage.center_of_mass(parts > 0, parts, range(1, count + 1))
        j, i = min(centers)
        middle[k] = np.interp(i, np.arange(len(r)), r), np.interp(j, np.arange(len(a)), a)
    return middle


def _above_heart(geometry: VolumeGeometry, blood: Mask) -> Mask:
    """The blood above the slice in which the heart's blood is largest."""
    area = blood.sum(axis=(1, 2))
    result = blood.copy()
    if area.sum() * geometry.voxel_volume_mm3 > _HEART_ML * 1000.0:
        result[: int(np.argmax(area))] = False
    return result


def _below_division(geometry: VolumeGeometry, blood: Mask, aorta: Mask | None, cava: Mask, lung: Mask | None) -> Mask:
    """What goes on from the lower end of aorta or cava; empty where neither ends within the picture, far below the lungs."""
    result = np.zeros_like(blood)
    spacing = geometry.spacing_mm[0]
    reach = round(_JOINED_MM / spacing)
    for trunk in (aorta, cava):
        if trunk is None or not trunk.any():
            continue
        low = int(np.flatnonzero(trunk.any(axis=(1, 2)))[0])
        if low * spacing < _CUT_MM or (lung is not None and lung[: low + 1].any()):
            continue
        lower = blood.copy()
        lower[low + reach :] = False
        # Branches that leave the trunk above its end do not go on below it.
        end = np.zeros_like(blood)
        end[low : low + 2] = trunk[low : low + 2]
        near = dilate(end, reach) & lower
        labels, _ = components(lower)
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[box] == number if box is not None else np.zeros(0, bool)
            if box is not None and (part & near[box]).any() and (low - box[0].start) * spacing > _JOINED_MM:
                result[box] |= part
    return result


def _of_limb(
    anatomy: Anatomy, blood: Mask, below: Mask, canal: npt.NDArray[np.float64] | None, side: str
) -> tuple[Mask, Mask]:
    """Iliac and femoral vessels of a side: parted at the height of the hip joint's middle."""
    geometry = anatomy.geometry
    none = np.zeros_like(blood)
    r, a, s = (axis_mm(geometry, n) for n in range(3))
    sign = -1.0 if side == "left" else 1.0
    try:
        hip = find_hip(anatomy, side)
    except AnatomyError:
        if canal is None or not below.any():
            return none, none
        middle = float(canal[np.flatnonzero(np.isfinite(canal[:, 0]))[0], 0])
        return below & (sign * (r - middle) > 0), none
    own_side = sign * (r - hip.middle_r_mm) > 0
    own = below & own_side
    # The joint is the thickest place of the bone.
    box = ndimage.find_objects(hip.mask_kji.view(np.uint8))[0]
    depth = ndimage.distance_transform_edt(np.pad(hip.mask_kji[box], 1))[1:-1, 1:-1, 1:-1]
    k, j, i = (int(n) + b.start for n, b in zip(np.unravel_index(int(np.argmax(depth)), depth.shape), box, strict=True))
    # Whatever passes in front of the joint goes from the pelvis to the thigh.
    gate_ji = (a > a[j])[:, None] & (np.abs(r - r[i]) < _BESIDE_HEAD_MM)[None, :]
    labels, _ = components(blood & own_side)
    boxes = ndimage.find_objects(labels)
    for number in np.setdiff1d(np.unique(labels[k][gate_ji]), 0):
        part = boxes[int(number) - 1]
        if (part[0].stop - part[0].start) * geometry.spacing_mm[2] >= _LONG_MM:
            own[part] |= labels[part] == number
    lower = own.copy()
    lower[s >= s[k]] = False
    return own & ~lower, lower


def _portal(geometry: VolumeGeometry, blood: Mask, canal: npt.NDArray[np.float64], trunk: Mask) -> Mask:
    """Wide parts in front of aorta and cava that touch neither."""
    result = np.zeros_like(blood)
    voxel_ml = geometry.voxel_volume_mm3 / 1000.0
    spacing = geometry.spacing_mm[0]
    labels, sizes = components(blood)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or sizes[number - 1] * voxel_ml < _PORTAL_ML:
            continue
        part = labels[box] == number
        if (part & trunk[box]).any():
            continue
        thick = float(ndimage.distance_transform_edt(np.pad(part, 1)).max()) * spacing
        k, j, i = (float(n.mean()) + b.start for n, b in zip(np.nonzero(part), box, strict=True))
        middle = canal[round(k)]
        aside, ahead = geometry.ijk_to_ras_mm([[i, j, k]])[0, :2] - middle
        placed = _PORTAL_AHEAD_MM[0] < ahead < _PORTAL_AHEAD_MM[1] and abs(aside) < _PORTAL_ASIDE_MM
        if placed and _PORTAL_MM[0] <= thick <= _PORTAL_MM[1]:
            result[box] |= part
    return result
