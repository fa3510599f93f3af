"""Cryoprobes and the schedules they run."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .errors import KnowledgeError


@dataclass(frozen=True)
class ProbeModel:
    """Geometry and cooling of a cryoprobe.

    Attributes:
        diameter_mm: outer diameter of the shaft.
        active_length_mm: length of the cold surface.
        cold_offset_mm: from the tip back to where the cold surface begins.
        usable_shaft_mm: longest path from skin to tip.
        shaft_total_mm: tip to the rear end of the handle, for the gantry bore.
        tip_temperature_c: coldest surface temperature it settles at.
        cool_down_s: time constant of the approach to that temperature.
        active_thaw_c: surface temperature in active thaw, None when it has none.
    """

    id: str
    name: str
    cryogen: str
    diameter_mm: float
    active_length_mm: float
    cold_offset_mm: float
    usable_shaft_mm: float
    tip_temperature_c: float
    cool_down_s: float
    active_thaw_c: float | None
    source: str
    confidence: str
    verified: bool

    def __post_init__(self) -> None:
        for name in ("diameter_mm", "active_length_mm", "usable_shaft_mm", "cool_down_s"):
            if not getattr(self, name) > 0:
                raise KnowledgeError(f"Probe {self.id}: {name} must be positive, but is {getattr(self, name)}.")
        if not self.cold_offset_mm >= 0:
            raise KnowledgeError(f"Probe {self.id}: cold_offset_mm must be 0 or more, but is {self.cold_offset_mm}.")
        if not -273.15 < self.tip_temperature_c < 0:
            raise KnowledgeError(
                f"Probe {self.id}: tip_temperature_c must lie between -273.15 and 0 C, but is {self.tip_temperature_c}."
            )

    @property
    def center_from_tip_mm(self) -> float:
        """Distance from the tip back to the middle of the cold surface."""
        return self.cold_offset_mm + 0.5 * self.active_length_mm


class StepKind(enum.Enum):
    """What a probe does during a step."""

    FREEZE = "freeze"
    PASSIVE_THAW = "passive_thaw"
    ACTIVE_THAW = "active_thaw"


@dataclass(frozen=True)
class ProtocolStep:
    """One step of a schedule; duty_percent is the share of full cooling in a freeze."""

    kind: StepKind
    duration_s: float
    duty_percent: float = 100.0

    def __post_init__(self) -> None:
        if not self.duration_s > 0:
            raise KnowledgeError(f"A {self.kind.value} step must last longer than 0 s, but lasts {self.duration_s} s.")
        if not 5.0 <= self.duty_percent <= 100.0:
            raise KnowledgeError(f"The duty of a step must be 5 to 100 %, but is {self.duty_percent} %.")


@dataclass(frozen=True)
class Protocol:
    """Steps in order, the same for every probe of a plan."""

    id: str
    name: str
    steps: tuple[ProtocolStep, ...]
    source: str
    confidence: str
    verified: bool

    def __post_init__(self) -> None:
        if not self.steps:
            raise KnowledgeError(f"Protocol {self.id} has no steps; give it at least one freeze.")
        if all(step.kind is not StepKind.FREEZE for step in self.steps):
            raise KnowledgeError(f"Protocol {self.id} never freezes; give it at least one freeze step.")

    @property
    def duration_s(self) -> float:
        """Length of the whole schedule."""
        return sum(step.duration_s for step in self.steps)
