"""Cryoprobes and the schedules they run."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

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
        cool_down: how it gets there when that was measured: (seconds, share of the way) pairs, rising from (0, 0) to a
            share of 1; empty for the exponential of cool_down_s.
        power_w: most heat that it can take up over its cold surface, W; None when its temperature is what is known.
        surface_span_c: coldest and warmest settled surface that its sources speak of, one sigma each way; None where they
            give one figure. That, or a figure outside the span, has the spread of the data's probe_strength_spread.
        temperature_basis: from what tip_temperature_c is taken.
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
    cool_down: tuple[tuple[float, float], ...] = ()
    power_w: float | None = None
    surface_span_c: tuple[float, float] | None = None
    temperature_basis: str = ""

    def __post_init__(self) -> None:
        try:
            course = tuple((float(t), float(share)) for t, share in self.cool_down)
        except (TypeError, ValueError):
            raise KnowledgeError(f"Probe {self.id}: cool_down must be pairs of seconds and share.") from None
        object.__setattr__(self, "cool_down", course)
        times, shares = [t for t, _ in course], [share for _, share in course]
        rising = sorted(set(times)) == times and sorted(shares) == shares
        if course and not (rising and times[0] == 0.0 and shares[0] >= 0.0 and shares[-1] == 1.0):
            raise KnowledgeError(
                f"Probe {self.id}: cool_down must begin at 0 s, rise in time and share, and end at a share of 1."
            )
        if self.surface_span_c is not None:
            coldest, warmest = (float(c) for c in self.surface_span_c)
            if not -273.15 < coldest <= warmest < 0.0:
                raise KnowledgeError(
                    f"Probe {self.id}: surface_span_c must be a coldest and a warmest temperature below 0 C, but goes from "
                    f"{coldest:g} to {warmest:g} C."
                )
            object.__setattr__(self, "surface_span_c", (coldest, warmest))
        if self.active_thaw_c is not None and not 0.0 <= self.active_thaw_c <= 100.0:
            raise KnowledgeError(
                f"Probe {self.id}: active_thaw_c must lie between 0 and 100 C, but is {self.active_thaw_c} C."
            )
        if self.power_w is not None and not (math.isfinite(self.power_w) and self.power_w > 0):
            raise KnowledgeError(f"Probe {self.id}: power_w must be positive, but is {self.power_w}.")
        for name in ("diameter_mm", "active_length_mm", "usable_shaft_mm", "cool_down_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise KnowledgeError(f"Probe {self.id}: {name} must be positive, but is {getattr(self, name)}.")
        if not 0 <= self.cold_offset_mm <= 200:
            raise KnowledgeError(f"Probe {self.id}: cold_offset_mm must be 0 to 200 mm, but is {self.cold_offset_mm}.")
        if not -273.15 < self.tip_temperature_c < 0:
            raise KnowledgeError(
                f"Probe {self.id}: tip_temperature_c must lie between -273.15 and 0 C, but is {self.tip_temperature_c}."
            )

    def surface_c(self, sigmas: float, spread: float, body_c: float) -> float:
        """Settled surface temperature so many sigmas stronger than taken, C.

        Args:
            spread: one sigma as a share of the distance to the body's temperature, where no span is known.
        """
        if (
            self.surface_span_c is None
            or not self.surface_span_c[0] <= self.tip_temperature_c <= self.surface_span_c[1]
        ):
            return self.tip_temperature_c - sigmas * spread * (body_c - self.tip_temperature_c)
        coldest, warmest = self.surface_span_c
        step = self.tip_temperature_c - coldest if sigmas > 0 else warmest - self.tip_temperature_c
        return self.tip_temperature_c - sigmas * step

    @property
    def center_from_tip_mm(self) -> float:
        """Distance from the tip back to the middle of the cold surface."""
        return self.cold_offset_mm + 0.5 * self.active_length_mm


class StepKind(enum.Enum):
    """What a probe does during a step."""

    FREEZE = "freeze"
    HOLD = "hold"
    PASSIVE_THAW = "passive_thaw"
    ACTIVE_THAW = "active_thaw"


@dataclass(frozen=True)
class ProtocolStep:
    """One step of a schedule.

    Attributes:
        duty_percent: share of full cooling in a freeze.
        temperature_c: surface temperature that a hold keeps, so that the probe stays stuck and the ice hardly grows.
    """

    kind: StepKind
    duration_s: float
    duty_percent: float = 100.0
    temperature_c: float | None = None

    def __post_init__(self) -> None:
        if self.kind is StepKind.HOLD and not (self.temperature_c is not None and -200.0 <= self.temperature_c <= 0.0):
            raise KnowledgeError(
                f"A hold step needs the surface temperature to keep, -200 to 0 C, but has {self.temperature_c}."
            )
        if not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise KnowledgeError(f"A {self.kind.value} step must last longer than 0 s, but lasts {self.duration_s} s.")
        if not 5.0 <= self.duty_percent <= 100.0:
            raise KnowledgeError(f"The duty of a step must be 5 to 100 %, but is {self.duty_percent} %.")


@dataclass(frozen=True)
class Protocol:
    """Steps in order; the same for every probe of a plan unless a probe has its own."""

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

    def repeated(self, cycles: int) -> Protocol:
        """The same steps several times over.

        Raises:
            KnowledgeError: fewer than one cycle.
        """
        if cycles < 1:
            raise KnowledgeError(f"A protocol needs at least one cycle, not {cycles}.")
        return replace(self, id=f"{self.id} x {cycles}", steps=self.steps * cycles)

    def changed_from(self, now_s: float, future: tuple[ProtocolStep, ...]) -> Protocol:
        """What was done until now_s, then other steps: a schedule edited while it runs.

        Raises:
            KnowledgeError: now_s is negative or beyond the end.
        """
        if not 0.0 <= now_s <= self.duration_s + 1e-6:
            raise KnowledgeError(
                f"The schedule can be changed between 0 and {self.duration_s:g} s, but {now_s:g} s was asked for."
            )
        past: list[ProtocolStep] = []
        start = 0.0
        for step in self.steps:
            length = min(step.duration_s, now_s - start)
            if length <= 1e-6:
                break
            past.append(replace(step, duration_s=length))
            start += step.duration_s
        return replace(self, id=f"{self.id}, changed at {now_s:g} s", steps=(*past, *future))
