"""Whether the nerve is treated and the neighbors are safe."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .content import frozen_array
from .errors import AssessmentError


class Status(enum.Enum):
    """State of one finding, from good to bad; unknown is never good."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    STOP = "stop"


class Verdict(enum.Enum):
    """The whole case in one word."""

    TREATED_AND_SAFE = "treated and safe"
    CAUTION = "treated, with caution"
    UNKNOWN = "unknown"
    NOT_TREATED = "not treated"
    UNSAFE = "unsafe"


@dataclass(frozen=True)
class Finding:
    """One number against its limit.

    Attributes:
        subject: the nerve or structure.
        value: None when it is unknown.
        low, high: the value's band from what is uncertain; None when no band was computed.
        slack: signed distance from the stop limit in the value's unit; None when unknown or without limit.
        sentence: the same in words.
    """

    id: str
    subject: str
    metric: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    warning: float | None
    stop: float | None
    slack: float | None
    status: Status
    sentence: str


@dataclass(frozen=True, eq=False)
class Assessment:
    """Findings, worst first, the verdict, and the profile along the nerve.

    Attributes:
        nerve_distance_mm: (N,) distance along the course.
        nerve_coldest_c: (N,) warmest point of each cross-section at its coldest: what the whole section reached.
        nerve_core_c: (N,) the same at the centerline.
        doubt: sentences on what was varied and what was not.
    """

    findings: tuple[Finding, ...]
    verdict: Verdict
    sentence: str
    nerve_distance_mm: npt.NDArray[np.float64]
    nerve_coldest_c: npt.NDArray[np.float64]
    nerve_core_c: npt.NDArray[np.float64]
    doubt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("nerve_distance_mm", "nerve_coldest_c", "nerve_core_c"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64, 1, name))
        if not len(self.nerve_distance_mm) == len(self.nerve_coldest_c) == len(self.nerve_core_c):
            raise AssessmentError("The profiles along the nerve differ in length.")

    def finding(self, finding_id: str) -> Finding:
        """The finding of that id.

        Raises:
            AssessmentError: there is none.
        """
        for item in self.findings:
            if item.id == finding_id:
                return item
        raise AssessmentError(f"No finding is called '{finding_id}'.")
