"""Finds the probes of a plan in a live scan: new straight metal, its axis, its tip, and which planned probe it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from ..imaging import on_volume
from ..knowledge import constant
from ..model import Alignment, Anatomy, CtVolume, FoundProbe, GuidanceError, PlannedProbe, VolumeGeometry, moved
from .live_body import body_of
from .metal_lines import MetalLine, metal_lines, new_metal
from .scan_part import part_round
from .shaft_model import Array, ShaftFit, SliceBlock, cost_hu, distance_in_slices, fit_shafts, pair_of

_ASIDE_MM = 55.0
_OUTSIDE_MM = 70.0
_OLD_METAL_HU = 1500.0
_SPARE_LINES = 3
_PAIR_RATIO = 0.8
_REST_SHARE = 0.15
_FAINT_SHARE = 0.04
"""Thinner than any needle beside any probe: what is fainter than this share of the strongest shaft is no shaft."""


def find_probes(
    plan_ct: CtVolume,
    live_ct: CtVolume,
    alignment: Alignment,
    probes: Sequence[PlannedProbe],
    anatomy: Anatomy | None = None,
) -> tuple[FoundProbe, ...]:
    """The plan's probes, in their order, then other straight metal near them; empty when none is seen.

    Args:
        alignment: of the planning CT to this scan.
        probes: of the plan, in the planning CT's frame.
        anatomy: of the planning CT; tells what of a shaft lies within the body.
    """
    cut = _cut(live_ct, alignment, probes)
    if cut is None:
        return ()
    part, geometry, first = cut
    seen_from_plan = VolumeGeometry(geometry.shape_kji, alignment.live_to_plan @ geometry.ijk_to_ras)
    expected = on_volume(np.maximum(plan_ct.array_kji, np.int16(-1024)), plan_ct.geometry, seen_from_plan, -3000.0)
    known = expected > -1500.0
    old = ndimage.binary_dilation(expected > _OLD_METAL_HU, iterations=3)
    spacing = np.array(geometry.spacing_mm)
    top = float(live_ct.array_kji.max())
    block = SliceBlock(part.astype(np.float32), np.where(known, expected, 0.0), spacing, max(top, 1500.0))
    weight = new_metal(block, known, old)
    share = 100.0 * float(np.count_nonzero(weight)) / weight.size
    if share > constant("live_metal_most_percent"):
        raise GuidanceError(
            f"{share:.0f} % of the scan round the plan is brighter than bone where the planning CT is not, too much for a probe; "
            "its CT numbers may be wrong. Scan again. The last good overlay stays."
        )
    half = 0.5 * float(spacing[2])
    least = constant("live_least_shaft_mm")
    lines = metal_lines(weight, spacing, len(probes) + _SPARE_LINES, least)
    cut_kji = tuple(slice(int(a), int(a) + n) for a, n in zip(first[::-1], part.shape, strict=True))
    inside = _inside_body(live_ct, cut_kji, seen_from_plan, anatomy)
    lines = [line for line in lines if _is_shaft(line, inside, spacing, least)]
    if not lines:
        return ()
    planned = [_in_block(alignment, geometry, p) for p in probes]
    ends = [_tip_end(line, inside, spacing, planned, block.live_hu.shape) for line in lines]
    choice = _chosen(ends, planned)
    radius = [
        0.5 * (probes[choice[n]].probe.diameter_mm if n in choice else probes[0].probe.diameter_mm)
        for n in range(len(lines))
    ]
    fits = _fitted(block, ends, radius)
    kept = [n for n, fit in enumerate(fits) if not _is_rest(fit, fits)]
    fits, radius, ends = [fits[n] for n in kept], [radius[n] for n in kept], [ends[n] for n in kept]
    fits, radius, ends = _split(block, fits, radius, ends, len(probes))
    choice = _chosen([(f.tip_mm, f.toward) for f in fits], planned)
    found = []
    point_mm = constant("probe_point_mm")
    turn = geometry.ijk_to_ras[:3, :3] / spacing
    origin = geometry.ijk_to_ras[:3, 3]
    whole = np.array(live_ct.geometry.shape_kji[::-1]) * spacing
    for n, (fit, line) in enumerate(zip(fits, ends, strict=True)):
        # Distance to the outer faces of the whole scan, not of the part that was cut out.
        place = fit.tip_mm + first * spacing + 0.5 * spacing
        gap = np.minimum(place, whole - place)
        in_view = bool(gap[2] > 0.2 * half and gap[:2].min() > 2.0)
        # Between the cylinder's end, which is seen, and the point of the tip, which is too thin to be.
        tip = fit.tip_mm + 2.0 / 3.0 * point_mm * fit.toward
        sigma = float(
            np.hypot(fit.tip_sigma_mm, 0.3 * float(spacing[0]) + 0.1 * abs(fit.toward[2]) * float(spacing[2]))
        )
        sigma = float(np.hypot(sigma, 2.0 / 3.0 * point_mm))
        rear = fit.tip_mm - max(_length(line), 10.0) * fit.toward
        found.append(
            FoundProbe(
                turn @ tip + origin,
                turn @ rear + origin,
                choice.get(n),
                in_view,
                sigma,
                fit.axis_sigma_deg,
                fit.strength,
            )
        )
    return tuple(sorted(found, key=lambda p: (p.planned is None, p.planned or 0)))


End = tuple[Array, Array, Array]
"""Tip (3,), unit vector toward it (3,), and the way from rear to tip (3,), block millimeters."""


def _cut(
    live_ct: CtVolume, alignment: Alignment, probes: Sequence[PlannedProbe]
) -> tuple[npt.NDArray[np.int16], VolumeGeometry, npt.NDArray[np.int_]] | None:
    """The part of the scan round the planned paths, with the shafts outside the skin, and its first voxel (i, j, k)."""
    points = np.concatenate(
        [
            np.stack([p.trajectory.tip_ras_mm, p.trajectory.entry_ras_mm - _OUTSIDE_MM * p.trajectory.direction_ras])
            for p in probes
        ]
    )
    return part_round(live_ct, alignment, points, _ASIDE_MM)


def _inside_body(
    live_ct: CtVolume, cut: tuple[slice, ...], seen_from_plan: VolumeGeometry, anatomy: Anatomy | None
) -> npt.NDArray[np.bool_]:
    """The patient's body in the part of the scan (k, j, i)."""
    if anatomy is not None:
        body = on_volume(anatomy.body_kji.astype(np.float32), anatomy.geometry, seen_from_plan, -1.0)
        if (body >= 0.0).mean() > 0.5:
            return body > 0.5
    return body_of(live_ct)[cut]


def _at(mask: npt.NDArray[np.bool_], points_mm: Array, spacing: Array) -> npt.NDArray[np.bool_]:
    ijk = np.rint(points_mm / spacing).astype(int)
    n = np.array(mask.shape[::-1])
    within = ((ijk >= 0) & (ijk < n)).all(axis=1)
    i, j, k = np.clip(ijk, 0, n - 1).T
    result: npt.NDArray[np.bool_] = mask[k, j, i] & within
    return result


def _is_shaft(line: MetalLine, inside: npt.NDArray[np.bool_], spacing: Array, least: float) -> bool:
    """Long and thin, and at least partly within the body: marks on the skin and leads are not."""
    steps = np.linspace(0.0, 1.0, 40)[:, None]
    share = float(_at(inside, line.ends_mm[0] + steps * (line.ends_mm[1] - line.ends_mm[0]), spacing).mean())
    crossing = abs(line.ends_mm[1] - line.ends_mm[0])[2] / max(line.length_mm, 1e-6)
    return bool(share * (line.length_mm + crossing * spacing[2]) >= 0.7 * least)


def _in_block(alignment: Alignment, geometry: VolumeGeometry, planned: PlannedProbe) -> tuple[Array, Array]:
    """Tip and direction of a planned probe in the block's millimeters."""
    spacing = np.array(geometry.spacing_mm)
    ends = np.stack([planned.trajectory.tip_ras_mm, planned.trajectory.entry_ras_mm])
    tip, entry = geometry.ras_to_ijk(moved(alignment.plan_to_live, ends)) * spacing
    return tip, (tip - entry) / np.linalg.norm(tip - entry)


def _tip_end(
    line: MetalLine,
    inside: npt.NDArray[np.bool_],
    spacing: Array,
    planned: list[tuple[Array, Array]],
    shape: tuple[int, ...],
) -> End:
    """Which end of a line is the tip: the one that points the way a planned probe does; if both do, the deeper one."""
    a, b = line.ends_mm
    direction = (b - a) / max(line.length_mm, 1e-6)
    agree = max((float(direction @ toward) for _, toward in planned), key=abs)
    if abs(agree) > 0.35:
        forward = agree > 0
    else:
        depth = [float(_at(inside, p[None], spacing)[0]) for p in (a, b)]
        if depth[0] != depth[1]:
            forward = depth[1] > depth[0]
        else:
            tips = np.stack([tip for tip, _ in planned])
            forward = bool(np.linalg.norm(tips - b, axis=1).min() < np.linalg.norm(tips - a, axis=1).min())
    rear, tip = (a, b) if forward else (b, a)
    toward = (tip - rear) / max(line.length_mm, 1e-6)
    # Metal is seen at pixels and slices; the shaft itself may begin or end half a slice away from their centers.
    return tip, toward, tip - rear


def _chosen(ends: Sequence[tuple[Array, ...]], planned: list[tuple[Array, Array]]) -> dict[int, int]:
    """Number of the planned probe of each line: all together as near as they can be; none that is far off."""
    cost = np.zeros((len(ends), len(planned)))
    for n, end in enumerate(ends):
        tip, toward = end[0], end[1]
        for m, (wanted, direction) in enumerate(planned):
            delta = tip - wanted
            aside = np.linalg.norm(delta - (delta @ direction) * direction)
            angle = np.rad2deg(np.arccos(np.clip(abs(toward @ direction), 0.0, 1.0)))
            # A probe that is still being advanced lies on its path, far from its tip.
            cost[n, m] = aside + 0.25 * abs(float(delta @ direction)) + 0.5 * angle
    rows, columns = optimize.linear_sum_assignment(cost)
    most = constant("live_assign_mm")
    return {int(n): int(m) for n, m in zip(rows, columns, strict=True) if cost[n, m] <= most}


def _fitted(block: SliceBlock, ends: Sequence[End], radius: list[float]) -> list[ShaftFit]:
    """Fits of all lines; those that lie close together are fitted together, so that neither takes the other's metal."""
    left = list(range(len(ends)))
    found: dict[int, ShaftFit] = {}
    while left:
        group = [left.pop(0)]
        for n in list(left):
            if any(_gap_mm(ends[n], ends[m]) < 10.0 for m in group):
                group.append(n)
                left.remove(n)
        fits = fit_shafts(
            block,
            [(ends[n][0], ends[n][1]) for n in group],
            [radius[n] for n in group],
            [_length(ends[n]) for n in group],
        )
        found |= dict(zip(group, fits, strict=True))
    return [found[n] for n in range(len(ends))]


def _length(end: End) -> float:
    return float(np.linalg.norm(end[2]))


def _gap_mm(one: End, other: End) -> float:
    """Shortest distance between the seen stretches of two lines, by points on them."""
    steps = np.linspace(0.0, 1.0, 30)[:, None]
    a, b = one[0] - steps * one[2], other[0] - steps * other[2]
    return float(np.linalg.norm(a[:, None] - b[None], axis=2).min())


def _is_rest(fit: ShaftFit, fits: Sequence[ShaftFit]) -> bool:
    """Whether it is only what blur and streaks of a stronger shaft beside it have left over."""
    if fit.strength < _FAINT_SHARE * max(f.strength for f in fits):
        return True
    for other in fits:
        if fit.strength < _REST_SHARE * other.strength and abs(float(fit.toward @ other.toward)) > 0.97:
            gap, _ = distance_in_slices(fit.tip_mm[None], other.tip_mm, other.toward, 0.0)
            if gap[0] < 6.0:
                return True
    return False


def _split(
    block: SliceBlock, fits: list[ShaftFit], radius: list[float], ends: Sequence[End], wanted: int
) -> tuple[list[ShaftFit], list[float], list[End]]:
    """Two probes side by side look like a thick one: where fewer lines than probes were found, two are tried for one."""
    fits, radius, ends = list(fits), list(radius), list(ends)
    tried: set[int] = set()
    while len(fits) < wanted and len(tried) < len(fits):
        # The one that a single shaft explains worst.
        n = max((m for m in range(len(fits)) if m not in tried), key=lambda m: fits[m].misfit_hu)
        tried.add(n)
        two = _side_by_side(block, fits[n], ends[n], radius[n])
        if two is None:
            continue
        other = (two[1].tip_mm, two[1].toward, two[1].toward * _length(ends[n]))
        fits.append(two[1])
        radius.append(radius[n])
        fits[n], ends[n] = two[0], (two[0].tip_mm, two[0].toward, ends[n][2])
        ends.append(other)
    return fits, radius, ends


def _side_by_side(block: SliceBlock, fit: ShaftFit, end: End, radius: float) -> list[ShaftFit] | None:
    """Two shafts in place of one, where they explain the metal much better."""
    near, length = [(fit.tip_mm, fit.toward)], min(_length(end), 60.0)
    start = pair_of(block, fit, radius, length)
    two = fit_shafts(block, start, [radius, radius], [length, length], alike=True)
    gap, _ = distance_in_slices(two[1].tip_mm[None], two[0].tip_mm, two[0].toward, 0.0)
    alone, together = cost_hu(block, [fit], [radius], near), cost_hu(block, two, [radius, radius], near)
    return two if gap[0] >= 1.2 * radius and together < _PAIR_RATIO * alone else None
