"""Ribs told apart, each as one curve from beside the spine to its front end, with its lower edge."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from ..model import VolumeGeometry
from .axes import axis_mm
from .morphology import Mask, bounding_box

_CUT_MM = 38.0
"""From the midline: the transverse processes end about here, and the breastbone too."""
_SEED_MM = 46.0
_SEED_AHEAD_MM = 30.0
"""Where a rib leaves the spine it lies behind the vertebral body, or barely in front of its back."""
_BELOW_LUNG_MM = 60.0
"""The twelfth rib leaves the spine hardly lower than that."""
_LEAST_MM = 40.0
"""Transverse processes do not reach as far beyond the cut."""
_MOST_AREA_MM2 = 260.0
"""A rib's section is rarely more than half as large; hip bone and shoulder blade are larger."""
_BIN_MM = 5.0
_SMOOTH_BINS = 1.5
_EDGE_MM = 2.0
_WALL_MM = 14.0
"""From the lung to the outer side of a rib that is cut obliquely."""
_SEARCH_MM = 45.0
_SHELL_MM = 4.5
_TURN_MM = 12.0
"""So far from where a rib would go on straight lies bone that is not the rib: a shoulder blade that touches it."""
_BACK = 3
_GAP_MM = 45.0
_MOST_OFF_MM = 11.0
_CLEARLY_MM = 5.0
_RISE_AT_7_MM = 16.0
_FALL_MM = 6.4
_FARTHER = 2
"""So many vertebrae beyond the known ones are placed by the distance of the last two."""
_LOWER_UPWARD = 0.96


@dataclass(frozen=True, eq=False)
class Rib:
    """One rib.

    Attributes:
        side: "left" or "right".
        mask_kji: bool (k, j, i).
        center_ras_mm: (N, 3) from beside the spine to the front end, 5 mm apart.
        lower_ras_mm: (N, 3) its lower edge at the same places, inner half of it, where the nerve and vessels run.
    """

    side: str
    mask_kji: Mask
    center_ras_mm: npt.NDArray[np.float64]
    lower_ras_mm: npt.NDArray[np.float64]


def find_ribs(
    geometry: VolumeGeometry, bone_kji: Mask, lung_kji: Mask, middle_ra_mm: npt.NDArray[np.float64]
) -> tuple[Rib, ...]:
    """Ribs of both sides, each side from feet to head.

    A rib is bone that begins beside the spine not far below the lung, is followed from there along the bone, and stays as
    thin as a rib. Where two meet at the front, each keeps what lies nearer along the bone to its own beginning. Ribs whose
    beginning is not in the picture are not told apart.

    Args:
        lung_kji: both lungs.
        middle_ra_mm: center of the spinal canal (R, A) in every slice (K, 2), NaN where it is not known.
    """
    known = np.flatnonzero(np.isfinite(middle_ra_mm[:, 0]))
    if not len(known) or not lung_kji.any():
        return ()
    slices = np.arange(len(middle_ra_mm))
    middle = np.column_stack([np.interp(slices, known, middle_ra_mm[known, n]) for n in range(2)])
    spacing = geometry.spacing_mm[0]
    aside = axis_mm(geometry, 0)[None, :] - middle[:, :1]
    behind = axis_mm(geometry, 1)[None, :] < middle[:, 1:] + _SEED_AHEAD_MM
    lowest = int(np.flatnonzero(lung_kji.any(axis=(1, 2)))[0]) - round(_BELOW_LUNG_MM / spacing)
    high = (slices >= lowest)[:, None, None]
    ribs: list[Rib] = []
    for side, sign in (("left", -1.0), ("right", 1.0)):
        out = (sign * aside > _CUT_MM)[:, None, :] & bone_kji
        out &= ~_outside_ribs(out, lung_kji & (sign * aside > 0)[:, None, :], spacing)
        first = out & (sign * aside < _SEED_MM)[:, None, :] & behind[:, :, None] & high
        for kji, distance in _parts(out, first, spacing):
            rib = _rib(geometry, bone_kji.shape, kji, distance, side, middle.mean(axis=0))
            if rib is not None:
                ribs.append(rib)
    ribs = _with_shells(ribs, bone_kji, spacing)
    return tuple(sorted(ribs, key=lambda rib: (rib.side, rib.center_ras_mm[0, 2])))


def _with_shells(ribs: list[Rib], bone_kji: Mask, spacing_mm: float) -> list[Rib]:
    """The ribs with the bone on their outer side that was taken for a shoulder blade's; none takes another's."""
    taken = np.zeros_like(bone_kji)
    for rib in ribs:
        taken |= rib.mask_kji
    steps = round(_SHELL_MM / spacing_mm)
    grown = []
    for rib in ribs:
        box = bounding_box(rib.mask_kji, steps)
        assert box is not None  # A rib has voxels.
        mask = rib.mask_kji.copy()
        own = mask[box].copy()
        mask[box] = own | (ndimage.binary_dilation(own, iterations=steps) & bone_kji[box] & ~taken[box])
        grown.append(replace(rib, mask_kji=mask))
    return grown


def _outside_ribs(bone_kji: Mask, lung_kji: Mask, spacing_mm: float) -> Mask:
    """Bone farther from the lung than a rib is thick, with other bone between: shoulder blade, arm."""
    result = np.zeros_like(bone_kji)
    nodes = np.argwhere(bone_kji)
    if not lung_kji.any() or not len(nodes):
        return result
    inward = np.argwhere(lung_kji)[:, 1:].mean(axis=0) - nodes[:, 1:]
    inward /= np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-6)
    steps_mm = np.arange(_SEARCH_MM, 0.0, -spacing_mm)
    ahead = [np.rint(nodes[:, 1:] + inward * far_mm / spacing_mm).astype(int) for far_mm in steps_mm]
    places = [(nodes[:, 0], *np.clip(place, 0, np.array(bone_kji.shape[1:]) - 1).T) for place in ahead]
    first_mm = np.full(len(nodes), np.inf)
    for far_mm, place in zip(steps_mm, places, strict=True):
        first_mm[lung_kji[place]] = far_mm
    covered = np.zeros(len(nodes), bool)
    for far_mm, place in zip(steps_mm, places, strict=True):
        covered |= bone_kji[place] & (far_mm < first_mm) & (first_mm - far_mm < _WALL_MM)
    outside = covered & np.isfinite(first_mm) & (first_mm > _WALL_MM)
    result[tuple(nodes[outside].T)] = True
    return result


def _parts(
    bone_kji: Mask, first_kji: Mask, spacing_mm: float
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """Bone divided among its beginnings: voxels (N, 3) as k, j, i and the way along the bone to each (N,), mm."""
    labels, _ = ndimage.label(bone_kji, np.ones((3, 3, 3)))
    touched = np.unique(labels[first_kji])
    reached = np.isin(labels, touched[touched > 0])
    seeds, count = ndimage.label(first_kji)
    nodes = np.argwhere(reached)
    if not count or not len(nodes):
        return []
    number = np.full(bone_kji.shape, -1, np.int64)
    number[reached] = np.arange(len(nodes))
    padded = np.pad(number, 1, constant_values=-1)
    rows, columns, lengths = [], [], []
    for step in ((k, j, i) for k in (0, 1) for j in (-1, 0, 1) for i in (-1, 0, 1) if (k, j, i) > (0, 0, 0)):
        other = padded[tuple((nodes + 1 + step).T)]
        there = other >= 0
        rows.append(np.flatnonzero(there))
        columns.append(other[there])
        lengths.append(np.full(int(there.sum()), spacing_mm * float(np.linalg.norm(step))))
    graph = sparse.csr_matrix(
        (np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns))), shape=(len(nodes), len(nodes))
    )
    start = number[first_kji]
    distance, _, source = csgraph.dijkstra(
        graph, directed=False, indices=start, min_only=True, return_predecessors=True
    )
    beginning = seeds[tuple(nodes.T)]
    owner = np.where(source >= 0, beginning[source], 0)
    return [(nodes[owner == n], distance[owner == n]) for n in range(1, count + 1)]


def _rib(
    geometry: VolumeGeometry,
    shape_kji: tuple[int, ...],
    kji: npt.NDArray[np.int64],
    distance_mm: npt.NDArray[np.float64],
    side: str,
    inside_ra_mm: npt.NDArray[np.float64],
) -> Rib | None:
    """The curve through one piece of bone; None where it is no rib."""
    if not len(kji) or distance_mm.max() < _LEAST_MM:
        return None
    points = geometry.ijk_to_ras_mm(kji[:, ::-1])
    bins = (distance_mm / _BIN_MM).astype(int)
    kept = _followed(points, bins)
    kji, points, bins = kji[kept], points[kept], bins[kept]
    count = np.bincount(bins)
    # The last bin is a remnant.
    used = np.flatnonzero(count[:-1] > 0)
    if len(used) * _BIN_MM < _LEAST_MM:
        return None
    area_mm2 = count[used] * float(geometry.spacing_mm[0] ** 3) / _BIN_MM
    if np.median(area_mm2) > _MOST_AREA_MM2:
        return None
    mask_kji = np.zeros(shape_kji, bool)
    mask_kji[tuple(kji.T)] = True
    center = np.column_stack([np.bincount(bins, points[:, n])[used] / count[used] for n in range(3)])
    center = ndimage.gaussian_filter1d(center, _SMOOTH_BINS, axis=0, mode="nearest")
    along = np.gradient(center, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    down = np.array([0.0, 0.0, -1.0]) + along * along[:, 2:3]
    down /= np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-6)
    inward = np.append(inside_ra_mm, 0.0) - center
    inward[:, 2] = 0.0
    inward -= along * np.einsum("ij,ij->i", inward, along)[:, None]
    inward -= down * np.einsum("ij,ij->i", inward, down)[:, None]
    inward /= np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-6)
    lower = []
    for n, b in enumerate(used):
        off = points[bins == b] - center[n]
        depth, inner = off @ down[n], off @ inward[n]
        lowest = depth > depth.max() - _EDGE_MM
        reach = depth.max() + 0.5 * geometry.spacing_mm[0]
        lower.append(center[n] + reach * down[n] + 0.5 * (inner[lowest].mean() + inner[lowest].max()) * inward[n])
    edge = ndimage.gaussian_filter1d(np.array(lower), _SMOOTH_BINS, axis=0, mode="nearest")
    return Rib(side, mask_kji, center, edge)


def _followed(points_ras_mm: npt.NDArray[np.float64], bins: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which voxels (N,) belong to the one course that goes straight on, step by step."""
    kept = np.zeros(len(bins), bool)
    order = np.argsort(bins, kind="stable")
    edges = np.searchsorted(bins[order], np.arange(bins.max() + 2))
    centers: list[npt.NDArray[np.float64]] = []
    for b in range(bins.max() + 1):
        own = order[edges[b] : edges[b + 1]]
        if not len(own):
            break
        place = points_ras_mm[own]
        ahead = centers[-1] if centers else place.mean(axis=0)
        if len(centers) > _BACK:
            ahead = ahead + (centers[-1] - centers[-1 - _BACK]) / _BACK
        near = np.linalg.norm(place - ahead, axis=1) < _TURN_MM
        if not near.any():
            break
        kept[own[near]] = True
        centers.append(place[near].mean(axis=0))
    return kept


def rib_numbers(ribs: tuple[Rib, ...], body_s_mm: dict[int, float]) -> tuple[int | None, ...]:
    """Numbers of the ribs, from thoracic vertebrae whose middle heights S are known; None where they cannot be told.

    A rib lies beside the vertebra of its number where it leaves the spine; from one that is numbered so, its neighbors of
    the same side are counted as long as they follow one another without a gap.

    Args:
        body_s_mm: {number of the vertebra, counted from T1: S of its middle}; the lumbar ones are 13 to 17.
    """
    body_s_mm = _with_neighbors(body_s_mm)
    numbers: list[int | None] = [None] * len(ribs)
    for side in ("left", "right"):
        rows = [n for n, rib in enumerate(ribs) if rib.side == side]
        start = np.array([ribs[n].center_ras_mm[0, 2] for n in rows])
        runs = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(start) > _GAP_MM) + 1)
        for run in runs:
            costs = {}
            for lowest in range(len(run), 13):
                off = [
                    abs(start[place] - body_s_mm[lowest - n] - _usual_s_mm(lowest - n))
                    for n, place in enumerate(run)
                    if lowest - n in body_s_mm
                ]
                if off:
                    costs[lowest] = float(np.median(off))
            if not costs:
                continue
            best = min(costs, key=lambda lowest: costs[lowest])
            others = [cost for lowest, cost in costs.items() if lowest != best]
            if costs[best] < _MOST_OFF_MM and (not others or min(others) > costs[best] + _CLEARLY_MM):
                for n, place in enumerate(run):
                    numbers[rows[place]] = best - n
    return tuple(numbers)


def _with_neighbors(body_s_mm: dict[int, float]) -> dict[int, float]:
    """The heights, and those of the next vertebrae above and below by the distance of the last two known ones."""
    result = dict(body_s_mm)
    for _ in range(_FARTHER):
        known = sorted(result)
        if len(known) < 2 or known[1] != known[0] + 1 or known[-2] != known[-1] - 1:
            break
        up, down = result[known[0]] - result[known[1]], result[known[-2]] - result[known[-1]]
        result[known[0] - 1] = result[known[0]] + _LOWER_UPWARD * up
        result[known[-1] + 1] = result[known[-1]] - down / _LOWER_UPWARD
    return result


def _usual_s_mm(number: int) -> float:
    """How much higher than the middle of its vertebra a rib lies 38 mm beside the midline; measured on two open CTs."""
    return float(min(_RISE_AT_7_MM, _RISE_AT_7_MM - _FALL_MM * (number - 7)))
