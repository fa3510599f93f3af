"""One case for every CT of the scene: choosing another CT puts one aside and brings the other back. No qt."""

from __future__ import annotations

from typing import Any

from .case_runner import CaseRunner

BOUND = {
    "organs": None,
    "edits": 0,
    "position": "",
    "level": 0,
    "coursePoints": "",
    "courseAccepted": False,
    "cleared": [],
    "pathPoints": "",
    "segmentedFor": "",
    "courseFor": "",
    "plannedFor": "",
}
"""Choices that mean something on one CT only, with what they are on a new one."""
FREE = ("target", "side", "followFat", "probe", "protocol", "probeCount", "weights")
"""Choices that a new CT takes over from the one before."""


class CaseBook:
    """Runners by the CT's node."""

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self._none = CaseRunner(scene)
        self._runners: dict[str, CaseRunner] = {}
        self._lost: list[CaseRunner] = []

    def of(self, volume: Any) -> CaseRunner:
        """The runner of a CT; an empty one for none."""
        if volume is None:
            return self._none
        return self._runners.setdefault(volume.GetID(), CaseRunner(self.scene))

    def everyone(self) -> list[tuple[Any, CaseRunner]]:
        """Every CT that is still in the scene, and its runner."""
        rows = [(self.scene.GetNodeByID(identifier), runner) for identifier, runner in self._runners.items()]
        return [(volume, runner) for volume, runner in rows if volume is not None]

    def lose(self, identifier: str) -> CaseRunner | None:
        """A CT was removed: its case is kept until the CT is loaded again; None where it had none."""
        runner = self._runners.pop(identifier, None)
        if runner is None or runner.case is None:
            return None
        self._lost.append(runner)
        return runner

    def found(self, volume: Any, ct: Any) -> CaseRunner | None:
        """The runner whose CT was removed and is this one again; it belongs to the volume from now on."""
        for runner in self._lost:
            lost = runner.case.ct if runner.case is not None else None
            if (
                lost is not None
                and lost.array_kji.shape == ct.array_kji.shape
                and (lost.array_kji == ct.array_kji).all()
            ):
                self._lost.remove(runner)
                self._runners[volume.GetID()] = runner
                return runner
        return None


def takeChoices(parameters: Any) -> dict[str, Any]:
    """What the user has chosen for a CT; lists and dictionaries are copied."""
    values = {name: getattr(parameters, name) for name in (*BOUND, *FREE)}
    return {name: list(v) if name == "cleared" else dict(v) if name == "weights" else v for name, v in values.items()}


def giveChoices(parameters: Any, choices: dict[str, Any]) -> None:
    """Choose what was chosen for a CT before; for a new CT, what means something on one CT only is as at the beginning."""
    for name, value in (choices or BOUND).items():
        # A segmentation that was removed in the meantime cannot be chosen again.
        if name == "organs" and value is not None and value.GetScene() is None:
            value = None
        setattr(parameters, name, value)
