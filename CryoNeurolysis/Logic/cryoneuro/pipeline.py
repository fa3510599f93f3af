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
from .finalists import FINALISTS, ICE_CRITERIA, PREVIEW_GRID_MM, Finalist, freeze, frozen_finalists
from .knowledge import constant, limits_for
from .knowledge import nerve as nerve_record
from .knowledge import probe as probe_record
from .knowledge import protocol as protocol_record
from .model import (
    Anatomy,
    Approval,
    Cancelled,
    CandidateSet,
    Case,
    Check,
    CtVolume,
    Doubt,
    Limits,
    NeedleModel,
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
from .planning import (
    MOST_PROBES,
    BlockPath,
    manual_plan,
    own_block,
    plan_paths,
    probes_together,
    robustness,
    shared_block,
    snapped,
    table_words,
    tried_paths,
    why_not,
)
from .thermal import (
    TissueBox,
    cold_profile,
    placed_protections,
    reached_box,
    simulate,
    simulate_box,
    tissue_box,
    watched_c,
    within,
)
from .thermal.simulate import DEFAULT_GRID_MM as THERMAL_GRID_MM

DOUBT_SAMPLES = 64
THICK_SLICE_MM = 3.0
"""Thicker slices hide where along the patient a small landmark, such as the tip of the coccyx, ends."""


@dataclass(frozen=True)
class Request:
    """What is asked for; None takes the target's default.

    Attributes:
        points_ras_mm: course of the nerve, given by a person; None proposes it from landmarks.
        follow: between these points follow fat instead of straight lines.
        accepted: a person has looked at the proposed course and agrees.
        entry_ras_mm, tip_ras_mm: a path drawn by a person; None plans it.
        cleared: groups that a person says are not in the field.
        probe_count: 1 to 4, or 0: as few as treat the nerve.
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


def with_slice_doubt(course: Nerve, ct: CtVolume, request: Request) -> Nerve:
    """A proposed course with the doubt that thick slices add: a landmark is seen to within a slice along the patient.

    Courses that a person gave keep theirs; so do those on slices as thin as the working voxels.
    """
    spacing = max(float(s) for s in ct.geometry.spacing_mm)
    thick_mm = max(spacing, ct.acquisition.slice_thickness_mm or 0.0)
    if request.points_ras_mm is not None or thick_mm <= THICK_SLICE_MM:
        return course
    rule = f"{course.rule}; slices of {thick_mm:g} mm add to its doubt"
    return replace(course, sigma_mm=float(np.hypot(course.sigma_mm, thick_mm)), rule=rule)


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


def approve_step(case: Case, who: str, time_utc: str) -> Case:
    """The case with a person's approval of its plan, as it is now.

    Raises:
        PlanningError: there is no plan, or nobody is named.
    """
    if case.plan is None:
        raise PlanningError("There is no plan to approve yet; plan a path first.")
    if not who.strip():
        raise PlanningError("An approval needs a name; write who approves.")
    plan = replace(case.plan, approved_by=who.strip())
    check = case.check or Check()
    kept = tuple(a for a in check.approvals if a.what != "plan")
    approval = Approval("plan", who.strip(), time_utc, content_hash(plan))
    return replace(case, plan=plan, check=replace(check, approvals=(*kept, approval)))


@dataclass(frozen=True, eq=False)
class Planned:
    """A case with its plan, and what it was chosen from.

    Attributes:
        found: every path that was tried; None for a path that a person drew.
        finalists: those that were frozen in a preview, best first; none where a person drew the path.
    """

    case: Case
    found: CandidateSet | None = None
    finalists: tuple[Finalist, ...] = ()


def plan_step(
    case: Case, request: Request, progress: Progress = no_progress, cancelled: Cancelled = never_cancelled
) -> Case:
    """The case with nerve and plan; what was simulated before no longer belongs to it.

    The best paths by geometry are frozen in a coarse preview and ranked again with what the ice does; where one probe does not
    treat the nerve, two to four are chosen together. The plan says so.

    Raises:
        KnowledgeError, AnatomyError, PlanningError: see the stages.
    """
    return planned_step(case, request, progress, cancelled).case


def planned_step(
    case: Case, request: Request, progress: Progress = no_progress, cancelled: Cancelled = never_cancelled
) -> Planned:
    """As plan_step, with what the plan was chosen from.

    Raises:
        KnowledgeError, AnatomyError, PlanningError: see the stages.
    """
    anatomy, course, probe = _aimed(case, request)
    protocol = protocol_record(request.protocol or nerve_record(request.target).default_protocol)
    limits, position = _limits(request), case.ct.acquisition.patient_position
    if (request.entry_ras_mm is None) != (request.tip_ras_mm is None):
        raise PlanningError("A path needs both an entry and a tip; give both, or neither to have it planned.")
    found: CandidateSet | None = None
    frozen: tuple[Finalist, ...] = ()
    if request.entry_ras_mm is not None and request.tip_ras_mm is not None:
        plan = manual_plan(anatomy, course, probe, protocol, request.entry_ras_mm, request.tip_ras_mm, limits)
    else:
        part = _part(progress, 0.0, 0.3)
        plan, found = plan_paths(anatomy, course, probe, protocol, limits, part, cancelled, _weights(request), position)
        plan, frozen = _planned_by_ice(anatomy, plan, found, request, progress, cancelled)
    return Planned(with_plan(replace(case, anatomy=anatomy), plan, request), found, frozen)


def with_plan(case: Case, plan: Plan, request: Request) -> Case:
    """The case with a plan and what has to be said of it: chances, table side, what was changed for this case.

    What was simulated before no longer belongs to it.

    Raises:
        PlanningError: there is no anatomy.
    """
    if case.anatomy is None:
        raise PlanningError("The case has no anatomy yet; run: cryoneuro segment CT.")
    held = [
        robustness(case.anatomy, plan.nerve, p.probe, plan.limits, p.trajectory, seed=request.seed) for p in plan.probes
    ]
    chances = [h.sentence if len(held) == 1 else f"Probe {n + 1}: {h.sentence}" for n, h in enumerate(held)]
    position = case.ct.acquisition.patient_position
    turned = dict.fromkeys(table_words(p.trajectory, position, plan.limits) for p in plan.probes)
    notes = (*chances, *(text for text in turned if text), *_changes(request))
    plan = replace(plan, explanation=(*plan.explanation, *notes))
    return replace(case, plan=plan, thermal=None, assessment=None)


def course_step(case: Case, request: Request) -> Case:
    """The case with the course that was asked for, and with what its target needs and nobody has segmented.

    Raises:
        KnowledgeError, AnatomyError, PlanningError: see find_nerve; or there is no anatomy.
    """
    anatomy, _, _ = _aimed(case, request)
    return replace(case, anatomy=anatomy, plan=None, thermal=None, assessment=None)


def dragged_step(case: Case, entry_ras_mm: npt.ArrayLike, tip_ras_mm: npt.ArrayLike, snap: bool = False) -> Case:
    """The case of a plan with its first probe on a path that is being dragged; quick, so nothing is sampled or frozen.

    Args:
        snap: put the entry on the nearest skin.

    Raises:
        PlanningError: there is no plan, or no such path can be; see manual_plan.
    """
    if case.plan is None or case.anatomy is None:
        raise PlanningError("There is no plan whose path could be moved; plan a path first.")
    first = case.plan.probes[0]
    entry = snapped(case.anatomy, entry_ras_mm, "skin") if snap else entry_ras_mm
    plan = manual_plan(
        case.anatomy, case.plan.nerve, first.probe, case.plan.protocol, entry, tip_ras_mm, case.plan.limits
    )
    return replace(case, plan=plan, thermal=None, assessment=None)


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
    position = case.ct.acquisition.patient_position
    found = tried_paths(anatomy, course, probe, _limits(request), progress, cancelled, position)
    text = why_not(found, entry_ras_mm)
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
    course = with_slice_doubt(find_nerve(case.anatomy, request), case.ct, request)
    return for_target(case.anatomy, course, request.cleared), course, probe


def _planned_by_ice(
    anatomy: Anatomy, plan: Plan, found: CandidateSet, request: Request, progress: Progress, cancelled: Cancelled
) -> tuple[Plan, tuple[Finalist, ...]]:
    """The finalist that is best by geometry and ice together; more probes chosen together where one does not treat the nerve.

    Without a number of probes in the request, one is added at a time until the nerve is treated over what is needed at least.
    """
    limits = plan.limits
    needed_mm = limits["nerve.treated_length"].stop
    few = request.probe_count != 0
    if request.probe_count in (0, 1):
        weights = {name: weight for name, weight in request.weights if name in ICE_CRITERIA}
        frozen = frozen_finalists(anatomy, plan, found, FINALISTS, weights, _part(progress, 0.3, 0.7), cancelled)
        best = frozen[0]
    else:
        best = freeze(anatomy, plan, 1, cancelled)
        frozen = (best,)
    words = _ice_words(best, len(frozen))
    finer = request.thermal_grid_mm < PREVIEW_GRID_MM
    if not few and finer and abs(best.treated_mm - needed_mm) < constant("preview_doubt_mm"):
        # The preview is too coarse to decide this.
        best = freeze(anatomy, best.plan, best.rank, cancelled, request.thermal_grid_mm)
        words += f" On {request.thermal_grid_mm:g} mm it treats {best.treated_mm:.1f} mm."
    if request.probe_count == 1 or (not few and best.treated_mm >= needed_mm):
        return replace(best.plan, explanation=(*best.plan.explanation, words)), frozen
    cold = cold_profile(best.run, best.plan.probes[0])
    said = "" if few else f"One probe treats {best.treated_mm:.0f} mm of the nerve. "
    counts = (request.probe_count,) if few else range(2, MOST_PROBES + 1)
    for count in counts:
        progress(0.6 + 0.1 * count, f"{count} probes together")
        try:
            together = probes_together(anatomy, best.plan, found, count, cold)
        except PlanningError as error:
            if few:
                raise
            return replace(best.plan, explanation=(*best.plan.explanation, f"{said}{error}")), frozen
        treated = freeze(anatomy, together, 1, cancelled)
        more = (
            f"{said}{count} probes treat {treated.treated_mm:.0f} mm in a {PREVIEW_GRID_MM:g} mm preview."
            if said
            else _ice_words(treated, 1)
        )
        # A probe that adds nothing is a hole for nothing.
        if few or treated.treated_mm > best.treated_mm + 0.5:
            best = replace(treated, plan=replace(together, explanation=(*together.explanation, more)))
        if treated.treated_mm >= needed_mm:
            break
    if len(best.plan.probes) == 1:
        note = f"{said}More probes would not treat more of it."
        return replace(best.plan, explanation=(*best.plan.explanation, note)), frozen
    return best.plan, frozen


def _ice_words(finalist: Finalist, among: int) -> str:
    start = f"Best of {among} finalists by geometry and ice together: in" if among > 1 else "In"
    return (
        f"{start} a {PREVIEW_GRID_MM:g} mm preview it treats {finalist.treated_mm:.1f} mm of the nerve; nearest to its limit "
        f"comes {finalist.neighbor.replace('_', ' ')} with {finalist.neighbor_c:.0f} C."
    )


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda fraction, text: progress(start + (end - start) * fraction, text)


def compare_step(
    case: Case, request: Request, count: int, progress: Progress = no_progress, cancelled: Cancelled = never_cancelled
) -> tuple[Finalist, ...]:
    """The best paths of one probe side by side, each frozen in a preview, best first; the case stays as it is.

    Raises:
        KnowledgeError, AnatomyError, PlanningError: see the stages.
    """
    anatomy, course, probe = _aimed(case, request)
    protocol = protocol_record(request.protocol or nerve_record(request.target).default_protocol)
    position = case.ct.acquisition.patient_position
    plan, found = plan_paths(
        anatomy,
        course,
        probe,
        protocol,
        _limits(request),
        _part(progress, 0.0, 0.3),
        cancelled,
        _weights(request),
        position,
    )
    ice = {name: weight for name, weight in request.weights if name in ICE_CRITERIA}
    return frozen_finalists(anatomy, plan, found, count, ice, _part(progress, 0.3, 1.0), cancelled)


def block_step(case: Case, needle: NeedleModel, own: bool = False) -> BlockPath:
    """The path of an injection needle to the nerve of the case's plan: on the probe's path, or the best one for the needle.

    Raises:
        PlanningError: there is no plan yet, the needle is too short, or no path of its own holds every limit.
    """
    if case.plan is None or case.anatomy is None:
        raise PlanningError("The case has no plan yet; run: cryoneuro plan CASE --target NERVE.")
    if own:
        position = case.ct.acquisition.patient_position
        return own_block(case.anatomy, case.plan.nerve, needle, case.plan.limits, position)
    return shared_block(case.anatomy, case.plan, needle)


def _weights(request: Request) -> dict[str, float]:
    return {name: weight for name, weight in request.weights if name not in ICE_CRITERIA}


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
    """Freeze a designed sample of what is uncertain on the plan's own grid; None when cancelled.

    Runs go side by side; each depends on its own draw only, so the result does not depend on how many do.

    Raises:
        AssessmentError: see assessment.draw and Judge.doubt.
    """
    variations = draw(plan, samples, seed)
    whole = tissue_box(anatomy, plan, float(nominal.geometry.spacing_mm[0]))
    box = reached_box(whole, nominal)
    # Placed once, not for every draw.
    try:
        placed = {id(where): placed_protections(anatomy, plan, where.geometry) for where in (whole, box)}
    except ThermalError:
        # Something protects that lies beyond what the plan cools.
        box = whole
        placed = {id(whole): placed_protections(anatomy, plan, whole.geometry)}
    judge = Judge(anatomy, plan, nominal)
    done = [0]

    def frozen(variation: Variation, where: TissueBox) -> ThermalRun:
        return simulate_box(
            where,
            varied_probes(plan, variation),
            plan.protocol,
            snapshot_s=1e6,
            protections=placed[id(where)],
            isotherms_c=watched_c(plan),
            records=varied_records(where.records, variation),
            cancelled=cancelled,
        )

    def one(variation: Variation) -> Outcome | None:
        if cancelled():
            return None
        try:
            try:
                run = frozen(variation, box)
            except ThermalError:
                # What goes beyond what the plan cools is looked at in all of the tissue; probes through each other are not saved.
                run = within(frozen(variation, whole), box.geometry)
        except ThermalError:
            return None
        done[0] += 1
        progress(done[0] / len(variations), f"{done[0]} of {len(variations)} runs of the sample")
        return judge.outcome(run, variation)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        outcomes = tuple(pool.map(one, variations))
    if cancelled():
        return None
    return judge.doubt(variations, outcomes, box.geometry, watched_c(plan), seed)


def points_of(values: npt.ArrayLike) -> tuple[tuple[float, float, float], ...]:
    """Points as the plain tuples that a Request holds."""
    return tuple((float(r), float(a), float(s)) for r, a, s in np.atleast_2d(np.asarray(values, dtype=float)))
