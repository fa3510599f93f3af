"""The tissue round the probes on the thermal grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from ..imaging import working_geometry
from ..knowledge import TissueRecord, constant, tissue, tissues
from ..model import Anatomy, ImageError, Plan, PlannedProbe, ThermalError, ThermalRun, VolumeGeometry
from .heat_sinks import is_heat_sink, sink_record
from .medium import TissueGrid, tissue_grid, with_samples

_MOST_BYTES = 6e9
_BYTES_PER_VOXEL = 60
_COOLED_K = 1.0


@dataclass(frozen=True, eq=False)
class TissueBox:
    """The tissue round the probes on the thermal grid; runs that differ in probes or properties share it.

    Attributes:
        records: properties of the labels in `grid`: the data's, and one for every large vessel.
    """

    geometry: VolumeGeometry
    grid: TissueGrid
    records: tuple[TissueRecord, ...]


def simulation_grid(
    anatomy: Anatomy, probes: Sequence[PlannedProbe], grid_mm: float, snapshots: int = 16, duration_s: float = 0.0
) -> VolumeGeometry:
    """The box round the probes on the world lattice, even counts: 40 mm from the nearest cold surface, more for what lasts
    longer than usual (cold goes as far as the root of time), and no more air than needed.

    Raises:
        ThermalError: the box would not fit in memory.
    """
    ends = np.concatenate([p.cold_ends_ras_mm for p in probes])
    far = constant("far_field_mm") * max(1.0, duration_s / constant("far_field_s")) ** 0.5
    low, high = ends.min(axis=0) - far, ends.max(axis=0) + far
    # Air beyond the body need not be computed.
    corners = anatomy.geometry.corners_ras_mm
    used = np.argwhere(anatomy.body_kji.any(axis=(0,)))
    if len(used):
        j, i = used.min(axis=0), used.max(axis=0)
        body_low = anatomy.geometry.ijk_to_ras_mm([j[1], j[0], 0])[0] - 3.0
        body_high = anatomy.geometry.ijk_to_ras_mm([i[1], i[0], 0])[0] + 3.0
        # Only where air was seen: where the image ends inside the body, tissue goes on.
        inner_low, inner_high = corners.min(axis=0) + 6.0, corners.max(axis=0) - 6.0
        for axis in (0, 1):
            if body_low[axis] > inner_low[axis]:
                low[axis] = max(low[axis], body_low[axis])
            if body_high[axis] < inner_high[axis]:
                high[axis] = min(high[axis], body_high[axis])
    # Two spare voxels, so that every count can be made even.
    high = high + 2.0 * grid_mm
    voxels = float(np.prod((high - low) / grid_mm + 1))
    needed = voxels * (_BYTES_PER_VOXEL + 4.0 * snapshots)
    if needed > _MOST_BYTES:
        fits = grid_mm * (needed / _MOST_BYTES) ** (1.0 / 3.0)
        raise ThermalError(
            f"At {grid_mm:g} mm the simulated box of {', '.join(f'{v:.0f}' for v in high - low)} mm needs about "
            f"{needed / 1e9:.1f} GB; use a coarser grid, {np.ceil(fits * 10) / 10:g} mm or more."
        )
    try:
        full = working_geometry(low, high, grid_mm, "simulated box")
    except ImageError as error:
        raise ThermalError(str(error)) from error
    k, j_count, i_count = (max(8, n - n % 2) for n in full.shape_kji)
    return VolumeGeometry((k, j_count, i_count), full.ijk_to_ras)


def tissue_box(anatomy: Anatomy, plan: Plan, grid_mm: float, snapshots: int = 16) -> TissueBox:
    """The tissue round a plan's probes on its thermal grid.

    Raises:
        ThermalError: see simulation_grid.
    """
    geometry = simulation_grid(anatomy, plan.probes, grid_mm, snapshots, plan.duration_s)
    labels, records = _half_labels(anatomy, plan, geometry)
    halves, fractions = _with_nerve(labels, plan, geometry, len(records))
    return TissueBox(geometry, tissue_grid(halves, grid_mm, len(records), fractions), records)


def reached_box(box: TissueBox, run: ThermalRun) -> TissueBox:
    """The part of a box that a run of it has cooled, and as much round it as runs that differ a little may cool.

    Args:
        run: on the grid of the box.
    """
    cooled = np.argwhere(run.coldest_c < constant("body_temperature_c") - _COOLED_K)
    if not len(cooled) or run.geometry != box.geometry:
        return box
    spare = constant("sample_spare_mm") / box.grid.grid_mm
    low = np.maximum(np.floor(cooled.min(axis=0) - spare), 0).astype(int) // 2 * 2
    high = np.minimum(np.ceil(cooled.max(axis=0) + spare).astype(int) // 2 * 2 + 2, box.geometry.shape_kji)
    voxels = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    halves = tuple(slice(2 * a, 2 * b) for a, b in zip(low, high, strict=True))
    matrix = box.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = box.geometry.ijk_to_ras_mm(low[::-1].astype(float))[0]
    shape = (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))
    grid = replace(
        box.grid,
        halves_kji=np.ascontiguousarray(box.grid.halves_kji[halves]),
        classes_kji=np.ascontiguousarray(box.grid.classes_kji[voxels]),
    )
    return TissueBox(VolumeGeometry(shape, matrix), grid, box.records)


def within(run: ThermalRun, geometry: VolumeGeometry) -> ThermalRun:
    """The part of a run that lies in a geometry whose voxels are some of its own."""
    start = np.rint(run.geometry.ras_to_ijk(geometry.ijk_to_ras[:3, 3])[0]).astype(int)[::-1]
    k, j, i = (slice(a, a + n) for a, n in zip(start, geometry.shape_kji, strict=True))
    return replace(
        run,
        geometry=geometry,
        temperature_c=run.temperature_c[..., k, j, i],
        coldest_c=run.coldest_c[..., k, j, i],
        time_below_s=run.time_below_s[..., k, j, i],
        first_below_s=None if run.first_below_s is None else run.first_below_s[..., k, j, i],
        checkpoints=(),
    )


def _half_geometry(geometry: VolumeGeometry) -> VolumeGeometry:
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, 3] -= 0.25 * np.diag(matrix)[:3]
    matrix[:3, :3] *= 0.5
    return VolumeGeometry(tuple(2 * n for n in geometry.shape_kji), matrix)  # type: ignore[arg-type]


def nearest_voxels(anatomy: Anatomy, geometry: VolumeGeometry) -> tuple[npt.NDArray[np.intp], ...]:
    """Index of the anatomy's voxel nearest to each plane of a grid; beyond the image the patient goes on as at its edge."""
    source = anatomy.geometry
    index = []
    for axis, count in enumerate(geometry.shape_kji[::-1]):
        world = geometry.ijk_to_ras[axis, 3] + np.arange(count) * geometry.spacing_mm[axis]
        nearest = np.rint((world - source.ijk_to_ras[axis, 3]) / source.spacing_mm[axis]).astype(int)
        index.append(np.clip(nearest, 0, source.shape_kji[2 - axis] - 1))
    return np.ix_(index[2], index[1], index[0])


def _half_labels(
    anatomy: Anatomy, plan: Plan, geometry: VolumeGeometry
) -> tuple[npt.NDArray[np.uint8], tuple[TissueRecord, ...]]:
    """Labels of half voxels: the anatomy's, large vessels each their own, the nerve drawn in, the unmeasured taken as
    soft tissue."""
    half = _half_geometry(geometry)
    grid = nearest_voxels(anatomy, half)
    result: npt.NDArray[np.uint8] = anatomy.tissue.labels_kji[grid].copy()
    _mix_fat(anatomy, grid, result)
    records = list(tissues())
    for structure in anatomy.structures:
        if structure.group == "unmeasured":
            result[structure.mask_kji[grid]] = tissue("muscle").label
        elif is_heat_sink(structure):
            mask = structure.mask_kji[grid]
            if mask.any():
                records.append(sink_record(structure, len(records), geometry.spacing_mm[0]))
                result[mask] = len(records) - 1
    return result, tuple(records)


def _with_nerve(
    halves: npt.NDArray[np.uint8], plan: Plan, geometry: VolumeGeometry, count: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
    """Half voxels with the nerve in them: those that its surface goes through are nerve by their eighths."""
    half, nerve = _half_geometry(geometry), plan.nerve
    spacing = half.spacing_mm[0]
    line = nerve.at(np.arange(0.0, float(nerve.arc_length_mm[-1]) + 0.25 * spacing, 0.5 * spacing))
    reach = int(np.ceil(nerve.radius_mm / spacing)) + 1
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    around = np.rint(half.ras_to_ijk(line)).astype(int)[:, None, :] + offsets
    where = np.unique(around.reshape(-1, 3)[:, ::-1], axis=0)
    where = where[((where >= 0) & (where < np.array(half.shape_kji))).all(axis=1)]
    if not len(where):
        return halves.astype(np.uint16), np.zeros((0, count))
    points = half.ijk_to_ras_mm((where[:, None, ::-1] + _EIGHTH_STEPS).reshape(-1, 3))
    inside = (cKDTree(line).query(points)[0] <= nerve.radius_mm).reshape(-1, 8)
    own = halves[tuple(where.T)]
    inside &= (own != 0)[:, None]
    touched = inside.any(axis=1)
    labels = np.where(inside, tissue("nerve").label, own[:, None])[touched]
    return with_samples(halves, where[touched], labels, count)


_EIGHTH_STEPS = np.stack(np.meshgrid(*[[-0.25, 0.25]] * 3, indexing="ij"), axis=-1).reshape(8, 3)
"""Middles of the eighths of a voxel, as (i, j, k) from its own middle in voxels."""


_EIGHTHS = (np.array([[[0, 4], [6, 2]], [[7, 3], [1, 5]]]) + 0.5) * 12.5
"""Percent from which each of the eight parts of a voxel counts as fat, spread so that neighbors differ."""


def _mix_fat(anatomy: Anatomy, grid: tuple[npt.NDArray[np.intp], ...], halves: npt.NDArray[np.uint8]) -> None:
    """Give voxels of fat and muscle the share of fat that their CT number says: that many of the eight parts."""
    percent = anatomy.tissue.fat_percent_kji
    if percent is None:
        return
    fat, muscle = tissue("fat").label, tissue("muscle").label
    share = percent[grid]
    mixed = ((halves == fat) & (share < 100)) | ((halves == muscle) & (share > 0))
    k, j, i = np.nonzero(mixed)
    halves[k, j, i] = np.where(share[k, j, i] > _EIGHTHS[k % 2, j % 2, i % 2], fat, muscle)


def block(
    labels: int | Callable[[npt.NDArray[np.float64]], npt.NDArray[np.integer]],
    size_mm: float | Sequence[float],
    grid_mm: float,
    records: tuple[TissueRecord, ...] | None = None,
    shift_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> TissueBox:
    """A box of tissue in the laboratory, its middle at the origin of R, A, S.

    Args:
        labels: one tissue label everywhere, or a function of points (N, 3) in RAS mm that gives labels (N,).
        size_mm: edge, or edges along R, A, S.
        records: the tissues that labels count in; the data's when None.
        shift_mm: moves the grid, not the tissue, against the origin.

    Raises:
        ThermalError: a size that holds no eight voxels, or labels that no tissue has.
    """
    try:
        edges = np.broadcast_to(np.asarray(size_mm, float), (3,))
        shift = np.broadcast_to(np.asarray(shift_mm, float), (3,))
    except (TypeError, ValueError):
        raise ThermalError(
            f"A block needs one edge or three, and a shift of three numbers, got {size_mm}, {shift_mm}."
        ) from None
    if not (np.isfinite(grid_mm) and grid_mm > 0 and np.isfinite(edges).all() and np.isfinite(shift).all()):
        raise ThermalError(f"A block needs finite edges and a positive grid, got {size_mm} mm and {grid_mm} mm.")
    if float(np.prod(edges / grid_mm)) * _BYTES_PER_VOXEL > _MOST_BYTES:
        needed = float(np.prod(edges / grid_mm)) * _BYTES_PER_VOXEL / 1e9
        raise ThermalError(
            f"A block of {size_mm} mm at {grid_mm:g} mm needs about {needed:.1f} GB; use a coarser grid."
        )
    count = np.floor(edges / grid_mm + 1e-9).astype(int)
    count -= count % 2
    if (count < 8).any():
        raise ThermalError(f"A block of {size_mm} mm holds fewer than 8 voxels of {grid_mm:g} mm; make it larger.")
    matrix = np.diag([grid_mm, grid_mm, grid_mm, 1.0])
    matrix[:3, 3] = -0.5 * (count - 1) * grid_mm + shift
    geometry = VolumeGeometry((int(count[2]), int(count[1]), int(count[0])), matrix)
    half = _half_geometry(geometry)
    shape = half.shape_kji
    fractions: npt.NDArray[np.float64] | None = None
    if callable(labels):
        ijk = np.indices(shape).reshape(3, -1).T[:, ::-1]
        halves = np.asarray(labels(half.ijk_to_ras_mm(ijk)))
        if halves.size != len(ijk):
            raise ThermalError(
                f"The label function must give one label for each of {len(ijk)} points, gave {halves.size}."
            )
        halves = halves.reshape(shape)
        table = tissues() if records is None else records
        if np.issubdtype(halves.dtype, np.integer) and halves.min() >= 0 and halves.max() < len(table):
            # Where a boundary goes through, the eighths of a half voxel are asked for as well.
            where = np.argwhere(_beside_another(halves))
            eighths = half.ijk_to_ras_mm((where[:, None, ::-1] + _EIGHTH_STEPS).reshape(-1, 3))
            kinds = np.asarray(labels(eighths)).reshape(-1, 8) if len(where) else np.zeros((0, 8), np.int64)
            halves, fractions = with_samples(halves, where, kinds, len(table))
    elif isinstance(labels, int | np.integer):
        halves = np.full(shape, labels)
    else:
        raise ThermalError(
            f"A block's tissue is a label or a function of points, not '{labels}'; see knowledge.tissue."
        )
    table = tissues() if records is None else records
    return TissueBox(geometry, tissue_grid(halves, grid_mm, len(table), fractions), table)


def _beside_another(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Where a label has a neighbor of another kind, over faces, edges and corners."""
    result: npt.NDArray[np.bool_] = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    return result
