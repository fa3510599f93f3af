"""What the command line prints: progress on stderr, the summary or JSON on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from .model import Assessment, Case, Plan, Progress, Status
from .planning import clearance_words, console_pose

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
        path = planned.trajectory
        ends = " -> ".join(f"({', '.join(f'{v:.1f}' for v in p)})" for p in (path.entry_ras_mm, path.tip_ras_mm))
        lines.append(f"Probe {number}    {planned.probe.name}, {plan.protocol.name}")
        lines.append(f"Path {number}     {ends} mm RAS; {console_pose(path, case.ct).text}")
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
