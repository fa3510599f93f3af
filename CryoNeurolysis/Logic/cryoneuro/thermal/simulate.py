"""A plan's freezing and thawing on the patient's tissue."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..imaging import sample
from ..knowledge import TissueRecord, constant
from ..model import (
    Anatomy,
    Cancelled,
    Plan,
    PlannedProbe,
    Progress,
    Protocol,
    ThermalError,
    ThermalRun,
    VolumeGeometry,
    content_hash,
    never_cancelled,
    no_progress,
)
from ..planning import shaft_gap_mm
from .engine import Checkpoint, Freezing
from .medium import Medium
from .probe_pose import cold_surface
from .protections import PlacedProtection, placed_protections
from .schedule import active_drive, probe_drive, timeline
from .tissue_box import TissueBox, tissue_box

ISOTHERMS_C = (0.0, -20.0, -40.0)
"""Watched in every run; that which treats the nerve in a plan as well (see watched_c)."""
DEFAULT_GRID_MM = 1.0
_MOST_BYTES = 6e9
_BYTES_PER_VOXEL = 60
_LONGEST_S = 7200.0
_COARSEST_MM = 3.0
_THINNEST_MM, _THICKEST_MM = 0.4, 3.4
_MOST_PROBES = 8


def watched_c(plan: Plan) -> tuple[float, ...]:
    """The isotherms whose times are kept in a run of a plan, warmest first."""
    return tuple(sorted({*ISOTHERMS_C, float(plan.treat_c)}, reverse=True))


def simulate(
    anatomy: Anatomy,
    plan: Plan,
    grid_mm: float = DEFAULT_GRID_MM,
    snapshot_s: float = 60.0,
    step_s: float | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
    *,
    points_ras_mm: npt.ArrayLike | None = None,
    partial: Callable[[ThermalRun], None] | None = None,
    keep_checkpoints: bool = False,
    go_on_from: tuple[ThermalRun, float] | None = None,
    box: TissueBox | None = None,
    records: tuple[TissueRecord, ...] | None = None,
    compiled: bool | None = None,
) -> ThermalRun:
    """Simulate the plan's schedules for all its probes.

    Args:
        grid_mm: edge of the thermal grid; 1 mm is accurate to about 0.1 mm, 2 mm is a preview.
        snapshot_s: time between kept temperature fields; starts and ends of steps are kept as well.
        step_s: largest time step; the solver's own choice when None.
        points_ras_mm: thermocouples (P, 3), read every second or step.
        partial: called with the run so far at every snapshot.
        keep_checkpoints: keep the moments from which a changed schedule can go on.
        go_on_from: a run with checkpoints and a time in s: what happened until then is taken over, and only what comes
            after it is computed, with the schedules of this plan.
        box: tissue made by tissue_box for the same grid, to save making it again.
        records: other properties for the box's tissues, in the order of their labels.
        compiled: with numba; None takes it when it is installed.

    Returns:
        The run; when cancelled, what there is so far with complete=False.

    Raises:
        ThermalError: a probe outside the body or through another one, a grid that does not fit in memory, schedules
            beyond two hours, or settings that make no sense.
    """
    _check_settings(grid_mm, snapshot_s, step_s)
    _check_duration(plan.duration_s)
    check_probes(anatomy, plan.probes)
    box = tissue_box(anatomy, plan, grid_mm, round(plan.duration_s / snapshot_s) + 8) if box is None else box
    return simulate_box(
        box,
        plan.probes,
        plan.protocol,
        snapshot_s,
        step_s,
        progress,
        cancelled,
        protections=placed_protections(anatomy, plan, box.geometry),
        isotherms_c=watched_c(plan),
        points_ras_mm=points_ras_mm,
        partial=partial,
        keep_checkpoints=keep_checkpoints,
        go_on_from=go_on_from,
        records=records,
        compiled=compiled,
    )


def simulate_box(
    box: TissueBox,
    probes: Sequence[PlannedProbe],
    protocol: Protocol,
    snapshot_s: float = 60.0,
    step_s: float | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
    *,
    protections: Sequence[PlacedProtection] = (),
    isotherms_c: Sequence[float] = ISOTHERMS_C,
    points_ras_mm: npt.ArrayLike | None = None,
    partial: Callable[[ThermalRun], None] | None = None,
    keep_checkpoints: bool = False,
    go_on_from: tuple[ThermalRun, float] | None = None,
    records: tuple[TissueRecord, ...] | None = None,
    body_c: float | None = None,
    compiled: bool | None = None,
) -> ThermalRun:
    """Simulate probes in a box of tissue, a patient's or a gel's (see block).

    Args:
        protocol: for every probe without one of its own.
        isotherms_c: watched temperatures, whose times are kept.
        body_c: temperature at the start and beyond the box; the body's when None.

    The other arguments, the result and the errors are those of simulate.
    """
    check_gaps(probes)
    if records is not None and len(records) != len(box.records):
        raise ThermalError(
            f"The box holds {len(box.records)} tissues, but properties of {len(records)} were given; give one record for each."
        )
    records = box.records if records is None else records
    geometry = box.geometry
    schedules = [p.protocol or protocol for p in probes]
    timelines = [timeline(schedule, p.start_s) for schedule, p in zip(schedules, probes, strict=True)]
    total = max(drives[-1].end_s for drives in timelines)
    _check_settings(box.grid.grid_mm, snapshot_s, step_s)
    _check_duration(total)
    changes = {round(t, 6) for drives in timelines for d in drives for t in (d.start_s, d.end_s)}
    changes |= {round(t, 6) for item in protections for t in (item.start_s, item.end_s) if t is not None}
    changes = {t for t in changes if 0.0 <= t <= total}
    marks = sorted(changes - {0.0} | {float(t) for t in np.arange(snapshot_s, total, snapshot_s)} | {total})

    def medium_at(time_s: float) -> Medium:
        medium = box.grid.medium(records, body_c)
        for item in protections:
            if item.start_s - 1e-6 <= time_s and (item.end_s is None or time_s < item.end_s - 1e-6):
                medium = item.applied(medium)
        return medium

    surfaces = [cold_surface(p, geometry) for p in probes]
    powers = [np.inf if p.probe.power_w is None else p.probe.power_w for p in probes]
    start_s = 0.0
    begin: Checkpoint | None = None
    earlier: ThermalRun | None = None
    if go_on_from is not None:
        earlier, begin = go_on_from[0], _checkpoint_before(*go_on_from, geometry)
        start_s = begin.time_s if begin is not None else 0.0
    bare = box.grid.medium(records, body_c)
    key = hashlib.sha256(bare.classes_kji.tobytes() + content_hash(records).encode()).digest()
    freezing = Freezing(medium_at(start_s), surfaces, isotherms_c, powers, step_s, compiled, tissue_key=key)
    body = freezing.medium.body_c
    if begin is not None:
        freezing.restore(begin)
    else:
        for item in protections:
            if item.start_s <= 0.0 and item.filled_c is not None:
                freezing.set_temperature(item.mask_kji, item.filled_c)
    record = _Record(freezing, geometry, points_ras_mm, earlier, start_s)
    before = [body if begin is None else float(begin.surfaces_c[n]) for n in range(len(surfaces))]
    provenance = _provenance(probes, schedules, protections, freezing)
    complete = True

    def run_so_far(done: bool) -> ThermalRun:
        return record.run(done, provenance)

    for mark in marks:
        if mark <= start_s + 1e-6:
            continue
        now = freezing.time_s
        drives = [active_drive(drives, now) for drives in timelines]
        for number, drive in enumerate(drives):
            if drive is not None and abs(drive.start_s - now) < 1e-6:
                # A probe that was off has taken the temperature of the tissue round it.
                last = freezing.surfaces_c[number]
                before[number] = freezing.at_middle_c(number) if np.isnan(last) else float(last)

        def targets(times_s: npt.NDArray[np.float64], drives: list = drives) -> npt.NDArray[np.float64]:  # type: ignore[type-arg]
            columns = [
                np.full(times_s.shape, np.nan)
                if drive is None
                else probe_drive(probes[n].probe, drive, times_s, before[n], body)
                for n, drive in enumerate(drives)
            ]
            return np.stack(columns, axis=1)

        record.advance(mark, targets, cancelled)
        record.snapshot()
        _check_edges(freezing)
        progress(freezing.time_s / total, f"{freezing.time_s / 60:.0f} of {total / 60:.0f} min simulated")
        if cancelled() or freezing.time_s < mark - 1e-6:
            complete = False
            break
        if keep_checkpoints:
            record.checkpoints.append(freezing.checkpoint())
        if partial is not None and mark < total:
            partial(run_so_far(False))
        if any(abs(t - mark) < 1e-6 for item in protections for t in (item.start_s, item.end_s) if t is not None):
            fresh = [item for item in protections if abs(item.start_s - mark) < 1e-6 and item.filled_c is not None]
            freezing.change_medium(medium_at(mark))
            for item in fresh:
                freezing.set_temperature(item.mask_kji, float(item.filled_c or 0.0))
    return run_so_far(complete)


class _Record:
    """What is kept of a calculation while it runs."""

    def __init__(
        self,
        freezing: Freezing,
        geometry: VolumeGeometry,
        points_ras_mm: npt.ArrayLike | None,
        earlier: ThermalRun | None,
        start_s: float,
    ) -> None:
        self.freezing, self.geometry = freezing, geometry
        self.shape = geometry.shape_kji
        self.times: list[float] = [0.0]
        self.fields = [np.full(self.shape, np.float32(freezing.medium.body_c))]
        self.checkpoints: list[Checkpoint] = []
        try:
            self.points = None if points_ras_mm is None else np.atleast_2d(np.asarray(points_ras_mm, float))
        except (TypeError, ValueError):
            raise ThermalError("Thermocouples are points (R, A, S) in mm; something else was given.") from None
        self.point_times: list[float] = []
        self.point_c: list[npt.NDArray[np.float64]] = []
        if self.points is not None:
            if self.points.shape[1] != 3 or not np.isfinite(self.points).all():
                raise ThermalError("Thermocouples are points (R, A, S) in mm; at least one of them is not.")
            outside = ~geometry.contains(self.points)
            if outside.any():
                where = np.round(self.points[outside][0], 1).tolist()
                raise ThermalError(
                    f"The thermocouple at {where} lies outside the simulated box; move it or leave it out."
                )
            self.read()
        if earlier is not None and start_s > 0:
            keep = earlier.snapshot_times_s <= start_s + 1e-6
            self.times = earlier.snapshot_times_s[keep].tolist()
            self.fields = list(earlier.temperature_c[keep])
            self.checkpoints = [c for c in earlier.checkpoints if c.time_s <= start_s + 1e-6]
            same = earlier.points_ras_mm is not None and self.points is not None
            if same and not np.array_equal(earlier.points_ras_mm, self.points):  # type: ignore[arg-type]
                raise ThermalError(
                    "The thermocouples are not those of the run to go on from; keep them where they were."
                )
            if earlier.point_times_s is not None and earlier.point_c is not None and self.points is not None:
                early = earlier.point_times_s <= start_s + 1e-6
                self.point_times = earlier.point_times_s[early].tolist()
                self.point_c = list(earlier.point_c[early])

    def _cropped(self, field: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        k, j, i = self.shape
        result: npt.NDArray[np.float32] = field[..., :k, :j, :i]
        return result

    def read(self) -> None:
        """Read the thermocouples."""
        assert self.points is not None
        self.point_times.append(self.freezing.time_s)
        self.point_c.append(self.freezing.at_points_c(self.geometry.ras_to_ijk(self.points)[:, ::-1]))

    def advance(self, mark: float, targets: Callable, cancelled: Cancelled) -> None:  # type: ignore[type-arg]
        """Go on to a mark, reading the thermocouples on the way."""
        if self.points is None:
            self.freezing.advance(mark, targets, cancelled)
            return
        while self.freezing.time_s < mark - 1e-6:
            self.freezing.advance(min(mark, self.freezing.time_s + 2.0), targets)
            self.read()
            if cancelled():
                return

    def snapshot(self) -> None:
        """Keep the field of this moment."""
        if self.freezing.time_s > self.times[-1] + 1e-6:
            self.times.append(self.freezing.time_s)
            self.fields.append(_rounded(self._cropped(self.freezing.temperature_c())))

    def run(self, complete: bool, provenance: tuple[tuple[str, str], ...]) -> ThermalRun:
        """The run so far."""
        coldest = self._cropped(self.freezing.coldest_c())
        below, first = (self._cropped(f) for f in (self.freezing.below_s(), self.freezing.first_s()))
        if not (np.isfinite(coldest).all() and np.isfinite(self.fields[-1]).all()):
            raise ThermalError("The simulation did not stay finite; report this case to the developers.")
        return ThermalRun(
            self.geometry,
            np.array(self.times),
            np.stack(self.fields),
            np.minimum(_rounded(coldest), np.minimum.reduce(self.fields)),
            self.freezing.isotherms_c.astype(np.float64),
            np.ascontiguousarray(below),
            complete,
            provenance,
            np.ascontiguousarray(first),
            self.points,
            np.array(self.point_times) if self.points is not None else None,
            np.array(self.point_c) if self.points is not None else None,
            tuple(self.checkpoints),
        )


def _rounded(temperature: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Temperatures to 1/128 C, far under the model's error: what is kept then packs to a third of the size."""
    result: npt.NDArray[np.float32] = np.rint(temperature * np.float32(128.0)) / np.float32(128.0)
    return result


def _checkpoint_before(run: ThermalRun, time_s: float, geometry: VolumeGeometry) -> Checkpoint | None:
    if not (np.isfinite(time_s) and time_s >= 0):
        raise ThermalError(f"A run can go on from 0 s or later, not from {time_s} s.")
    if run.geometry != geometry:
        raise ThermalError("The run to go on from has another grid; keep its probes and its grid, or simulate anew.")
    found = [c for c in run.checkpoints if c.time_s <= time_s + 1e-6]
    if not found and time_s > 0 and not run.checkpoints:
        raise ThermalError("The run to go on from kept no checkpoints; simulate it with keep_checkpoints=True.")
    return max(found, key=lambda c: c.time_s) if found else None


def _provenance(
    probes: Sequence[PlannedProbe],
    schedules: Sequence[Protocol],
    protections: Sequence[PlacedProtection],
    freezing: Freezing,
) -> tuple[tuple[str, str], ...]:
    compiled = type(freezing.stepper).__name__ == "CompiledStepper"
    solver = "explicit, two rates, numba" if compiled else "semi-implicit, numpy and scipy"
    return (
        ("solver", f"enthalpy, fine box round the ice in a coarser grid, {solver}"),
        ("grid_mm", f"{freezing.medium.grid_mm:g}"),
        ("probes", "; ".join(p.probe.id for p in probes)),
        ("protocol", "; ".join(dict.fromkeys(schedule.id for schedule in schedules))),
        (
            "boundary",
            f"{freezing.medium.body_c:g} C beyond the box, bare skin to {constant('room_temperature_c'):g} C air",
        ),
        *(("protection", f"{item.name} from {item.start_s:g} s") for item in protections),
    )


def _check_settings(grid_mm: float, snapshot_s: float, step_s: float | None) -> None:
    for name, value in (
        ("grid_mm", grid_mm),
        ("snapshot_s", snapshot_s),
        ("step_s", 1.0 if step_s is None else step_s),
    ):
        if not (np.isfinite(value) and value > 0):
            raise ThermalError(f"{name} must be positive, but is {value}.")
    if grid_mm > _COARSEST_MM:
        raise ThermalError(
            f"A thermal grid of {grid_mm:g} mm cannot show an ice ball of a few millimeters; use {_COARSEST_MM:g} mm or finer."
        )


def _check_edges(freezing: Freezing) -> None:
    """Refuse an answer that depends on what was taken to lie beyond the box."""
    enough = constant("edge_share_limit")
    share = freezing.edge_share(enough)
    if share > enough:
        raise ThermalError(
            f"The simulated box is too small: {100 * share:.0f} % of the heat that the cold took in "
            f"{freezing.time_s / 60:.0f} min came in through its sides. Take a larger block, or freeze for less time."
        )


def _check_duration(duration_s: float) -> None:
    if duration_s > _LONGEST_S:
        raise ThermalError(
            f"The protocol lasts {duration_s / 60:.0f} min; protocols up to {_LONGEST_S / 60:.0f} min are simulated. "
            "Shorten it."
        )


def check_probes(anatomy: Anatomy, probes: Sequence[PlannedProbe]) -> None:
    """Refuse probes that cannot be there.

    Raises:
        ThermalError: see check_gaps, and a cold part that is not wholly inside the body.
    """
    body = anatomy.body_kji
    check_gaps(probes)
    for number, planned in enumerate(probes, start=1):
        ijk = np.rint(anatomy.geometry.ras_to_ijk(planned.cold_ends_ras_mm)).astype(int)
        n = np.array(anatomy.geometry.shape_kji[::-1])
        inside = ((ijk >= 0) & (ijk < n)).all(axis=1)
        if not inside.all() or not body[ijk[:, 2], ijk[:, 1], ijk[:, 0]].all():
            raise ThermalError(
                f"The cold part of probe {number} ({planned.probe.id}) is not wholly inside the body; advance it or "
                "choose a shorter ice."
            )


def check_gaps(probes: Sequence[PlannedProbe]) -> None:
    """Refuse too many probes, ones that are too thick or thin, and two that run through each other.

    Raises:
        ThermalError: see above.
    """
    if not 1 <= len(probes) <= _MOST_PROBES:
        raise ThermalError(f"{len(probes)} probes were planned; 1 to {_MOST_PROBES} are simulated.")
    for number, planned in enumerate(probes, start=1):
        if not _THINNEST_MM <= planned.probe.diameter_mm <= _THICKEST_MM:
            raise ThermalError(
                f"Probe {number} ({planned.probe.id}) is {planned.probe.diameter_mm:g} mm thick; probes of "
                f"{_THINNEST_MM:g} to {_THICKEST_MM:g} mm are simulated."
            )
    for one in range(len(probes)):
        for other in range(one + 1, len(probes)):
            radii = 0.5 * (probes[one].probe.diameter_mm + probes[other].probe.diameter_mm)
            gap = shaft_gap_mm(probes[one].trajectory, probes[other].trajectory) - radii
            if gap < 0:
                raise ThermalError(
                    f"Probes {one + 1} and {other + 1} run through each other ({-gap:.1f} mm overlap); move one of them."
                )


def thermocouple_c(run: ThermalRun, points_ras_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Temperatures (T, P) at points (P, 3) in RAS at a run's snapshots; NaN outside its box."""
    points = np.atleast_2d(np.asarray(points_ras_mm, float))
    return np.stack([sample(field, run.geometry, points) for field in run.temperature_c])
