"""The ice that a live scan shows: what has become darker than before, round the probes, with its doubt.

Ice grows outward from the cold part of a probe, so in every direction from it there is one edge. Each place speaks for or
against ice by how much likelier its fall of CT number is in ice than without (normal noise); along a direction, the edge lies
where the sum of what speaks for ice within and against it without is largest, and all edges that are nearly as likely are its
doubt. Neighboring directions are taken together, since the edge is smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from ..imaging import on_volume
from ..knowledge import constant
from ..model import Alignment, CtVolume, PlannedProbe, SeenIce, VolumeGeometry, across
from .ice_drop import ice_drop_hu
from .scan_part import part_round

_REACH_MM = 38.0
_LATTICE_MM = 1.0
_SHARPNESS_MM = 0.6
"""Sigma of a scanner's sharpness with a soft-tissue filter."""

_SHELL_MM = 0.5
_NODE_MM, _NODE_GAP_MM = 8.0, 2.5
"""Directions are told apart at this distance from the cold part, so far from each other."""

_NEIGHBORHOOD_MM, _TOGETHER_MM = 9.0, 3.0
_LEAST_GAIN = 20.0
"""In nats: below it noise and streaks alone might have done it; in rendered scans without ice they came to 16 at most."""

_LEAST_EDGE_MM = 3.0
_BLIND_MM = 8.0
"""An edge that is known no better than this is not known."""

_METAL_HU = 1500.0
_METAL_REACH_MM = 2.0
_EDGE_MM = 1.5
_CLIP = 4.0
_STREAK_MM = 5.0
_STREAKS, _STREAKS_ALONE = 2.0, 8.0
_BRIGHTER_HU = 200.0
_FAR_MM = 26.0
_SIDE_SIGMA = 1.28
"""One sigma side of an 80 % band."""

Field = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FallBlock:
    """How far CT numbers have fallen in the part of a live scan round the probes, on its own voxels (k, j, i).

    Attributes:
        fell_hu: baseline less live scan.
        expected_hu: by how much each voxel would fall if it froze; 0 where that cannot be seen.
        sigma_hu: noise of the difference.
        geometry: in the live scan's frame.
        alignment: of the planning CT to the live scan.
    """

    fell_hu: Field
    expected_hu: Field
    sigma_hu: Field
    geometry: VolumeGeometry
    alignment: Alignment

    @property
    def alike(self) -> float:
        """How many voxels count as one: noise of neighbors in a slice is alike over the scanner's sharpness."""
        return float(
            np.prod([max(2.0 * np.sqrt(np.pi) * _SHARPNESS_MM / s, 1.0) for s in self.geometry.spacing_mm[:2]])
        )


def fall_block(
    live_ct: CtVolume,
    alignment: Alignment,
    probes: Sequence[PlannedProbe],
    baseline_ct: CtVolume,
    plan_to_baseline: npt.NDArray[np.float64],
) -> FallBlock | None:
    """What has fallen since the baseline, round the probes as they lie; None where the scan does not show them.

    Args:
        probes: where they lie, in the planning CT's frame.
        baseline_ct: the last live scan before the freeze, or the planning CT.
        plan_to_baseline: (4, 4); one for the planning CT.
    """
    ends = np.concatenate([p.cold_ends_ras_mm for p in probes])
    cut = part_round(live_ct, alignment, ends, _REACH_MM)
    if cut is None:
        return None
    live, part = cut[0].astype(np.float32), cut[1]
    back = plan_to_baseline @ alignment.live_to_plan
    seen = VolumeGeometry(live.shape, back @ part.ijk_to_ras)
    before = on_volume(np.maximum(baseline_ct.array_kji, np.int16(-1024)), baseline_ct.geometry, seen, -3000.0)
    known = before > -1500.0
    step = np.array(part.spacing_mm)
    # Metal that fills a slice only partly is not so bright, but brighter than anything was there before.
    partly = known & (live - before > _BRIGHTER_HU) & (live > _BRIGHTER_HU)
    metal = _within((np.maximum(live, before) > _METAL_HU) | partly, _METAL_REACH_MM, step)
    # A misfit of half a voxel at the edge of gas or bone would look like ice or hide it.
    sharp = _within((before < -250.0) | (before > 300.0), _EDGE_MM, step)
    expected = np.where(known & ~metal & ~sharp, ice_drop_hu(_smooth(before, step, 1.0)), 0.0).astype(np.float32)
    fell = np.where(known, before - live, 0.0).astype(np.float32)
    distance = distance_from_probes_mm(part, alignment, probes)
    far = (expected > 0.0) & (distance > _FAR_MM)
    near = far if np.count_nonzero(far) > 500 else expected > 0.0
    # Another tube voltage or contrast phase shifts all soft tissue alike.
    shift = float(np.median(fell[near])) if near.any() else 0.0
    fell -= np.float32(shift)
    spread = 1.4826 * float(np.median(np.abs(fell[near]))) if near.any() else 20.0
    # Streaks are strongest near the metal that makes them; where the baseline has the same metal they nearly go.
    among = bool((metal & (before > _METAL_HU)).sum() > 0.3 * max(int((metal & (live > _METAL_HU)).sum()), 1))
    strength = _STREAKS if among else _STREAKS_ALONE
    streaky = (
        1.0 + strength * np.exp(-ndimage.distance_transform_edt(~metal, sampling=step[::-1]) / _STREAK_MM)
        if metal.any()
        else 1.0
    )
    sigma = (max(spread, 5.0) * streaky * np.ones(live.shape)).astype(np.float32)
    return FallBlock(fell, expected, sigma, part, alignment)


def seen_ice(block: FallBlock, probes: Sequence[PlannedProbe]) -> SeenIce:
    """The ice of a block on an even grid in the planning CT's frame."""
    step = np.array(block.geometry.spacing_mm)
    weight = (block.expected_hu > 0.0).astype(np.float32)
    ratio = (block.expected_hu * block.fell_hu - 0.5 * block.expected_hu**2) / block.sigma_hu**2
    evidence: Field = np.clip(ratio, -_CLIP, _CLIP).astype(np.float32) * weight
    share = _LATTICE_MM**3 / (float(step.prod()) * block.alike)
    lattice = _lattice(probes)
    in_live = VolumeGeometry(lattice.shape_kji, block.alignment.plan_to_live @ lattice.ijk_to_ras)
    speaks = share * on_volume(evidence, block.geometry, in_live, 0.0)
    tells = on_volume(weight, block.geometry, in_live, 0.0) > 0.5
    distance = distance_from_probes_mm(lattice, None, probes)
    close = distance < _REACH_MM - 4.0
    kji = np.argwhere(close)
    nodes, node_of = _directions(lattice.ijk_to_ras_mm(kji[:, ::-1]), probes)
    shell = (distance[close] / _SHELL_MM).astype(int)
    shells = int((_REACH_MM - 4.0) / _SHELL_MM) + 1
    each = node_of[:, 0] * shells + shell
    table = np.asarray(np.bincount(each, speaks[close].astype(float), len(nodes) * shells), float)
    table = table.reshape(len(nodes), shells)
    radius, low, high, total = _edges(table, nodes)
    wobble = block.alignment.sigma_mm
    low, high = np.maximum(low - wobble, 0.0), high + wobble
    # Between directions the edge is drawn smoothly.
    mixed = _mixed(nodes, node_of, lattice, kji)
    inside = np.full(lattice.shape_kji, -_REACH_MM, np.float32)
    own = distance[close]
    edge, narrow, wide = (mixed @ r for r in (radius, low, high))
    inside[close] = edge - own
    seen, sure, perhaps, blind = (np.zeros(lattice.shape_kji, bool) for _ in range(4))
    seen[close], sure[close], perhaps[close] = own < edge, own < narrow, own < wide
    blind[close] = mixed @ (high - low) > _BLIND_MM
    blind |= ~tells
    voxel_ml = lattice.voxel_volume_mm3 / 1000.0
    volumes = tuple(float(np.count_nonzero(m)) * voxel_ml for m in (sure, seen, perhaps))
    if volumes[1] < constant("live_ice_least_ml") or total < _LEAST_GAIN:
        nothing = np.zeros(seen.shape, bool)
        sentence = "No ice is seen round the probe."
        if float(np.mean(wide - narrow)) > 0.5 * _BLIND_MM or float(np.mean(blind[distance < 10.0])) > 0.4:
            sentence += (
                " Here the scan would hardly show it: fat darkens little when it freezes, gas, bone and metal hide it."
            )
        return SeenIce(lattice, -distance, nothing, nothing, perhaps, blind, (0.0, 0.0, volumes[2]), sentence)
    rim = np.abs(inside) <= 1.0
    hidden = float(np.mean(blind[rim])) if rim.any() else 0.0
    sentence = f"{volumes[1]:.1f} mL of ice are seen ({volumes[0]:.1f} to {volumes[2]:.1f} mL)."
    if hidden > 0.1:
        sentence += (
            f" Along {100 * hidden:.0f} % of its edge the scan cannot tell (gas, bone, metal, fat, or not scanned)."
        )
    return SeenIce(lattice, inside, seen, sure, perhaps, blind, volumes, sentence)  # type: ignore[arg-type]


def _edges(
    table: npt.NDArray[np.float64], nodes: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Most likely edge of every direction, the ends of its 80 % band, mm, and how much speaks for that there is ice at all.

    What a direction does not show itself it takes from its neighborhood, and that from all directions together.
    """
    gap = np.linalg.norm(nodes[:, None] - nodes[None], axis=2)
    edges = np.arange(table.shape[1] + 1) * _SHELL_MM

    def gain(part: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.concatenate([np.zeros((len(part), 1)), np.cumsum(part, axis=1)], axis=1)

    everywhere = gain(table.sum(axis=0, keepdims=True))
    wanted = np.full(len(nodes), max(edges[int(np.argmax(everywhere))], _LEAST_EDGE_MM))
    likely = gain(table)
    for together_mm, share in ((_NEIGHBORHOOD_MM, 0.35), (_TOGETHER_MM, 0.25)):
        kernel = np.exp(-0.5 * (gap / together_mm) ** 2)
        spread = share * wanted + 0.5 * _LATTICE_MM
        likely = gain(kernel @ table) - 0.5 * ((edges[None] - wanted[:, None]) / spread[:, None]) ** 2
        wanted = edges[np.argmax(likely, axis=1)].astype(float)
    near = likely >= likely.max(axis=1, keepdims=True) - 0.5 * _SIDE_SIGMA**2
    own = gain(table)
    total = float(own[np.arange(len(nodes)), np.rint(wanted / _SHELL_MM).astype(int)].sum())
    low = edges[np.argmax(near, axis=1)]
    high = edges[len(edges) - 1 - np.argmax(near[:, ::-1], axis=1)]
    return wanted, low.astype(float), high.astype(float), total


def _directions(
    points: npt.NDArray[np.float64], probes: Sequence[PlannedProbe]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Directions from the cold parts as points (M, 3) evenly round them, and the nearest four of each place (N, 4).

    A place is seen from the nearest point of the nearest cold part.
    """
    nodes, feet, gaps = [], [], []
    for probe in probes:
        front, back = probe.cold_ends_ras_mm
        length = float(np.linalg.norm(back - front))
        unit = (back - front) / max(length, 1e-9)
        t = np.clip((points - front) @ unit, 0.0, length)
        foot = front + t[:, None] * unit
        away = points - foot
        gap = np.linalg.norm(away, axis=1)
        feet.append(foot + _NODE_MM * away / np.maximum(gap, 1e-6)[:, None])
        gaps.append(gap)
        nodes.append(_capsule(front, unit, length))
    which = np.argmin(gaps, axis=0)
    place = np.stack(feet)[which, np.arange(len(points))]
    all_nodes = np.concatenate(nodes)
    start = np.cumsum([0, *(len(n) for n in nodes)])
    found = np.zeros((len(points), 4), np.intp)
    for number, own in enumerate(nodes):
        mine = which == number
        if mine.any():
            found[mine] = cKDTree(own).query(place[mine], 4)[1] + start[number]
    # Directions of different probes never lie together.
    apart = np.concatenate([n + 1000.0 * number for number, n in enumerate(nodes)])
    return (apart if len(probes) > 1 else all_nodes), found


def _capsule(front: npt.NDArray[np.float64], unit: npt.NDArray[np.float64], length: float) -> npt.NDArray[np.float64]:
    """Points (M, 3) evenly on the surface at a few millimeters round a straight piece."""
    one, other = across(unit)
    rows = []
    golden = np.pi * (3.0 - np.sqrt(5.0))
    cap = max(int(2.0 * np.pi * _NODE_MM**2 / _NODE_GAP_MM**2), 8)
    for end, sign in ((front, -1.0), (front + length * unit, 1.0)):
        height = (np.arange(cap) + 0.5) / cap
        flat = np.sqrt(1.0 - height**2)
        angle = golden * np.arange(cap)
        ball = sign * height[:, None] * unit + flat[:, None] * (
            np.cos(angle)[:, None] * one + np.sin(angle)[:, None] * other
        )
        rows.append(end + _NODE_MM * ball)
    count = max(int(2.0 * np.pi * _NODE_MM * length / _NODE_GAP_MM**2), 1)
    angle = golden * np.arange(count)
    along = (np.arange(count) + 0.5) / count * length
    ring = np.cos(angle)[:, None] * one + np.sin(angle)[:, None] * other
    rows.append(front + along[:, None] * unit + _NODE_MM * ring)
    return np.concatenate(rows)


def _mixed(
    nodes: npt.NDArray[np.float64],
    node_of: npt.NDArray[np.intp],
    lattice: VolumeGeometry,
    kji: npt.NDArray[np.intp],
) -> sparse.csr_matrix:
    """(N, M) weights that give each place a value of its nearest directions."""
    count = len(node_of)
    first = nodes[node_of[:, 0]]
    gap = np.stack([np.linalg.norm(nodes[node_of[:, n]] - first, axis=1) for n in range(4)], axis=1)
    weight = np.exp(-0.5 * (gap / _NODE_GAP_MM) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(count), 4)
    return sparse.csr_matrix((weight.ravel(), (rows, node_of.ravel())), shape=(count, len(nodes)))


def _lattice(probes: Sequence[PlannedProbe]) -> VolumeGeometry:
    ends = np.concatenate([p.cold_ends_ras_mm for p in probes])
    low = np.floor(ends.min(axis=0) - _REACH_MM)
    high = np.ceil(ends.max(axis=0) + _REACH_MM)
    count = np.rint((high - low) / _LATTICE_MM).astype(int) + 1
    matrix = np.diag([_LATTICE_MM] * 3 + [1.0])
    matrix[:3, 3] = low
    return VolumeGeometry((int(count[2]), int(count[1]), int(count[0])), matrix)


def distance_from_probes_mm(
    geometry: VolumeGeometry, alignment: Alignment | None, probes: Sequence[PlannedProbe]
) -> npt.NDArray[np.float32]:
    """Distance (k, j, i) of every voxel to the nearest cold part, mm; the geometry is the plan's, or the live scan's."""
    k, j, i = geometry.shape_kji
    matrix = geometry.ijk_to_ras if alignment is None else alignment.live_to_plan @ geometry.ijk_to_ras
    axes = [np.arange(n, dtype=np.float32) for n in (i, j, k)]
    place = [
        matrix[row, 0] * axes[0][None, None, :]
        + matrix[row, 1] * axes[1][None, :, None]
        + matrix[row, 2] * axes[2][:, None, None]
        + matrix[row, 3]
        for row in range(3)
    ]
    best = np.full(geometry.shape_kji, np.inf, np.float32)
    for probe in probes:
        front, back = probe.cold_ends_ras_mm
        along = back - front
        length = float(np.linalg.norm(along))
        unit = along / max(length, 1e-9)
        t = sum((place[n] - front[n]) * unit[n] for n in range(3))
        t = np.clip(t, 0.0, length)
        square = sum((place[n] - front[n] - t * unit[n]) ** 2 for n in range(3))
        np.minimum(best, np.sqrt(square), out=best)
    return best


def _within(mask: npt.NDArray[np.bool_], reach_mm: float, step_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """The mask and what lies within a distance of it in its own slice."""
    if not mask.any():
        return mask
    reach = np.maximum(np.rint(reach_mm / step_mm[:2]).astype(int), 1)
    j, i = np.mgrid[-reach[1] : reach[1] + 1, -reach[0] : reach[0] + 1]
    disk = (j * step_mm[1]) ** 2 + (i * step_mm[0]) ** 2 <= reach_mm**2 + 0.3
    result: npt.NDArray[np.bool_] = ndimage.binary_dilation(mask, disk[None])
    return result


def _smooth(field: npt.NDArray[np.float32], step_mm: npt.NDArray[np.float64], sigma_mm: float) -> Field:
    sigma = [sigma_mm / s if s <= 2.0 * sigma_mm else 0.0 for s in step_mm[::-1]]
    result: Field = ndimage.gaussian_filter(np.asarray(field, np.float32), sigma, mode="nearest", truncate=3.0)
    return result
