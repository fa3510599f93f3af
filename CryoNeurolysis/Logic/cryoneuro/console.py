"""What the command line prints: progress on stderr, the summary or JSON on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from .finalists import Finalist
from .knowledge import NerveRecord
from .model import Assessment, Case, CtVolume, Plan, Progress, Status, Trajectory
from .planning import BlockPath, clearance_words, console_pose

_MARKS = {Status.OK: "ok     ", Status.WARNING: "look   ", Status.UNKNOWN: "unknown", Status.STOP: "STOP   "}


class Reporter:
    """Progress bars of rich where a person looks on, one line per stage where output goes to a file, else silence."""

    def __init__(self, quiet: bool, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    @contextmanager
    def running(self) -> Iterator[Reporter]:
        """Bars live inside this block."""
        if not self.quiet and self.stream.isatty():
            try:
                from rich.console import Console
                from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
            except ImportError:
                yield self
                return
            columns = (TextColumn("{task.fields[stage]:>20}"), BarColumn(), TextColumn("{task.description}"))
            with Progress(*columns, TimeElapsedColumn(), console=Console(file=self.stream)) as bars:
                self._bars = bars
                yield self
            self._bars = None
        else:
            yield self

    def stage(self, name: str) -> Progress:
        """Where a stage of that name reports its progress."""
        if self.quiet:
            return lambda fraction, text: None
        if self._bars is None:
            if name not in self._tasks:
                self._tasks[name] = True
                print(f"{name} ...", file=self.stream, flush=True)
            return lambda fraction, text: None
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task("", total=1.0, stage=name)
        task = self._tasks[name]

        def report(fraction: float, text: str) -> None:
            self._bars.update(task, completed=fraction, description=text)

        return report


def summary(case: Case, seconds: dict[str, float], where: str) -> str:
    """The short summary: path, clearances worst first, temperatures, coldest neighbor, verdict, seconds, place."""
    lines: list[str] = []
    if case.plan is not None:
        lines += _plan_lines(case, case.plan)
    if case.assessment is not None:
        lines += _assessment_lines(case.assessment)
    if seconds:
        parts = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
        lines.append(f"Seconds    {parts}, together {sum(seconds.values()):.1f}")
    lines.append(f"Results    {where}")
    return "\n".join(lines)


def _plan_lines(case: Case, plan: Plan) -> list[str]:
    lines = [f"Target     {plan.nerve.name} ({'confirmed' if plan.nerve.confirmed else 'proposed, not confirmed'})"]
    for number, planned in enumerate(plan.probes, start=1):
        lines.append(f"Probe {number}    {planned.probe.name}, {plan.protocol.name}")
        lines.append(f"Path {number}     {_path_words(planned.trajectory, case.ct)}")
    for text in plan.explanation:
        lines.append(f"           {text}")
    lines.append("Clearances worst first (slack to the limit, mm):")
    for c in [c for c in plan.clearances if not c.unknown][:8]:
        mark = "STOP" if c.slack_mm < 0 else "look" if c.clearance_mm < c.warning_mm else "ok"
        lines.append(
            f"    {mark:5} {c.structure.replace('_', ' '):32} {clearance_words(c.clearance_mm):>14} ({c.slack_mm:+.1f})"
        )
    if plan.unknown:
        lines.append("    unknown: " + ", ".join(g.replace("_", " ") for g in plan.unknown))
    return lines


def _assessment_lines(assessment: Assessment) -> list[str]:
    lines = ["Along the nerve (mm: coldest of the whole cross-section, C):"]
    step = max(1, len(assessment.nerve_distance_mm) // 9)
    pairs = zip(assessment.nerve_distance_mm[::step], assessment.nerve_coldest_c[::step], strict=True)
    lines.append("    " + "  ".join(f"{d:.0f}: {t:.0f}" for d, t in pairs))
    neighbors = [f for f in assessment.findings if f.id.startswith("guard.") and f.value is not None]
    if neighbors:
        coldest = min(neighbors, key=lambda f: f.value if f.value is not None else 99.0)
        lines.append(f"Coldest    {coldest.sentence}")
    for finding in [f for f in assessment.findings if f.status is not Status.OK][:8]:
        lines.append(f"    {_MARKS[finding.status]} {finding.sentence}")
    lines.append(f"Doubt      {assessment.doubt[0]}")
    lines.append(f"VERDICT    {assessment.verdict.value.upper()}. {assessment.sentence}")
    return lines


def _path_words(path: Trajectory, ct: CtVolume) -> str:
    ends = " -> ".join(f"({', '.join(f'{v:.1f}' for v in p)})" for p in (path.entry_ras_mm, path.tip_ras_mm))
    return f"{ends} mm RAS; {console_pose(path, ct).text}"


def finalist_numbers(finalist: Finalist, ct: CtVolume, seed: int) -> dict[str, Any]:
    """One finalist for machines: its path, clearances, ice, and chance of treating the nerve."""
    path = finalist.plan.probes[0].trajectory
    return {
        "rank_by_geometry": finalist.rank,
        "cost": round(finalist.cost, 4),
        "entry_ras_mm": path.entry_ras_mm.tolist(),
        "tip_ras_mm": path.tip_ras_mm.tolist(),
        "console": console_pose(path, ct).text,
        "clearances_mm": {c.structure: round(c.clearance_mm, 2) for c in finalist.plan.clearances if not c.unknown},
        "unknown": list(finalist.plan.unknown),
        "treated_mm": finalist.treated_mm,
        "coldest_section_c": round(finalist.coldest_c, 1),
        "neighbor": finalist.neighbor,
        "neighbor_c": round(finalist.neighbor_c, 1),
        "chance_treated": finalist.chance(seed),
        "seed": seed,
    }


def finalist_table(finalists: Sequence[Finalist], rows: Sequence[Mapping[str, Any]]) -> str:
    """Finalists side by side, best first, and what each would ask of the operator."""
    lines = [
        "Best first by geometry and ice together (2 mm preview; chance of treating the nerve when not placed exactly):"
    ]
    lines.append(
        f"{'':3}{'depth':>8}{'tightest place':>34}{'treated':>10}{'nearest to its limit':>34}{'chance':>8}{'cost':>7}"
    )
    for number, (finalist, row) in enumerate(zip(finalists, rows, strict=True), start=1):
        worst = next((c for c in finalist.plan.clearances if not c.unknown), None)
        tight = (
            "nothing" if worst is None else f"{worst.structure.replace('_', ' ')} {clearance_words(worst.clearance_mm)}"
        )
        near = f"{finalist.neighbor.replace('_', ' ')} {finalist.neighbor_c:.0f} C"
        depth = f"{finalist.plan.probes[0].trajectory.length_mm:.0f} mm"
        chance = f"{100 * row['chance_treated']:.0f} %"
        lines.append(
            f"{number:<3}{depth:>8}{tight:>34}{finalist.treated_mm:>7.1f} mm{near:>34}{chance:>8}{finalist.cost:>7.2f}"
        )
    for number, finalist in enumerate(finalists, start=1):
        path = finalist.plan.probes[0].trajectory
        entry, tip = (",".join(f"{v:.1f}" for v in p) for p in (path.entry_ras_mm, path.tip_ras_mm))
        lines.append(f"{number:<3}{rows[number - 1]['console']}")
        lines.append(f"   take it with: plan CASE ... --entry {entry} --tip {tip}")
    unknown = ", ".join(g.replace("_", " ") for g in finalists[0].plan.unknown)
    if unknown:
        lines.append(f"Not segmented, therefore unknown and not safe: {unknown}.")
    return "\n".join(lines)


def block_numbers(path: BlockPath, ct: CtVolume) -> dict[str, Any]:
    """The needle's path for machines."""
    return {
        "needle": path.needle.id,
        "shared": path.shared,
        "entry_ras_mm": path.trajectory.entry_ras_mm.tolist(),
        "tip_ras_mm": path.trajectory.tip_ras_mm.tolist(),
        "console": console_pose(path.trajectory, ct).text,
        "to_nerve_mm": round(path.to_nerve_mm, 2),
        "clearances_mm": {c.structure: round(c.clearance_mm, 2) for c in path.clearances if not c.unknown},
        "unknown": [c.structure for c in path.clearances if c.unknown],
        "explanation": list(path.explanation),
    }


def block_words(path: BlockPath, ct: CtVolume, record: NerveRecord) -> str:
    """The needle's path, what is injected, and what to look for."""
    lines = [f"Needle     {path.needle.name}", f"Path       {_path_words(path.trajectory, ct)}"]
    lines += [f"           {text}" for text in path.explanation]
    lines.append(f"           The tip ends {path.to_nerve_mm:.1f} mm from the middle of the nerve.")
    for c in [c for c in path.clearances if not c.unknown][:4]:
        lines.append(
            f"    {c.structure.replace('_', ' '):32} {clearance_words(c.clearance_mm):>14} ({c.slack_mm:+.1f})"
        )
    unknown = ", ".join(c.structure.replace("_", " ") for c in path.clearances if c.unknown)
    if unknown:
        lines.append(f"    Not segmented, therefore unknown and not safe: {unknown}.")
    if record.block is not None:
        low, high = (record.block["volume_ml"][key] for key in ("low", "high"))
        lines.append(
            f"Block      {record.block['agent_class']}, {low:g} to {high:g} mL; look for: {record.block['spread'].rstrip('.')} "
            f"({record.block['confidence']} confidence)"
        )
    return "\n".join(lines)
