"""Landmarks that several nerve rules start from: the spine's middle and the course of a great vessel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..model import Anatomy, AnatomyError, Structure, TissueMap, VolumeGeometry
from .chain import best_chain
from .morphology import Mask

_OFF_MM = 60.0
"""So far from its usual place a vessel is hardly the one that is looked for."""


ARM_BONES = "arm_bones"


def union_of(anatomy: Anatomy, group: str) -> Mask | None:
    """All structures of a group as one mask, the arms' bones left out; None when there is none."""
    masks = [s.mask_kji for s in anatomy.structures if s.group == group and s.name != ARM_BONES]
    if not masks:
        return None
    result = masks[0].copy()
    for mask in masks[1:]:
        result |= mask
    return result


def canal_centers_ra_mm(anatomy: Anatomy) -> npt.NDArray[np.float64]:
    """Center (R, A) of the spinal canal for every slice k, (K, 2); NaN where it is not in view.

    Where the canal is not known but vertebrae are named, their centers stand for it: they lie a few millimeters in
    front of it.

    Raises:
        AnatomyError: neither is known.
    """
    canal = union_of(anatomy, "spinal_canal")
    if canal is None or not canal.any():
        vertebrae = [s.mask_kji for s in anatomy.structures if s.name.startswith("vertebrae")]
        canal = np.logical_or.reduce(vertebrae) if vertebrae else None
    if canal is None or not canal.any():
        raise AnatomyError(
            "The spine was not found, so left and right of it cannot be told; "
            "give the nerve course as points, or import a label map."
        )
    centers = np.full((canal.shape[0], 2), np.nan)
    for k in np.flatnonzero(canal.any(axis=(1, 2))):
        j, i = np.nonzero(canal[k])
        centers[k] = anatomy.geometry.ijk_to_ras_mm([i.mean(), j.mean(), k])[0, :2]
    known = np.flatnonzero(~np.isnan(centers[:, 0]))
    between = np.arange(known[0], known[-1] + 1)
    for axis in range(2):
        centers[between, axis] = np.interp(between, known, centers[known, axis])
    return centers


@dataclass(frozen=True, eq=False)
class TubeCourse:
    """A vessel that crosses the slices, slice by slice.

    Attributes:
        k: slices (N,), ascending.
        center_ra_mm: (N, 2).
        radius_mm: (N,) of the circle of equal area.
    """

    k: npt.NDArray[np.int64]
    center_ra_mm: npt.NDArray[np.float64]
    radius_mm: npt.NDArray[np.float64]


@dataclass(frozen=True)
class TubeWindow:
    """Where a vessel is looked for, in mm from a middle that is known in every slice; right and front are positive."""

    aside_mm: tuple[float, float]
    ahead_mm: tuple[float, float]
    radius_mm: tuple[float, float]
    usual_mm: tuple[float, float]
    """Most likely place: aside, ahead."""
    bridge_mm: float
    slope: float
    least_mm: float


_AORTA = TubeWindow((-60.0, 35.0), (10.0, 95.0), (5.0, 32.0), (-12.0, 45.0), 45.0, 1.5, 20.0)
"""In front of the vertebral body and a little left is where it lies."""


_AORTA_OFF_SPINE_MM = 12.0
"""Measured 4 to 6 mm in three patients; the left atrium, which the esophagus parts from the spine, lay at 14 to 16."""
_USUAL_RADIUS_MM = 15.0
"""A wide aorta reaches the spine; a narrow one may lie off it where the front of a weak vertebra is not seen."""


def aorta_course(anatomy: Anatomy) -> TubeCourse:
    """The descending aorta from an imported aorta, else from the contrast vessel in front of the spine.

    Raises:
        AnatomyError: neither is known.
    """
    imported = union_of(anatomy, "aorta")
    vessel = imported if imported is not None else union_of(anatomy, "vessel")
    if vessel is None or not vessel.any():
        raise AnatomyError(
            "The aorta is not seen: there is no contrast in it and no label map names it. "
            "Give the nerve course as points, or import a label map with the aorta."
        )
    course = tube_course(anatomy.geometry, vessel, canal_centers_ra_mm(anatomy), _AORTA)
    if course is None:
        raise AnatomyError("The aorta could not be followed in front of the spine; give the nerve course as points.")
    wide = float(np.median(course.radius_mm)) > _USUAL_RADIUS_MM
    gap_mm = _off_spine_mm(anatomy, course) if imported is None and wide else None
    if gap_mm is not None and gap_mm > _AORTA_OFF_SPINE_MM:
        raise AnatomyError(
            f"The contrast that was followed lies {gap_mm:.0f} mm in front of the spine, too far for the aorta; it may be the "
            "heart. Give the nerve course as points, or import a label map with the aorta."
        )
    return course


def _off_spine_mm(anatomy: Anatomy, course: TubeCourse) -> float | None:
    """Usual distance from a vessel's wall to the nearest bone in its slice; None where no bone is seen."""
    bone = union_of(anatomy, "bone")
    if bone is None or not bone.any():
        return None
    spacing = anatomy.geometry.spacing_mm[0]
    gaps = []
    for k, center, radius in zip(course.k, course.center_ra_mm, course.radius_mm, strict=True):
        i, j, _ = anatomy.geometry.ras_to_ijk([*center, 0.0])[0]
        places = np.argwhere(bone[k]) - [j, i]
        if len(places):
            gaps.append(float(np.hypot(*places.T).min()) * spacing - float(radius))
    return float(np.median(gaps)) if gaps else None


def tube_course(
    geometry: VolumeGeometry, vessel_kji: Mask, middle_ra_mm: npt.NDArray[np.float64], window: TubeWindow
) -> TubeCourse | None:
    """The round parts of a vessel mask that follow one another through the slices within a window; None when too short.

    Args:
        middle_ra_mm: what the window is measured from in every slice (K, 2), NaN where it is not known.
    """
    spacing = geometry.spacing_mm[0]
    slices, centers, radii, worth = [], [], [], []
    for k in range(vessel_kji.shape[0]):
        if np.isnan(middle_ra_mm[k, 0]) or not vessel_kji[k].any():
            continue
        parts, count = ndimage.label(round_part(vessel_kji[k], spacing))
        for number in range(1, count + 1):
            j, i = np.nonzero(parts == number)
            center = geometry.ijk_to_ras_mm([i.mean(), j.mean(), k])[0, :2]
            radius = float(np.sqrt(len(i) * spacing**2 / np.pi))
            aside, ahead = center - middle_ra_mm[k]
            within = window.radius_mm[0] < radius < window.radius_mm[1]
            if within and _between(ahead, window.ahead_mm) and _between(aside, window.aside_mm):
                slices.append(k)
                centers.append(center)
                radii.append(radius)
                off = float(np.hypot(aside - window.usual_mm[0], ahead - window.usual_mm[1]))
                worth.append(max(0.1, 1.0 - off / _OFF_MM))
    chain = best_chain(
        np.array(slices, dtype=np.int64),
        np.array(centers, dtype=np.float64).reshape(-1, 2),
        np.array(worth, dtype=np.float64),
        spacing,
        window.bridge_mm,
        window.slope,
    )
    if len(chain) * spacing < window.least_mm:
        return None
    rows = [(slices[n], centers[n], radii[n]) for n in chain]
    return TubeCourse(np.array([r[0] for r in rows]), np.array([r[1] for r in rows]), np.array([r[2] for r in rows]))


def _between(value: float, low_high: tuple[float, float]) -> bool:
    return low_high[0] < value < low_high[1]


def without_flaps(mask: npt.NDArray[np.bool_], spacing_mm: float) -> npt.NDArray[np.bool_]:
    """A slice's (j, i) vessel with the flap of a dissection or a thin plaque closed: gaps of up to 6 mm."""
    steps = max(1, round(3.0 / spacing_mm))
    result: npt.NDArray[np.bool_] = ndimage.binary_closing(np.pad(mask, steps), disc_element(steps))[
        steps:-steps, steps:-steps
    ]
    return result


def round_part(mask: npt.NDArray[np.bool_], spacing_mm: float) -> npt.NDArray[np.bool_]:
    """The slice's vessel without its branches: an opening by a disc of 4 mm."""
    result: npt.NDArray[np.bool_] = ndimage.binary_opening(
        without_flaps(mask, spacing_mm), disc_element(max(1, round(4.0 / spacing_mm)))
    )
    return result


def disc_element(radius: float) -> npt.NDArray[np.bool_]:
    """A disc (2n + 1, 2n + 1) to open or close a slice with; radius in voxels."""
    steps = max(1, int(radius))
    y, x = np.mgrid[-steps : steps + 1, -steps : steps + 1]
    result: npt.NDArray[np.bool_] = x * x + y * y <= radius * radius
    return result


def scratch_anatomy(geometry: VolumeGeometry, structures: list[Structure]) -> Anatomy:
    """An anatomy to look for landmarks in while its tissue is not yet drawn."""
    return Anatomy(geometry, TissueMap(np.zeros(geometry.shape_kji, np.uint8)), tuple(structures))


def without_blood(structures: list[Structure], vessels: list[Structure], taken_kji: Mask) -> list[Structure]:
    """The structures, the given vessels among them without the voxels that have got a name of their own; none is empty."""
    kept = [replace(s, mask_kji=s.mask_kji & ~taken_kji) if s in vessels else s for s in structures]
    return [s for s in kept if s.group != "vessel" or s.mask_kji.any()]
