"""Nerves of the pelvic wall from the bony pelvis: pudendal, sciatic, obturator, lateral femoral cutaneous."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging import sample
from ..knowledge import NerveRecord, constant, tissue
from ..model import Anatomy, AnatomyError, Nerve
from .clear import out_of_closed
from .pelvis import Hip, find_hip, iliac_spine, ischial_spine, obturator_canal
from .proposal_radius import proposed_nerve

_STEP_MM = 5.0
_SMOOTH_MM = 6.0


def propose_pudendal(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """From the tip of the ischial spine down Alcock's canal, on the inner side of the obturator internus.

    Raises:
        AnatomyError: the ischial spine or the ischium below it is not in view.
    """
    hip = find_hip(anatomy, side)
    spine = ischial_spine(anatomy, hip)
    inward, behind = constant("pudendal_inside_spine_mm"), constant("pudendal_behind_spine_mm")
    length = constant("pudendal_canal_mm")
    at_spine = spine + np.array([-hip.sign * inward, -behind, 0.0])
    rows = [at_spine + np.array([0.0, 0.0, 4.0]), at_spine]
    for depth in np.arange(2.0 * _STEP_MM, length + 0.1, _STEP_MM):
        k = int(np.argmin(np.abs(hip.s_mm - (spine[2] - depth))))
        if np.isfinite(hip.inner_mm[k]):
            rows.append(_inside_obturator(anatomy, hip, k))
    return _nerve(
        anatomy,
        record,
        side,
        np.array(rows),
        f"{inward:g} mm inside the tip of the ischial spine, then {length:g} mm down the inner side of the obturator internus",
    )


def propose_sciatic(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """Behind the ischium at the ischial spine, then lateral of the tuberosity, in the fat in front of the gluteus maximus.

    Raises:
        AnatomyError: the ischial spine or the ischium below it is not in view.
    """
    hip = find_hip(anatomy, side)
    spine = ischial_spine(anatomy, hip)
    lateral, behind = constant("sciatic_lateral_mm"), constant("sciatic_behind_mm")
    beside, length = constant("sciatic_beside_mm"), constant("sciatic_length_mm")
    tip = hip.sign * (spine[0] - hip.middle_r_mm)
    rows = []
    for depth in np.arange(0.0, length + 0.1, _STEP_MM):
        k = int(np.argmin(np.abs(hip.s_mm - (spine[2] - depth))))
        if not np.isfinite(hip.rear_a_mm[k]) or not np.isfinite(hip.outer_mm[k]):
            continue
        # Behind the bone at the spine, beside the bone at the tuberosity.
        low = depth / length
        place = (1.0 - low) * np.array([tip + lateral, _rear_a_mm(anatomy, hip, k, tip + lateral) - behind])
        place += low * np.array([hip.outer_mm[k] + beside, hip.rear_a_mm[k] + 0.5 * beside])
        rows.append(np.array([hip.r_mm(float(place[0])), place[1], hip.s_mm[k]]))
    if len(rows) < 4:
        raise AnatomyError(
            "Too little of the ischium is in view below the ischial spine; give the nerve course as points."
        )
    rough = _even(np.array(rows))
    return _nerve(
        anatomy,
        record,
        side,
        _into_fat(anatomy, rough, np.array([0.0, 1.0, 0.0]), constant("sciatic_search_mm")),
        f"{lateral:g} mm lateral of the ischial spine and about {behind:g} mm behind the bone, then down to {beside:g} mm "
        "lateral of the ischial tuberosity, in the fat nearest to that",
    )


def propose_obturator(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """Through the obturator canal, where pubis and ischium part below the hip joint.

    Raises:
        AnatomyError: the obturator foramen is not in view.
    """
    hip = find_hip(anatomy, side)
    canal = obturator_canal(anatomy, hip)
    half = 0.5 * constant("obturator_length_mm")
    # Forward and down into the thigh; above the canal along the wall of the pelvis.
    along = np.array([0.25 * hip.sign, 0.75, -0.6])
    along /= np.linalg.norm(along)
    rows = np.array([canal - half * along, canal, canal + half * along])
    return _nerve(anatomy, record, side, rows, "through the obturator canal, below the upper branch of the pubis")


def propose_lateral_femoral_cutaneous(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """Inside and below the anterior superior iliac spine, in the fat in front of the sartorius.

    Raises:
        AnatomyError: the iliac spine is not in view.
    """
    hip = find_hip(anatomy, side)
    spine = iliac_spine(anatomy, hip)
    inward = constant("lateral_femoral_cutaneous_inside_mm")
    rows = []
    for depth in np.arange(0.0, constant("lateral_femoral_cutaneous_length_mm") + 0.1, _STEP_MM):
        place = spine + np.array([-hip.sign * inward, 0.0, -depth])
        if anatomy.geometry.contains(place[None])[0]:
            rows.append(_in_front_of_muscle(anatomy, place))
    if len(rows) < 4:
        raise AnatomyError("Too little below the iliac spine is in view; give the nerve course as points.")
    return _nerve(
        anatomy,
        record,
        side,
        np.array(rows),
        f"{inward:g} mm inside the anterior superior iliac spine and down, in the fat in front of the muscle",
    )


def _nerve(anatomy: Anatomy, record: NerveRecord, side: str, points: npt.NDArray[np.float64], rule: str) -> Nerve:
    return proposed_nerve(
        record,
        f"{record.name}, {side}",
        out_of_closed(anatomy, _even(points)),
        rule,
    )


def _inside_obturator(anatomy: Anatomy, hip: Hip, k: int) -> npt.NDArray[np.float64]:
    """Where the muscle on the inner side of the ischium ends, in slice k."""
    thin, thick = constant("obturator_internus_thin_mm"), constant("obturator_internus_thick_mm")
    lateral, a = float(hip.inner_mm[k]), float(hip.inner_a_mm[k]) + constant("pudendal_before_edge_mm")
    steps = np.arange(thin, thick + 0.1, 0.5)
    places = np.column_stack(
        [hip.middle_r_mm + hip.sign * (lateral - steps), np.full(len(steps), a), np.full(len(steps), hip.s_mm[k])]
    )
    labels = sample(anatomy.tissue.labels_kji.astype(np.float32), anatomy.geometry, places, 0, outside=0.0)
    fat = np.flatnonzero(labels == tissue("fat").label)
    place: npt.NDArray[np.float64] = places[fat[0] if len(fat) else len(places) // 2]
    return place


def _rear_a_mm(anatomy: Anatomy, hip: Hip, k: int, lateral_mm: float) -> float:
    """A of the rear of the hip bone near a distance from the middle, in slice k; its rear border where there is none."""
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    middle = round((hip.r_mm(lateral_mm) - geometry.ijk_to_ras[0, 3]) / spacing)
    reach = round(6.0 / spacing)
    rows = np.flatnonzero(hip.mask_kji[k][:, max(0, middle - reach) : middle + reach + 1].any(axis=1))
    return float(geometry.ijk_to_ras[1, 3] + rows[0] * spacing) if len(rows) else float(hip.rear_a_mm[k])


def _into_fat(
    anatomy: Anatomy, points: npt.NDArray[np.float64], axis: npt.NDArray[np.float64], reach_mm: float
) -> npt.NDArray[np.float64]:
    """Each point moved along an axis to where most fat lies round it, all of them smoothly."""
    geometry = anatomy.geometry
    fat = (anatomy.tissue.labels_kji == tissue("fat").label).astype(np.float32)
    shifts = np.arange(-reach_mm, reach_mm + 0.1, 1.0)
    ball = np.array([[x, y, z] for x in (-3, 0, 3) for y in (-3, 0, 3) for z in (-3, 0, 3)], dtype=float)
    places = points[:, None, None] + shifts[None, :, None, None] * axis + ball
    share = (
        sample(fat, geometry, places.reshape(-1, 3), 1, outside=0.0).reshape(len(points), len(shifts), -1).mean(axis=2)
    )
    # Neighbors along the course agree on where the plane is.
    share = ndimage.gaussian_filter1d(share, 2.0, axis=0, mode="nearest") - 0.01 * np.abs(shifts)
    best = shifts[np.argmax(share, axis=1)]
    result: npt.NDArray[np.float64] = points + ndimage.median_filter(best, 5, mode="nearest")[:, None] * axis
    return result


def _in_front_of_muscle(anatomy: Anatomy, place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The place moved forward or back to 2 mm in front of the foremost muscle near it."""
    steps = np.arange(-25.0, 35.1, 0.5)
    places = place + steps[:, None] * np.array([0.0, 1.0, 0.0])
    labels = sample(anatomy.tissue.labels_kji.astype(np.float32), anatomy.geometry, places, 0, outside=0.0)
    solid = np.isin(labels, [tissue(n).label for n in ("muscle", "bone_cancellous", "bone_cortical")])
    # Skin is no muscle, and single voxels between fat and skin are none either.
    solid = ndimage.binary_opening(solid, iterations=4)
    front = np.flatnonzero(solid)
    result: npt.NDArray[np.float64] = places[min(front[-1] + 4, len(places) - 1)] if len(front) else place
    return result


def _even(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The course as a smooth line with a point every 5 mm."""
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    fine = np.arange(0.0, arc[-1] + 1e-6, 1.0)
    line = np.column_stack([np.interp(fine, arc, points[:, n]) for n in range(3)])
    line = np.column_stack([ndimage.gaussian_filter1d(line[:, n], _SMOOTH_MM, mode="nearest") for n in range(3)])
    count = max(3, round(arc[-1] / _STEP_MM) + 1)
    result: npt.NDArray[np.float64] = line[np.rint(np.linspace(0, len(line) - 1, count)).astype(int)]
    return result
