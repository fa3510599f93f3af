"""Space between a straight shaft and the structures: fast by distance map, exact by surface points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy.spatial import cKDTree

from ..anatomy.morphology import bounding_box
from ..imaging import KeptForArrays, sample
from ..knowledge import NerveRecord
from ..model import (
    Anatomy,
    AnatomyError,
    Clearance,
    Limits,
    Nerve,
    Structure,
    StructureRole,
    Trajectory,
    VolumeGeometry,
)

NOT_AVOIDED = ("body", "unmeasured", "muscle", "skin")


_SEEN_MM = 60.0
"""Clearances are looked at this far; beyond it a structure is simply far."""
_STEP_MM = 0.25


def clearance_words(clearance_mm: float) -> str:
    """A clearance in words."""
    return f"{_SEEN_MM:.0f} mm or more" if clearance_mm >= _SEEN_MM else f"{clearance_mm:.1f} mm"


def avoided(anatomy: Anatomy, passable: frozenset[str]) -> tuple[Structure, ...]:
    """Structures that a path must keep clear of."""
    return tuple(
        s
        for s in anatomy.structures
        if s.role is StructureRole.AVOID and s.group not in NOT_AVOIDED and s.group not in passable and s.mask_kji.any()
    )


def signed_distance_mm(mask_kji: npt.NDArray[np.bool_], spacing_mm: float) -> npt.NDArray[np.float32]:
    """Distance of every voxel center to the mask's surface, negative inside, float32 (k, j, i).

    The surface is taken half a voxel outside the outermost voxel centers, where a surface drawn on the mask lies.
    """
    image = sitk.GetImageFromArray(mask_kji.astype(np.uint8))
    distance = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=False)
    result: npt.NDArray[np.float32] = sitk.GetArrayFromImage(distance) * np.float32(spacing_mm)
    # The filter measures to the boundary voxels' centers, which are inside.
    result -= np.float32(0.5 * spacing_mm)
    return result


_surfaces: KeptForArrays[cKDTree] = KeptForArrays(64)


def _surface(mask_kji: npt.NDArray[np.bool_], geometry: VolumeGeometry) -> cKDTree:
    """Centers of the mask's boundary voxels in RAS mm, searchable; made once for every mask."""
    return _surfaces.get(
        (mask_kji,), geometry.ijk_to_ras.tobytes(), lambda: cKDTree(_boundary_ras_mm(mask_kji, geometry))
    )


def _boundary_ras_mm(mask_kji: npt.NDArray[np.bool_], geometry: VolumeGeometry) -> npt.NDArray[np.float64]:
    """Centers (N, 3) of the voxels of a mask that have a neighbor outside of it; the grid's edge is no boundary."""
    box = bounding_box(mask_kji, 1)
    if box is None:
        return np.empty((0, 3))
    part = mask_kji[box]
    padded = np.pad(part, 1, mode="edge")
    inner = part.copy()
    for axis in range(3):
        for shift in (0, 2):
            index: list[slice] = [slice(1, -1)] * 3
            index[axis] = slice(shift, shift + part.shape[axis])
            inner &= padded[tuple(index)]
    kji = np.argwhere(part & ~inner)
    return geometry.ijk_to_ras_mm(kji[:, ::-1] + [box[2].start, box[1].start, box[0].start])


def segment_distances_mm(
    points_ras_mm: npt.NDArray[np.float64], start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Distance (N,) of points (N, 3) to the segment from start to end."""
    axis = end - start
    t = np.clip((points_ras_mm - start) @ axis / (axis @ axis), 0.0, 1.0)
    result: npt.NDArray[np.float64] = np.linalg.norm(points_ras_mm - start - t[:, None] * axis, axis=1)
    return result


def exact_clearance_mm(
    structure: Structure, geometry: VolumeGeometry, trajectory: Trajectory, probe_radius_mm: float
) -> float:
    """From the shaft's surface to the structure's surface, negative when the path enters it, mm.

    Distances are exact to the boundary voxels' centers less half a voxel: never more than a tenth of a
    voxel beyond the surface that is drawn on the mask, and usually a little short of it.
    Beyond 60 mm, 60 is returned: it is far.
    """
    spacing = geometry.spacing_mm[0]
    surface = _surface(structure.mask_kji, geometry)
    on_path = trajectory.points_ras_mm(_STEP_MM)
    inside = sample(structure.mask_kji.view(np.uint8), geometry, on_path, 0, outside=0.0) > 0.5
    if inside.any():
        if not surface.n:
            return -_SEEN_MM
        return -float(surface.query(on_path[inside])[0].max()) - 0.5 * spacing - probe_radius_mm
    if not surface.n:
        return _SEEN_MM
    seen = _SEEN_MM + 0.5 * spacing + probe_radius_mm + _STEP_MM
    about = surface.query(on_path, distance_upper_bound=seen)[0]
    if not np.isfinite(about).any():
        return _SEEN_MM
    # The point that is nearest to the segment lies within this of a sample of the path, and of no sample farther off.
    reach = float(np.hypot(about.min(), 0.5 * _STEP_MM)) + 1e-9
    near = surface.query_ball_point(on_path[about <= reach], reach)
    points = surface.data[np.unique(np.concatenate([np.asarray(n, np.int64) for n in near]))]
    nearest = float(segment_distances_mm(points, trajectory.entry_ras_mm, trajectory.tip_ras_mm).min())
    return min(nearest - 0.5 * spacing - probe_radius_mm, _SEEN_MM)


def nearest_on_surface(
    structure: Structure, geometry: VolumeGeometry, place_ras_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Center (3,) of the structure's boundary voxel that is nearest to a place, RAS mm.

    Raises:
        AnatomyError: the structure is empty.
    """
    surface = _surface(structure.mask_kji, geometry)
    if not surface.n:
        raise AnatomyError(f"{structure.name} is empty, so nothing can be snapped to it; draw it first.")
    result: npt.NDArray[np.float64] = np.array(surface.data[surface.query(place_ras_mm)[1]])
    return result


def shaft_gap_mm(one: Trajectory, other: Trajectory) -> float:
    """Shortest distance between the axes of two shafts, sampled every 0.25 mm, mm."""
    points = one.points_ras_mm(0.25)
    return float(segment_distances_mm(points, other.entry_ras_mm, other.tip_ras_mm).min())


def nerve_distance_mm(nerve: Nerve, trajectory: Trajectory) -> float:
    """Shortest distance between the shaft's axis and the nerve's centerline, mm."""
    total = float(nerve.arc_length_mm[-1])
    points = nerve.at(np.linspace(0.0, total, max(2, int(total / 0.25))))
    return float(segment_distances_mm(points, trajectory.entry_ras_mm, trajectory.tip_ras_mm).min())


def exact_clearances(
    anatomy: Anatomy,
    nerve: Nerve,
    trajectory: Trajectory,
    probe_radius_mm: float,
    limits: Limits,
    record: NerveRecord,
) -> tuple[Clearance, ...]:
    """Clearance to every structure, worst slack first; unknown ones before all.

    The target nerve itself is among them where the probe is to lie beside it.
    """
    rows = []
    for structure in avoided(anatomy, record.passable):
        limit = limits.get(f"clearance.{structure.group}", "clearance.default")
        value = exact_clearance_mm(structure, anatomy.geometry, trajectory, probe_radius_mm)
        rows.append(Clearance(structure.name, value, limit.warning, limit.stop, limit.slack(value)))
    if record.pose == "beside":
        limit = limits["clearance.target_nerve"]
        value = nerve_distance_mm(nerve, trajectory) - probe_radius_mm - nerve.radius_mm
        rows.append(Clearance("target_nerve", value, limit.warning, limit.stop, limit.slack(value)))
    rows.sort(key=lambda row: row.slack_mm)
    unknown = [Clearance(group, 0.0, 0.0, 0.0, 0.0, unknown=True) for group in anatomy.unknown]
    return (*unknown, *rows)
