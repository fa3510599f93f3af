"""Landmarks that several nerve rules start from: the spine's middle and the aorta's course."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..model import Anatomy, AnatomyError
from .chain import best_chain
from .morphology import Mask

_AORTA_OFF_MM = 60.0
_AORTA_BRIDGE_MM = 45.0


def union_of(anatomy: Anatomy, group: str) -> Mask | None:
    """All structures of a group as one mask; None when there is none."""
    masks = [s.mask_kji for s in anatomy.structures if s.group == group]
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
class AortaCourse:
    """The aorta slice by slice.

    Attributes:
        k: slices (N,), ascending.
        center_ra_mm: (N, 2).
        radius_mm: (N,) of the circle of equal area.
    """

    k: npt.NDArray[np.int64]
    center_ra_mm: npt.NDArray[np.float64]
    radius_mm: npt.NDArray[np.float64]


def aorta_course(anatomy: Anatomy) -> AortaCourse:
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
    canal = canal_centers_ra_mm(anatomy)
    spacing = anatomy.geometry.spacing_mm[0]
    slices, centers, radii, worth = [], [], [], []
    for k in range(vessel.shape[0]):
        if np.isnan(canal[k, 0]) or not vessel[k].any():
            continue
        parts, count = ndimage.label(round_part(vessel[k], spacing))
        for number in range(1, count + 1):
            j, i = np.nonzero(parts == number)
            center = anatomy.geometry.ijk_to_ras_mm([i.mean(), j.mean(), k])[0, :2]
            radius = float(np.sqrt(len(i) * spacing**2 / np.pi))
            forward, across = center[1] - canal[k, 1], center[0] - canal[k, 0]
            if 5.0 < radius < 32.0 and 10.0 < forward < 95.0 and -60.0 < across < 35.0:
                slices.append(k)
                centers.append(center)
                radii.append(radius)
                # In front of the body and a little left is where it lies.
                worth.append(max(0.1, 1.0 - float(np.hypot(across + 12.0, forward - 45.0)) / _AORTA_OFF_MM))
    chain = best_chain(
        np.array(slices, dtype=np.int64),
        np.array(centers, dtype=np.float64).reshape(-1, 2),
        np.array(worth, dtype=np.float64),
        spacing,
        _AORTA_BRIDGE_MM,
        1.5,
    )
    rows = [(slices[n], centers[n], radii[n]) for n in chain]
    if len(rows) * spacing < 20.0:
        raise AnatomyError("The aorta could not be followed in front of the spine; give the nerve course as points.")
    return AortaCourse(np.array([r[0] for r in rows]), np.array([r[1] for r in rows]), np.array([r[2] for r in rows]))


def without_flaps(mask: npt.NDArray[np.bool_], spacing_mm: float) -> npt.NDArray[np.bool_]:
    """A slice's (j, i) vessel with the flap of a dissection or a thin plaque closed: gaps of up to 6 mm."""
    steps = max(1, round(3.0 / spacing_mm))
    result: npt.NDArray[np.bool_] = ndimage.binary_closing(np.pad(mask, steps), _disc(steps))[
        steps:-steps, steps:-steps
    ]
    return result


def round_part(mask: npt.NDArray[np.bool_], spacing_mm: float) -> npt.NDArray[np.bool_]:
    """The slice's vessel without its branches: an opening by a disc of 4 mm."""
    result: npt.NDArray[np.bool_] = ndimage.binary_opening(
        without_flaps(mask, spacing_mm), _disc(max(1, round(4.0 / spacing_mm)))
    )
    return result


def _disc(steps: int) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[-steps : steps + 1, -steps : steps + 1]
    result: npt.NDArray[np.bool_] = x * x + y * y <= steps * steps
    return result
