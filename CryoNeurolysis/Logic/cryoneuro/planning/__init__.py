"""Probe paths: every reachable entry against every limit, ranked, explained, confirmed by an exact method."""

from .block import BlockPath, own_block, shared_block
from .clearance import clearance_words, exact_clearances, shaft_gap_mm
from .console import ConsolePose, console_pose
from .manual import PathEdits, manual_plan, snapped
from .plan import finalists, plan_paths, tried_paths, with_probe
from .rank import accepted, pareto_front, ranked, with_columns
from .robustness import Robustness, robustness, wilson_interval
from .several import MOST_PROBES, probes_together
from .sweep import CRITERIA
from .table import table_side_ras, table_words
from .why_not import SkinMap, skin_map, why_not

__all__ = [
    "CRITERIA",
    "MOST_PROBES",
    "BlockPath",
    "ConsolePose",
    "PathEdits",
    "Robustness",
    "SkinMap",
    "accepted",
    "clearance_words",
    "console_pose",
    "exact_clearances",
    "finalists",
    "manual_plan",
    "own_block",
    "pareto_front",
    "plan_paths",
    "probes_together",
    "ranked",
    "robustness",
    "shaft_gap_mm",
    "shared_block",
    "skin_map",
    "snapped",
    "table_side_ras",
    "table_words",
    "tried_paths",
    "why_not",
    "wilson_interval",
    "with_columns",
    "with_probe",
]
