"""Paths, limits and the plan that a person approves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .anatomy import Nerve
from .content import frozen_array
from .errors import PlanningError
from .probe import ProbeModel, Protocol
from .protection import Protection


@dataclass(frozen=True)
class Limit:
    """A value that must stay on one side: `at_least` for clearances and temperatures, else at most.

    Attributes:
        warning: crossed, the finding says warning.
        stop: crossed, the path is rejected or the finding says stop.
    """

    id: str
    unit: str
    at_least: bool
    warning: float
    stop: float
    source: str
    confidence: str
    verified: bool

    def slack(self, value: float) -> float:
        """Signed distance of a value from the stop limit; negative when it is crossed."""
        return value - self.stop if self.at_least else self.stop - value

    def warning_slack(self, value: float) -> float:
        """Signed distance of a value from the warning limit."""
        return value - self.warning if self.at_least else self.warning - value


@dataclass(frozen=True)
class Limits:
    """Every limit that planner and assessor use, recorded with the plan."""

    items: tuple[Limit, ...]

    def __getitem__(self, limit_id: str) -> Limit:
        for item in self.items:
            if item.id == limit_id:
                return item
        raise PlanningError(f"No limit is called '{limit_id}'.")

    def get(self, limit_id: str, default_id: str) -> Limit:
        """The limit of that id, or the default one where the data have no special value."""
        ids = {item.id for item in self.items}
        return self[limit_id if limit_id in ids else default_id]

    def changed(self, stops: Mapping[str, float]) -> Limits:
        """The limits with other stops for one case, each saying that and what it was; a warning never lies beyond its stop.

        Args:
            stops: new stop by id. A clearance to a group that has no limit of its own gets one.

        Raises:
            PlanningError: no such limit, or a value that is not finite.
        """
        items = {item.id: item for item in self.items}
        for limit_id, stop in stops.items():
            group = limit_id.removeprefix("clearance.")
            old = items.get(limit_id) or (items.get("clearance.default") if group != limit_id and group else None)
            if old is None:
                raise PlanningError(f"No limit is called '{limit_id}'; there are {', '.join(sorted(items))}.")
            if not math.isfinite(stop):
                raise PlanningError(f"The limit {limit_id} needs a number in {old.unit}, not {stop}.")
            warning = max(old.warning, stop) if old.at_least else min(old.warning, stop)
            source = f"Changed for this case, was {old.stop:g} {old.unit}. {old.source}"
            items[limit_id] = replace(old, id=limit_id, stop=stop, warning=warning, source=source, verified=False)
        return Limits(tuple(items.values()))


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A straight probe path in RAS mm: skin entry and tip."""

    entry_ras_mm: npt.NDArray[np.float64]
    tip_ras_mm: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("entry_ras_mm", "tip_ras_mm"):
            point = frozen_array(getattr(self, name), np.float64, 1, name)
            if point.shape != (3,):
                raise PlanningError(f"{name} must be one point (R, A, S) in mm, but has shape {point.shape}.")
            object.__setattr__(self, name, point)
        if self.length_mm < 1e-3:
            raise PlanningError("Entry and tip are the same point; move one of them.")

    @property
    def length_mm(self) -> float:
        """From skin to tip."""
        return float(np.linalg.norm(self.tip_ras_mm - self.entry_ras_mm))

    @property
    def direction_ras(self) -> npt.NDArray[np.float64]:
        """Unit vector (3,) from entry to tip."""
        delta: npt.NDArray[np.float64] = self.tip_ras_mm - self.entry_ras_mm
        return delta / np.linalg.norm(delta)

    def points_ras_mm(self, step_mm: float) -> npt.NDArray[np.float64]:
        """Points (N, 3) from entry to tip, both included, at most step_mm apart."""
        count = max(2, int(np.ceil(self.length_mm / step_mm)) + 1)
        t = np.linspace(0.0, 1.0, count)[:, None]
        result: npt.NDArray[np.float64] = self.entry_ras_mm + t * (self.tip_ras_mm - self.entry_ras_mm)
        return result


@dataclass(frozen=True)
class Clearance:
    """Space between the shaft and a structure, against its limit.

    Attributes:
        clearance_mm: from the shaft's surface to the structure's surface; negative when it is crossed.
        slack_mm: clearance minus the stop limit; negative means rejected.
        unknown: the structure was not segmented; then clearance and slack mean nothing.
    """

    structure: str
    clearance_mm: float
    warning_mm: float
    stop_mm: float
    slack_mm: float
    unknown: bool = False


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """Every path that was tried, with its numbers, best first among the accepted ones.

    Attributes:
        entry_ras_mm, tip_ras_mm: (N, 3).
        limit_ids: names of the L hard limits.
        slack: (N, L) signed slack of each path and limit, in that limit's unit; negative rejects.
        criterion_ids: names of the M soft criteria.
        criteria: (N, M), each 0 (best) to 1 (worst).
        weights: (M,).
        order: indices of the accepted paths, best first.
    """

    entry_ras_mm: npt.NDArray[np.float64]
    tip_ras_mm: npt.NDArray[np.float64]
    limit_ids: tuple[str, ...]
    slack: npt.NDArray[np.float64]
    criterion_ids: tuple[str, ...]
    criteria: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    order: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, ndim in (("entry_ras_mm", 2), ("tip_ras_mm", 2), ("slack", 2), ("criteria", 2), ("weights", 1)):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64, ndim, name))
        object.__setattr__(self, "order", frozen_array(self.order, np.int64, 1, "order"))
        count = len(self.entry_ras_mm)
        fits = (
            self.tip_ras_mm.shape == (count, 3)
            and self.slack.shape == (count, len(self.limit_ids))
            and self.criteria.shape == (count, len(self.criterion_ids))
            and self.weights.shape == (len(self.criterion_ids),)
        )
        if not fits:
            raise PlanningError("The arrays of a candidate set do not fit each other.")

    def __len__(self) -> int:
        return len(self.entry_ras_mm)

    def trajectory(self, index: int) -> Trajectory:
        """Path number `index`."""
        return Trajectory(self.entry_ras_mm[index], self.tip_ras_mm[index])


@dataclass(frozen=True, eq=False)
class PlannedProbe:
    """One probe and where it lies.

    Attributes:
        protocol: its own schedule; None takes the plan's.
        start_s: how long after the others it begins.
    """

    probe: ProbeModel
    trajectory: Trajectory
    protocol: Protocol | None = None
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.start_s) and self.start_s >= 0):
            raise PlanningError(f"A probe can begin at 0 s or later, but {self.start_s} s was given.")

    @property
    def cold_ends_ras_mm(self) -> npt.NDArray[np.float64]:
        """Front and back end (2, 3) of the line in the middle of the cold surface."""
        front = self.trajectory.tip_ras_mm - self.probe.cold_offset_mm * self.trajectory.direction_ras
        return np.stack([front, front - self.probe.active_length_mm * self.trajectory.direction_ras])


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done: target, probes with poses, protocol, limits, and how clear the way is.

    Attributes:
        clearances: worst first; unknown structures before all.
        unknown: groups that the target needs and that nobody has segmented.
        explanation: sentences: why this path, what was rejected by what.
        approved_by: empty until a person approves.
        protections: what keeps neighbors warm, and when.
    """

    nerve: Nerve
    probes: tuple[PlannedProbe, ...]
    protocol: Protocol
    limits: Limits
    clearances: tuple[Clearance, ...]
    unknown: tuple[str, ...]
    explanation: tuple[str, ...]
    approved_by: str = ""
    protections: tuple[Protection, ...] = ()

    def __post_init__(self) -> None:
        if not self.probes:
            raise PlanningError("A plan needs at least one probe.")

    @property
    def is_clear(self) -> bool:
        """Every limit holds and nothing that must be known is unknown."""
        return not self.unknown and all(c.slack_mm >= 0 for c in self.clearances if not c.unknown)

    def schedule_of(self, number: int) -> Protocol:
        """The schedule of a probe, its own or the plan's."""
        return self.probes[number].protocol or self.protocol

    @property
    def treat_c(self) -> float:
        """The isotherm that treats the nerve in this plan, C."""
        return self.limits["nerve.coldest"].stop

    @property
    def duration_s(self) -> float:
        """Until the last probe has done its schedule."""
        return max(p.start_s + self.schedule_of(n).duration_s for n, p in enumerate(self.probes))
