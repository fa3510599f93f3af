"""What a report says, before it has a form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..assessment import check_findings, nerve_course_c
from ..knowledge import code_set_text
from ..knowledge import nerve as nerve_record
from ..model import Assessment, Case, CaseError, Plan, Status, content_hash
from ..planning import clearance_words, console_pose

DISCLAIMER = "Research software, not a medical device."
_STATUS_WORDS = {
    Status.OK: "ok",
    Status.WARNING: "look",
    Status.UNKNOWN: "unknown",
    Status.STOP: "stop",
}


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of text; status gives a row its mark."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    status: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Curve:
    """A line over x with horizontal marks, drawn as a chart; `now` is a place on x that is marked."""

    x: np.ndarray
    lines: tuple[tuple[str, np.ndarray], ...]
    marks: tuple[tuple[str, float], ...]
    x_label: str
    y_label: str
    now: float | None = None


@dataclass(frozen=True, eq=False)
class Section:
    """A heading with paragraphs, tables, curves and pictures in order."""

    title: str
    blocks: tuple[str | Table | Curve | Picture, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """The whole page."""

    title: str
    verdict: str
    verdict_status: str
    sentence: str
    sections: tuple[Section, ...]
    numbers: dict[str, Any]


def build_report(case: Case, pictures: tuple[Picture, ...] = (), credit_lines: tuple[str, ...] = ()) -> Report:
    """The report of a case that has been assessed.

    Raises:
        CaseError: the case has no plan or no assessment yet.
    """
    if case.plan is None or case.assessment is None or case.anatomy is None or case.thermal is None:
        raise CaseError("The case has not been simulated and assessed yet; run: cryoneuro simulate CASE.")
    plan, assessment, anatomy = case.plan, case.assessment, case.anatomy
    record = nerve_record(plan.nerve.target_id)
    sections = [
        Section("Pictures", pictures) if pictures else None,
        Section(
            "Nerve",
            (
                f"{plan.nerve.name}. Course: {plan.nerve.rule}. It may lie {plan.nerve.sigma_mm:g} mm off (one sigma)"
                + ("." if plan.nerve.confirmed else "; nobody has confirmed it yet."),
                f"Supply: {record.territory}. Composition: {record.composition.replace('_', ' ')}. "
                f"If it is lost: {record.function_lost or 'nothing known'} (motor risk {record.motor_risk} of 3).",
                f"Knowledge: {record.source}; confidence {record.confidence}, "
                + ("verified." if record.verified else "not verified."),
                nerve_curve(plan, assessment),
            ),
        ),
        Section("Path", _path_blocks(case, plan)),
        _check_section(case),
        Section(
            "Findings, worst first",
            (
                Table(
                    ("", "what", "value", "band", "limit", "in words"),
                    tuple(_finding_row(f) for f in assessment.findings),
                    tuple(f.status.value for f in assessment.findings),
                ),
                *assessment.doubt,
            ),
        ),
        Section(
            "Structures",
            (
                Table(
                    ("structure", "made by", "confidence", "confirmed"),
                    tuple(
                        (s.name.replace("_", " "), s.method, s.confidence, "yes" if s.confirmed else "no")
                        for s in anatomy.structures
                    ),
                ),
                *anatomy.notes,
            ),
        ),
        Section(
            "How it was computed",
            (
                "; ".join(f"{key}: {value}" for key, value in case.thermal.provenance) + ".",
                f"Probes: {'; '.join(_probe_text(plan))}.",
                f"Protocol: {plan.protocol.name} ({plan.protocol.source}).",
                f"Suggested codes ({code_set_text()}), verify with coder and payer: "
                + (", ".join(str(c["code"]) for c in record.codes) or "none")
                + ".",
                f"{case.software}. {DISCLAIMER}",
                *credit_lines,
            ),
        ),
    ]
    return Report(
        title=f"{plan.nerve.name}: cryoneurolysis plan",
        verdict=assessment.verdict.value,
        verdict_status=assessment.verdict.name.lower(),
        sentence=assessment.sentence,
        sections=tuple(s for s in sections if s is not None),
        numbers=report_numbers(case),
    )


def nerve_curve(plan: Plan, assessment: Assessment) -> Curve:
    """Coldest temperature along the nerve, with what it means."""
    return Curve(
        assessment.nerve_distance_mm,
        (("whole cross-section", assessment.nerve_coldest_c), ("centerline", assessment.nerve_core_c)),
        (
            (f"treated ({plan.treat_c:g} C)", plan.treat_c),
            ("ice seen on CT (0 C)", 0.0),
            ("sheath at risk (-100 C)", plan.limits["nerve.overfreeze"].warning),
        ),
        "along the nerve, mm",
        "coldest temperature, C",
    )


def time_curves(case: Case, index: int | None = None) -> tuple[Curve, Curve]:
    """Temperature of the nerve against place and against time, at one of the snapshots.

    Args:
        index: of the snapshot; None for the last one.

    Raises:
        CaseError: the case has not been frozen yet.
    """
    if case.plan is None or case.thermal is None or case.assessment is None:
        raise CaseError("The case has not been simulated yet; run: cryoneuro simulate CASE.")
    times_min = case.thermal.snapshot_times_s / 60.0
    at = len(times_min) - 1 if index is None else max(0, min(index, len(times_min) - 1))
    distance, section_c = nerve_course_c(case.thermal, case.plan.nerve)
    coldest = np.interp(distance, case.assessment.nerve_distance_mm, case.assessment.nerve_coldest_c)
    best = int(np.argmin(coldest))
    marks = ((f"treated ({case.plan.treat_c:g} C)", case.plan.treat_c), ("ice seen on CT (0 C)", 0.0))
    place = Curve(
        distance,
        (("coldest of all time", coldest), (f"at {times_min[at]:.1f} min", section_c[at])),
        marks,
        "along the nerve, mm",
        "whole cross-section, C",
    )
    course = Curve(
        times_min,
        ((f"section at {distance[best]:.0f} mm, where it is coldest", section_c[:, best]),),
        marks,
        "time, min",
        "whole cross-section, C",
        float(times_min[at]),
    )
    return place, course


def _check_section(case: Case) -> Section | None:
    """Block, contraindications, bleeding, local anesthetic and approvals, as a person has said them."""
    if case.check is None or case.plan is None:
        return None
    found = check_findings(case.check, case.plan.nerve.target_id)
    blocks: list[str | Table] = [
        Table(
            ("", "before the procedure"),
            tuple((_STATUS_WORDS[f.status], f.sentence) for f in found),
            tuple(f.status.value for f in found),
        )
    ]
    block = case.check.block
    if block is not None and (block.agent or block.spread_seen):
        volume = "" if block.volume_ml is None else f", {block.volume_ml:g} mL"
        blocks.append(
            f"Block with {block.agent or 'an agent that is not named'}{volume}; spread: {block.spread_seen or 'not said'}."
        )
    now = {"plan": content_hash(case.plan), "course": content_hash(case.plan.nerve)}
    for approval in case.check.approvals:
        changed = now.get(approval.what, approval.content) != approval.content
        note = " It has been changed since." if changed else ""
        blocks.append(f"{approval.what.capitalize()} approved by {approval.who}, {approval.time_utc}.{note}")
    return Section("Before the procedure", tuple(blocks))


def _probe_text(plan: Plan) -> list[str]:
    return [
        f"{p.probe.name}, {p.probe.tip_temperature_c:g} C, "
        + ("verified" if p.probe.verified else f"figures not verified ({p.probe.confidence} confidence)")
        for p in plan.probes
    ]


def _path_blocks(case: Case, plan: Plan) -> tuple[str | Table, ...]:
    rows = []
    for number, planned in enumerate(plan.probes, start=1):
        path = planned.trajectory
        rows.append((f"{number}", _point(path.entry_ras_mm), _point(path.tip_ras_mm), console_pose(path, case.ct).text))
    clear = tuple(
        (
            c.structure.replace("_", " "),
            "unknown" if c.unknown else clearance_words(c.clearance_mm),
            "" if c.unknown else f"{c.stop_mm:g}",
            "" if c.unknown else f"{c.slack_mm:+.1f}",
        )
        for c in plan.clearances
    )
    marks = tuple(
        "unknown" if c.unknown else "stop" if c.slack_mm < 0 else "warning" if c.clearance_mm < c.warning_mm else "ok"
        for c in plan.clearances
    )
    return (
        Table(("probe", "entry (R, A, S) mm", "tip (R, A, S) mm", "at the console"), tuple(rows)),
        *plan.explanation,
        Table(("clearance to, worst first", "clear", "at least, mm", "slack, mm"), clear, marks),
    )


def _point(point_ras_mm: np.ndarray) -> str:
    return ", ".join(f"{v:.1f}" for v in point_ras_mm)


def _finding_row(f: Any) -> tuple[str, ...]:
    unit = f.unit.replace("degC", "C")
    value = "unknown" if f.value is None else f"{f.value:.1f} {unit}"
    band = "" if f.low is None else f"{f.low:.1f} to {f.high:.1f}"
    limit = "" if f.stop is None else f"{f.stop:g}"
    return (_STATUS_WORDS[f.status], f"{f.subject.replace('_', ' ')}: {f.metric}", value, band, limit, f.sentence)


def report_numbers(case: Case) -> dict[str, Any]:
    """Every number of the report, for machines; lengths mm, temperatures C, times s, frame RAS.

    Raises:
        CaseError: the case has no plan or no assessment yet.
    """
    if case.plan is None or case.assessment is None:
        raise CaseError("The case has not been planned and assessed yet.")
    plan, assessment = case.plan, case.assessment
    return {
        "schema": "cryoneuro-report/1",
        "software": case.software,
        "note": DISCLAIMER,
        "pseudonym": case.pseudonym,
        "verdict": assessment.verdict.value,
        "sentence": assessment.sentence,
        "nerve": {
            "name": plan.nerve.name,
            "target_id": plan.nerve.target_id,
            "points_ras_mm": plan.nerve.points_ras_mm.tolist(),
            "radius_mm": plan.nerve.radius_mm,
            "sigma_mm": plan.nerve.sigma_mm,
            "rule": plan.nerve.rule,
            "confirmed": plan.nerve.confirmed,
        },
        "probes": [
            {
                "probe": p.probe.id,
                "entry_ras_mm": p.trajectory.entry_ras_mm.tolist(),
                "tip_ras_mm": p.trajectory.tip_ras_mm.tolist(),
                "length_mm": p.trajectory.length_mm,
                "console": console_pose(p.trajectory, case.ct).text,
            }
            for p in plan.probes
        ],
        "protocol": plan.protocol.id,
        "clearances": [
            {"structure": c.structure, "unknown": True}
            if c.unknown
            else {
                "structure": c.structure,
                "unknown": False,
                "clearance_mm": c.clearance_mm,
                "warning_mm": c.warning_mm,
                "stop_mm": c.stop_mm,
                "slack_mm": c.slack_mm,
            }
            for c in plan.clearances
        ],
        "unknown": list(plan.unknown),
        "explanation": list(plan.explanation),
        "findings": [
            {
                "id": f.id,
                "subject": f.subject,
                "metric": f.metric,
                "unit": f.unit,
                "value": f.value,
                "low": f.low,
                "high": f.high,
                "warning": f.warning,
                "stop": f.stop,
                "slack": f.slack,
                "status": f.status.value,
                "sentence": f.sentence,
            }
            for f in assessment.findings
        ],
        "along_nerve": {
            "distance_mm": assessment.nerve_distance_mm.tolist(),
            "section_coldest_c": assessment.nerve_coldest_c.tolist(),
            "centerline_coldest_c": assessment.nerve_core_c.tolist(),
        },
        "doubt": list(assessment.doubt),
        "neighbors": [
            {
                "name": n.name,
                "coldest_c": n.coldest_c,
                "isotherms_c": list(n.isotherms_c),
                "volume_ml": list(n.volume_ml),
                "margin_mm": list(n.margin_mm),
            }
            for n in assessment.neighbors
        ],
        "chances": dict(assessment.ensemble.chances) if assessment.ensemble is not None else {},
    }
