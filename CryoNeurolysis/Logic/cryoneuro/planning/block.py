"""The path of an injection needle for a diagnostic block: on the cryoprobe's own path, or one of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..knowledge import nerve as nerve_record
from ..model import (
    Anatomy,
    Cancelled,
    Clearance,
    Limits,
    NeedleModel,
    Nerve,
    Plan,
    PlanningError,
    Progress,
    Trajectory,
    never_cancelled,
    no_progress,
)
from .clearance import exact_clearances, nerve_distance_mm
from .confirm import confirmed
from .explain import explain_choice, explain_failure
from .plan import tried_paths
from .rank import ranked

_STEP_MM = 0.25


@dataclass(frozen=True, eq=False)
class BlockPath:
    """Where the needle goes.

    Attributes:
        trajectory: skin entry and needle tip, RAS mm.
        clearances: worst first; unknown structures before all.
        shared: it lies on the planned path of the cryoprobe.
        to_nerve_mm: from the needle's tip to the middle of the nerve.
        explanation: sentences.
    """

    needle: NeedleModel
    trajectory: Trajectory
    clearances: tuple[Clearance, ...]
    shared: bool
    to_nerve_mm: float
    explanation: tuple[str, ...]


def shared_block(anatomy: Anatomy, plan: Plan, needle: NeedleModel) -> BlockPath:
    """The needle on the path of the plan's first probe: the same entry and direction, its tip where the path passes the nerve.

    Raises:
        PlanningError: the needle is too short.
    """
    freeze = plan.probes[0].trajectory
    points = freeze.points_ras_mm(_STEP_MM)
    course = plan.nerve.at(np.arange(0.0, float(plan.nerve.arc_length_mm[-1]) + 0.25, 0.5))
    distance = np.linalg.norm(points[:, None] - course[None], axis=2).min(axis=1)
    path = Trajectory(freeze.entry_ras_mm, points[int(np.argmin(distance))])
    if path.length_mm > needle.usable_shaft_mm:
        raise PlanningError(
            f"The nerve lies {path.length_mm:.0f} mm deep on this path, but {needle.name} reaches "
            f"{needle.usable_shaft_mm:.0f} mm; choose a longer needle."
        )
    record = nerve_record(plan.nerve.target_id)
    clearances = exact_clearances(anatomy, plan.nerve, path, 0.5 * needle.diameter_mm, plan.limits, record)
    short = freeze.length_mm - path.length_mm
    note = f"It shares the path of the cryoprobe and ends {short:.0f} mm before the probe's tip, where the path passes the nerve."
    return _block(plan.nerve, needle, path, clearances, True, (note,))


def own_block(
    anatomy: Anatomy,
    nerve: Nerve,
    needle: NeedleModel,
    limits: Limits,
    patient_position: str = "",
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> BlockPath:
    """The best path for the needle alone, found as a cryoprobe's path is.

    Raises:
        PlanningError: no path holds every limit, see plan_paths.
    """
    found = ranked(tried_paths(anatomy, nerve, needle, limits, progress, cancelled, patient_position))
    path = next(confirmed(anatomy, nerve, needle, limits, found), None)
    if path is None:
        raise PlanningError(explain_failure(found))
    notes = explain_choice(found, path.rank, path.clearances, nerve_record(nerve.target_id))
    return _block(nerve, needle, path.trajectory, path.clearances, False, notes)


def _block(
    nerve: Nerve,
    needle: NeedleModel,
    path: Trajectory,
    clearances: tuple[Clearance, ...],
    shared: bool,
    notes: tuple[str, ...],
) -> BlockPath:
    tip = Trajectory(path.tip_ras_mm - 1e-2 * path.direction_ras, path.tip_ras_mm)
    to_nerve_mm = nerve_distance_mm(nerve, tip)
    beyond = to_nerve_mm - nerve.radius_mm
    if beyond > needle.spread_mm:
        far = f"The tip ends {beyond:.0f} mm from the nerve, farther than a drug surely spreads ({needle.spread_mm:g} mm)."
        notes = (*notes, far)
    return BlockPath(needle, path, clearances, shared, to_nerve_mm, notes)
