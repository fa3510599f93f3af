"""From anatomy and nerve to a plan: sweep, rank, confirm, explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..knowledge import limits_for
from ..knowledge import nerve as nerve_record
from ..model import (
    Anatomy,
    Cancelled,
    CandidateSet,
    Clearance,
    Instrument,
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
from .check import check_nerve, swallowed
from .confirm import MOST_CONFIRMED, Confirmed, confirmed
from .explain import explain_choice, explain_failure, tightest_words
from .rank import ranked
from .sweep import sweep
from .table import table_side_ras

TIPS_APART_MM = 1.5


def plan_paths(
    anatomy: Anatomy,
    nerve: Nerve,
    probe: ProbeModel,
    protocol: Protocol,
    limits: Limits | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
    weights: Mapping[str, float] | None = None,
    patient_position: str = "",
) -> tuple[Plan, CandidateSet]:
    """The best path for one probe, and all that were tried.

    The sweep looks clearances up at the nearest voxel; the path that is returned has been confirmed with exact
    distances to every structure's surface.

    Args:
        anatomy: with `unknown` filled for this nerve (see anatomy.for_target).
        limits: the data's limits when None.
        weights: of the criteria that are to count otherwise than usual.
        patient_position: in the scan, as DICOM says it; for the limit path.table.

    Raises:
        PlanningError: the nerve lies outside the body, no skin is in view, a weight means nothing, or no path holds
            every limit; then the message names the limit that stands in the way and by how much.
    """
    limits = limits or limits_for(nerve_record(nerve.target_id))
    found = ranked(tried_paths(anatomy, nerve, probe, limits, progress, cancelled, patient_position), weights)
    if not len(found.order):
        raise PlanningError(swallowed(anatomy, nerve) + explain_failure(found))
    path = next(confirmed(anatomy, nerve, probe, limits, found), None)
    if path is None:
        raise PlanningError(
            f"{len(found.order)} paths passed the sweep, but none of the first {MOST_CONFIRMED} was confirmed by exact "
            f"distances; the way is tighter than the {anatomy.geometry.spacing_mm[0]:g} mm grid can tell. "
            + explain_failure(found)
        )
    progress(1.0, "Path confirmed")
    return plan_on(anatomy, nerve, probe, protocol, limits, found, path), found


def tried_paths(
    anatomy: Anatomy,
    nerve: Nerve,
    probe: Instrument,
    limits: Limits | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
    patient_position: str = "",
) -> CandidateSet:
    """Every path from reachable skin against every limit and criterion; perhaps none of them holds all limits.

    Args:
        patient_position: in the scan, as DICOM says it; for the limit path.table.

    Raises:
        PlanningError: the nerve lies outside the body, no skin is in view, or entries from the table's side are forbidden
            and nobody knows which side that is.
    """
    record = nerve_record(nerve.target_id)
    limits = limits or limits_for(record)
    check_nerve(anatomy, nerve)
    table_ras = table_side_ras(patient_position)
    if table_ras is None and limits["path.table"].stop > 0.0:
        raise PlanningError(
            "The limit path.table forbids entries from the table's side, but the scan does not say how the patient lies; "
            "use a scan that says it, or leave that limit out."
        )
    candidates = make_candidates(anatomy, nerve, record, probe, limits)
    progress(0.1, f"{len(candidates.entry_ras_mm)} paths")
    return sweep(anatomy, nerve, record, probe, limits, candidates, progress, cancelled, table_ras)


def finalists(anatomy: Anatomy, plan: Plan, found: CandidateSet, count: int) -> tuple[tuple[Plan, int], ...]:
    """The plan and the next best ones whose tips lie apart from one another, all confirmed, each with its row in found.

    Args:
        found: as plan_paths returned it with the plan.
        count: at most so many, the plan included.
    """
    only = plan.probes[0]
    chosen: list[tuple[Plan, int]] = []
    tips: list[npt.NDArray[np.float64]] = []

    def apart(trajectory: Trajectory) -> bool:
        return all(np.linalg.norm(trajectory.tip_ras_mm - tip) >= TIPS_APART_MM for tip in tips)

    for path in confirmed(anatomy, plan.nerve, only.probe, plan.limits, found, apart):
        other = plan_on(anatomy, plan.nerve, only.probe, plan.protocol, plan.limits, found, path)
        chosen.append((other, path.row))
        tips.append(path.trajectory.tip_ras_mm)
        if len(chosen) >= count:
            break
    return tuple(chosen)


def plan_on(
    anatomy: Anatomy,
    nerve: Nerve,
    probe: ProbeModel,
    protocol: Protocol,
    limits: Limits,
    found: CandidateSet,
    path: Confirmed,
) -> Plan:
    """The plan of one probe on a confirmed path, with its reasons."""
    return Plan(
        nerve=nerve,
        probes=(PlannedProbe(probe, path.trajectory),),
        protocol=protocol,
        limits=limits,
        clearances=path.clearances,
        unknown=anatomy.unknown,
        explanation=explain_choice(found, path.rank, path.clearances, nerve_record(nerve.target_id)),
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
        explanation=(
            *plan.explanation,
            *(f"Probe {len(plan.probes) + 1}: {text}" for text in tightest_words(other.clearances)),
        ),
    )
