"""One live scan after the other: laid under the plan, probes found, frozen with the real pose, held against the ice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..assessment import assess
from ..knowledge import constant
from ..model import (
    Advice,
    Alignment,
    Anatomy,
    Assessment,
    Calibration,
    Cancelled,
    Countdown,
    CryoNeuroError,
    CtVolume,
    FoundProbe,
    GuidanceError,
    IceComparison,
    IdentityQuestion,
    Plan,
    SeenIce,
    Status,
    TargetingError,
    ThermalRun,
    Verdict,
    never_cancelled,
)
from .align import align
from .arrival import Arrival, TrackedPose
from .compare_ice import compare_ice
from .count_down import count_down
from .find_probes import find_probes
from .identity import identity_questions, same_frame
from .recalibrate import IceObservation, Replayed, calibration_of, observation, recalibrate
from .scan_clock import ScanClock
from .seen_ice import fall_block, seen_ice
from .targeting import placed_plan, targeting_error

T = TypeVar("T")
_MOVED_MM = 3.0
"""A probe that seems to lie farther from where it lay before is taken to have moved."""

_SHAFT_MM = 100.0


@dataclass(frozen=True, eq=False)
class LiveSetup:
    """What a procedure is followed with.

    Attributes:
        plan_ct, anatomy, plan: of the case.
        accepted: keys of identity questions that a person has answered with yes.
        freeze_started_s: when the freeze began, seconds since 1970 by this machine's clock; None before.
    """

    plan_ct: CtVolume
    anatomy: Anatomy
    plan: Plan
    accepted: frozenset[str] = frozenset()
    freeze_started_s: float | None = None


@dataclass(frozen=True, eq=False)
class LivePicture:
    """What one scan came to. Where good is False nothing of it may be shown as an overlay; sentences say why.

    Attributes:
        number: of the scan, from 1.
        frozen_s: how long the freeze has gone on by what was said; None before it.
        questions: what a person must answer first.
        plan: with the probes as they lie, in the planning CT's frame; run and assessment belong to it.
        now_s: where in the run the scan lies: frozen_s and what recalibration adds.
        seconds: of every part.
    """

    number: int
    key: str
    ct: CtVolume
    received_s: float
    good: bool
    advice: Advice
    sentences: tuple[str, ...]
    frozen_s: float | None = None
    questions: tuple[IdentityQuestion, ...] = ()
    alignment: Alignment | None = None
    found: tuple[FoundProbe, ...] = ()
    targeting: tuple[TargetingError, ...] = ()
    plan: Plan | None = None
    run: ThermalRun | None = None
    now_s: float = 0.0
    assessment: Assessment | None = None
    ice: SeenIce | None = None
    comparison: IceComparison | None = None
    calibration: Calibration | None = None
    countdown: Countdown | None = None
    seconds: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class LiveState:
    """What is carried from one scan to the next; its size does not grow with the number of scans.

    Attributes:
        guess, frame: plan_to_live of the last good scan, and its frame of reference.
        key, before: the series followed last, and the state before it: a series that comes once more, with more of its slices,
            takes the place of what was made of it.
    """

    count: int = 0
    guess: npt.NDArray[np.float64] | None = None
    frame: str = ""
    baseline: tuple[CtVolume, npt.NDArray[np.float64]] | None = None
    placed: Plan | None = None
    replayed: Replayed | None = None
    observations: tuple[IceObservation, ...] = ()
    calibration: Calibration | None = None
    clock: ScanClock = field(default_factory=ScanClock)
    last_good: LivePicture | None = None
    key: str = ""
    before: LiveState | None = None


def follow(
    setup: LiveSetup,
    state: LiveState,
    arrival: Arrival,
    show: Callable[[LivePicture], None] | None = None,
    cancelled: Cancelled = never_cancelled,
) -> tuple[LiveState, LivePicture]:
    """What a live scan says, and what to carry on to the next one.

    Args:
        arrival: with a CT.
        show: called early with the overlay alone, before anything is simulated.

    Raises:
        GuidanceError: the arrival holds no CT.
    """
    if arrival.ct is None:
        raise GuidanceError("This arrival holds no scan.")
    live, watch = arrival.ct, _Watch()
    again = bool(arrival.key) and arrival.key == state.key and state.before is not None
    if again and state.before is not None:
        state = replace(state.before, count=state.count, last_good=state.last_good)
    refused = replace(state, count=state.count + 1)
    state = replace(refused, key=arrival.key, before=replace(state, before=None))
    clock, made_s, odd = state.clock.seen(live.acquisition.acquired, arrival.received_s)
    frozen_s = None if setup.freeze_started_s is None else made_s - setup.freeze_started_s
    if again:
        odd = f"{odd} The same series has come once more; it takes the place of what was made of it before.".strip()
    if frozen_s is not None and frozen_s <= 0.0:
        odd = f"{odd} It was made before the freeze began.".strip()
        frozen_s = None
    picture = LivePicture(
        state.count,
        arrival.key,
        live,
        arrival.received_s,
        False,
        Advice.UNKNOWN,
        tuple(s for s in (arrival.sentence, odd) if s),
        frozen_s,
    )
    questions = identity_questions(setup.plan_ct, live, setup.accepted)
    if questions:
        said = (
            *picture.sentences,
            *(q.sentence for q in questions),
            "Nothing is overlaid until somebody has said yes.",
        )
        return refused, replace(picture, questions=questions, sentences=said)
    try:
        state, picture = _followed(setup, state, picture, watch, show, cancelled)
    except CryoNeuroError as error:
        picture = replace(picture, good=False, advice=Advice.UNKNOWN, sentences=(*picture.sentences, str(error)))
    picture = replace(picture, seconds=tuple(watch.seconds))
    if not picture.good:
        # Nothing is learned from what is not shown.
        return refused, picture
    return replace(state, clock=clock, last_good=picture), picture


def warm_up(setup: LiveSetup) -> None:
    """Do once, before the first scan comes, what is the same for all of them and takes seconds.

    Raises:
        ThermalError: the plan cannot be frozen as it is.
    """
    replayed = Replayed(setup.anatomy, setup.plan)
    run = replayed.run(0.0, 0.0)
    assess(setup.anatomy, setup.plan, run)
    count_down(setup.anatomy, setup.plan, (run,), (0.0,))


def follow_pose(setup: LiveSetup, state: LiveState, pose: TrackedPose) -> tuple[TargetingError | None, str]:
    """How an instrument that a tracker reports lies against the plan, and that in words.

    Its frame is taken to be that of the last good live scan; before one came nothing can be said.
    """
    last = state.last_good
    if last is None or last.alignment is None:
        return None, f"{pose.name} has a pose, but no live scan has been laid under the plan yet."
    tip = pose.tool_to_ras[:3, 3]
    direction = -pose.tool_to_ras[:3, 2]
    probes = setup.plan.probes
    back = last.alignment.live_to_plan
    ideal = [float(np.linalg.norm(back[:3, :3] @ tip + back[:3, 3] - p.trajectory.tip_ras_mm)) for p in probes]
    found = FoundProbe(tip, tip - _SHAFT_MM * direction, int(np.argmin(ideal)), True, 0.0, 0.0, 0.0)
    try:
        error = targeting_error(probes[found.planned or 0], found, last.alignment, setup.anatomy)
    except CryoNeuroError as problem:
        return None, f"{pose.name}: {problem}"
    return error, f"{pose.name}: {error.sentence} {error.correction}"


def _followed(
    setup: LiveSetup,
    state: LiveState,
    picture: LivePicture,
    watch: _Watch,
    show: Callable[[LivePicture], None] | None,
    cancelled: Cancelled,
) -> tuple[LiveState, LivePicture]:
    live, plan, anatomy = picture.ct, setup.plan, setup.anatomy
    target = np.mean([p.trajectory.tip_ras_mm for p in plan.probes], axis=0)
    same, frame = same_frame(setup.plan_ct, live), live.acquisition.frame_of_reference_uid
    # Scans that count from the same point as the last one lie about where it lay, whatever the planning CT counts from.
    known = state.guess is not None and (same or (bool(frame) and frame == state.frame))
    alignment = watch(
        "align",
        lambda: align(setup.plan_ct, live, target, anatomy, same or known, state.guess if known else None),
    )
    if known and not alignment.trusted:
        alignment = watch("align", lambda: align(setup.plan_ct, live, target, anatomy, same))
    if not alignment.trusted:
        return state, replace(picture, alignment=alignment, sentences=(*picture.sentences, alignment.sentence))
    state = replace(state, guess=alignment.plan_to_live, frame=frame)
    said = [*picture.sentences, alignment.sentence]
    picture = replace(picture, good=True, alignment=alignment, sentences=tuple(said))
    if show is not None:
        show(replace(picture, seconds=tuple(watch.seconds)))
    found = watch("find probes", lambda: find_probes(setup.plan_ct, live, alignment, plan.probes, anatomy))
    state, placed, said_probes, targeting = _placed(setup, state, found, alignment, picture.frozen_s is not None)
    said += said_probes
    picture = replace(picture, found=found, targeting=targeting, plan=placed, sentences=tuple(said))
    if placed is None:
        return state, replace(picture, advice=Advice.UNKNOWN)
    if state.replayed is None or state.replayed.plan is not placed:
        state = replace(state, replayed=watch("tissue", lambda: Replayed(anatomy, placed, cancelled)))
    replayed = state.replayed
    assert replayed is not None
    state, picture = _with_ice(setup, state, picture, placed, replayed, watch)
    calibration = state.calibration or _unlearned(placed)
    freezing = picture.frozen_s is not None
    band = _band(calibration)
    runs = watch("freeze", lambda: replayed.runs([(v[0], v[1]) for v in band]))
    run = runs[1]
    said = list(picture.sentences)
    countdown = None
    now_s = 0.0
    if freezing:
        shifts = [float(np.clip(constant("live_clock_sigma_s") * v[2], -60.0, 60.0)) for v in band]
        times = [max((picture.frozen_s or 0.0) + s, 0.0) for s in shifts]
        now_s = times[1]
        with ThreadPoolExecutor(max_workers=1) as pool:
            coming = pool.submit(count_down, anatomy, placed, runs, times)
            assessment = watch("assess", lambda: assess(anatomy, placed, run, placed=True))
            countdown = watch("count down", coming.result)
        said.append(countdown.sentence)
    else:
        assessment = watch("assess", lambda: assess(anatomy, placed, run, placed=True))
        said.append(f"Frozen as the probes lie: {assessment.sentence}")
    advice, why = _advice(placed, assessment, countdown, targeting)
    said.append(why)
    return state, replace(
        picture,
        run=run,
        now_s=now_s,
        assessment=assessment,
        countdown=countdown,
        calibration=state.calibration,
        advice=advice,
        sentences=tuple(said),
    )


def _placed(
    setup: LiveSetup, state: LiveState, found: Sequence[FoundProbe], alignment: Alignment, freezing: bool
) -> tuple[LiveState, Plan | None, list[str], tuple[TargetingError, ...]]:
    """The plan with the probes as they lie; during a freeze they stay where they lay, unless they clearly moved."""
    said: list[str] = []
    errors = []
    for item in found:
        if item.planned is not None:
            error = targeting_error(setup.plan.probes[item.planned], item, alignment, setup.anatomy)
            errors.append(error)
            said.append(error.sentence)
    if not errors:
        if state.placed is None:
            said.append("No probe is seen near the plan: none lies there yet, or the scan does not hold it.")
            return state, None, said, ()
        said.append("No probe is seen in this scan; the probes are taken to lie where they lay before.")
        return state, state.placed, said, ()
    placed, notes = placed_plan(setup.plan, setup.anatomy, found, alignment)
    said += notes
    if freezing and state.placed is not None:
        off = max(
            float(np.linalg.norm(a.trajectory.tip_ras_mm - b.trajectory.tip_ras_mm))
            for a, b in zip(placed.probes, state.placed.probes, strict=True)
        )
        if off <= _MOVED_MM:
            return state, state.placed, said, tuple(errors)
        said.append(
            f"A probe seems to have moved by {off:.0f} mm during the freeze; what was learned from the ice is dropped."
        )
        state = replace(state, observations=(), calibration=None)
    return replace(state, placed=placed), placed, said, tuple(errors)


def _with_ice(
    setup: LiveSetup, state: LiveState, picture: LivePicture, placed: Plan, replayed: Replayed, watch: _Watch
) -> tuple[LiveState, LivePicture]:
    """Before the freeze the scan becomes the baseline; during it the ice is looked for and learned from."""
    alignment, frozen_s = picture.alignment, picture.frozen_s
    assert alignment is not None
    if frozen_s is None:
        if setup.freeze_started_s is not None and state.observations:
            return state, picture
        fresh = replace(state, baseline=(picture.ct, alignment.plan_to_live), observations=(), calibration=None)
        return fresh, picture
    before, plan_to_before = state.baseline or (setup.plan_ct, np.eye(4))
    said = list(picture.sentences)
    if state.baseline is None:
        said.append(
            "No live scan from before the freeze is there; ice is looked for against the planning CT, where the probe's streaks "
            "are not, so nothing is learned from it."
        )
    block = watch("ice", lambda: fall_block(picture.ct, alignment, placed.probes, before, plan_to_before))
    if block is None:
        said.append("The scan does not show the cold part of the probes, so ice cannot be looked for.")
        return state, replace(picture, sentences=tuple(said))
    ice = watch("ice", lambda: seen_ice(block, placed.probes))
    said.append(ice.sentence)
    # What was predicted before this scan was known is what it is held against.
    known = state.calibration or _unlearned(placed)
    before_run = watch("freeze", lambda: replayed.run(float(known.values[0]), float(known.values[1])))
    comparison = compare_ice(ice, before_run, max(frozen_s + known.offset_s, 0.0))
    if comparison is not None:
        said.append(comparison.sentence)
    item = observation(block, placed.probes, frozen_s, seed=state.count) if state.baseline is not None else None
    if item is not None:
        kept = (*state.observations, item)[-int(constant("live_frames_kept")) :]
        calibration = watch("recalibrate", lambda: recalibrate(replayed, kept, state.calibration))
        said.append(calibration.sentence)
        state = replace(state, observations=kept, calibration=calibration)
    return state, replace(picture, ice=ice, comparison=comparison, sentences=tuple(said))


def _unlearned(plan: Plan) -> Calibration:
    """What is known before any ice was seen: the data's own spreads."""
    return calibration_of(np.zeros(3), np.eye(3), 0, plan.probes[0].probe)


def _band(calibration: Calibration) -> tuple[npt.NDArray[np.float64], ...]:
    """Values of weaker, likeliest and stronger ice: one sigma along what changes the ice most."""
    # Strength makes ice grow, perfusion holds it back, and half as much for a sigma of it.
    toward = np.array([1.0, -0.5, 0.5])
    step = calibration.covariance @ toward
    step = step / np.sqrt(max(float(toward @ step), 1e-9))
    return tuple(np.clip(calibration.values + sign * step, -3.0, 3.0) for sign in (-1.0, 0.0, 1.0))


def _advice(
    plan: Plan, assessment: Assessment, countdown: Countdown | None, targeting: Sequence[TargetingError]
) -> tuple[Advice, str]:
    """Go, adjust or stop, with the reason in a sentence."""
    crossed = [c for c in plan.clearances if not c.unknown and c.slack_mm < 0]
    if countdown is not None:
        if countdown.stop:
            return Advice.STOP, "STOP the freeze: " + _stop_words(countdown)
        return Advice.GO, "GO on freezing."
    if crossed:
        worst = crossed[0]
        name = worst.structure.replace("_", " ")
        where = "runs through" if worst.clearance_mm <= 0 else f"lies {worst.clearance_mm:.1f} mm from"
        return (
            Advice.STOP,
            f"STOP: the shaft {where} {name}, at least {worst.stop_mm:g} mm are needed; draw the probe back.",
        )
    correction = " ".join(t.correction for t in targeting)
    bad = [f.sentence for f in assessment.findings if f.status is Status.STOP]
    if assessment.verdict is Verdict.UNSAFE:
        return (
            Advice.STOP,
            f"STOP: do not freeze with the probe here. {bad[0] if bad else assessment.sentence} {correction}",
        )
    if assessment.verdict is Verdict.NOT_TREATED:
        return Advice.ADJUST, f"ADJUST: {correction}"
    if assessment.verdict is Verdict.UNKNOWN:
        return Advice.UNKNOWN, f"NO GO yet: {assessment.sentence}"
    return Advice.GO, f"GO: {assessment.sentence}"


def _stop_words(countdown: Countdown) -> str:
    if countdown.treated_s[1] is not None and countdown.treated_s[1] <= 0.0:
        return "the nerve has been treated."
    return f"{countdown.neighbor.replace('_', ' ')} is about to reach its limit."


class _Watch:
    """Seconds of every part."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []

    def __call__(self, name: str, part: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = part()
        spent = time.perf_counter() - start
        for n, (known, before) in enumerate(self.seconds):
            if known == name:
                self.seconds[n] = (name, before + spent)
                return result
        self.seconds.append((name, spent))
        return result
