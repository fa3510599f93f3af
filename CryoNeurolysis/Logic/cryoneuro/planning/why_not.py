"""Why not here: what every place on the skin allows, and what would have to change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model import CandidateSet, PlanningError
from .explain import limit_words

_NEAR_MM = 6.0
"""Entries are thinned to 3 mm, so a place on the skin that was tried has one this near."""
_PER_MM = 50.0
_HALF = 1 << 20
"""Places are told apart to a fiftieth of a millimeter within 20 m about the origin."""
_AXES = (("right", "left"), ("front", "back"), ("head", "feet"))


@dataclass(frozen=True, eq=False)
class SkinMap:
    """What each tried place on the skin allows.

    Attributes:
        entry_ras_mm: (E, 3).
        cost: (E,) of the best path from there that holds every limit; NaN where none does.
        path: (E,) index of that path, or of the one that misses by least.
        limit: (E,) index into the set's limits of the one that this path breaks most; -1 where none.
        slack: (E,) smallest slack of that path, mm or degrees; negative where it is rejected.
    """

    entry_ras_mm: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]
    path: npt.NDArray[np.int64]
    limit: npt.NDArray[np.int64]
    slack: npt.NDArray[np.float64]


def skin_map(found: CandidateSet) -> SkinMap:
    """Best cost or killing limit of every tried place on the skin.

    Millimeters and degrees are weighed alike: one degree moves a point 60 mm away by about one millimeter.
    """
    # One whole number for each place: sorted many times faster than rows, and other threads go on meanwhile.
    cells = np.rint(found.entry_ras_mm * _PER_MM).astype(np.int64) + _HALF
    _, first, place = np.unique(
        (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2], return_index=True, return_inverse=True
    )
    entries = found.entry_ras_mm[first]
    worst = found.slack.min(axis=1)
    cost = found.criteria @ found.weights
    passing = worst >= 0.0
    # Accepted before rejected; among accepted the cheapest, among rejected the one that misses by least.
    order = np.lexsort((np.where(passing, cost, -worst), ~passing, place))
    path = order[np.searchsorted(place[order], np.arange(len(entries)))]
    limit = np.where(passing[path], -1, found.slack[path].argmin(axis=1))
    return SkinMap(entries, np.where(passing[path], cost[path], np.nan), path, limit, worst[path])


def why_not(found: CandidateSet, entry_ras_mm: npt.ArrayLike) -> str:
    """What speaks against entering at a place on the skin, by how much, and the smallest change that would do.

    Args:
        entry_ras_mm: (3,) RAS mm, on or near the skin.

    Raises:
        PlanningError: no point in RAS mm.
    """
    point = np.asarray(entry_ras_mm, dtype=float)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise PlanningError("A place on the skin is three numbers, R,A,S in mm.")
    if not len(found):
        return "No path was tried."
    places = skin_map(found)
    distance = np.linalg.norm(places.entry_ras_mm - point, axis=1)
    here = int(np.argmin(distance))
    open_to = np.flatnonzero(places.limit < 0)
    if distance[here] > _NEAR_MM:
        return (
            f"No path was tried from there: the nearest tried place is {_way(places.entry_ras_mm[here] - point)}. "
            "Skin that is out of the probe's reach, on another side than is usual for this nerve, at the edge of the "
            "picture or away from the body is left out."
        )
    if places.limit[here] < 0:
        rank = int(np.flatnonzero(found.order == places.path[here])[0]) + 1
        return f"A path from there holds every limit; it is number {rank} of {len(found.order)}."
    row = found.slack[places.path[here]]
    broken = np.argsort(row)[: int((row < 0).sum())]
    said = [(*limit_words(found.limit_ids[n]), -row[n]) for n in broken]
    reasons = "; ".join(f"{words}, by {short:.1f} {unit}" for words, unit, _, short in said)
    text = f"The best path from there is rejected: {reasons}."
    if len(open_to):
        away = places.entry_ras_mm[open_to] - places.entry_ras_mm[here]
        nearest = away[int(np.argmin(np.linalg.norm(away, axis=1)))]
        return f"{text} The nearest place that holds every limit is {_way(nearest)}."
    relaxed = " and ".join(f"{name} by {short:.1f} {unit}" for _, unit, name, short in said)
    return f"{text} No other place holds every limit either; this path would, if one relaxed {relaxed}."


def _way(offset_mm: npt.NDArray[np.float64]) -> str:
    """An offset in RAS as a distance and the directions that make most of it."""
    length = float(np.linalg.norm(offset_mm))
    words = [
        f"{abs(value):.0f} mm toward the {positive if value > 0 else negative}"
        for value, (positive, negative) in zip(offset_mm, _AXES, strict=True)
        if abs(value) >= max(0.5, 0.3 * length)
    ]
    return f"{length:.0f} mm away ({', '.join(words)})" if words else f"{length:.0f} mm away"
