"""A case: everything of one patient and one target, and what happened to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .anatomy import Anatomy
from .assessment import Assessment
from .check import Check
from .ct import CtVolume
from .plan import Plan
from .thermal import ThermalRun


@dataclass(frozen=True)
class Event:
    """One line of the append-only record: when, what, and the hashes of what it made."""

    time_utc: str
    kind: str
    text: str
    hashes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Case:
    """The straight line's objects, as far as they exist."""

    pseudonym: str
    ct: CtVolume
    anatomy: Anatomy | None = None
    plan: Plan | None = None
    thermal: ThermalRun | None = None
    assessment: Assessment | None = None
    software: str = ""
    check: Check | None = field(default=None, metadata={"hash_none": False})
