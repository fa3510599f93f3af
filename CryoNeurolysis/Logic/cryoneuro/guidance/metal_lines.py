"""Straight lines of new metal in a live scan: what is bright now and was not in the planning CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .shaft_model import Array, SliceBlock, distance_in_slices

_NEW_HU = 350.0
_BRIGHT_HU = 450.0
_OLD_METAL_HU = 1500.0
_TRIES = 600
_MOST_POINTS = 2500
_GAP_MM = 9.0
_GAP_SLICES = 2.2


@dataclass(frozen=True, eq=False)
class MetalLine:
    """A straight piece of metal in the block's millimeters.

    Attributes:
        ends_mm: (2, 3).
        weight: how much metal lies on it, HU times voxels.
        thick_mm: how far the metal spreads across it, root mean square.
    """

    ends_mm: Array
    weight: float
    thick_mm: float

    @property
    def length_mm(self) -> float:
        """Between its ends."""
        return float(np.linalg.norm(self.ends_mm[1] - self.ends_mm[0]))


def new_metal(block: SliceBlock, known: npt.NDArray[np.bool_], old: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """How much brighter than expected each voxel is (k, j, i), HU; 0 where it is no candidate.

    Args:
        known: where the planning CT says what to expect.
        old: metal and its surroundings in the planning CT, such as a nail.
    """
    more = block.live_hu - block.expected_hu
    found = (more > _NEW_HU) & (block.live_hu > _BRIGHT_HU)
    # Without an expectation only what no bone reaches is metal.
    found &= known | (block.live_hu > _OLD_METAL_HU + 300.0)
    found &= ~old
    return np.where(found, np.minimum(more, 2500.0), 0.0).astype(np.float32)


def metal_lines(
    weight_kji: npt.NDArray[np.float32], spacing_mm: Array, most: int, least_mm: float, seed: int = 0
) -> list[MetalLine]:
    """The lines that explain most of the new metal, one after the other (random sample consensus).

    Args:
        least_mm: shortest line that counts.
    """
    kji = np.argwhere(weight_kji > 0)
    weight = weight_kji[tuple(kji.T)].astype(float)
    points = kji[:, ::-1] * spacing_mm
    rng = np.random.default_rng(seed)
    half = 0.5 * float(spacing_mm[2])
    width = max(1.3, 1.3 * float(spacing_mm[0]))
    found: list[MetalLine] = []
    for _ in range(most + 3):
        if len(points) < 6 or len(found) == most:
            break
        line, members = _best_line(points, weight, width, half, spacing_mm, rng)
        if line is None:
            break
        if line.length_mm >= least_mm:
            found.append(line)
        points, weight = points[~members], weight[~members]
    return found


def _best_line(
    points: Array, weight: Array, width: float, half: float, spacing_mm: Array, rng: np.random.Generator
) -> tuple[MetalLine | None, npt.NDArray[np.bool_]]:
    chosen = np.arange(len(points))
    if len(points) > _MOST_POINTS:
        chosen = rng.choice(len(points), _MOST_POINTS, replace=False, p=weight / weight.sum())
    some, own = points[chosen], weight[chosen]
    share = own / own.sum()
    best, best_score = None, 0.0
    for _ in range(_TRIES):
        a, b = rng.choice(len(some), 2, p=share)
        delta = some[b] - some[a]
        # Within a thick slice the height of a line is not known; a voxel's center stands for all of it.
        jitter = rng.uniform(-half, half, 2)
        start = some[a] + [0.0, 0.0, jitter[0]]
        delta = delta + np.array([0.0, 0.0, jitter[1] - jitter[0]])
        length = float(np.linalg.norm(delta))
        if length < 8.0:
            continue
        direction = delta / length
        aside, t = distance_in_slices(some, start, direction, half)
        near = aside <= width
        if near.sum() < 4:
            continue
        low, high = _stretch(t[near], half)
        on = near & (t >= low) & (t <= high)
        # Long thin things beat thick lumps: metal on the line, less what lies beside it.
        beside = (aside > width) & (aside <= 3.0 * width) & (t >= low) & (t <= high)
        score = float(own[on].sum() - 0.5 * own[beside].sum()) * min(1.0, (high - low) / 20.0)
        if score > best_score:
            best, best_score = (start, direction), score
    if best is None:
        return None, np.zeros(len(points), bool)
    start, direction = best
    for _ in range(4):
        start, direction = _refined(points, weight, start, direction, width, half)
    aside, t = distance_in_slices(points, start, direction, half)
    near = aside <= 1.6 * width
    if near.sum() < 4:
        return None, np.zeros(len(points), bool)
    low, high = _stretch(t[near], half)
    on = near & (t >= low) & (t <= high)
    ends = np.stack([start - low * direction, start - high * direction])
    # What lies close beside it belongs to it as well: its blur, and streaks that begin at it.
    taken = (aside <= max(2.5 * width, 3.5)) & (t >= low - 6.0) & (t <= high + 6.0)
    thick = float(np.sqrt(np.average(aside[on] ** 2, weights=weight[on])))
    return MetalLine(ends, float(weight[on].sum()), thick), taken


def _stretch(t: Array, half_mm: float) -> tuple[float, float]:
    """The longest stretch of places along a line without a gap."""
    ordered = np.sort(t)
    cuts = np.flatnonzero(np.diff(ordered) > max(_GAP_MM, 2.0 * _GAP_SLICES * half_mm))
    starts = np.concatenate([[0], cuts + 1])
    stops = np.concatenate([cuts, [len(ordered) - 1]])
    best = int(np.argmax(stops - starts))
    return float(ordered[starts[best]]), float(ordered[stops[best]])


def _refined(
    points: Array, weight: Array, start: Array, direction: Array, width: float, half: float
) -> tuple[Array, Array]:
    """The line through the metal near a line, by weighted least squares: the heights within slices are the line's own."""
    aside, t = distance_in_slices(points, start, direction, half)
    near = aside <= 1.6 * width
    if near.sum() < 4:
        return start, direction
    low, high = _stretch(t[near], half)
    on = near & (t >= low) & (t <= high)
    # Where each voxel's metal lies: at its pixel, at the height of the line there.
    place = points[on].copy()
    height = start[2] - t[on] * direction[2]
    place[:, 2] = np.clip(height, place[:, 2] - half, place[:, 2] + half)
    own = weight[on]
    middle = np.average(place, axis=0, weights=own)
    spread = (place - middle) * np.sqrt(own)[:, None]
    _, _, axes = np.linalg.svd(spread, full_matrices=False)
    axis = axes[0] if axes[0] @ direction >= 0 else -axes[0]
    return middle, axis
