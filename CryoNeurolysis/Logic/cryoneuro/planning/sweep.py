"""All candidates against all limits and criteria, by table look-up in distance maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..knowledge import NerveRecord, constant, tissues
from ..model import (
    Anatomy,
    Cancelled,
    CancelledError,
    CandidateSet,
    Instrument,
    Limits,
    Nerve,
    Progress,
    VolumeGeometry,
)
from .candidates import Candidates
from .clearance import avoided
from .distance_maps import distance_map_mm
from .pose import pose_slack
from .rank import ranked

CRITERIA = ("clearance", "length", "obliquity", "tilt", "nerve_angle", "centering", "tissue")
_SAMPLES = 96
_FAR_MM = 30.0


def sweep(
    anatomy: Anatomy,
    nerve: Nerve,
    record: NerveRecord,
    probe: Instrument,
    limits: Limits,
    candidates: Candidates,
    progress: Progress,
    cancelled: Cancelled,
    table_ras: npt.NDArray[np.float64] | None = None,
) -> CandidateSet:
    """Signed slack of every path against every limit, criteria, and the order of those that pass.

    Args:
        table_ras: unit vector (3,) toward the table (see table.table_side_ras); None leaves the limit path.table out.
    """
    entry, tip = candidates.entry_ras_mm, candidates.tip_ras_mm
    path = tip - entry
    length = np.linalg.norm(path, axis=1)
    direction = path / length[:, None]
    slack = pose_slack(anatomy, nerve, record, probe, limits, candidates, table_ras)
    lookup = _lookup(anatomy, entry, tip)
    radius_mm = 0.5 * probe.diameter_mm
    nearest = _nearest_mm(anatomy, record, candidates, lookup, slack, limits, radius_mm, progress, cancelled)
    margin = np.full(len(entry), 2.0)
    for group, clearance in nearest.items():
        limit = limits.get(f"clearance.{group}", "clearance.default")
        slack[f"clearance.{group}"] = clearance - limit.stop
        # In units of what is wanted: 1 is the warning limit, 2 is twice as far and as good as it gets.
        span = max(limit.warning - limit.stop, 1.0)
        margin = np.minimum(margin, (clearance - limit.stop) / span)
    if record.pose == "beside":
        limit = limits["clearance.target_nerve"]
        slack["clearance.target_nerve"] = _nerve_clearance(nerve, entry, tip, probe) - limit.stop
    alignment = np.abs(np.einsum("ij,ij->i", direction, candidates.tangent_ras))
    criteria = np.column_stack(
        [
            1.0 - np.clip(margin, 0.0, 2.0) / 2.0,
            np.clip(length / probe.usable_shaft_mm, 0.0, 1.0),
            _used(slack["path.skin_angle"], limits["path.skin_angle"].stop),
            _used(slack["path.tilt"], limits["path.tilt"].stop),
            1.0 - alignment,
            np.clip(candidates.off_center_mm / (0.5 * probe.active_length_mm), 0.0, 1.0),
            _tissue_burden(anatomy, lookup),
        ]
    )
    weights = np.array([constant(f"weight_{name}") for name in CRITERIA])
    names = tuple(slack)
    matrix = np.column_stack([slack[name] for name in names])
    none = np.empty(0, np.int64)
    return ranked(CandidateSet(entry, tip, names, matrix, CRITERIA, criteria, weights, none))


def _nearest_mm(
    anatomy: Anatomy,
    record: NerveRecord,
    candidates: Candidates,
    lookup: tuple[npt.NDArray[np.int32], VolumeGeometry, tuple[slice, slice, slice]],
    path_slack: Mapping[str, npt.NDArray[np.float64]],
    limits: Limits,
    probe_radius_mm: float,
    progress: Progress,
    cancelled: Cancelled,
) -> dict[str, npt.NDArray[np.float64]]:
    """Clearance of every path from every group of structures (N,), mm.

    Looked up at the nearest voxel first, which can be wrong by half a voxel's diagonal and half a step along the path; where
    that decides, and no other limit has decided yet, looked up again between the voxels in small steps.
    """
    entry, tip = candidates.entry_ras_mm, candidates.tip_ras_mm
    index, geometry, crop = lookup
    spacing = geometry.spacing_mm[0]
    groups: dict[str, npt.NDArray[np.bool_]] = {}
    for structure in avoided(anatomy, record.passable):
        part = structure.mask_kji[crop]
        groups[structure.group] = groups[structure.group] | part if structure.group in groups else part
    nearest: dict[str, npt.NDArray[np.float64]] = {}
    maps: dict[str, npt.NDArray[np.float32]] = {}
    for number, (group, mask) in enumerate(sorted(groups.items())):
        if cancelled():
            raise CancelledError("The planning was stopped.")
        progress(number / max(1, len(groups)), f"Distance to {group.replace('_', ' ')}")
        if mask.any():
            maps[group] = distance_map_mm(mask, spacing, _FAR_MM)
            nearest[group] = maps[group].ravel()[index].min(axis=0).astype(np.float64) - probe_radius_mm
        else:
            nearest[group] = np.full(len(entry), _FAR_MM)
    step_mm = np.linalg.norm(tip - entry, axis=1) / (_SAMPLES - 1)
    doubt_mm = 0.5 * np.sqrt(3.0) * spacing + 0.5 * step_mm
    stop = {group: limits.get(f"clearance.{group}", "clearance.default").stop for group in nearest}
    open_to = np.logical_and.reduce(
        [column >= 0.0 for column in path_slack.values()] + [nearest[g] - stop[g] >= -doubt_mm for g in nearest]
    )
    for group, distance in maps.items():
        if cancelled():
            raise CancelledError("The planning was stopped.")
        rows = np.flatnonzero(open_to & (nearest[group] - stop[group] < doubt_mm))
        nearest[group][rows] = _between_voxels_mm(distance, geometry, entry[rows], tip[rows]) - probe_radius_mm
    return nearest


def _between_voxels_mm(
    distance_kji: npt.NDArray[np.float32],
    geometry: VolumeGeometry,
    entry_ras_mm: npt.NDArray[np.float64],
    tip_ras_mm: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Smallest distance along each path (N,), mm, interpolated between voxels at steps of a third of one."""
    result = np.full(len(entry_ras_mm), np.inf)
    if not len(result):
        return result
    longest = float(np.linalg.norm(tip_ras_mm - entry_ras_mm, axis=1).max())
    a, b = geometry.ras_to_ijk(entry_ras_mm)[:, ::-1], geometry.ras_to_ijk(tip_ras_mm)[:, ::-1]
    for fraction in np.linspace(0.0, 1.0, int(np.ceil(3.0 * longest / geometry.spacing_mm[0])) + 1):
        kji = a + fraction * (b - a)
        here = ndimage.map_coordinates(distance_kji, kji.T, output=np.float32, order=1, mode="nearest")
        np.minimum(result, here, out=result)
    return result


def _tissue_burden(
    anatomy: Anatomy, lookup: tuple[npt.NDArray[np.int32], VolumeGeometry, tuple[slice, slice, slice]]
) -> npt.NDArray[np.float64]:
    """What the shaft passes through (N,): 0 all fat, 1 all tissue that one would rather not pierce."""
    index, _, crop = lookup
    burden = np.array([t.path_burden for t in tissues()], np.float32)
    along = burden[anatomy.tissue.labels_kji[crop]].ravel()
    # Every fourth sample, 2 to 6 mm apart, tells a share of the way well enough.
    result: npt.NDArray[np.float64] = along[index[::4]].mean(axis=0, dtype=np.float64)
    return result


def _used(slack: npt.NDArray[np.float64], stop: float) -> npt.NDArray[np.float64]:
    """Share of a limit that is used up (N,), 0 to 1."""
    result: npt.NDArray[np.float64] = np.clip((stop - slack) / stop, 0.0, 1.0)
    return result


def _lookup(
    anatomy: Anatomy, entry: npt.NDArray[np.float64], tip: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int32], VolumeGeometry, tuple[slice, slice, slice]]:
    """Flat voxel indices (samples, N) along each path in the part of the grid that holds all paths, and that part."""
    whole = anatomy.geometry
    n = np.array(whole.shape_kji[::-1])
    ends = whole.ras_to_ijk(np.concatenate([entry, tip]))
    pad = int(np.ceil(_FAR_MM / whole.spacing_mm[0]))
    low = np.clip(np.floor(ends.min(axis=0)).astype(int) - pad, 0, n - 1)
    high = np.clip(np.ceil(ends.max(axis=0)).astype(int) + pad + 1, 1, n)
    crop = (slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0]))
    shape = tuple(int(h - lo) for lo, h in zip(low[::-1], high[::-1], strict=True))
    a, b = whole.ras_to_ijk(entry) - low, whole.ras_to_ijk(tip) - low
    index = np.zeros((_SAMPLES, len(entry)), np.int32)
    t = np.linspace(0.0, 1.0, _SAMPLES)
    upper = np.array(shape[::-1]) - 1
    for row, fraction in enumerate(t):
        ijk = np.clip(np.rint(a + fraction * (b - a)).astype(np.int32), 0, upper)
        index[row] = (ijk[:, 2] * shape[1] + ijk[:, 1]) * shape[2] + ijk[:, 0]
    matrix = whole.ijk_to_ras.copy()
    matrix[:3, 3] = whole.ijk_to_ras_mm(low)[0]
    return index, VolumeGeometry((shape[0], shape[1], shape[2]), matrix), crop


def _nerve_clearance(
    nerve: Nerve, entry: npt.NDArray[np.float64], tip: npt.NDArray[np.float64], probe: Instrument
) -> npt.NDArray[np.float64]:
    points = nerve.at(np.arange(0.0, float(nerve.arc_length_mm[-1]) + 0.5, 1.0))
    best = np.full(len(entry), np.inf)
    axis = tip - entry
    squared = np.einsum("ij,ij->i", axis, axis)
    for point in points:
        t = np.clip(np.einsum("ij,ij->i", point - entry, axis) / squared, 0.0, 1.0)
        best = np.minimum(best, np.linalg.norm(entry + t[:, None] * axis - point, axis=1))
    result: npt.NDArray[np.float64] = best - 0.5 * probe.diameter_mm - nerve.radius_mm
    return result
