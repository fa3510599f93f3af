"""Probe paths: every reachable entry against every limit, ranked, explained, confirmed by an exact method."""

from .clearance import clearance_words, exact_clearances, shaft_gap_mm
from .console import ConsolePose, console_pose
from .plan import add_probe, finalists, manual_plan, plan_paths, tried_paths, with_probe
from .rank import accepted, pareto_front, ranked
from .robustness import Robustness, robustness
from .table import table_side_ras, table_words
from .why_not import SkinMap, skin_map, why_not

__all__ = [
    "ConsolePose",
    "Robustness",
    "SkinMap",
    "accepted",
    "add_probe",
    "clearance_words",
    "console_pose",
    "exact_clearances",
    "finalists",
    "manual_plan",
    "pareto_front",
    "plan_paths",
    "ranked",
    "robustness",
    "shaft_gap_mm",
    "skin_map",
    "table_side_ras",
    "table_words",
    "tried_paths",
    "why_not",
    "with_probe",
]
