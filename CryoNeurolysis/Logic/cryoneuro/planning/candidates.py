"""Every path that is worth trying: skin points on the usual side, and tip poses along the nerve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..anatomy import skin_entries
from ..knowledge import NerveRecord, constant
from ..model import Anatomy, Instrument, Limits, Nerve, PlanningError

_ALONG = (0.2, 0.5, 0.8)
_PLACES_APART_MM = 15.0
"""On a longer course tip poses lie this near to one another, about as far as the ice of a small probe reaches."""
_ENTRY_STEP_MM = 3.0
_WITHIN_COLD_MM = 5.0
"""The nerve stays at least this far from the ends of the cold part, where the ice tapers."""
_SECTOR_AXES = {
    "posterior": (0.0, -1.0, 0.0),
    "anterior": (0.0, 1.0, 0.0),
    "lateral": (1.0, 0.0, 0.0),
    "posterolateral": (0.7071, -0.7071, 0.0),
    "anterolateral": (0.7071, 0.7071, 0.0),
}


@dataclass(frozen=True, eq=False)
class Candidates:
    """Paths (N): entry, tip, outward skin normal at the entry, nerve tangent at the aim, all (N, 3) in RAS.

    off_center_mm (N,): how far the nerve lies from where the cold would reach it best.
    """

    entry_ras_mm: npt.NDArray[np.float64]
    tip_ras_mm: npt.NDArray[np.float64]
    normal_ras: npt.NDArray[np.float64]
    tangent_ras: npt.NDArray[np.float64]
    off_center_mm: npt.NDArray[np.float64]


def sector_axis(entry_side: str, target_r_mm: float, middle_r_mm: float) -> npt.NDArray[np.float64] | None:
    """Middle of the side that is usual for the target, as a unit vector in RAS; None when any side will do."""
    if entry_side == "any":
        return None
    axis = np.array(_SECTOR_AXES[entry_side])
    axis[0] *= 1.0 if target_r_mm >= middle_r_mm else -1.0
    return axis


def make_candidates(
    anatomy: Anatomy, nerve: Nerve, record: NerveRecord, probe: Instrument, limits: Limits
) -> Candidates:
    """Paths from every reachable skin point to tip poses beside the nerve.

    The middle of the cold surface comes to lie beside the nerve at the stand-off, on either side of it, at three
    places along it; the tip overshoots by what the probe needs for that, or by less as long as the nerve lies well
    within the cold part. A plexus is entered, in its middle or halfway to its edge.

    Raises:
        PlanningError: no skin is in view, or none within reach of the probe.
    """
    skin = skin_entries(anatomy)
    if not len(skin.points_ras_mm):
        raise PlanningError(
            "No skin is in view: the body fills the whole field of view. Use a CT that shows the skin on the entry side."
        )
    total = float(nerve.arc_length_mm[-1])
    center = nerve.at(0.5 * total)[0]
    reach = min(probe.usable_shaft_mm, limits["path.length"].stop) - probe.center_from_tip_mm
    distance = np.linalg.norm(skin.points_ras_mm - center, axis=1)
    near = distance <= reach + total
    if not near.any():
        raise PlanningError(
            f"The nearest skin in view is {distance.min():.0f} mm from the nerve, but {probe.name} reaches "
            f"{reach:.0f} mm deep; choose a longer probe."
        )
    body = anatomy.body_kji
    middle_r = float(
        anatomy.geometry.ijk_to_ras_mm(np.argwhere(body.any(axis=(0, 1)))[[0, -1]] * [1, 0, 0])[:, 0].mean()
    )
    axis = sector_axis(record.entry_side, float(center[0]), middle_r)
    if axis is not None:
        stop = limits["path.entry_zone"].stop
        near &= skin.normals_ras @ axis >= np.cos(np.deg2rad(min(stop + 15.0, 180.0)))
    points, normals = skin.points_ras_mm[near], skin.normals_ras[near]
    keep = _thinned(points, _ENTRY_STEP_MM)
    points, normals = points[keep], normals[keep]
    if not len(points):
        raise PlanningError(
            f"No skin on the {record.entry_side} side lies within {reach:.0f} mm of the nerve; "
            "the CT may not show that side, or the probe is too short."
        )
    standoff = max(
        constant("standoff_mm"),
        nerve.radius_mm + 0.5 * probe.diameter_mm + limits["clearance.target_nerve"].warning,
    )
    offsets = (-standoff, standoff) if record.pose == "beside" else (0.0, -0.5 * nerve.radius_mm, 0.5 * nerve.radius_mm)
    wanted = standoff if record.pose == "beside" else 0.0
    retreats = {0.0, max(0.0, 0.5 * probe.active_length_mm - _WITHIN_COLD_MM)}
    rows: list[tuple[npt.NDArray[np.float64], ...]] = []
    for fraction in _along(total):
        aim = nerve.at(fraction * total)[0]
        tangent = nerve.tangent_at(fraction * total)
        direction = aim - points
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        sideways = np.cross(direction, tangent)
        length = np.linalg.norm(sideways, axis=1, keepdims=True)
        # Along the nerve any side is as good as another; take the one in the axial plane.
        fallback = np.cross(direction, np.array([0.0, 0.0, 1.0]))
        sideways = np.where(length > 0.1, sideways / np.maximum(length, 1e-9), fallback)
        for offset in offsets:
            beside = aim + offset * sideways
            path = beside - points
            path /= np.linalg.norm(path, axis=1, keepdims=True)
            for retreat in sorted(retreats):
                tip = beside + (probe.center_from_tip_mm - retreat) * path
                along = 0.25 * abs(fraction - 0.5) * total
                off = np.full(len(points), abs(abs(offset) - wanted) + retreat + along)
                rows.append((points, tip, normals, np.broadcast_to(tangent, points.shape), off))
    entry, tip, normal, tangents, off = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Candidates(entry, tip, normal, tangents, off)


def _along(total_mm: float) -> tuple[float, ...]:
    """Where along the course tip poses are tried, as shares of its length: three places, more on a long course."""
    count = int(total_mm // _PLACES_APART_MM)
    return _ALONG if count <= len(_ALONG) else tuple((n + 0.5) / count for n in range(count))


def _thinned(points: npt.NDArray[np.float64], step_mm: float) -> npt.NDArray[np.int64]:
    """Indices of one point per cube of the world lattice, the one nearest to the cube's center."""
    cube = np.rint(points / step_mm)
    off = np.linalg.norm(points / step_mm - cube, axis=1)
    order = np.lexsort((off, cube[:, 2], cube[:, 1], cube[:, 0]))
    sorted_cubes = cube[order]
    first = np.ones(len(order), bool)
    first[1:] = (sorted_cubes[1:] != sorted_cubes[:-1]).any(axis=1)
    result: npt.NDArray[np.int64] = np.sort(order[first])
    return result
