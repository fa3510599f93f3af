"""Space between a straight shaft and the structures: fast by distance map, exact by surface points."""

from __future__ import annotations

from dataclasses import dataclass

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
_COARSE_MM = 1.0
"""Samples so far apart find what is about nearest; the segment itself then says how near."""


def clearance_words(clearance_mm: float) -> str:
    """A clearance in words."""
    return f"{_SEEN_MM:.0f} mm or more" if clearance_mm >= _SEEN_MM else f"{clearance_mm:.1f} mm"


def avoided(anatomy: Anatomy, passable: frozenset[str]) -> tuple[Structure, ...]:
    """Structures that a path must keep clear of."""
    return tuple(
        s
        for s in anatomy.structures
        if s.role is StructureRole.AVOID
        and s.group not in NOT_AVOIDED
        and s.group not in passable
        and _filled.get((s.mask_kji,), None, lambda s=s: bool(s.mask_kji.any()))  # type: ignore[misc]
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


@dataclass(frozen=True, eq=False)
class _Surface:
    """Centers of a mask's boundary voxels in RAS mm, searchable, and the box that holds them."""

    tree: cKDTree
    low_ras_mm: npt.NDArray[np.float64]
    high_ras_mm: npt.NDArray[np.float64]

    def box_gap_mm(self, low_ras_mm: npt.NDArray[np.float64], high_ras_mm: npt.NDArray[np.float64]) -> float:
        """From this box to another one; 0 where they overlap."""
        gap = np.maximum(0.0, np.maximum(self.low_ras_mm - high_ras_mm, low_ras_mm - self.high_ras_mm))
        return float(np.sqrt(gap @ gap))


_surfaces: KeptForArrays[_Surface] = KeptForArrays(512)
"""Label maps name over a hundred structures; fewer places than structures would make every one of them anew each time."""
_filled: KeptForArrays[bool] = KeptForArrays(512)


def _surface(mask_kji: npt.NDArray[np.bool_], geometry: VolumeGeometry) -> _Surface:
    """The surface of a mask; made once for every mask."""

    def made() -> _Surface:
        points = _boundary_ras_mm(mask_kji, geometry)
        if not len(points):
            return _Surface(cKDTree(points), np.full(3, np.inf), np.full(3, -np.inf))
        return _Surface(cKDTree(points), points.min(axis=0), points.max(axis=0))

    return _surfaces.get((mask_kji,), geometry.ijk_to_ras.tobytes(), made)


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
    tree = surface.tree
    ends = np.stack([trajectory.entry_ras_mm, trajectory.tip_ras_mm])
    seen = _SEEN_MM + 0.5 * spacing + probe_radius_mm + _COARSE_MM
    # What is nowhere near is most of a label map.
    if tree.n and surface.box_gap_mm(ends.min(axis=0), ends.max(axis=0)) > seen:
        return _SEEN_MM
    if not tree.n or surface.box_gap_mm(ends.min(axis=0), ends.max(axis=0)) <= spacing:
        on_path = trajectory.points_ras_mm(_STEP_MM)
        inside = sample(structure.mask_kji.view(np.uint8), geometry, on_path, 0, outside=0.0) > 0.5
        if inside.any():
            if not tree.n:
                return -_SEEN_MM
            return -float(tree.query(on_path[inside])[0].max()) - 0.5 * spacing - probe_radius_mm
        if not tree.n:
            return _SEEN_MM
    samples = trajectory.points_ras_mm(_COARSE_MM)
    about = tree.query(samples, distance_upper_bound=seen)[0]
    if not np.isfinite(about).any():
        return _SEEN_MM
    # The point that is nearest to the segment lies within this of a sample of the path, and of no sample farther off.
    reach = float(np.hypot(about.min(), 0.5 * _COARSE_MM)) + 1e-9
    near = tree.query_ball_point(samples[about <= reach], reach)
    points = tree.data[np.unique(np.concatenate([np.asarray(n, np.int64) for n in near]))]
    nearest = float(segment_distances_mm(points, trajectory.entry_ras_mm, trajectory.tip_ras_mm).min())
    return min(nearest - 0.5 * spacing - probe_radius_mm, _SEEN_MM)


def nearest_on_surface(
    structure: Structure, geometry: VolumeGeometry, place_ras_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Center (3,) of the structure's boundary voxel that is nearest to a place, RAS mm.

    Raises:
        AnatomyError: the structure is empty.
    """
    tree = _surface(structure.mask_kji, geometry).tree
    if not tree.n:
        raise AnatomyError(f"{structure.name} is empty, so nothing can be snapped to it; draw it first.")
    result: npt.NDArray[np.float64] = np.array(tree.data[tree.query(place_ras_mm)[1]])
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
