"""Finalists frozen in a preview: what the ice does joins what the geometry says, and they are ranked again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from .assessment import dose_chance, guards, nerve_dose
from .knowledge import constant
from .model import (
    Anatomy,
    Cancelled,
    CancelledError,
    CandidateSet,
    Plan,
    Progress,
    ThermalRun,
    never_cancelled,
    no_progress,
)
from .planning import CRITERIA, finalists, with_columns
from .thermal import simulate

PREVIEW_GRID_MM = 2.0
FINALISTS = 8
ICE_CRITERIA = ("untreated", "cold_neighbor")


@dataclass(frozen=True, eq=False)
class Finalist:
    """A confirmed path and what its ice does in a preview.

    Attributes:
        rank: by geometry alone, from 1.
        run: the preview.
        treated_mm: longest stretch of nerve in one piece that is treated.
        coldest_c: of the nerve's cross-sections, its warmest point.
        neighbor, neighbor_c: the neighbor that comes nearest to its limit or farthest beyond, and its coldest point.
        neighbor_margin: how far from its stop, in units of what lies between stop and warning; negative when it is crossed.
        cost: of all criteria together, less is better.
        criteria: each with its value, 0 (best) to 1 (worst), so that moving a weight ranks again without computing.
    """

    plan: Plan
    rank: int
    run: ThermalRun
    treated_mm: float
    coldest_c: float
    neighbor: str
    neighbor_c: float
    neighbor_margin: float
    cost: float = 0.0
    criteria: tuple[tuple[str, float], ...] = ()

    def cost_by(self, weights: Mapping[str, float]) -> float:
        """What it would cost with other weights, by criterion; one that is not named counts nothing."""
        return sum(weights.get(name, 0.0) * value for name, value in self.criteria)

    def chance(self, seed: int = 0) -> float:
        """Share of draws of placement, breathing and the nerve's place in which the nerve is treated."""
        return dose_chance(self.run, self.plan, seed=seed)


def usual_weights() -> dict[str, float]:
    """Weight of every criterion of geometry and ice, as in the data."""
    return {name: constant(f"weight_{name}") for name in (*CRITERIA, *ICE_CRITERIA)}


def frozen_finalists(
    anatomy: Anatomy,
    plan: Plan,
    found: CandidateSet,
    count: int = FINALISTS,
    weights: Mapping[str, float] | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> tuple[Finalist, ...]:
    """The best paths by geometry, each frozen in a coarse preview, best first by geometry and ice together.

    Two criteria join the others: how much of the wanted length stays untreated, and how near the neighbors come to their limits.

    Args:
        found: as plan_paths returned it with the plan.
        weights: of these two, when they are to count otherwise than usual.

    Raises:
        CancelledError: it was stopped.
    """
    rows = finalists(anatomy, plan, found, count)
    done = [0]

    def one(numbered: tuple[int, tuple[Plan, int]]) -> Finalist | None:
        if cancelled():
            return None
        number, (candidate, _) = numbered
        result = freeze(anatomy, candidate, number + 1, cancelled)
        done[0] += 1
        progress(done[0] / len(rows), f"Preview of the ice, {done[0]} of {len(rows)} paths")
        return result

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        frozen = [f for f in pool.map(one, enumerate(rows)) if f is not None]
    if cancelled() or len(frozen) < len(rows):
        raise CancelledError("The planning was stopped.")
    wanted_mm = plan.limits["nerve.treated_length"].warning
    weigh = {name: (weights or {}).get(name, constant(f"weight_{name}")) for name in ICE_CRITERIA}
    joined = with_columns(
        found,
        [row for _, row in rows],
        {
            "untreated": ([1.0 - min(1.0, f.treated_mm / wanted_mm) for f in frozen], weigh["untreated"]),
            # 0 where every neighbor stays twice as far from its stop as its warning lies, 1 where one is at its stop or beyond.
            "cold_neighbor": (
                [1.0 - 0.5 * min(2.0, max(0.0, f.neighbor_margin)) for f in frozen],
                weigh["cold_neighbor"],
            ),
        },
    )
    cost = joined.criteria @ joined.weights
    return tuple(
        replace(
            frozen[n],
            cost=float(cost[n]),
            criteria=tuple(zip(joined.criterion_ids, (float(v) for v in joined.criteria[n]), strict=True)),
        )
        for n in joined.order
    )


def freeze(
    anatomy: Anatomy,
    plan: Plan,
    rank: int = 1,
    cancelled: Cancelled = never_cancelled,
    grid_mm: float = PREVIEW_GRID_MM,
) -> Finalist:
    """A plan with what its ice does, in a coarse preview unless another grid is asked for."""
    run = simulate(anatomy, plan, grid_mm=grid_mm, snapshot_s=1e6, cancelled=cancelled)
    dose = nerve_dose(run, plan.nerve, treat_c=plan.treat_c)
    rows = []
    for guard in guards(anatomy, run, 0.0):
        limit = plan.limits.get(f"guard.{guard.group}", "guard.default")
        margin = limit.slack(guard.coldest_c) / max(abs(limit.warning - limit.stop), 1.0)
        rows.append((margin, guard.name, guard.coldest_c))
    margin, name, coldest_c = min(rows)
    treated_mm = dose.treated_length_mm(plan.treat_c)
    return Finalist(plan, rank, run, treated_mm, float(dose.section_c.min()), name, coldest_c, margin)
