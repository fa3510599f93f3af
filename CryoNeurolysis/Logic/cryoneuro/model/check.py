"""What is looked at before the needle: diagnostic block, contraindications, bleeding, local anesthetic, approvals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .errors import AssessmentError


def _number(owner: object, name: str, low: float, high: float, what: str) -> None:
    value = getattr(owner, name)
    if value is None:
        return
    if not (math.isfinite(value) and low <= value <= high):
        raise AssessmentError(f"{what} must lie between {low:g} and {high:g}, but is {value:g}.")
    # A whole number that was typed in is the same value after it was saved and read again.
    object.__setattr__(owner, name, float(value))


@dataclass(frozen=True)
class BlockRecord:
    """A diagnostic block as it was done.

    Attributes:
        pain_before, pain_after: numeric rating, 0 to 10; None where nobody asked.
    """

    agent: str = ""
    volume_ml: float | None = None
    spread_seen: str = ""
    pain_before: float | None = None
    pain_after: float | None = None

    def __post_init__(self) -> None:
        _number(self, "volume_ml", 0.0, 100.0, "The injected volume in mL")
        _number(self, "pain_before", 0.0, 10.0, "The pain score before the block")
        _number(self, "pain_after", 0.0, 10.0, "The pain score after the block")

    @property
    def relief_percent(self) -> float | None:
        """By how much the pain fell; None where that cannot be said."""
        if self.pain_before is None or self.pain_after is None or self.pain_before <= 0:
            return None
        return 100.0 * (self.pain_before - self.pain_after) / self.pain_before


@dataclass(frozen=True)
class Approval:
    """Who approved what, and when; `content` is the hash of what was approved, so that a change is seen."""

    what: str
    who: str
    time_utc: str
    content: str


@dataclass(frozen=True)
class Check:
    """Everything a person has said before the procedure; what was not asked is unknown.

    Attributes:
        answers: (id of the question, yes or no).
        inr, platelets_giga_l: laboratory values; None where unknown.
        anesthetic: id of the local anesthetic at the skin and along the path.
        anesthetic_percent, anesthetic_ml: its concentration and volume.
    """

    block: BlockRecord | None = None
    answers: tuple[tuple[str, bool], ...] = ()
    inr: float | None = None
    platelets_giga_l: float | None = None
    weight_kg: float | None = None
    anesthetic: str = ""
    anesthetic_percent: float | None = None
    anesthetic_ml: float | None = None
    approvals: tuple[Approval, ...] = ()

    def __post_init__(self) -> None:
        _number(self, "inr", 0.5, 20.0, "The INR")
        _number(self, "platelets_giga_l", 0.0, 2000.0, "The platelets in 10^9 per liter")
        _number(self, "weight_kg", 1.0, 400.0, "The body weight in kg")
        _number(self, "anesthetic_percent", 0.0, 10.0, "The concentration of the local anesthetic in percent")
        _number(self, "anesthetic_ml", 0.0, 200.0, "The volume of the local anesthetic in mL")

    def answered(self, question: str, yes: bool) -> Check:
        """The check with one more answer."""
        return replace(self, answers=(*(a for a in self.answers if a[0] != question), (question, yes)))

    @property
    def anesthetic_mg(self) -> float | None:
        """Dose of the local anesthetic: one percent is 10 mg/mL."""
        if self.anesthetic_percent is None or self.anesthetic_ml is None:
            return None
        return 10.0 * self.anesthetic_percent * self.anesthetic_ml
