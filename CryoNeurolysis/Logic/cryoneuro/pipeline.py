"""The straight line: CT -> anatomy -> nerve -> plan -> thermal run -> assessment, for whoever drives it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from . import __version__
from .anatomy import for_target, grow_structure, nerve_from_points, propose_nerve, pulled_course, with_structure
from .assessment import Judge, Outcome, Variation, assess, draw, varied_probes, varied_records
from .assessment.nerve_dose import nerve_dose
from .knowledge import limits_for
from .knowledge import nerve as nerve_record
from .knowledge import probe as probe_record
from .knowledge import protocol as protocol_record
from .model import (
    Anatomy,
    Cancelled,
    CancelledError,
    CandidateSet,
    Case,
    CtVolume,
    Doubt,
    Limits,
    Nerve,
    Plan,
    PlanningError,
    ProbeModel,
    Progress,
    ThermalError,
    ThermalRun,
    content_hash,
    never_cancelled,
    no_progress,
)
from .planning import add_probe, finalists, manual_plan, plan_paths, robustness, table_words, tried_paths, why_not
from .thermal import ISOTHERMS_C, placed_protections, simulate, simulate_box, tissue_box
from .thermal.simulate import DEFAULT_GRID_MM as THERMAL_GRID_MM

PREVIEW_GRID_MM = 2.0
FINALISTS = 8
DOUBT_SAMPLES = 64


@dataclass(frozen=True)
class Request:
    """What is asked for; None takes the target's default.

    Attributes:
        points_ras_mm: course of the nerve, given by a person; None proposes it from landmarks.
        follow: between these points follow fat instead of straight lines.
        accepted: a person has looked at the proposed course and agrees.
        entry_ras_mm, tip_ras_mm: a path drawn by a person; None plans it.
        cleared: groups that a person says are not in the field.
        probe_count: 1, 2, or 0: a second probe when one does not treat the nerve.
        limits: stops that hold for this case only, by id.
        weights: of the criteria that are to count otherwise than usual, by name.
        samples, seed: size of the sample of what is uncertain, and where it is drawn from.
    """

    target: str
    side: str = "left"
    level: int | None = None
    points_ras_mm: tuple[tuple[float, float, float], ...] | None = None
    follow: bool = False
    accepted: bool = False
    through_ras_mm: tuple[tuple[float, float, float], ...] = ()
    entry_ras_mm: tuple[float, float, float] | None = None
    tip_ras_mm: tuple[float, float, float] | None = None
    probe: str | None = None
    protocol: str | None = None
    probe_count: int = 0
    cleared: tuple[str, ...] = ()
    limits: tuple[tuple[str, float], ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
    thermal_grid_mm: float = THERMAL_GRID_MM
    samples: int = 0
    seed: int = 0


def pseudonym_of(ct: CtVolume) -> str:
    """A name that says nothing about the patient."""
    return "case-" + content_hash(ct)[:10]


def new_case(ct: CtVolume) -> Case:
    """A case with nothing but its CT."""
    return Case(pseudonym_of(ct), ct, software=f"CryoNeurolysis {__version__}")


def find_nerve(anatomy: Anatomy, request: Request) -> Nerve:
    """The course that was asked for.

    Raises:
        KnowledgeError, AnatomyError: unknown target, landmarks not in view, or points that make no course.
    """
    if request.points_ras_mm is not None:
        course = nerve_from_points(anatomy, request.target, request.points_ras_mm, follow=request.follow)
    else:
        proposed = propose_nerve(anatomy, request.target, request.side, request.level)
        course = replace(proposed, confirmed=request.accepted)
    for place in request.through_ras_mm:
        course = pulled_course(anatomy, course, place)
    return course


def grow_step(
    case: Case,
    name: str,
    group: str,
    inside_ras_mm: npt.ArrayLike,
    outside_ras_mm: npt.ArrayLike,
) -> Case:
    """The case with one more structure, grown from clicks; plan and results no longer belong to it.

    Raises:
        AnatomyError: see anatomy.grow_structure.
    """
    if case.anatomy is None:
        raise PlanningError("The case has no anatomy yet; run: cryoneuro segment CT.")
    grown = grow_structure(case.ct, case.anatomy, name, group, inside_ras_mm, outside_ras_mm)
    anatomy = with_structure(case.ct, case.anatomy, grown)
    return replace(case, anatomy=anatomy, plan=None, thermal=None, assessment=None)


def confirm_step(case: Case, structures: tuple[str, ...] = (), course: bool = False) -> Case:
    """The case with a person's yes to structures or to the nerve's course; an assessment is made anew.

    Raises:
        AnatomyError: no structure of that name.
        PlanningError: no anatomy, or no plan whose course could be confirmed.
    """
    if case.anatomy is None:
        raise PlanningError("The case has no anatomy yet; run: cryoneuro segment CT.")
    for name in structures:
        case.anatomy.structure(name)
    anatomy = replace(
        case.anatomy,
        structures=tuple(replace(s, confirmed=s.confirmed or s.name in structures) for s in case.anatomy.structures),
    )
    plan = case.plan
    if course:
        if plan is None:
            raise PlanningError(
                "The case has no plan, so no course to confirm; run: cryoneuro plan CASE --target NERVE."
            )
        nerve = replace(plan.nerve, confirmed=True)
        plan, anatomy = replace(plan, nerve=nerve), replace(anatomy, nerves=(nerve,))
    if plan is not None:
        # A yes to a structure may make known what was unknown.
        anatomy = for_target(anatomy, plan.nerve)
        plan = replace(plan, unknown=anatomy.unknown)
    case = replace(case, anatomy=anatomy, plan=plan)
    if plan is None or case.thermal is None or case.assessment is None:
        return case
    return replace(case, assessment=assess(anatomy, plan, case.thermal, case.assessment.ensemble))


def plan_step(
    case: Case, request: Request, progress: Progress = no_progress, cancelled: Cancelled = never_cancelled
) -> Case:
    """The case with nerve and plan; what was simulated before no longer belongs to it.

    Where the best path does not treat the wanted length in a coarse preview, the next finalists are simulated as well and
    the one that treats most is taken; where one probe does not treat the nerve, a second one is planned. The plan says so.

    Raises:
        KnowledgeError, AnatomyError, PlanningError: see the stages.
    """
    anatomy, course, probe = _aimed(case, request)
    protocol = protocol_record(request.protocol or nerve_record(request.target).default_protocol)
    limits = _limits(request)
    if (request.entry_ras_mm is None) != (request.tip_ras_mm is None):
        raise PlanningError("A path needs both an entry and a tip; give both, or neither to have it planned.")
    if request.entry_ras_mm is not None and request.tip_ras_mm is not None:
        plan = manual_plan(anatomy, course, probe, protocol, request.entry_ras_mm, request.tip_ras_mm, limits)
    else:
        plan, found = plan_paths(anatomy, course, probe, protocol, limits, progress, cancelled, dict(request.weights))
        if request.probe_count == 2:
            plan = add_probe(anatomy, plan, found)
        elif request.probe_count == 0:
            plan = _planned_by_ice(anatomy, plan, found, progress, cancelled)
    held = [robustness(anatomy, course, p.probe, limits, p.trajectory, seed=request.seed) for p in plan.probes]
    chances = [h.sentence if len(held) == 1 else f"Probe {n + 1}: {h.sentence}" for n, h in enumerate(held)]
    turned = dict.fromkeys(table_words(p.trajectory, case.ct.acquisition.patient_position) for p in plan.probes)
    notes = (*chances, *(text for text in turned if text), *_changes(request))
    plan = replace(plan, explanation=(*plan.explanation, *notes))
    return replace(case, anatomy=anatomy, plan=plan, thermal=None, assessment=None)


def why_step(
    case: Case,
    request: Request,
    entry_ras_mm: tuple[float, float, float],
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> str:
    """Why no path enters at a place on the skin, by how much, and what would have to change; the case stays as it is.

    Raises:
        KnowledgeError, AnatomyError, PlanningError: see the stages.
    """
    anatomy, course, probe = _aimed(case, request)
    text = why_not(tried_paths(anatomy, course, probe, _limits(request), progress, cancelled), entry_ras_mm)
    unknown = ", ".join(anatomy.unknown).replace("_", " ")
    return f"{text} Not segmented, therefore unknown and not safe: {unknown}." if unknown else text


def _limits(request: Request) -> Limits:
    return limits_for(nerve_record(request.target)).changed(dict(request.limits))


def _changes(request: Request) -> tuple[str, ...]:
    """What a person has changed for this case, in sentences."""
    usual = limits_for(nerve_record(request.target))
    changed = _limits(request)
    text = []
    for limit_id, stop in request.limits:
        was = usual.get(limit_id, "clearance.default").stop
        text.append(f"Changed for this case: limit {limit_id} {stop:g} {changed[limit_id].unit}, usually {was:g}.")
    if request.weights:
        text.append("Weights given for this case: " + ", ".join(f"{n} {w:g}" for n, w in request.weights) + ".")
    return tuple(text)


def _aimed(case: Case, request: Request) -> tuple[Anatomy, Nerve, ProbeModel]:
    """What a path is looked for in, to what, and with what."""
    if case.anatomy is None:
        raise PlanningError("The case has no anatomy yet; run: cryoneuro segment CT.")
    probe = probe_record(request.probe or nerve_record(request.target).default_probe)
    course = find_nerve(case.anatomy, request)
    return for_target(case.anatomy, course, request.cleared), course, probe


def _treats_best(
    anatomy: Anatomy, plan: Plan, found: CandidateSet, progress: Progress, cancelled: Cancelled
) -> tuple[Plan, float]:
    """The plan that treats the longest stretch of nerve in a coarse preview, and that length.

    The best by geometry is kept when it treats the length that is wanted; otherwise the next finalists are tried.
    """
    length = plan.limits["nerve.treated_length"]
    treat_c = plan.limits["nerve.coldest"].stop

    def preview(candidate: Plan) -> float:
        run = simulate(anatomy, candidate, grid_mm=PREVIEW_GRID_MM, snapshot_s=1e6, cancelled=cancelled)
        return nerve_dose(run, candidate.nerve).treated_length_mm(treat_c)

    progress(0.5, "Preview of the ice")
    best, best_mm = plan, preview(plan)
    if best_mm >= length.warning:
        return best, best_mm
    others = finalists(anatomy, plan, found, FINALISTS)[1:]
    for number, other in enumerate(others):
        if cancelled():
            raise CancelledError("The planning was stopped.")
        progress(0.5 + 0.5 * number / len(others), f"Preview of finalist {number + 2}")
        treated_mm = preview(other)
        # Half a millimeter is a step of the dose's sampling; less is no reason to leave the better path.
        if treated_mm > best_mm + 0.5:
            best, best_mm = other, treated_mm
    if best is not plan:
        note = f"Of {len(others) + 1} finalists it treats the longest stretch of nerve in a {PREVIEW_GRID_MM:g} mm preview."
        best = replace(best, explanation=(*best.explanation, note))
    return best, best_mm


def _planned_by_ice(
    anatomy: Anatomy, plan: Plan, found: CandidateSet, progress: Progress, cancelled: Cancelled
) -> Plan:
    """The finalist that treats best, with a second probe where one does not treat the nerve."""
    plan, treated_mm = _treats_best(anatomy, plan, found, progress, cancelled)
    if treated_mm >= plan.limits["nerve.treated_length"].stop:
        return plan
    said = f"In a {PREVIEW_GRID_MM:g} mm preview one probe treats {treated_mm:.0f} mm of the nerve"
    try:
        more = add_probe(anatomy, plan, found)
    except PlanningError as error:
        return replace(plan, explanation=(*plan.explanation, f"{said}. {error}"))
    return replace(more, explanation=(f"{said}; a second probe was added.", *more.explanation))


def simulate_step(
    case: Case,
    grid_mm: float = THERMAL_GRID_MM,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
    samples: int = 0,
    seed: int = 0,
) -> Case:
    """The case with thermal run and assessment.

    Args:
        samples: runs in a designed sample of what is uncertain; 0 makes none and takes geometric bands instead.
        seed: where the sample is drawn from.

    Raises:
        PlanningError: there is no plan yet.
        ThermalError: see thermal.simulate.
    """
    if case.plan is None or case.anatomy is None:
        raise PlanningError("The case has no plan yet; run: cryoneuro plan CASE --target NERVE.")
    part = 0.5 if samples else 1.0
    run = simulate(
        case.anatomy, case.plan, grid_mm=grid_mm, progress=lambda f, t: progress(part * f, t), cancelled=cancelled
    )
    doubt = None
    if samples and run.complete:
        doubt = sampled_doubt(
            case.anatomy, case.plan, run, samples, seed, lambda f, t: progress(part + (1 - part) * f, t), cancelled
        )
    return replace(case, thermal=run, assessment=assess(case.anatomy, case.plan, run, doubt))


def sampled_doubt(
    anatomy: Anatomy,
    plan: Plan,
    nominal: ThermalRun,
    samples: int = DOUBT_SAMPLES,
    seed: int = 0,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> Doubt | None:
    """Freeze a designed sample of what is uncertain on a preview grid; None when cancelled.

    Runs go side by side; each depends on its own draw only, so the result does not depend on how many do.

    Raises:
        AssessmentError: see assessment.draw and Judge.doubt.
    """
    variations = draw(plan, samples, seed)
    box = tissue_box(anatomy, plan, PREVIEW_GRID_MM)
    protections = placed_protections(anatomy, plan, box.geometry)
    judge = Judge(anatomy, plan, nominal)
    done = [0]

    def one(variation: Variation) -> Outcome | None:
        if cancelled():
            return None
        try:
            run = simulate_box(
                box,
                varied_probes(plan, variation),
                plan.protocol,
                snapshot_s=1e6,
                protections=protections,
                records=varied_records(box.records, variation),
                cancelled=cancelled,
            )
        except ThermalError:
            return None
        done[0] += 1
        progress(done[0] / len(variations), f"{done[0]} of {len(variations)} runs of the sample")
        return judge.outcome(run, variation)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        outcomes = tuple(pool.map(one, variations))
    if cancelled():
        return None
    return judge.doubt(variations, outcomes, box.geometry, ISOTHERMS_C, seed)


def points_of(values: npt.ArrayLike) -> tuple[tuple[float, float, float], ...]:
    """Points as the plain tuples that a Request holds."""
    return tuple((float(r), float(a), float(s)) for r, a, s in np.atleast_2d(np.asarray(values, dtype=float)))
