"""The way between clicks that a nerve would take: along fat, out of bone, vessels and gas."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

from ..knowledge import constant, tissue
from ..model import Anatomy, AnatomyError, VolumeGeometry
from .labels import blood_groups
from .window import window_round

_AROUND_MM = 25.0
_CLOSED_GROUPS = (
    "bone",
    "ribs",
    "vertebrae",
    "lung",
    "gas",
    "bowel",
    "kidney",
    "spinal_canal",
)
_SMOOTH_MM = 2.0


def minimal_path(anatomy: Anatomy, points_ras_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A course (M, 3) in RAS mm through all points (N, 3), cheapest between each two of them.

    A millimeter through fat costs one, through muscle and other soft tissue more (data); bone, vessels, gas and organs are
    closed. The course is smoothed within what is open; the given points stay where they are.

    Raises:
        AnatomyError: two points that no open way joins.
    """
    pieces = [points_ras_mm[:1]]
    for start, end in pairwise(points_ras_mm):
        pieces.append(_between(anatomy, start, end)[1:])
    return np.concatenate(pieces)


def _between(anatomy: Anatomy, start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    geometry = anatomy.geometry
    grid_mm = geometry.spacing_mm[0]
    ends = geometry.ras_to_ijk(np.stack([start, end]))[:, ::-1]
    low, high = window_round(ends, int(np.ceil(_AROUND_MM / grid_mm)), geometry.shape_kji)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    cost = _cost(anatomy, window)
    first, last = (np.clip(np.rint(p - low).astype(int), 0, np.array(cost.shape) - 1) for p in ends)
    for place in (first, last):
        if not np.isfinite(cost[tuple(place)]):
            # A click on the rim of something closed means the open voxel beside it.
            where = ndimage.distance_transform_edt(~np.isfinite(cost), return_distances=False, return_indices=True)
            place[:] = where[(slice(None), *place)]
    nodes = _shortest(cost, first, last)
    if nodes is None:
        words = [f"({p[0]:.0f}, {p[1]:.0f}, {p[2]:.0f})" for p in (start, end)]
        raise AnatomyError(
            f"No way joins {words[0]} and {words[1]} mm RAS without passing bone, vessel or gas; set a point between them."
        )
    inner = geometry.ijk_to_ras_mm((nodes + low)[:, ::-1])
    course = np.concatenate([start[None], inner[1:-1], end[None]])
    return _smoothed(course, np.isfinite(cost), geometry, low)


def _cost(anatomy: Anatomy, window: tuple[slice, ...]) -> npt.NDArray[np.float64]:
    labels = anatomy.tissue.labels_kji[window]
    cost = np.full(labels.shape, constant("course_cost_soft"))
    cost[labels == tissue("fat").label] = 1.0
    cost[(labels == 0) | (labels == tissue("gas").label) | (labels == tissue("blood").label)] = np.inf
    for name in ("bone_cortical", "bone_cancellous", "lung"):
        cost[labels == tissue(name).label] = np.inf
    closed_groups = blood_groups().union(_CLOSED_GROUPS)
    for structure in anatomy.structures:
        if structure.group in closed_groups:
            cost[structure.mask_kji[window]] = np.inf
    return cost


def _shortest(
    cost: npt.NDArray[np.float64], first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp] | None:
    """Voxels (M, 3) of the cheapest way over 26 neighbors; None when there is none."""
    shape = cost.shape
    number = np.arange(cost.size).reshape(shape)
    rows, columns, weights = [], [], []
    steps = [(k, j, i) for k in (-1, 0, 1) for j in (-1, 0, 1) for i in (-1, 0, 1) if (k, j, i) > (0, 0, 0)]
    for step in steps:
        here = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(step, shape, strict=True))
        there = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(step, shape, strict=True))
        weight = 0.5 * (cost[here] + cost[there]) * np.sqrt(sum(d * d for d in step))
        open_edge = np.isfinite(weight)
        rows.append(number[here][open_edge])
        columns.append(number[there][open_edge])
        weights.append(weight[open_edge])
    i, j, w = (np.concatenate(x) for x in (rows, columns, weights))
    graph = sparse.coo_matrix((w, (i, j)), shape=(cost.size, cost.size)).tocsr()
    start, goal = (int(np.ravel_multi_index(tuple(p), shape)) for p in (first, last))
    _, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    if start != goal and before[goal] < 0:
        return None
    way = [goal]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    result: npt.NDArray[np.intp] = np.stack(np.unravel_index(way[::-1], shape), axis=1)
    return result


def _smoothed(
    course: npt.NDArray[np.float64],
    open_kji: npt.NDArray[np.bool_],
    geometry: VolumeGeometry,
    low: npt.NDArray[np.intp],
) -> npt.NDArray[np.float64]:
    """The course with the grid's stairs taken out; where that would leave what is open, it stays as it was."""
    if len(course) < 4:
        return course
    grid_mm = geometry.spacing_mm[0]
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(course, axis=0), axis=1))])
    even = np.linspace(0.0, arc[-1], max(3, int(np.ceil(arc[-1] / grid_mm)) + 1))
    points = np.stack([np.interp(even, arc, course[:, n]) for n in range(3)], axis=1)
    soft = ndimage.gaussian_filter1d(points, _SMOOTH_MM / grid_mm, axis=0, mode="nearest")
    # The ends stay; near them the smooth course comes back to them.
    near = np.clip(np.minimum(even, arc[-1] - even) / (2.0 * _SMOOTH_MM), 0.0, 1.0)[:, None]
    soft = points + near * (soft - points)
    kji = np.rint(geometry.ras_to_ijk(soft)[:, ::-1] - low).astype(int)
    kji = np.clip(kji, 0, np.array(open_kji.shape) - 1)
    inside = open_kji[tuple(kji.T)]
    return np.where(inside[:, None], soft, points)
