"""Two to four probes chosen together, so that their ice covers the nerve and their shafts keep apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from ..knowledge import nerve as nerve_record
from ..model import Anatomy, CandidateSet, ColdProfile, Nerve, Plan, PlannedProbe, PlanningError, across
from .clearance import segment_distances_mm, shaft_gap_mm
from .confirm import Confirmed, confirm
from .plan import TIPS_APART_MM, plan_on, with_probe

MOST_PROBES = 4
_POOL = 30
_TRIES = 120
_APART_MM = 12.0
"""Paths farther apart than this are as different as they need to be: usual spacing for one ice ball is 10 to 20 mm."""
_STEP_MM = 1.0
_RING = 8
_CHUNK = 1000


def probes_together(anatomy: Anatomy, plan: Plan, found: CandidateSet, count: int, cold: ColdProfile) -> Plan:
    """The plan with that many probes, chosen together: first what treats the longest stretch, then what ranks best.

    What several probes do together is reckoned by adding up by how much each one alone cools the nerve's sections (their drops
    add where heat is only conducted; ice and vessels bend that, so the choice has to be simulated). Every path is one that
    holds every limit by exact distances, and the shafts keep the distance of the limit path.probe_gap from one another.

    Args:
        plan: of one probe; its nerve, probe, protocol and limits are taken.
        found: as plan_paths returned it with the plan.
        count: 2 to 4.
        cold: what one such probe does.

    Raises:
        PlanningError: another count, or no such choice of paths keeps apart.
    """
    if not 2 <= count <= MOST_PROBES:
        raise PlanningError(f"Two to {MOST_PROBES} probes can be chosen together, not {count}.")
    only, limits = plan.probes[0], plan.limits
    pool = _pool(anatomy, plan, found)
    gap_mm = limits["path.probe_gap"].stop + only.probe.diameter_mm
    apart = np.zeros((len(pool), len(pool)), bool)
    for a, b in combinations(range(len(pool)), 2):
        apart[a, b] = apart[b, a] = shaft_gap_mm(pool[a].trajectory, pool[b].trajectory) >= gap_mm
    choices = np.array(
        [c for c in combinations(range(len(pool)), count) if apart[np.ix_(c, c)].sum() == count**2 - count]
    )
    if not len(choices):
        raise PlanningError(
            f"No {count} of the {len(pool)} best paths keep {limits['path.probe_gap'].stop:g} mm from one another; take fewer "
            "probes, add one by hand or choose another probe."
        )
    places = [PlannedProbe(only.probe, p.trajectory) for p in pool]
    drops = np.stack([_drop_c(plan.nerve, placed, cold) for placed in places]).astype(np.float32)
    rank = np.array([p.rank for p in pool])
    treat_c = limits["nerve.coldest"].stop
    treated_mm = np.zeros(len(choices))
    warmest_c = np.zeros(len(choices))
    for start in range(0, len(choices), _CHUNK):
        rows = choices[start : start + _CHUNK]
        section_c = (cold.body_c - drops[rows].sum(axis=1)).max(axis=2)
        treated_mm[start : start + _CHUNK] = _longest_run(section_c <= treat_c) * _STEP_MM
        warmest_c[start : start + _CHUNK] = section_c.mean(axis=1)
    # Half a step of the reckoning is no reason to take a worse path; what treats nothing is told apart by how cold it gets.
    best = int(np.lexsort((rank[choices].sum(axis=1), np.rint(warmest_c), -treated_mm))[0])
    chosen = [pool[n] for n in sorted(choices[best], key=lambda n: pool[n].rank)]
    plans = [plan_on(anatomy, plan.nerve, only.probe, plan.protocol, limits, found, path) for path in chosen]
    merged = plans[0]
    for other in plans[1:]:
        merged = with_probe(merged, other)
    return _explained(merged, len(choices), len(pool), float(treated_mm[best]))


def _explained(plan: Plan, choices: int, pool: int, treated_mm: float) -> Plan:
    gaps = [
        f"{a + 1} and {b + 1} {np.linalg.norm(one.trajectory.tip_ras_mm - other.trajectory.tip_ras_mm):.0f} mm"
        for (a, one), (b, other) in combinations(enumerate(plan.probes), 2)
    ]
    note = (
        f"{len(plan.probes)} probes chosen together out of {choices} choices of {pool} paths; by adding up the cold of each "
        f"alone they treat {treated_mm:.0f} mm of the nerve. Between the tips of " + ", ".join(gaps) + "."
    )
    return replace(plan, explanation=(*plan.explanation, note))


def _pool(anatomy: Anatomy, plan: Plan, found: CandidateSet) -> list[Confirmed]:
    """Confirmed paths that lie apart: the best one, then always the one whose entry and cold part lie farthest from those of
    the others."""
    record, probe = nerve_record(plan.nerve.target_id), plan.probes[0].probe
    entry, tip = found.entry_ras_mm[found.order], found.tip_ras_mm[found.order]
    along = (tip - entry) / np.linalg.norm(tip - entry, axis=1, keepdims=True)
    cold = tip - probe.center_from_tip_mm * along
    apart_mm = np.full(len(found.order), _APART_MM)
    pool: list[Confirmed] = []
    for _ in range(_TRIES):
        # Among paths that are far enough from all others the one that ranks best comes first.
        rank = int(np.argmax(apart_mm))
        if len(pool) >= _POOL or apart_mm[rank] < TIPS_APART_MM:
            break
        path = confirm(anatomy, plan.nerve, probe, plan.limits, found, rank, record)
        if path is None:
            apart_mm[rank] = 0.0
            continue
        pool.append(path)
        offset = np.minimum(np.linalg.norm(cold - cold[rank], axis=1), np.linalg.norm(entry - entry[rank], axis=1))
        apart_mm = np.minimum(apart_mm, offset)
    return pool


def _drop_c(nerve: Nerve, placed: PlannedProbe, cold: ColdProfile) -> npt.NDArray[np.float64]:
    """By how much one probe cools the center and the rim of the nerve's sections (N, 1 + ring)."""
    total = float(nerve.arc_length_mm[-1])
    along = np.linspace(0.0, total, max(2, int(np.ceil(total / _STEP_MM)) + 1))
    center = nerve.at(along)
    front, back = placed.cold_ends_ras_mm
    columns = [cold.drop_c(segment_distances_mm(center, back, front))]
    frames = [across(nerve.tangent_at(float(place))) for place in along]
    one, other = (np.array([frame[n] for frame in frames]) for n in (0, 1))
    for angle in np.arange(_RING) * 2.0 * np.pi / _RING:
        rim = center + nerve.radius_mm * (np.cos(angle) * one + np.sin(angle) * other)
        columns.append(cold.drop_c(segment_distances_mm(rim, back, front)))
    return np.stack(columns, axis=1)


def _longest_run(cold: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Steps in the longest stretch of sections in one piece that are cold (C, N) -> (C,)."""
    run = np.zeros(len(cold), np.int64)
    best = np.zeros(len(cold), np.int64)
    for column in cold.T:
        run = np.where(column, run + 1, 0)
        best = np.maximum(best, run)
    result: npt.NDArray[np.int64] = np.maximum(best - 1, 0)
    return result
