"""What every step of the panel is: to do, running, done, in need of a look, or made for something else. No qt."""

from __future__ import annotations

import enum
from dataclasses import dataclass

STEPS = ("case", "target", "anatomy", "path", "freeze", "check", "live", "report")


class StepState(enum.Enum):
    """State of a step, with the mark and the words that stand for it; color is never alone."""

    TO_DO = ("\u25cb", "to do")
    RUNNING = ("\u2026", "running")
    DONE = ("\u2713", "done")
    ATTENTION = ("!", "needs attention")
    STALE = ("\u21bb", "made for something else")

    @property
    def mark(self) -> str:
        """One character."""
        return str(self.value[0])

    @property
    def words(self) -> str:
        """The state in words."""
        return str(self.value[1])


@dataclass(frozen=True)
class PanelFacts:
    """What the states follow from.

    Attributes:
        running: step whose job runs, empty for none.
        failed: step whose last job failed, empty for none.
        ct, segmented, course, planned, frozen: whether these are there.
        segmentedFor, courseFor, plannedFor, frozenFor: whether they belong to what is chosen now.
        warnings: of the scan.
        confirmed: the course has a person's yes.
        unknown: structures that nobody segmented and nobody said are not in the field.
        approved: the plan as it is now has been approved.
        clear: every limit of the plan holds.
        verdictGood: treated and safe, without anything to look at.
        checked: nothing in the checklist is unknown or speaks against it.
        checkBegun: something has been entered there.
        live: a scan of the procedure has come; liveGood: the last one is laid under the plan, with nothing against going on.
        saved: the case as it is now has been saved with its report.
    """

    running: str = ""
    failed: str = ""
    ct: bool = False
    warnings: int = 0
    segmented: bool = False
    segmentedFor: bool = False
    unknown: int = 0
    course: bool = False
    courseFor: bool = False
    confirmed: bool = False
    planned: bool = False
    plannedFor: bool = False
    clear: bool = False
    approved: bool = False
    frozen: bool = False
    frozenFor: bool = False
    verdictGood: bool = False
    checkBegun: bool = False
    checked: bool = False
    live: bool = False
    liveGood: bool = False
    saved: bool = False


def stepStates(facts: PanelFacts) -> dict[str, StepState]:
    """State of every step."""
    states = {
        "case": _made(facts.ct, True, facts.warnings == 0),
        "target": _made(facts.course, facts.courseFor, facts.confirmed),
        "anatomy": _made(facts.segmented, facts.segmentedFor, facts.unknown == 0),
        "path": _made(facts.planned, facts.plannedFor, facts.clear and facts.approved),
        "freeze": _made(facts.frozen, facts.frozenFor, facts.verdictGood),
        "check": _made(facts.checkBegun, True, facts.checked),
        "live": _made(facts.live, True, facts.liveGood),
        "report": _made(facts.saved, True, True),
    }
    if facts.failed in states and states[facts.failed] is not StepState.STALE:
        states[facts.failed] = StepState.ATTENTION
    if facts.running in states:
        states[facts.running] = StepState.RUNNING
    return states


def _made(there: bool, fits: bool, good: bool) -> StepState:
    if not there:
        return StepState.TO_DO
    if not fits:
        return StepState.STALE
    return StepState.DONE if good else StepState.ATTENTION
