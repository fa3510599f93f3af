"""A plan's freezing and thawing on the patient's tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..imaging import working_geometry
from ..knowledge import constant, tissue
from ..model import (
    Anatomy,
    Cancelled,
    ImageError,
    Plan,
    PlannedProbe,
    Progress,
    ThermalError,
    ThermalRun,
    VolumeGeometry,
    never_cancelled,
    no_progress,
)
from ..planning import shaft_gap_mm
from .near_field import link_strengths, near_field
from .schedule import probe_drive, timeline
from .solver import ProbeLink, solve
from .tissue import properties_from_labels

ISOTHERMS_C = (0.0, -20.0, -40.0)
DEFAULT_GRID_MM = 1.0
DEFAULT_STEP_S = 4.0
_LINK_CELLS = 4.0
_MAX_VOXELS = 12_000_000
_BYTES_PER_VOXEL = 150
_LONGEST_S = 7200.0
_COARSEST_MM = 3.0


def simulate(
    anatomy: Anatomy,
    plan: Plan,
    grid_mm: float = DEFAULT_GRID_MM,
    snapshot_s: float = 60.0,
    step_s: float = DEFAULT_STEP_S,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> ThermalRun:
    """Simulate the plan's protocol for all its probes.

    Args:
        grid_mm: edge of the thermal grid; 1 mm is accurate to about 0.1 mm, 2 mm is a preview.
        snapshot_s: time between kept temperature fields; starts and ends of steps are kept as well.
        step_s: largest time step.

    Returns:
        The run; when cancelled, what there is so far with complete=False.

    Raises:
        ThermalError: a probe outside the body or through another one, a grid that does not fit in memory, a protocol
            beyond two hours, or settings that make no sense.
    """
    for name, value in (("grid_mm", grid_mm), ("snapshot_s", snapshot_s), ("step_s", step_s)):
        if not (np.isfinite(value) and value > 0):
            raise ThermalError(f"{name} must be positive, but is {value}.")
    if grid_mm > _COARSEST_MM:
        raise ThermalError(
            f"A thermal grid of {grid_mm:g} mm cannot show an ice ball of a few millimeters; use {_COARSEST_MM:g} mm or finer."
        )
    if plan.protocol.duration_s > _LONGEST_S:
        raise ThermalError(
            f"The protocol lasts {plan.protocol.duration_s / 60:.0f} min; protocols up to {_LONGEST_S / 60:.0f} min are "
            "simulated. Shorten it."
        )
    _check_probes(anatomy, plan.probes)
    geometry = simulation_grid(anatomy, plan.probes, grid_mm)
    labels = tissue_on_grid(anatomy, plan, geometry)
    properties = properties_from_labels(labels, grid_mm)
    links = [_link(planned, geometry, grid_mm) for planned in plan.probes]
    steps = timeline(plan.protocol)
    total = plan.protocol.duration_s
    changes = {round(d.end_s, 6) for d in steps}
    marks = sorted(changes | {float(t) for t in np.arange(snapshot_s, total, snapshot_s)})
    centers = [_center_voxel(planned, geometry) for planned in plan.probes]
    body = constant("body_temperature_c")
    before = [body] * len(links)
    latest: list[float | None] = [body] * len(links)
    active = [0]

    def surface(number: int, time_s: float) -> float | None:
        drive = steps[active[0]]
        latest[number] = probe_drive(plan.probes[number].probe, drive, time_s, before[number])
        return latest[number]

    times: list[float] = [0.0]
    start = np.full(geometry.shape_kji, body, np.float32)
    snapshots = [start]
    coldest = start.copy()
    below = np.zeros((len(ISOTHERMS_C), *geometry.shape_kji), np.float32)
    complete = True
    for state in solve(properties, links, surface, marks, changes, step_s):
        np.minimum(coldest, state.temperature, out=coldest)
        for number, isotherm in enumerate(ISOTHERMS_C):
            below[number] += (state.temperature <= np.float32(isotherm)) * np.float32(state.step_s)
        if any(abs(state.time_s - mark) < 1e-6 for mark in marks):
            times.append(state.time_s)
            snapshots.append(_rounded(state.temperature))
            progress(state.time_s / total, f"{state.time_s / 60:.0f} of {total / 60:.0f} min simulated")
        if active[0] + 1 < len(steps) and state.time_s >= steps[active[0]].end_s - 1e-6:
            active[0] += 1
            for number, center in enumerate(centers):
                # A probe that was off has taken the temperature of the tissue round it.
                cold = latest[number]
                before[number] = float(state.temperature[center]) if cold is None else cold
        if cancelled():
            complete = False
            if times[-1] < state.time_s:
                times.append(state.time_s)
                snapshots.append(_rounded(state.temperature))
            break
    if not np.isfinite(coldest).all():
        raise ThermalError("The simulation did not stay finite; report this case to the developers.")
    provenance = (
        ("solver", "enthalpy, semi-implicit with cosine-transform filter, numpy and scipy"),
        ("grid_mm", f"{grid_mm:g}"),
        ("step_s", f"{step_s:g}"),
        ("probes", "; ".join(p.probe.id for p in plan.probes)),
        ("protocol", plan.protocol.id),
        ("boundary", f"{body:g} C at the edge of the box, bare skin to {constant('room_temperature_c'):g} C air"),
    )
    return ThermalRun(
        geometry,
        np.array(times),
        np.stack(snapshots),
        _rounded(coldest),
        np.array(ISOTHERMS_C),
        below,
        complete,
        provenance,
    )


def _rounded(temperature: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Temperatures to 1/128 C, far under the model's error: what is kept then packs to a third of the size."""
    result: npt.NDArray[np.float32] = np.rint(temperature * np.float32(128.0)) / np.float32(128.0)
    return result


def cold_ends(planned: PlannedProbe) -> npt.NDArray[np.float64]:
    """Both ends (2, 3) of the cold surface in RAS mm, the one near the tip first."""
    path = planned.trajectory
    offsets = np.array([planned.probe.cold_offset_mm, planned.probe.cold_offset_mm + planned.probe.active_length_mm])
    result: npt.NDArray[np.float64] = path.tip_ras_mm - offsets[:, None] * path.direction_ras
    return result


def simulation_grid(anatomy: Anatomy, probes: tuple[PlannedProbe, ...], grid_mm: float) -> VolumeGeometry:
    """Box of the world lattice that reaches the far field on every side of the cold surfaces.

    Raises:
        ThermalError: the box would not fit in memory.
    """
    ends = np.concatenate([cold_ends(p) for p in probes])
    far = constant("far_field_mm")
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
    voxels = float(np.prod((high - low) / grid_mm + 1))
    if voxels > _MAX_VOXELS:
        fits = grid_mm * (voxels / _MAX_VOXELS) ** (1.0 / 3.0)
        raise ThermalError(
            f"At {grid_mm:g} mm the simulated box of {', '.join(f'{v:.0f}' for v in high - low)} mm needs about "
            f"{voxels * _BYTES_PER_VOXEL / 1e9:.1f} GB; use a coarser grid, {np.ceil(fits * 10) / 10:g} mm or more."
        )
    try:
        return working_geometry(low, high, grid_mm, "simulated box")
    except ImageError as error:
        raise ThermalError(str(error)) from error


def tissue_on_grid(anatomy: Anatomy, plan: Plan, geometry: VolumeGeometry) -> npt.NDArray[np.uint8]:
    """Tissue labels on the thermal grid: the anatomy's, the nerve drawn in, the unmeasured taken as soft tissue."""
    source = anatomy.geometry
    labels = anatomy.tissue.labels_kji
    unmeasured = [s.mask_kji for s in anatomy.structures if s.group == "unmeasured"]
    index = []
    for axis, count in enumerate(geometry.shape_kji[::-1]):
        world = geometry.ijk_to_ras[axis, 3] + np.arange(count) * geometry.spacing_mm[axis]
        nearest = np.rint((world - source.ijk_to_ras[axis, 3]) / source.spacing_mm[axis]).astype(int)
        # Beyond the image the patient goes on as at its edge.
        index.append(np.clip(nearest, 0, source.shape_kji[2 - axis] - 1))
    grid = np.ix_(index[2], index[1], index[0])
    result: npt.NDArray[np.uint8] = labels[grid].copy()
    muscle = tissue("muscle").label
    for mask in unmeasured:
        result[mask[grid]] = muscle
    nerve = plan.nerve
    total = float(nerve.arc_length_mm[-1])
    spacing = geometry.spacing_mm[0]
    reach = int(np.ceil(nerve.radius_mm / spacing)) + 1
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for point in nerve.at(np.arange(0.0, total + 0.5 * spacing, 0.5 * spacing)):
        center = geometry.ras_to_ijk(point)[0]
        around = np.rint(center).astype(int) + offsets
        near = np.linalg.norm(around - center, axis=1) * spacing <= nerve.radius_mm
        i, j, k = around[near].T
        k_max, j_max, i_max = geometry.shape_kji
        ok = (i >= 0) & (i < i_max) & (j >= 0) & (j < j_max) & (k >= 0) & (k < k_max)
        inside = result[k[ok], j[ok], i[ok]] != 0
        result[k[ok][inside], j[ok][inside], i[ok][inside]] = tissue("nerve").label
    return result


def _link(planned: PlannedProbe, geometry: VolumeGeometry, grid_mm: float) -> ProbeLink:
    """Voxels near the cold surface, tied to it by the harmonic fit."""
    probe = planned.probe
    ends = cold_ends(planned)
    middle = ends.mean(axis=0)
    axis = planned.trajectory.direction_ras
    reach = 0.5 * probe.diameter_mm + _LINK_CELLS * grid_mm
    low = np.floor(geometry.ras_to_ijk(ends.min(axis=0) - reach)[0]).astype(int)
    high = np.ceil(geometry.ras_to_ijk(ends.max(axis=0) + reach)[0]).astype(int)
    low = np.clip(low, 0, np.array(geometry.shape_kji[::-1]) - 1)
    high = np.clip(high, 0, np.array(geometry.shape_kji[::-1]) - 1)
    ijk = np.stack(np.meshgrid(*[np.arange(a, b + 1) for a, b in zip(low, high, strict=True)], indexing="ij"), axis=-1)
    ijk = ijk.reshape(-1, 3)
    centers = geometry.ijk_to_ras_mm(ijk)
    delta = centers - middle
    along = delta @ axis
    across = np.linalg.norm(delta - along[:, None] * axis, axis=1)
    near = (across <= reach) & (np.abs(along) <= 0.5 * probe.active_length_mm + _LINK_CELLS * grid_mm)
    field = near_field(probe.diameter_mm, probe.active_length_mm)
    strength = link_strengths(field, centers[near], middle, axis, grid_mm)
    index = np.ravel_multi_index(tuple(ijk[near][:, ::-1].T), geometry.shape_kji)
    return ProbeLink(index.astype(np.int64), strength.astype(np.float32))


def _center_voxel(planned: PlannedProbe, geometry: VolumeGeometry) -> tuple[int, int, int]:
    ijk = np.rint(geometry.ras_to_ijk(cold_ends(planned).mean(axis=0))[0]).astype(int)
    return (int(ijk[2]), int(ijk[1]), int(ijk[0]))


def _check_probes(anatomy: Anatomy, probes: tuple[PlannedProbe, ...]) -> None:
    if len(probes) > 8:
        raise ThermalError(f"{len(probes)} probes were planned; up to 8 are simulated.")
    body = anatomy.body_kji
    for number, planned in enumerate(probes, start=1):
        ijk = np.rint(anatomy.geometry.ras_to_ijk(cold_ends(planned))).astype(int)
        n = np.array(anatomy.geometry.shape_kji[::-1])
        inside = ((ijk >= 0) & (ijk < n)).all(axis=1)
        if not inside.all() or not body[ijk[:, 2], ijk[:, 1], ijk[:, 0]].all():
            raise ThermalError(
                f"The cold part of probe {number} ({planned.probe.id}) is not wholly inside the body; advance it or "
                "choose a shorter ice."
            )
    for one in range(len(probes)):
        for other in range(one + 1, len(probes)):
            radii = 0.5 * (probes[one].probe.diameter_mm + probes[other].probe.diameter_mm)
            gap = shaft_gap_mm(probes[one].trajectory, probes[other].trajectory) - radii
            if gap < 0:
                raise ThermalError(
                    f"Probes {one + 1} and {other + 1} run through each other ({-gap:.1f} mm overlap); move one of them."
                )
