"""Manoeuvres that keep a neighbor warm: fluid, gas, and things held warm."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import KnowledgeError


@dataclass(frozen=True)
class Protection:
    """One manoeuvre, drawn as a structure of the anatomy, that appears at a time of the schedule.

    Attributes:
        kind: id in protections.json, e.g. "saline", "co2", "skin_warming", "warm_catheter".
        structure: name of the structure that says where it is; for skin_warming the patch of skin it covers.
        start_s, end_s: from when and until when, in the schedule's seconds; end_s None means to the end.
        temperature_c: of the fluid or of what is held warm; None takes the kind's own.
    """

    kind: str
    structure: str
    start_s: float = 0.0
    end_s: float | None = None
    temperature_c: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise KnowledgeError(f"{self.kind} in {self.structure}: start_s must be 0 or more, but is {self.start_s}.")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise KnowledgeError(f"{self.kind} in {self.structure}: it must end after its start at {self.start_s:g} s.")
        if self.temperature_c is not None and not 0.0 <= self.temperature_c <= 60.0:
            raise KnowledgeError(
                f"{self.kind} in {self.structure}: its temperature must lie between 0 and 60 C, but is {self.temperature_c} C."
            )
