"""A path that a person draws: dragged, snapped, undone, and held against every limit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..anatomy import SkinEntries, skin_entries
from ..knowledge import limits_for
from ..knowledge import nerve as nerve_record
from ..model import Anatomy, Limits, Nerve, Plan, PlannedProbe, PlanningError, ProbeModel, Protocol, Trajectory
from .candidates import Candidates
from .check import check_nerve, inside
from .clearance import exact_clearances, nearest_on_surface
from .explain import limit_words
from .pose import pose_slack

_ENTRY_OFF_SKIN_MM = 5.0


def manual_plan(
    anatomy: Anatomy,
    nerve: Nerve,
    probe: ProbeModel,
    protocol: Protocol,
    entry_ras_mm: npt.ArrayLike,
    tip_ras_mm: npt.ArrayLike,
    limits: Limits | None = None,
) -> Plan:
    """A plan on a path that a person drew; limits that it breaks show as negative slack, they do not forbid it.

    Called again while a path is dragged it takes milliseconds: the surfaces of an anatomy are made once.

    Raises:
        PlanningError: entry and tip are no points, or the tip lies outside the body.
    """
    record = nerve_record(nerve.target_id)
    limits = limits or limits_for(record)
    check_nerve(anatomy, nerve)
    trajectory = Trajectory(np.asarray(entry_ras_mm, dtype=float), np.asarray(tip_ras_mm, dtype=float))
    if not inside(anatomy.body_kji, anatomy, trajectory.tip_ras_mm[None])[0]:
        tip = ", ".join(f"{v:.1f}" for v in trajectory.tip_ras_mm)
        raise PlanningError(f"The tip ({tip}) mm RAS lies outside the body; check the coordinates.")
    _check_entry(anatomy, trajectory)
    if trajectory.length_mm > probe.usable_shaft_mm:
        raise PlanningError(
            f"The path is {trajectory.length_mm:.0f} mm long, {probe.name} reaches {probe.usable_shaft_mm:.0f} mm; "
            "choose a longer probe or a nearer entry."
        )
    clearances = exact_clearances(anatomy, nerve, trajectory, 0.5 * probe.diameter_mm, limits, record)
    notes = ["Path drawn by a person.", *_broken(anatomy, nerve, probe, limits, trajectory)]
    return Plan(
        nerve=nerve,
        probes=(PlannedProbe(probe, trajectory),),
        protocol=protocol,
        limits=limits,
        clearances=clearances,
        unknown=anatomy.unknown,
        explanation=tuple(notes),
    )


def _broken(
    anatomy: Anatomy, nerve: Nerve, probe: ProbeModel, limits: Limits, trajectory: Trajectory
) -> tuple[str, ...]:
    """A sentence for every limit of the pose that a drawn path breaks, and by how much."""
    skin = skin_entries(anatomy)
    nearest, _ = skin.nearest(trajectory.entry_ras_mm)
    path = Candidates(
        trajectory.entry_ras_mm[None],
        trajectory.tip_ras_mm[None],
        skin.normals_ras[nearest][None],
        trajectory.direction_ras[None],
        np.zeros(1),
    )
    said = []
    for limit_id, slack in pose_slack(anatomy, nerve, nerve_record(nerve.target_id), probe, limits, path).items():
        if slack[0] < 0:
            words, unit, _ = limit_words(limit_id)
            said.append(f"Beyond a limit: {words}, by {-slack[0]:.1f} {unit}.")
    return tuple(said)


def snapped(anatomy: Anatomy, place_ras_mm: npt.ArrayLike, to: str) -> npt.NDArray[np.float64]:
    """The point (3,) in RAS mm on the skin, or on the edge of a structure, that is nearest to a place.

    Args:
        to: the word skin, or the name of a structure.

    Raises:
        PlanningError: no point in RAS mm, or no skin in view.
        AnatomyError: no structure of that name, or an empty one.
    """
    place = np.asarray(place_ras_mm, dtype=float)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise PlanningError("A place is three numbers, R,A,S in mm.")
    if to != "skin":
        return nearest_on_surface(anatomy.structure(to), anatomy.geometry, place)
    skin = _skin(anatomy)
    result: npt.NDArray[np.float64] = np.array(skin.points_ras_mm[skin.nearest(place)[0]])
    return result


@dataclass(frozen=True, eq=False)
class PathEdits:
    """A path and the ones before and after it, for undo and redo.

    Attributes:
        now: the path as it is.
        before, after: what undo and redo would bring back, the next one last.
    """

    now: Trajectory
    before: tuple[Trajectory, ...] = ()
    after: tuple[Trajectory, ...] = ()

    def moved(
        self, entry_ras_mm: npt.ArrayLike | None = None, tip_ras_mm: npt.ArrayLike | None = None, final: bool = True
    ) -> PathEdits:
        """The path with its entry or tip moved.

        Args:
            final: False while it is being dragged; only where the drag began can be brought back then.

        Raises:
            PlanningError: no points, or entry and tip are the same.
        """
        entry = self.now.entry_ras_mm if entry_ras_mm is None else np.array(entry_ras_mm, dtype=float)
        tip = self.now.tip_ras_mm if tip_ras_mm is None else np.array(tip_ras_mm, dtype=float)
        path = Trajectory(entry, tip)
        return PathEdits(path, (*self.before, self.now)) if final else replace(self, now=path)

    def undone(self) -> PathEdits:
        """One step back; the same where there is none."""
        if not self.before:
            return self
        return PathEdits(self.before[-1], self.before[:-1], (*self.after, self.now))

    def redone(self) -> PathEdits:
        """One step forward again; the same where there is none."""
        if not self.after:
            return self
        return PathEdits(self.after[-1], (*self.before, self.now), self.after[:-1])


def _check_entry(anatomy: Anatomy, trajectory: Trajectory) -> None:
    """A path begins on the skin: from an entry inside the body nobody would know what the shaft passes before."""
    skin = _skin(anatomy)
    nearest, distance_mm = skin.nearest(trajectory.entry_ras_mm)
    if distance_mm > _ENTRY_OFF_SKIN_MM:
        place = ", ".join(f"{v:.1f}" for v in skin.points_ras_mm[nearest])
        raise PlanningError(
            f"The entry lies {distance_mm:.0f} mm away from the skin; put it on the skin, "
            f"the nearest skin is at ({place}) mm RAS."
        )


def _skin(anatomy: Anatomy) -> SkinEntries:
    skin = skin_entries(anatomy)
    if not len(skin.points_ras_mm):
        raise PlanningError("No skin is in view, so no path can start; use a CT that shows the skin on the entry side.")
    return skin
