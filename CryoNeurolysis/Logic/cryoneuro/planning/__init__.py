"""Probe paths: every reachable entry against every limit, ranked, explained, confirmed by an exact method."""

from .clearance import clearance_words, exact_clearances, shaft_gap_mm
from .console import ConsolePose, console_pose
from .plan import add_probe, finalists, manual_plan, plan_paths, with_probe

__all__ = [
    "ConsolePose",
    "add_probe",
    "clearance_words",
    "console_pose",
    "exact_clearances",
    "finalists",
    "manual_plan",
    "plan_paths",
    "shaft_gap_mm",
    "with_probe",
]
