"""Paths that the sweep accepted, confirmed one by one with exact distances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..knowledge import NerveRecord
from ..knowledge import nerve as nerve_record
from ..model import Anatomy, CandidateSet, Clearance, Instrument, Limits, Nerve, Trajectory
from .clearance import exact_clearances

MOST_CONFIRMED = 200


@dataclass(frozen=True, eq=False)
class Confirmed:
    """A path whose clearances hold.

    Attributes:
        rank: its place among the accepted paths, from 0.
        row: its row in the candidate set.
        clearances: worst first; unknown structures before all.
    """

    rank: int
    row: int
    trajectory: Trajectory
    clearances: tuple[Clearance, ...]


def confirmed(
    anatomy: Anatomy,
    nerve: Nerve,
    instrument: Instrument,
    limits: Limits,
    found: CandidateSet,
    wanted: Callable[[Trajectory], bool] = lambda _: True,
) -> Iterator[Confirmed]:
    """The wanted paths in the order of rank whose clearances hold by exact distances; after 200 tries it ends."""
    record = nerve_record(nerve.target_id)
    tried = 0
    for rank, index in enumerate(found.order):
        if not wanted(found.trajectory(int(index))):
            continue
        tried += 1
        if tried > MOST_CONFIRMED:
            return
        path = confirm(anatomy, nerve, instrument, limits, found, rank, record)
        if path is not None:
            yield path


def confirm(
    anatomy: Anatomy,
    nerve: Nerve,
    instrument: Instrument,
    limits: Limits,
    found: CandidateSet,
    rank: int,
    record: NerveRecord,
) -> Confirmed | None:
    """The path of a rank where its clearances hold by exact distances, else None."""
    row = int(found.order[rank])
    trajectory = found.trajectory(row)
    clearances = exact_clearances(anatomy, nerve, trajectory, 0.5 * instrument.diameter_mm, limits, record)
    good = all(c.slack_mm >= 0 for c in clearances if not c.unknown)
    return Confirmed(rank, row, trajectory, clearances) if good else None
