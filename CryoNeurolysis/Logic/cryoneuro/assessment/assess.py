"""From the thermal run to findings and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..imaging import sample
from ..knowledge import constant, injury_classes
from ..knowledge import nerve as nerve_record
from ..model import Anatomy, Assessment, Doubt, Finding, Limit, Plan, ProbeModel, Status, ThermalRun, Verdict
from ..planning import clearance_words, wilson_interval
from .chance_words import chance_words
from .dose_chance import DRAWS, dose_chance
from .guards import Guard, distance_mm, guards
from .nerve_dose import NerveDose, nerve_dose
from .regrowth import regrowth

Band = tuple[float, float, float]
"""16, 50 and 84 of a hundred runs of a sample."""

_ORDER = {Status.STOP: 0, Status.UNKNOWN: 1, Status.WARNING: 2, Status.OK: 3}


def assess(
    anatomy: Anatomy, plan: Plan, run: ThermalRun, ensemble: Doubt | None = None, placed: bool = False
) -> Assessment:
    """Findings on the nerve, on every neighbor and on the path, worst first, and the verdict.

    Args:
        ensemble: a designed sample of runs; its bands and chances are used, and the plan's own values stand beside them,
            inside or outside. Without one, bands come from moving the nerve and the neighbors against the cold by one sigma
            of what is uncertain (the model's isotherm error, the targeting error, and for the nerve the sigma of its course),
            and the chance that the nerve is treated from moving the cold as a whole.
        placed: the probe was seen where the plan has it, so that the chances of placing it say nothing any more.
    """
    nerve = plan.nerve
    neighbor_band = neighbor_band_mm()
    nerve_band = math.hypot(neighbor_band, nerve.sigma_mm)
    treat_c = plan.treat_c
    dose = nerve_dose(run, nerve, treat_c=treat_c)
    moved = [nerve_dose(run, nerve, shift, treat_c) for shift in _shifts(plan, nerve_band)]
    bands: dict[str, Band] = (
        {} if ensemble is None else {name: (low, middle, high) for name, low, middle, high in ensemble.bands}
    )
    findings = _nerve_findings(plan, dose, moved, bands)
    guarded = guards(anatomy, run, neighbor_band)
    findings += [_guard_finding(plan, guard, bands) for guard in guarded]
    findings += _tumor_findings(anatomy, plan, run, neighbor_band)
    if ensemble is not None:
        findings += [
            _chance_finding(plan, what, ensemble.chance(what), ensemble.samples, "runs") for what in ("treated", "safe")
        ]
    elif run.complete and not placed:
        findings.append(_chance_finding(plan, "treated", dose_chance(run, plan), DRAWS, "places of the cold"))
    findings += [_path_finding(plan, n) for n in range(len(plan.clearances)) if not plan.clearances[n].unknown]
    findings += [_unknown_finding(group) for group in plan.unknown]
    if not nerve.confirmed:
        findings.append(_unconfirmed_finding(nerve.name))
    if not run.complete:
        text = f"The simulation was stopped at {run.snapshot_times_s[-1] / 60:.1f} min; what comes later is unknown."
        findings.append(
            Finding(
                "run.complete", "simulation", "complete", "", None, None, None, None, None, None, Status.UNKNOWN, text
            )
        )
    findings.sort(
        key=lambda f: (_ORDER[f.status], f.id != "nerve.treated_length", math.inf if f.slack is None else f.slack)
    )
    verdict, sentence = _verdict(findings, plan)
    doubt: tuple[str, ...] = (
        f"Band of the nerve's values: one sigma of {nerve_band:.1f} mm, from the model "
        f"({constant('model_isotherm_error_mm'):g} mm), targeting ({constant('targeting_error_sigma_mm'):g} mm) and the "
        f"nerve's course ({nerve.sigma_mm:g} mm); of the neighbors' values {neighbor_band:.1f} mm.",
        "Not varied: tissue values, perfusion, probe strength, breathing.",
    )
    assumed = tuple(_assumed_words(planned.probe) for planned in {p.probe.id: p for p in plan.probes}.values())
    if ensemble is not None:
        doubt = (
            *ensemble.sentences,
            "Bands: 16 to 84 of a hundred runs; what is planned may lie outside. "
            "Not varied: the shape of the anatomy, the heat sinks of large vessels.",
        )
    return Assessment(
        tuple(findings),
        verdict,
        sentence,
        dose.distance_mm,
        dose.section_c,
        dose.core_c,
        (*doubt, *assumed),
        tuple(g.dose for g in guarded if g.dose is not None),
        ensemble,
    )


def _assumed_words(probe: ProbeModel) -> str:
    """Which surface temperature was taken, and from what."""
    text = f"Taken for {probe.name}: a surface of {probe.tip_temperature_c:g} C"
    if probe.surface_span_c is not None:
        coldest, warmest = probe.surface_span_c
        text += f", sources speak of {coldest:g} to {warmest:g} C"
    return f"{text}. {probe.temperature_basis or probe.source}."


def neighbor_band_mm() -> float:
    """One sigma of where an isotherm lies against a neighbor: model and targeting together, mm."""
    return math.hypot(constant("model_isotherm_error_mm"), constant("targeting_error_sigma_mm"))


def _shifts(plan: Plan, band_mm: float) -> list[np.ndarray]:
    """Displacements of one sigma: eight across the first probe, two along it."""
    axis = plan.probes[0].trajectory.direction_ras
    helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    one = np.cross(axis, helper)
    one /= np.linalg.norm(one)
    other = np.cross(axis, one)
    angles = np.arange(8) * np.pi / 4
    return [band_mm * (np.cos(t) * one + np.sin(t) * other) for t in angles] + [band_mm * axis, -band_mm * axis]


def _status(limit: Limit, value: float) -> Status:
    if limit.slack(value) < 0:
        return Status.STOP
    return Status.WARNING if limit.warning_slack(value) < 0 else Status.OK


def _measured(
    limit: Limit, subject: str, metric: str, value: float, low: float, high: float, sentence: str, finding_id: str = ""
) -> Finding:
    worst = low if limit.at_least else high
    status = _status(limit, value)
    # What holds only in the middle of its band is not simply fine.
    if status is Status.OK and limit.slack(worst) < 0:
        status = Status.WARNING
    return Finding(
        finding_id or limit.id,
        subject,
        metric,
        limit.unit,
        value,
        low,
        high,
        limit.warning,
        limit.stop,
        limit.slack(value),
        status,
        sentence,
    )


def _banded(bands: Mapping[str, Band], finding_id: str, values: list[float]) -> tuple[float, float, str]:
    """Low and high end of a finding's band, and what is to be said of its middle: from the sample where there is one, else
    from the values with the nerve moved."""
    if finding_id in bands:
        low, middle, high = bands[finding_id]
        return low, high, f", middle {middle:.1f}"
    return min(values), max(values), ""


def _nerve_findings(plan: Plan, dose: NerveDose, moved: list[NerveDose], bands: Mapping[str, Band]) -> list[Finding]:
    nerve = plan.nerve
    treat = plan.limits["nerve.coldest"]
    length = plan.limits["nerve.treated_length"]
    everyone = [dose, *moved]
    lengths = [d.treated_length_mm(treat.stop) for d in everyone]
    coldest = [float(d.section_c.min()) for d in everyone]
    deepest = [float(d.innermost_c.min()) for d in everyone]
    place = int(np.argmin(dose.section_c))
    short, long, half = _banded(bands, length.id, lengths)
    cold, warm, _ = _banded(bands, treat.id, coldest)
    deep, shallow, _ = _banded(bands, "nerve.overfreeze", deepest)
    found = [
        _measured(
            length,
            nerve.name,
            "treated length",
            lengths[0],
            short,
            long,
            f"The whole cross-section reaches {treat.stop:g} C over {lengths[0]:.1f} mm in one piece as planned "
            f"(band {short:.1f} to {long:.1f} mm{half}; at least {length.stop:g}, wanted {length.warning:g} mm).",
        ),
        _measured(
            treat,
            nerve.name,
            "coldest cross-section",
            coldest[0],
            cold,
            warm,
            f"The coldest cross-section reaches {coldest[0]:.0f} C throughout (band {cold:.0f} to "
            f"{warm:.0f} C) and stays at {treat.stop:g} C or colder for {dose.seconds_below[place] / 60:.1f} min.",
        ),
        _measured(
            plan.limits["nerve.overfreeze"],
            nerve.name,
            "coldest point",
            deepest[0],
            deep,
            shallow,
            f"The coldest point in the nerve is {deepest[0]:.0f} C (band {deep:.0f} to {shallow:.0f} C).",
        ),
    ]
    reached = [c for c in injury_classes() if deepest[0] > c.warmer_than_c]
    worst = reached[0] if reached else injury_classes()[-1]
    lengths_of_class = []
    colder = [c.warmer_than_c for c in injury_classes()]
    for number, kind in enumerate(injury_classes()):
        warm = colder[number - 1] if number else 1e9
        length_mm = dose.length_between_mm(warm, kind.warmer_than_c)
        if length_mm > 0 and kind.id != "none":
            lengths_of_class.append(f"{kind.name} over {length_mm:.1f} mm")
    found.append(
        Finding(
            "nerve.injury", nerve.name, f"injury: {worst.name}", "degC", deepest[0], min(deepest), max(deepest),
            None, None, None, Status.OK,
            f"Injury expected where the nerve is coldest: {worst.name} ({worst.effect}; recovery: {worst.recovery}). "
            f"Along the nerve: {', '.join(lengths_of_class) or 'none'}.",
        )
    )  # fmt: skip
    seconds = [float(d.seconds_below[int(np.argmin(d.section_c))]) for d in everyone]
    held = plan.limits["nerve.time_below"]
    found.append(
        _measured(
            held, nerve.name, f"time at {treat.stop:g} C or colder", seconds[0], min(seconds), max(seconds),
            f"Where it is coldest the whole cross-section stays at {treat.stop:g} C or colder for {seconds[0] / 60:.1f} min "
            f"(band {min(seconds) / 60:.1f} to {max(seconds) / 60:.1f} min).",
        )
    )  # fmt: skip
    back = regrowth(nerve_record(nerve.target_id), nerve.name)
    if back is not None:
        found.append(back)
    return found


def _chance_finding(plan: Plan, what: str, chance: float, count: int, counted: str) -> Finding:
    wanted = constant("chance_wanted")
    low, high = wilson_interval(chance, count)
    treated = what == "treated"
    words = "that the nerve is treated" if treated else f"that {_WITHIN}"
    return Finding(
        f"chance.{what}",
        plan.nerve.name if treated else "neighbors and nerve",
        f"chance {words}",
        "",
        chance,
        low,
        high,
        wanted,
        None,
        None,
        Status.OK if chance >= wanted else Status.WARNING,
        f"The chance {words} is {chance_words(chance, low, high)} ({count} {counted}; {100 * wanted:.0f} % wanted).",
    )


_WITHIN = "every neighbor stays within its limit and the nerve within its own limit of cold"


def _tumor_findings(anatomy: Anatomy, plan: Plan, run: ThermalRun, band_mm: float) -> list[Finding]:
    """Ice beyond the wall of every structure of the group tumor, and how cold its warmest point became."""
    found = []
    spacing = run.geometry.spacing_mm[0]
    for structure in anatomy.structures:
        if structure.group != "tumor":
            continue
        name = structure.name.replace("_", " ")
        points = anatomy.geometry.ijk_to_ras_mm(np.argwhere(structure.mask_kji)[:, ::-1])
        warmest = float(sample(run.coldest_c, run.geometry, points, 1, outside=constant("body_temperature_c")).max())
        distance = distance_mm(run.coldest_c <= 0.0, spacing)
        margin = -1e3 if distance is None else -float(sample(distance, run.geometry, points, 1, outside=1e3).max())
        margin -= 0.5 * anatomy.geometry.spacing_mm[0]
        text = (
            f"{name}: ice reaches {margin:.1f} mm beyond it at its narrowest."
            if margin >= 0
            else f"{name}: part of it lies {-margin:.1f} mm outside the ice."
            if margin > -500
            else f"{name}: the ice does not reach it."
        )
        found.append(
            _measured(
                plan.limits["tumor.margin"], structure.name, "margin of ice", margin, margin - band_mm, margin + band_mm,
                text, f"tumor.margin.{structure.name}",
            )
        )  # fmt: skip
        text = f"{name}: its warmest point reached {warmest:.0f} C."
        found.append(
            _measured(
                plan.limits["tumor.warmest"], structure.name, "warmest point", warmest, warmest, warmest, text,
                f"tumor.warmest.{structure.name}",
            )
        )  # fmt: skip
    return found


def _guard_finding(plan: Plan, guard: Guard, bands: Mapping[str, Band]) -> Finding:
    limit = plan.limits.get(f"guard.{guard.group}", "guard.default")
    name = guard.name.replace("_", " ")
    finding_id = f"guard.{guard.name}"
    if not guard.in_box:
        text = f"{name}: outside the simulated box, stays at body temperature."
        return _measured(
            limit, guard.name, "coldest point", guard.coldest_c, guard.coldest_c, guard.coldest_c, text, finding_id
        )
    if not math.isfinite(guard.ice_mm):
        where = "no ice anywhere"
    elif guard.ice_mm >= 0:
        where = f"{guard.ice_mm:.1f} mm outside the ice edge (0 C)"
    elif guard.frozen_ml < 0.05:
        where = "its wall touches the ice (0 C)"
    else:
        where = f"{guard.frozen_ml:.1f} mL of it inside the ice (0 C)"
    low, high, _ = _banded(bands, finding_id, [guard.worst_c, guard.best_c])
    text = f"{name}: coldest {guard.coldest_c:.0f} C (band {low:.0f} to {high:.0f} C), {where}."
    return _measured(limit, guard.name, "coldest point", guard.coldest_c, low, high, text, finding_id)


def _path_finding(plan: Plan, number: int) -> Finding:
    c = plan.clearances[number]
    band = constant("targeting_error_sigma_mm")
    status = Status.STOP if c.slack_mm < 0 else Status.WARNING if c.clearance_mm < c.warning_mm else Status.OK
    text = (
        f"Path to {c.structure.replace('_', ' ')}: {clearance_words(c.clearance_mm)} clear (at least {c.stop_mm:g} mm)."
    )
    return Finding(
        f"path.{c.structure}",
        c.structure,
        "clearance of the shaft",
        "mm",
        c.clearance_mm,
        c.clearance_mm - band,
        c.clearance_mm + band,
        c.warning_mm,
        c.stop_mm,
        c.slack_mm,
        status,
        text,
    )


def _unknown_finding(group: str) -> Finding:
    name = group.replace("_", " ")
    text = f"{name}: not segmented. It must be known for this target; segment it, import it, or say it is not in the field."
    return Finding(f"unknown.{group}", group, "known", "", None, None, None, None, None, None, Status.UNKNOWN, text)


def _unconfirmed_finding(name: str) -> Finding:
    text = f"{name}: the course was proposed from landmarks, and nobody has confirmed it. Look at it in the slices, then confirm."
    return Finding("nerve.confirmed", name, "confirmed", "", None, None, None, None, None, None, Status.WARNING, text)


def _verdict(findings: list[Finding], plan: Plan) -> tuple[Verdict, str]:
    """The case in one word, and why: what is planned, and what chance makes of it.

    No verdict says treated, or safe, of what mostly fails: a chance below `chance_least` decides.
    """
    by_id = {f.id: f for f in findings}
    length, coldest = by_id["nerve.treated_length"], by_id["nerve.coldest"]
    treated, safe = by_id.get("chance.treated"), by_id.get("chance.safe")
    least = constant("chance_least")
    reached = length.status is not Status.STOP and coldest.status is not Status.STOP
    mostly = treated is None or treated.value is None or treated.value >= least
    mostly_safe = safe is None or safe.value is None or safe.value >= least
    harmed = [f for f in findings if f.status is Status.STOP and f.id not in ("nerve.treated_length", "nerve.coldest")]
    unknown = [f for f in findings if f.status is Status.UNKNOWN]
    warned = [f for f in findings if f.status is Status.WARNING]
    chance = _words(treated)
    treat_c = plan.treat_c
    if not reached:
        parts = [
            f"The nerve is not treated: {length.value:.1f} mm reach {treat_c:g} C, {length.stop:g} mm are needed"
            f"{f' (chance {chance})' if chance else ''}."
        ]
    elif mostly:
        parts = [f"The nerve is treated over {length.value:.1f} mm{f' (chance {chance})' if chance else ''}."]
    else:
        parts = [
            f"Likely not treated ({chance}): as planned {length.value:.1f} mm reach {treat_c:g} C, but in most runs less "
            f"than the {length.stop:g} mm that are needed."
        ]
    if safe is not None:
        start = "The chance that" if mostly_safe else "Likely not safe: the chance that"
        parts.append(f"{start} {_WITHIN} is {_words(safe)}.")
    if harmed:
        parts.append("Not safe: " + " ".join(f.sentence for f in harmed))
    if unknown:
        parts.append("Unknown, therefore not safe: " + ", ".join(f.subject.replace("_", " ") for f in unknown) + ".")
    if not harmed and not unknown:
        parts.append("No limit of a neighbor is crossed as planned.")
    if warned:
        parts.append("Look at: " + ", ".join(dict.fromkeys(f.subject.replace("_", " ") for f in warned)) + ".")
    if harmed or not mostly_safe:
        verdict = Verdict.UNSAFE
    elif unknown:
        verdict = Verdict.UNKNOWN
    elif not reached:
        verdict = Verdict.NOT_TREATED
    elif not mostly:
        verdict = Verdict.LIKELY_NOT_TREATED
    elif warned:
        verdict = Verdict.CAUTION
    else:
        verdict = Verdict.TREATED_AND_SAFE
    return verdict, " ".join(parts)


def _words(chance: Finding | None) -> str:
    if chance is None or chance.value is None or chance.low is None or chance.high is None:
        return ""
    return chance_words(chance.value, chance.low, chance.high)
