"""Nerves that run along the front edge of the spine: splanchnic nerves and the lumbar sympathetic chain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..knowledge import NerveRecord, constant
from ..model import Anatomy, AnatomyError, Nerve, StructureRole, VolumeGeometry
from .clear import out_of_closed
from .morphology import Mask, largest
from .proposal_radius import proposed_nerve

_LEVELS = {"splanchnic": ("T11", "T12"), "lumbar_sympathetic": ("L2", "L3", "L4")}
# From halfway between front and side outwards, to either side in turn.
_ANGLES_DEG = np.array([45.0, 40.0, 50.0, 35.0, 55.0, 30.0, 60.0, 25.0, 20.0, 15.0, 10.0])
_RAY_MM = 60.0
_SMOOTH_MM = 6.0
_KNOT_MM = 5.0
_LEAST_MM = 20.0
_ARCH_MM = 8.0
_LEAST_BODY_MM2 = 400.0
_ENDPLATE_MM = 7.0


def propose_paravertebral(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """Along the anterolateral edge of numbered vertebral bodies, a few millimeters off the bone.

    In every slice a ray leaves the middle of the body halfway between the side and the front; it is turned as little as it
    takes to end neither in a vessel nor in another structure to be avoided.

    Raises:
        AnatomyError: the vertebrae are not numbered by labels, or too little of them is in view.
    """
    wanted = _LEVELS[record.id]
    masks = {
        n: s.mask_kji for n in wanted for s in anatomy.structures if s.name == f"vertebrae_{n}" and s.mask_kji.any()
    }
    if not masks:
        raise AnatomyError(
            f"{record.name}: vertebrae {wanted[0]} to {wanted[-1]} are needed by number, and none of them is labeled in this "
            "image; import a label map with numbered vertebrae, or give the course as points."
        )
    sign = -1.0 if side == "left" else 1.0
    bone = np.logical_or.reduce(list(masks.values()))
    closed = _closed(anatomy)
    slices = [int(k) for k in np.flatnonzero(bone.any(axis=(1, 2)))]
    bodies = {k: _body(bone[k], anatomy.geometry.spacing_mm[0]) for k in slices}
    bodies = _outlines(bodies, anatomy.geometry.spacing_mm[0])
    front = _front(bone, bodies)
    side_ra = sign * np.array([front[1], -front[0]])
    rows = []
    for k in bodies:
        point = _in_slice(anatomy, bodies[k], closed[k], k, front, side_ra, constant(f"{record.id}_offset_mm"))
        if point is not None:
            rows.append(point)
    if not rows or rows[-1][2] - rows[0][2] < _LEAST_MM:
        raise AnatomyError(
            f"Too little of the front of {wanted[0]} to {wanted[-1]} is in view or free of vessels on the {side}; give the "
            "course as points."
        )
    points = out_of_closed(anatomy, _smoothed(np.array(rows)))
    seen = ", ".join(masks)
    return proposed_nerve(
        record,
        f"{record.name}, {side}",
        points,
        f"{constant(f'{record.id}_offset_mm'):g} mm off the anterolateral {side} edge of the bodies of {seen}",
    )


def _closed(anatomy: Anatomy) -> Mask:
    """Where such a nerve cannot be: vessels, lungs, organs; bone is what it runs along."""
    closed = np.zeros(anatomy.geometry.shape_kji, bool)
    for structure in anatomy.structures:
        if structure.role is StructureRole.AVOID and structure.group not in ("bone", "muscle", "gas"):
            closed |= structure.mask_kji
    return closed


def _in_slice(
    anatomy: Anatomy,
    body_ji: npt.NDArray[np.bool_],
    closed_ji: npt.NDArray[np.bool_],
    k: int,
    front_ra: npt.NDArray[np.float64],
    side_ra: npt.NDArray[np.float64],
    offset_mm: float,
) -> list[float] | None:
    """The point of one slice, RAS mm; None where there is no free place."""
    geometry = anatomy.geometry
    j, i = np.nonzero(body_ji)
    middle = geometry.ijk_to_ras_mm(np.column_stack([i, j, np.full(len(i), k)]))[:, :2].mean(axis=0)
    steps = np.arange(0.0, _RAY_MM, 0.5 * geometry.spacing_mm[0])
    for angle in np.radians(_ANGLES_DEG):
        direction = np.cos(angle) * side_ra + np.sin(angle) * front_ra
        ray = middle + steps[:, None] * direction
        inside = _values(geometry, body_ji, ray, k)
        if not inside.any():
            continue
        end = middle + (steps[np.flatnonzero(inside)[-1]] + offset_mm) * direction
        around = end + 1.5 * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
        if not _values(geometry, closed_ji, around, k).any():
            s = float(geometry.ijk_to_ras_mm([[0, 0, k]])[0, 2])
            return [float(end[0]), float(end[1]), s]
    return None


def _front(bone: Mask, bodies: dict[int, npt.NDArray[np.bool_]]) -> npt.NDArray[np.float64]:
    """Unit vector (R, A) to the patient's front: from arches and processes to the bodies, whatever way he lies."""
    total = np.zeros(2)
    for k, body in bodies.items():
        arch = bone[k] & ~body
        if body.any() and arch.any():
            # Columns run along R and rows along A on the anatomy's grid.
            ahead = np.array([np.nonzero(m)[n].mean() for m in (body, arch) for n in (1, 0)])
            total += ahead[:2] - ahead[2:]
    length = float(np.linalg.norm(total))
    return total / length if length > 1e-6 else np.array([0.0, 1.0])


def _outlines(bodies: dict[int, npt.NDArray[np.bool_]], grid_mm: float) -> dict[int, npt.NDArray[np.bool_]]:
    """Each body's slice with those a few millimeters above and below: a tilted endplate alone cuts its outline short.

    Slices along a disc, with nothing but rims of bodies, are left out.
    """
    kept = [k for k, b in bodies.items() if float(b.sum()) * grid_mm**2 >= _LEAST_BODY_MM2]
    reach = round(_ENDPLATE_MM / grid_mm)
    return {k: np.logical_or.reduce([bodies[n] for n in kept if abs(n - k) <= reach]) for k in kept}


def _body(bone_ji: npt.NDArray[np.bool_], grid_mm: float) -> npt.NDArray[np.bool_]:
    """The vertebral body of a slice: what is left of the bone when its arch and processes are worn away, grown back."""
    # The canal stays open: filled, it would pass for part of the body.
    deep = ndimage.distance_transform_edt(np.pad(bone_ji, 1))[1:-1, 1:-1] * grid_mm
    core = deep > _ARCH_MM
    if not core.any():
        return np.zeros_like(bone_ji)
    near = ndimage.distance_transform_edt(~largest(core)) * grid_mm <= _ARCH_MM + 0.5 * grid_mm
    result: npt.NDArray[np.bool_] = near & bone_ji
    return result


def _values(
    geometry: VolumeGeometry, mask_ji: npt.NDArray[np.bool_], ra_mm: npt.NDArray[np.float64], k: int
) -> npt.NDArray[np.bool_]:
    s = geometry.ijk_to_ras_mm([[0, 0, k]])[0, 2]
    ijk = np.rint(geometry.ras_to_ijk(np.column_stack([ra_mm, np.full(len(ra_mm), s)]))).astype(int)
    j, i = (np.clip(ijk[:, n], 0, mask_ji.shape[1 - n] - 1) for n in (1, 0))
    result: npt.NDArray[np.bool_] = mask_ji[j, i]
    return result


def _smoothed(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Every 5 mm, without the jumps of single slices."""
    s = np.arange(points[0, 2], points[-1, 2] + 1e-6, 1.0)
    even = np.column_stack([np.interp(s, points[:, 2], points[:, n]) for n in range(2)])
    even = ndimage.median_filter(even, size=(9, 1), mode="nearest")
    even = ndimage.gaussian_filter1d(even, _SMOOTH_MM, axis=0, mode="nearest")
    count = max(2, round((s[-1] - s[0]) / _KNOT_MM) + 1)
    pick = np.rint(np.linspace(0, len(s) - 1, count)).astype(int)
    # From head to feet, as the levels are named.
    return np.column_stack([even[pick], s[pick]])[::-1].copy()
