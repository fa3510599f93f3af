"""The order of the paths that hold every limit: by weights, and without any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..model import CandidateSet, PlanningError


def ranked(found: CandidateSet, weights: Mapping[str, float] | None = None) -> CandidateSet:
    """The set with its accepted paths in the order of their weighted cost, best first; nothing is computed again.

    Ties are broken by place, not by the order in which candidates happened to be made.

    Args:
        weights: new weights by criterion, 0 or more; criteria that are not named keep theirs.

    Raises:
        PlanningError: an unknown criterion, a weight that is negative or not a number, or all weights 0.
    """
    values = np.array(found.weights)
    for name, weight in (weights or {}).items():
        if name not in found.criterion_ids:
            raise PlanningError(f"No criterion is called '{name}'; there are {', '.join(found.criterion_ids)}.")
        if not (np.isfinite(weight) and weight >= 0):
            raise PlanningError(f"The weight of {name} must be 0 or more, but is {weight}.")
        values[found.criterion_ids.index(name)] = weight
    if not values.any():
        raise PlanningError("All weights are 0, so no path is better than another; give one criterion a weight.")
    passing = accepted(found)
    cost = found.criteria[passing] @ values
    keys = np.rint(np.column_stack([found.entry_ras_mm[passing], found.tip_ras_mm[passing]]) * 100.0)
    order = passing[np.lexsort((*keys.T[::-1], np.rint(cost * 1e6)))]
    return replace(found, weights=values, order=order)


def with_columns(
    found: CandidateSet, rows: npt.ArrayLike, columns: Mapping[str, tuple[npt.ArrayLike, float]]
) -> CandidateSet:
    """Some accepted paths of a set with more criteria, ranked again by all of them.

    Args:
        rows: indices (R,) of the paths that are kept.
        columns: by criterion, its values (R,) from 0 (best) to 1 (worst) and its weight.
    """
    kept = np.asarray(rows, np.int64)
    added = np.column_stack([np.asarray(values, float) for values, _ in columns.values()])
    return ranked(
        replace(
            found,
            entry_ras_mm=found.entry_ras_mm[kept],
            tip_ras_mm=found.tip_ras_mm[kept],
            slack=found.slack[kept],
            criterion_ids=(*found.criterion_ids, *columns),
            criteria=np.column_stack([found.criteria[kept], added]),
            weights=np.append(found.weights, [weight for _, weight in columns.values()]),
            order=np.empty(0, np.int64),
        )
    )


def accepted(found: CandidateSet) -> npt.NDArray[np.int64]:
    """Indices of the paths that hold every limit, in the order they were made."""
    result: npt.NDArray[np.int64] = np.flatnonzero((found.slack >= 0.0).all(axis=1))
    return result


def pareto_front(found: CandidateSet) -> npt.NDArray[np.int64]:
    """Indices of the accepted paths that no other accepted path beats: none is as good in all criteria and better in one.

    Of paths that are alike in all criteria the first in rank stands for them. In the order of rank.
    """
    left = np.asarray(found.order)
    criteria = found.criteria[left]
    # From the smallest sum on, no later row can dominate an earlier one.
    rows = np.argsort(criteria.sum(axis=1), kind="stable")
    kept: list[int] = []
    while len(rows):
        first, rows = rows[0], rows[1:]
        kept.append(int(first))
        rows = rows[(criteria[rows] < criteria[first]).any(axis=1)]
    result: npt.NDArray[np.int64] = left[np.sort(kept)] if kept else left
    return result
