"""One controller for every step of the panel; they read and write widgets and call the runner, and compute nothing."""

from .anatomy_step import AnatomyStep
from .case_step import CaseStep
from .check_step import CheckStep
from .freeze_step import FreezeStep
from .live_step import LiveStep
from .path_step import PathStep
from .report_step import ReportStep
from .target_step import TargetStep

ALL_STEPS = (CaseStep, TargetStep, AnatomyStep, PathStep, FreezeStep, CheckStep, LiveStep, ReportStep)

__all__ = ["ALL_STEPS"]
