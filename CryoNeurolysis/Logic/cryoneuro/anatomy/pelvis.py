"""Landmarks of the bony pelvis on one side: ischial spine, ischium, iliac spine, obturator canal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..model import Anatomy, AnatomyError
from .axes import axis_mm
from .landmarks import canal_centers_ra_mm, union_of
from .morphology import Mask, components

_LATERAL_MM = (22.0, 165.0)
_HIP_FROM_MM = 48.0
"""Beyond this from the middle there is hip, thigh or rib, and no sacrum."""
_POSTERIOR_MM = (30.0, 90.0)
_LEAST_AREA_MM2 = 45.0
_NOTCH_RISE_MM = 12.0
_NOTCH_MM = 45.0
"""Between the sacroiliac joint and the ischium the hip's rear border lies so much farther in front for this long at most."""
_SPINE_BELOW_MM = (10.0, 52.0)
"""The ischial spine below the greater sciatic notch."""
_TIE_MM = 2.5
_REAR_MM = 20.0
_EDGE_MM = 6.0
_NO_HIP_MM3 = 40_000.0
_HIP_THICK_MM = 9.0
_MIDDLE_FROM_EDGE_MM = 20.0
_CHEST = ("rib", "vertebra", "scapula", "clavicula", "humerus", "sternum", "costal_cartilage", "skull")


@dataclass(frozen=True, eq=False)
class Hip:
    """The bones beside the middle on one side.

    Attributes:
        mask_kji: hip bone, thigh bone included where nothing tells them apart.
        sign: -1 left, 1 right.
        middle_r_mm: R of the body's middle.
        s_mm: S of every slice (K,).
        rear_a_mm: A of the rear border of the hip bone in each slice (K,), NaN without one.
        outer_mm: distance from the middle of the bone's outer side near that border (K,).
        inner_mm: distance from the middle of the innermost point near that border (K,), and its A, inner_a_mm (K,).
    """

    mask_kji: Mask
    sign: float
    middle_r_mm: float
    s_mm: npt.NDArray[np.float64]
    rear_a_mm: npt.NDArray[np.float64]
    outer_mm: npt.NDArray[np.float64]
    inner_mm: npt.NDArray[np.float64]
    inner_a_mm: npt.NDArray[np.float64]

    def r_mm(self, lateral_mm: float) -> float:
        """R of a distance from the middle toward this side."""
        return self.middle_r_mm + self.sign * lateral_mm


def find_hip(anatomy: Anatomy, side: str) -> Hip:
    """The hip bone of a side, from a label or from the bone beside the middle.

    Raises:
        AnatomyError: no middle is known, or no hip bone is in view on that side.
    """
    sign = -1.0 if side == "left" else 1.0
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    middle = middle_r_mm(anatomy)
    r, a, s = (axis_mm(geometry, n) for n in range(3))
    lateral = sign * (r - middle)
    named = [m.mask_kji for m in anatomy.structures if m.name == f"hip_{side}"]
    if named:
        mask = named[0]
    else:
        bone = union_of(anatomy, "bone")
        if bone is None:
            raise AnatomyError("No bone is seen in this CT; give the nerve course as points.")
        mask = _beside(_not_chest(anatomy, bone), lateral, spacing)
    box = ndimage.find_objects(mask.astype(np.uint8))
    thick = float(ndimage.distance_transform_edt(np.pad(mask[box[0]], 1)).max()) * spacing if box else 0.0
    # Ribs joined by their cartilage are large as well, but nowhere as thick as a hip joint.
    if mask.sum() * spacing**3 < _NO_HIP_MM3 or thick < _HIP_THICK_MM:
        raise AnatomyError(f"No hip bone is in view on the {side}; give the nerve course as points.")
    rear, outer, inner, inner_a = (np.full(len(s), np.nan) for _ in range(4))
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        parts, count = ndimage.label(mask[k])
        j, i = np.nonzero(parts)
        which = parts[j, i]
        size = np.bincount(which, minlength=count + 1) * spacing**2
        mean = np.bincount(which, lateral[i], minlength=count + 1) / np.maximum(
            1, np.bincount(which, minlength=count + 1)
        )
        hip = (size >= _LEAST_AREA_MM2) & (mean > 0.8 * _HIP_FROM_MM)
        near = hip[which] & (lateral[i] > _POSTERIOR_MM[0]) & (lateral[i] < _POSTERIOR_MM[1])
        if near.any():
            rear[k] = a[j[near]].min()
            border = near & (a[j] < rear[k] + _REAR_MM)
            best = np.flatnonzero(border)[np.argmin(lateral[i[border]])]
            outer[k] = lateral[i[border]].max()
            inner[k], inner_a[k] = lateral[i[best]], a[j[best]]
    return Hip(mask, sign, middle, s, rear, outer, inner, inner_a)


def _not_chest(anatomy: Anatomy, bone: Mask) -> Mask:
    """Bone below the lungs that nobody has named rib, vertebra or shoulder."""
    result = bone.copy()
    for structure in anatomy.structures:
        if structure.name.startswith(_CHEST):
            result &= ~structure.mask_kji
        elif structure.group == "lung" and structure.mask_kji.any():
            result[np.flatnonzero(structure.mask_kji.any(axis=(1, 2)))[0] :] = False
    return result


def middle_r_mm(anatomy: Anatomy) -> float:
    """R of the body's middle in the pelvis: the lowest part of the spinal canal, else a labeled sacrum.

    Raises:
        AnatomyError: neither is known.
    """
    for structure in anatomy.structures:
        if structure.name != "sacrum" or not structure.mask_kji.any():
            continue
        if not structure.mask_kji[:, :, [0, 1, -2, -1]].any():
            i = np.nonzero(structure.mask_kji)[2].mean()
            return float(anatomy.geometry.ijk_to_ras_mm([[i, 0, 0]])[0, 0])
    centers = canal_centers_ra_mm(anatomy)
    known = np.flatnonzero(~np.isnan(centers[:, 0]))
    low = known[: max(1, round(40.0 / anatomy.geometry.spacing_mm[0]))]
    middle = float(np.median(centers[low, 0]))
    corners = anatomy.geometry.corners_ras_mm[:, 0]
    if min(middle - corners.min(), corners.max() - middle) < _MIDDLE_FROM_EDGE_MM:
        raise AnatomyError("The picture cuts the spine, so the middle is not known; give the nerve course as points.")
    return middle


def _beside(bone: Mask, lateral: npt.NDArray[np.float64], spacing: float) -> Mask:
    """Hip and thigh of one side: the largest bone beyond the sacrum, and what is joined to it nearer the middle."""
    outer = bone & (lateral > _HIP_FROM_MM) & (lateral < _LATERAL_MM[1])
    labels, sizes = components(outer)
    if not len(sizes):
        return np.zeros_like(bone)
    main = labels == 1
    near = bone & (lateral > _LATERAL_MM[0]) & (lateral < _LATERAL_MM[1])
    # Slice by slice, or the sacroiliac joint would bring the sacrum with it.
    result = np.zeros_like(bone)
    for k in np.flatnonzero(main.any(axis=(1, 2))):
        parts, _ = ndimage.label(near[k])
        own = np.unique(parts[main[k]])
        result[k] = np.isin(parts, own[own > 0])
    return result


def ischial_spine(anatomy: Anatomy, hip: Hip) -> npt.NDArray[np.float64]:
    """RAS of the tip of the ischial spine.

    Below the greater sciatic notch, where the hip's rear border lies farthest in front, the spine is the point that reaches
    farthest to the middle and to the back.

    Raises:
        AnatomyError: the notch or what lies below it is not in view.
    """
    notch = _notch(hip)
    if notch is None:
        raise AnatomyError("The greater sciatic notch is not in view; give the nerve course as points.")
    below = hip.s_mm[notch] - hip.s_mm
    window = (below >= _SPINE_BELOW_MM[0]) & (below <= _SPINE_BELOW_MM[1]) & np.isfinite(hip.inner_mm)
    if hip.s_mm[notch] - _SPINE_BELOW_MM[1] < hip.s_mm[0] + _EDGE_MM or window.sum() < 10:
        raise AnatomyError("The ischial spine is not in view below the sciatic notch; give the nerve course as points.")
    reach = np.where(window, -hip.inner_mm - 0.7 * hip.inner_a_mm, -np.inf)
    smooth = np.where(window, ndimage.uniform_filter1d(np.where(window, reach, reach[window].min()), 3), -np.inf)
    # A blunt spine reaches as far over several slices; its middle does not hang on one voxel.
    tied = np.flatnonzero(smooth >= smooth.max() - _TIE_MM)
    k = int(tied[len(tied) // 2])
    return np.array([hip.r_mm(float(hip.inner_mm[k])), float(hip.inner_a_mm[k]), float(hip.s_mm[k])])


def _notch(hip: Hip) -> int | None:
    """Lowest slice of the greater sciatic notch: bone behind it above (the sacroiliac joint) and below (the ischium)."""
    rear = ndimage.median_filter(np.where(np.isfinite(hip.rear_a_mm), hip.rear_a_mm, np.nan), 5, mode="nearest")
    known = np.flatnonzero(np.isfinite(rear))
    best: tuple[float, int] | None = None
    step = float(hip.s_mm[1] - hip.s_mm[0])
    reach = round(_NOTCH_MM / step)
    for k in known:
        above, under = rear[k + 1 : k + 2 * reach], rear[max(0, k - reach) : k]
        if not np.isfinite(above).any() or not np.isfinite(under).any():
            continue
        rise = min(rear[k] - np.nanmin(above), 2.0 * (rear[k] - np.nanmin(under)))
        if rise >= _NOTCH_RISE_MM and (best is None or rear[k] > best[0] + 1e-6):
            best = (float(rear[k]), int(k))
    if best is None:
        return None
    level = [k for k in known if k <= best[1] and rear[k] >= best[0] - 2.0 and best[1] - k <= reach]
    return int(min(level))


def iliac_spine(anatomy: Anatomy, hip: Hip) -> npt.NDArray[np.float64]:
    """RAS of the anterior superior iliac spine: the foremost point of the iliac wing's outer part above the hip joint.

    Raises:
        AnatomyError: the wing's front is not in view.
    """
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    notch = _notch(hip)
    if notch is None:
        raise AnatomyError(
            "The greater sciatic notch is not in view, so the iliac wing cannot be told from the thigh bone."
        )
    k, j, i = np.nonzero(hip.mask_kji)
    lateral = hip.sign * (geometry.ijk_to_ras[0, 3] + i * spacing - hip.middle_r_mm)
    a = geometry.ijk_to_ras[1, 3] + j * spacing
    wing = hip.s_mm[k] > hip.s_mm[notch] + 15.0
    if not wing.any():
        raise AnatomyError("The iliac wing is not in view; give the nerve course as points.")
    outer = wing & (lateral > 0.75 * lateral[wing].max())
    if not outer.any():
        raise AnatomyError("The iliac wing is not in view; give the nerve course as points.")
    # Foremost and lowest: the crest above is as far in front over some length.
    best = np.flatnonzero(outer)[np.argmax(a[outer] - 0.15 * hip.s_mm[k[outer]])]
    point = np.array([hip.r_mm(float(lateral[best])), float(a[best]), float(hip.s_mm[k[best]])])
    if hip.mask_kji[hip.s_mm > hip.s_mm[notch], :, :][:, :, [0, 1, -2, -1]].any():
        raise AnatomyError("The picture cuts the iliac wing's side; give the nerve course as points.")
    front = float(geometry.ijk_to_ras[1, 3] + geometry.shape_kji[1] * spacing)
    edge = anatomy.body_kji[k[best], :, i[best]]
    if front - point[1] < 2.0 * _EDGE_MM or edge[-3:].any():
        raise AnatomyError(
            "The front of the iliac wing reaches the edge of the picture; give the nerve course as points."
        )
    return point


def obturator_canal(anatomy: Anatomy, hip: Hip) -> npt.NDArray[np.float64]:
    """RAS of the obturator canal: in the highest slices in which pubis and ischium are apart, near the pubis.

    Raises:
        AnatomyError: the two are not seen apart.
    """
    spine = ischial_spine(anatomy, hip)
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    bone = union_of(anatomy, "bone")
    assert bone is not None
    r, a = (axis_mm(geometry, n) for n in (0, 1))
    lateral = hip.sign * (r - hip.middle_r_mm)
    start = int(np.argmin(np.abs(hip.s_mm - spine[2])))
    found: list[npt.NDArray[np.float64]] = []
    for k in range(start, max(0, start - round(60.0 / spacing)), -1):
        gap = _pubis_and_ischium(bone[k], lateral, a, spacing)
        if gap is None:
            found = []
            continue
        pubis, ischium = gap
        found.append(np.array([*(pubis + 0.3 * (ischium - pubis)), hip.s_mm[k]]))
        if len(found) * spacing >= 6.0:
            top = np.mean(found, axis=0)
            return np.array([hip.r_mm(float(top[0])), top[1], found[0][2] - 3.0])
    raise AnatomyError("The obturator foramen is not in view on this side; give the nerve course as points.")


def _pubis_and_ischium(
    bone_ji: npt.NDArray[np.bool_], lateral: npt.NDArray[np.float64], a: npt.NDArray[np.float64], spacing: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Nearest points (lateral, A) of pubis and ischium in a slice; None where they are one, or one is missing."""
    part = bone_ji & (lateral > 2.0) & (lateral < 90.0)
    labels, count = ndimage.label(part)
    rows = []
    for number in range(1, count + 1):
        j, i = np.nonzero(labels == number)
        if len(i) * spacing**2 >= _LEAST_AREA_MM2:
            rows.append((float(lateral[i].mean()), float(a[j].mean()), np.column_stack([lateral[i], a[j]])))
    if len(rows) < 2:
        return None
    pubis = max(rows, key=lambda row: row[1] - row[0])
    ischium = min((row for row in rows if row is not pubis), key=lambda row: row[1] + abs(row[0] - 55.0))
    if pubis[1] - ischium[1] < 15.0 or pubis[0] > 60.0 or not 35.0 < ischium[0] < 85.0:
        return None
    far = np.linalg.norm(pubis[2][:, None] - ischium[2][None], axis=2)
    p, q = np.unravel_index(int(np.argmin(far)), far.shape)
    return pubis[2][p], ischium[2][q]
