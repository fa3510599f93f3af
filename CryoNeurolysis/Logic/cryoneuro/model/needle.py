"""Injection needles, and what they have in common with cryoprobes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from .errors import KnowledgeError


class Instrument(Protocol):
    """A straight shaft that a path is planned for: a cryoprobe or a needle."""

    @property
    def id(self) -> str:
        """Name in the data."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def diameter_mm(self) -> float:
        """Outer diameter."""

    @property
    def active_length_mm(self) -> float:
        """Length over which it acts."""

    @property
    def center_from_tip_mm(self) -> float:
        """From the tip back to the middle of where it acts."""

    @property
    def usable_shaft_mm(self) -> float:
        """Longest path from skin to tip."""


@dataclass(frozen=True)
class NeedleModel:
    """A needle for a diagnostic block.

    Attributes:
        shaft_total_mm: tip to the rear end of the hub, for the gantry bore.
        spread_mm: how far around the tip the drug reaches at least.
    """

    id: str
    name: str
    diameter_mm: float
    usable_shaft_mm: float
    shaft_total_mm: float
    spread_mm: float
    source: str
    confidence: str
    verified: bool

    def __post_init__(self) -> None:
        for name in ("diameter_mm", "usable_shaft_mm", "shaft_total_mm", "spread_mm"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise KnowledgeError(f"Needle {self.id}: {name} must be positive, but is {getattr(self, name)}.")

    @property
    def active_length_mm(self) -> float:
        """The drug reaches this far along the path, tip in its middle."""
        return 2.0 * self.spread_mm

    @property
    def center_from_tip_mm(self) -> float:
        """The drug leaves at the tip."""
        return 0.0
