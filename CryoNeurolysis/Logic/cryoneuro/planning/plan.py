"""From anatomy and nerve to a plan: sweep, rank, confirm, explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..anatomy import skin_entries
from ..imaging import sample
from ..knowledge import NerveRecord, limits_for
from ..knowledge import nerve as nerve_record
from ..model import (
    Anatomy,
    Cancelled,
    CandidateSet,
    Clearance,
    Limits,
    Nerve,
    Plan,
    PlannedProbe,
    PlanningError,
    ProbeModel,
    Progress,
    Protocol,
    Trajectory,
    never_cancelled,
    no_progress,
)
from .candidates import make_candidates
from .clearance import avoided, exact_clearances, shaft_gap_mm
from .explain import explain_choice, explain_failure
from .rank import ranked
from .sweep import sweep

_FINALISTS = 200
_OPPOSITE = -0.7
"""Cosine between the sides on which two probes pass the nerve: at least about 135 degrees apart."""
_TIPS_APART_MM = 1.5
_MOST_INSIDE = 0.5
_APART_MM = 4.0
"""Two probes in a plexus enter it at least this far apart along it."""


def plan_paths(
    anatomy: Anatomy,
    nerve: Nerve,
    probe: ProbeModel,
    protocol: Protocol,
    limits: Limits | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
    weights: Mapping[str, float] | None = None,
) -> tuple[Plan, CandidateSet]:
    """The best path for one probe, and all that were tried.

    The sweep looks clearances up at the nearest voxel; the path that is returned has been confirmed with exact
    distances to every structure's surface.

    Args:
        anatomy: with `unknown` filled for this nerve (see anatomy.for_target).
        limits: the data's limits when None.
        weights: of the criteria that are to count otherwise than usual.

    Raises:
        PlanningError: the nerve lies outside the body, no skin is in view, a weight means nothing, or no path holds
            every limit; then the message names the limit that stands in the way and by how much.
    """
    limits = limits or limits_for(nerve_record(nerve.target_id))
    found = ranked(tried_paths(anatomy, nerve, probe, limits, progress, cancelled), weights)
    if not len(found.order):
        raise PlanningError(_swallowed(anatomy, nerve) + explain_failure(found))
    first: Plan | None = None
    for plan in _confirmed(anatomy, nerve, probe, protocol, limits, found, first=None):
        first = plan
        break
    if first is None:
        raise PlanningError(
            f"{len(found.order)} paths passed the sweep, but none of the first {_FINALISTS} was confirmed by exact "
            f"distances; the way is tighter than the {anatomy.geometry.spacing_mm[0]:g} mm grid can tell. "
            + explain_failure(found)
        )
    progress(1.0, "Path confirmed")
    return first, found


def tried_paths(
    anatomy: Anatomy,
    nerve: Nerve,
    probe: ProbeModel,
    limits: Limits | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> CandidateSet:
    """Every path from reachable skin against every limit and criterion; perhaps none of them holds all limits.

    Raises:
        PlanningError: the nerve lies outside the body, or no skin is in view.
    """
    record = nerve_record(nerve.target_id)
    limits = limits or limits_for(record)
    _check_nerve(anatomy, nerve)
    candidates = make_candidates(anatomy, nerve, record, probe, limits)
    progress(0.1, f"{len(candidates.entry_ras_mm)} paths")
    return sweep(anatomy, nerve, record, probe, limits, candidates, progress, cancelled)


def finalists(anatomy: Anatomy, plan: Plan, found: CandidateSet, count: int) -> tuple[Plan, ...]:
    """The plan and the next best ones whose tips lie apart from one another, all confirmed by exact distances.

    Args:
        found: as plan_paths returned it with the plan.
        count: at most so many, the plan included.
    """
    only = plan.probes[0]
    chosen = [plan]
    tips = [only.trajectory.tip_ras_mm]
    for other in _confirmed(anatomy, plan.nerve, only.probe, plan.protocol, plan.limits, found, first=None, apart=tips):
        chosen.append(other)
        tips.append(other.probes[0].trajectory.tip_ras_mm)
        if len(chosen) >= count:
            break
    return tuple(chosen)


def add_probe(anatomy: Anatomy, plan: Plan, found: CandidateSet) -> Plan:
    """The plan with a second probe laid where it adds to the first, from the paths that were tried already.

    Args:
        found: as plan_paths returned it with the plan.

    Raises:
        PlanningError: no other path fits.
    """
    only = plan.probes[0]
    for second in _confirmed(anatomy, plan.nerve, only.probe, plan.protocol, plan.limits, found, first=plan):
        return with_probe(plan, second)
    raise PlanningError(
        "No path for a second probe treats more of the nerve and keeps "
        f"{plan.limits['path.probe_gap'].stop:g} mm from the first; add one by hand or choose another probe."
    )


def _confirmed(
    anatomy: Anatomy,
    nerve: Nerve,
    probe: ProbeModel,
    protocol: Protocol,
    limits: Limits,
    found: CandidateSet,
    first: Plan | None,
    apart: Sequence[npt.NDArray[np.float64]] = (),
) -> Iterator[Plan]:
    """Plans in the order of rank whose clearances hold by exact distances.

    With a first plan, only paths that complement it and keep their distance from the first probe. `apart` holds tips
    that others must not come near; it may grow while this runs.
    """
    record = nerve_record(nerve.target_id)
    tried = 0
    for rank, index in enumerate(found.order):
        trajectory = found.trajectory(int(index))
        if first is not None:
            other = first.probes[0].trajectory
            if not _complements(nerve, record, trajectory, other):
                continue
            if shaft_gap_mm(trajectory, other) - probe.diameter_mm < limits["path.probe_gap"].stop:
                continue
        if any(np.linalg.norm(trajectory.tip_ras_mm - tip) < _TIPS_APART_MM for tip in apart):
            continue
        tried += 1
        if tried > _FINALISTS:
            return
        clearances = exact_clearances(anatomy, nerve, trajectory, 0.5 * probe.diameter_mm, limits, record)
        if all(c.slack_mm >= 0 for c in clearances if not c.unknown):
            yield Plan(
                nerve=nerve,
                probes=(PlannedProbe(probe, trajectory),),
                protocol=protocol,
                limits=limits,
                clearances=clearances,
                unknown=anatomy.unknown,
                explanation=explain_choice(found, rank, clearances, record),
            )


def _complements(nerve: Nerve, record: NerveRecord, one: Trajectory, other: Trajectory) -> bool:
    """Whether two paths treat more than one of them: on opposite sides of a nerve, at two places of a plexus."""
    (place, side), (other_place, other_side) = (_nearest_on_nerve(nerve, t) for t in (one, other))
    if record.pose == "within":
        return abs(place - other_place) >= _APART_MM
    return float(side @ other_side) <= _OPPOSITE


def _nearest_on_nerve(nerve: Nerve, trajectory: Trajectory) -> tuple[float, npt.NDArray[np.float64]]:
    """Where along the nerve (mm) the shaft passes nearest, and the unit vector from nerve to shaft there."""
    along = np.arange(0.0, float(nerve.arc_length_mm[-1]) + 0.5, 0.5)
    points = nerve.at(along)
    axis = trajectory.tip_ras_mm - trajectory.entry_ras_mm
    t = np.clip((points - trajectory.entry_ras_mm) @ axis / (axis @ axis), 0.0, 1.0)
    offset = trajectory.entry_ras_mm + t[:, None] * axis - points
    distance = np.linalg.norm(offset, axis=1)
    place = int(np.argmin(distance))
    return float(along[place]), offset[place] / max(float(distance[place]), 1e-9)


def manual_plan(
    anatomy: Anatomy,
    nerve: Nerve,
    probe: ProbeModel,
    protocol: Protocol,
    entry_ras_mm: npt.ArrayLike,
    tip_ras_mm: npt.ArrayLike,
    limits: Limits | None = None,
) -> Plan:
    """A plan on a path that a person drew; limits that it breaks show as negative slack, they do not forbid it.

    Raises:
        PlanningError: entry and tip are no points, or the tip lies outside the body.
    """
    record = nerve_record(nerve.target_id)
    limits = limits or limits_for(record)
    _check_nerve(anatomy, nerve)
    trajectory = Trajectory(np.asarray(entry_ras_mm, dtype=float), np.asarray(tip_ras_mm, dtype=float))
    if not _inside(anatomy.body_kji, anatomy, trajectory.tip_ras_mm[None])[0]:
        tip = ", ".join(f"{v:.1f}" for v in trajectory.tip_ras_mm)
        raise PlanningError(f"The tip ({tip}) mm RAS lies outside the body; check the coordinates.")
    _check_entry(anatomy, trajectory)
    if trajectory.length_mm > probe.usable_shaft_mm:
        raise PlanningError(
            f"The path is {trajectory.length_mm:.0f} mm long, {probe.name} reaches {probe.usable_shaft_mm:.0f} mm; "
            "choose a longer probe or a nearer entry."
        )
    clearances = exact_clearances(anatomy, nerve, trajectory, 0.5 * probe.diameter_mm, limits, record)
    tilt = float(np.rad2deg(np.arcsin(abs(trajectory.direction_ras[2]))))
    notes = ["Path drawn by a person."]
    if limits["path.tilt"].slack(tilt) < 0:
        notes.append(f"It leaves the axial plane by {tilt:.0f} degrees, more than {limits['path.tilt'].stop:g}.")
    return Plan(
        nerve=nerve,
        probes=(PlannedProbe(probe, trajectory),),
        protocol=protocol,
        limits=limits,
        clearances=clearances,
        unknown=anatomy.unknown,
        explanation=tuple(notes),
    )


_ENTRY_OFF_SKIN_MM = 5.0


def _check_entry(anatomy: Anatomy, trajectory: Trajectory) -> None:
    """A path begins on the skin: from an entry inside the body nobody would know what the shaft passes before."""
    skin = skin_entries(anatomy).points_ras_mm
    if not len(skin):
        raise PlanningError("No skin is in view, so no path can start; use a CT that shows the skin on the entry side.")
    distance = np.linalg.norm(skin - trajectory.entry_ras_mm, axis=1)
    nearest = int(np.argmin(distance))
    if distance[nearest] > _ENTRY_OFF_SKIN_MM:
        place = ", ".join(f"{v:.1f}" for v in skin[nearest])
        raise PlanningError(
            f"The entry lies {distance[nearest]:.0f} mm away from the skin; put it on the skin, "
            f"the nearest skin is at ({place}) mm RAS."
        )


def with_probe(plan: Plan, other: Plan) -> Plan:
    """The plan with the probes of another plan added: several probes freeze together.

    Clearances are merged, for each structure the smaller one.
    """
    by_name: dict[str, Clearance] = {}
    for clearance in (*plan.clearances, *other.clearances):
        known = by_name.get(clearance.structure)
        if known is None or (not clearance.unknown and clearance.slack_mm < known.slack_mm):
            by_name[clearance.structure] = clearance
    merged = sorted(by_name.values(), key=lambda c: (not c.unknown, c.slack_mm))
    return replace(
        plan,
        probes=(*plan.probes, *other.probes),
        clearances=tuple(merged),
        explanation=(*plan.explanation, *(f"Probe {len(plan.probes) + 1}: {text}" for text in other.explanation[2:3])),
    )


def _inside(
    mask_kji: npt.NDArray[np.bool_], anatomy: Anatomy, points_ras_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which points (N, 3) lie in a mask on the anatomy's grid."""
    result: npt.NDArray[np.bool_] = (
        sample(mask_kji.view(np.uint8), anatomy.geometry, points_ras_mm, 0, outside=0.0) > 0.5
    )
    return result


def _swallowed(anatomy: Anatomy, nerve: Nerve) -> str:
    """A sentence where half of the course or more lies inside a structure that paths must avoid; empty where none does."""
    points = nerve.at(np.arange(0.0, float(nerve.arc_length_mm[-1]) + 0.5, 1.0))
    for structure in avoided(anatomy, nerve_record(nerve.target_id).passable):
        inside = _inside(structure.mask_kji, anatomy, points)
        if inside.mean() >= _MOST_INSIDE:
            return (
                f"{100 * inside.mean():.0f} % of the nerve's course lies inside {structure.name.replace('_', ' ')}, which a "
                "path must keep clear of; correct the course or that structure. "
            )
    return ""


def _check_nerve(anatomy: Anatomy, nerve: Nerve) -> None:
    inside = _inside(anatomy.body_kji, anatomy, nerve.points_ras_mm)
    if not inside.all():
        bad = nerve.points_ras_mm[~inside][0]
        raise PlanningError(
            f"The nerve leaves the body at ({bad[0]:.1f}, {bad[1]:.1f}, {bad[2]:.1f}) mm RAS; correct its course."
        )
