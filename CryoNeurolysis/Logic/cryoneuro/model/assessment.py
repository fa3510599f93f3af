"""Whether the nerve is treated and the neighbors are safe."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .content import frozen_array
from .errors import AssessmentError
from .geometry import VolumeGeometry


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
    LIKELY_NOT_TREATED = "likely not treated"
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


@dataclass(frozen=True)
class NeighborDose:
    """How much cold one neighbor received.

    Attributes:
        isotherms_c: (M,) the isotherms that volumes and margins speak of.
        volume_ml: (M,) part of it at or below each isotherm.
        margin_mm: (M,) from its wall to each isotherm; negative where the isotherm reaches into it, None where the
            isotherm does not exist.
        curve_c, curve_ml: temperature-volume curve: volume at or below each temperature.
    """

    name: str
    group: str
    coldest_c: float
    isotherms_c: tuple[float, ...]
    volume_ml: tuple[float, ...]
    margin_mm: tuple[float | None, ...]
    curve_c: tuple[float, ...]
    curve_ml: tuple[float, ...]


@dataclass(frozen=True)
class Driver:
    """How much one uncertain input moves one outcome.

    Attributes:
        share: part of the outcome's variance that goes with the input alone, 0 to 1.
        effect: change of the outcome for one sigma of the input, in the outcome's unit.
    """

    outcome: str
    input: str
    share: float
    effect: float


@dataclass(frozen=True, eq=False)
class Doubt:
    """What a designed sample of runs says about an assessment.

    Attributes:
        samples, seed: how many runs, and from where they were drawn.
        bands: (finding id, low, middle, high): 16, 50 and 84 of a hundred.
        chances: (what, chance 0 to 1).
        drivers: strongest first within each outcome.
        volumes_ml: (isotherm, low, middle, high) volume of each isotherm.
        geometry, isotherms_c, probability: chance (M, k, j, i) that a place got at least so cold; None after loading.
        sentences: the same in words.
    """

    samples: int
    seed: int
    bands: tuple[tuple[str, float, float, float], ...]
    chances: tuple[tuple[str, float], ...]
    drivers: tuple[Driver, ...]
    volumes_ml: tuple[tuple[float, float, float, float], ...]
    sentences: tuple[str, ...]
    isotherms_c: tuple[float, ...] = ()
    geometry: VolumeGeometry | None = field(default=None, metadata={"content": False})
    probability: npt.NDArray[np.float32] | None = field(default=None, metadata={"content": False})

    def chance(self, what: str) -> float:
        """The chance of that name.

        Raises:
            AssessmentError: there is none.
        """
        for name, value in self.chances:
            if name == what:
                return value
        raise AssessmentError(f"No chance of '{what}' was computed.")


@dataclass(frozen=True, eq=False)
class Assessment:
    """Findings, worst first, the verdict, and the profile along the nerve.

    Attributes:
        nerve_distance_mm: (N,) distance along the course.
        nerve_coldest_c: (N,) warmest point of each cross-section at its coldest: what the whole section reached.
        nerve_core_c: (N,) the same at the centerline.
        doubt: sentences on what was varied and what was not.
        neighbors: cold received by each neighbor in the simulated box, coldest first.
        ensemble: what a sample of runs says; None when none was made.
    """

    findings: tuple[Finding, ...]
    verdict: Verdict
    sentence: str
    nerve_distance_mm: npt.NDArray[np.float64]
    nerve_coldest_c: npt.NDArray[np.float64]
    nerve_core_c: npt.NDArray[np.float64]
    doubt: tuple[str, ...] = ()
    neighbors: tuple[NeighborDose, ...] = ()
    ensemble: Doubt | None = None

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
