"""What a straight metal shaft looks like in CT slices, and the fit of axis and tip to it.

A thin shaft of line strength S (HU mm2) in slices of thickness T, blurred within the slice by a Gaussian, is the integral of
a Gaussian over a half line; in closed form with the normal distribution function. A slice's box is made of a few narrower
Gaussians, so that a tip between two slices is found from how much of the last one is bright. Values stop at the scanner's
upper end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from ..model import across

Array = npt.NDArray[np.float64]
_REACH_BEHIND_MM = 220.0
_CLOSE_MM = 40.0
"""Farther from the tip than this every third voxel is enough for the axis."""

_REACH_BEFORE_MM = 12.0
_REACH_ASIDE_MM = 5.0
_ROBUST_HU = 250.0
_MOST_VOXELS = 6000
_BLUR_MM = (0.3, 1.6)


@dataclass(frozen=True, eq=False)
class SliceBlock:
    """Voxels of a scan in millimeters along its own rows, columns and slices.

    Attributes:
        live_hu, expected_hu: (k, j, i) what was scanned, and what the planning CT would show there.
        spacing_mm: (3,) along i, j, k.
        clip_hu: upper end of the scanner's range.
    """

    live_hu: npt.NDArray[np.float32]
    expected_hu: npt.NDArray[np.float32]
    spacing_mm: Array
    clip_hu: float


@dataclass(frozen=True, eq=False)
class ShaftFit:
    """A shaft in the block's millimeters.

    Attributes:
        tip_mm: (3,).
        toward: (3,) unit vector from rear to tip.
        strength: line strength, HU mm2.
        blur_mm: sigma of the scanner's sharpness.
        tip_sigma_mm, axis_sigma_deg: of the fit.
        misfit_hu: robust spread of what is left.
    """

    tip_mm: Array
    toward: Array
    strength: float
    blur_mm: float
    tip_sigma_mm: float
    axis_sigma_deg: float
    misfit_hu: float


def shaft_hu(
    points_mm: Array, tip_mm: Array, toward: Array, strength: float, blur_mm: float, radius_mm: float, slice_mm: float
) -> Array:
    """CT numbers (N,) that a shaft adds at voxel centers (N, 3), before the scanner's range ends."""
    parts = 1 if slice_mm <= 1.5 else 3 if slice_mm <= 3.0 else 5
    sub = slice_mm / parts
    disk = 0.25 * radius_mm**2
    sigma = np.diag([blur_mm**2, blur_mm**2, max(sub**2 / 12.0, 0.04)])
    sigma += disk * (np.eye(3) - np.outer(toward, toward))
    inverse = np.linalg.inv(sigma)
    along = float(toward @ inverse @ toward)
    scale = strength / parts / (2.0 * np.pi * np.sqrt(np.linalg.det(sigma) * along))
    total = np.zeros(len(points_mm))
    su = inverse @ toward
    for part in range(parts):
        delta = points_mm - tip_mm
        delta[:, 2] += (part - 0.5 * (parts - 1)) * sub
        # t is counted from the tip toward the rear.
        t = -(delta @ su) / along
        aside = np.einsum("ni,ij,nj->n", delta, inverse, delta) - along * t**2
        total += np.exp(-0.5 * np.clip(aside, 0.0, 200.0)) * special.ndtr(t * np.sqrt(along))
    result: Array = scale * total
    return result


def fit_shafts(
    block: SliceBlock,
    first: list[tuple[Array, Array]],
    radius_mm: list[float],
    length_mm: list[float],
    alike: bool = False,
) -> list[ShaftFit]:
    """Fit one or more shafts together.

    Args:
        first: (tip, toward) of each, block millimeters.
        radius_mm: of each.
        length_mm: how much of each is seen.
        alike: they are of one make and hold as much metal each.
    """
    points, live, expected = _near(block, first, length_mm)
    leveled = [
        _leveled(block, tip, toward, radius, length)
        for (tip, toward), radius, length in zip(first, radius_mm, length_mm, strict=True)
    ]
    level_deg = [row[2] for row in leveled]
    first = [row[:2] for row in leveled]
    if len(points) > _MOST_VOXELS:
        thin = np.linspace(0, len(points) - 1, _MOST_VOXELS).astype(int)
        points, live, expected = points[thin], live[thin], expected[thin]
    frames = [across(toward) for _, toward in first]
    slice_mm = float(block.spacing_mm[2])
    count = len(first)

    def unpack(x: Array) -> list[tuple[Array, Array, float, float]]:
        found = []
        for n, ((tip, toward), (one, other)) in enumerate(zip(first, frames, strict=True)):
            dx = x[7 * n : 7 * n + 7]
            axis = toward + (dx[3] * one + dx[4] * other) / 30.0
            axis = axis / np.linalg.norm(axis)
            # The middle of the fitted stretch stays where it is when only the axis turns.
            place = tip - 30.0 * toward + dx[0] * one + dx[1] * other + (30.0 + dx[2]) * axis
            strength, blur = x[5:7] if alike else dx[5:7]
            found.append((place, axis, float(np.exp(strength)), float(np.exp(blur))))
        return found

    def model(x: Array) -> Array:
        total = expected.copy()
        for (tip, axis, strength, blur), radius in zip(unpack(x), radius_mm, strict=True):
            total += shaft_hu(points, tip, axis, strength, blur, radius, slice_mm)
        return np.minimum(total, block.clip_hu)

    held = [n for n, row in enumerate(leveled) if row[2] > 0.0]

    def left(x: Array) -> Array:
        misfit = (model(x) - live) / _ROBUST_HU
        if not held:
            return misfit
        # Where slices hardly say how steep it is, it stays in the middle of what they allow.
        shafts = unpack(x)
        slope = [np.rad2deg(shafts[n][1][2] - first[n][1][2]) / max(leveled[n][2], 0.05) for n in held]
        height = [(shafts[n][0][2] - first[n][0][2]) / max(leveled[n][3], 0.05) for n in held]
        return np.concatenate([misfit, slope, height])

    start = np.concatenate([[0, 0, 0, 0, 0, np.log(_first_strength(r)), np.log(_first_blur(block))] for r in radius_mm])
    low = np.concatenate([[-6, -6, -15, -12, -12, np.log(300.0), np.log(_BLUR_MM[0])] for _ in range(count)])
    high = np.concatenate([[6, 6, 15, 12, 12, np.log(4e5), np.log(_BLUR_MM[1])] for _ in range(count)])

    def solved(x: Array) -> optimize.OptimizeResult:
        inner = np.clip(x, low + 1e-6, high - 1e-6)
        return optimize.least_squares(left, inner, bounds=(low, high), loss="soft_l1", x_scale="jac", max_nfev=30)

    def cost(x: Array) -> float:
        return float(np.sum(np.sqrt(1.0 + left(x) ** 2) - 1.0))

    result = solved(start)
    # A line that was found by its metal may reach into that of another; other depths of each tip are tried.
    for n in range(count):
        other, best = None, 0.99 * cost(result.x)
        for step in (-12.0, -8.0, -5.0, -3.0, -1.5, 1.5, 3.0, 5.0, 8.0):
            x = result.x.copy()
            x[7 * n + 2] += step
            if low[7 * n + 2] < x[7 * n + 2] < high[7 * n + 2] and cost(x) < best:
                other, best = x, cost(x)
        if other is not None:
            result = solved(other)
    residual = left(result.x)[: len(live)] * _ROBUST_HU
    spread = max(1.4826 * float(np.median(np.abs(residual))), 20.0)
    jacobian = result.jac[: len(live)] * _ROBUST_HU
    covariance = np.linalg.pinv(jacobian.T @ jacobian / spread**2 + 1e-9 * np.eye(7 * count))
    fits = []
    for n, (tip, axis, strength, blur) in enumerate(unpack(result.x)):
        own = covariance[7 * n : 7 * n + 7, 7 * n : 7 * n + 7]
        # Neighboring voxels share their blur, so a fit has fewer independent values than voxels.
        depth = 2.0 * float(np.sqrt(max(own[2, 2], 0.0)))
        turn = 2.0 * float(np.rad2deg(np.sqrt(max(own[3, 3] + own[4, 4], 0.0)) / 30.0))
        close = np.abs((points - tip) @ axis) < 20.0
        misfit = float(np.sqrt(np.mean(residual[close] ** 2))) if close.any() else 0.0
        depth = float(np.hypot(depth, leveled[n][3]))
        fits.append(ShaftFit(tip, axis, strength, blur, depth, float(np.hypot(turn, level_deg[n])), misfit))
    return fits


def pair_of(block: SliceBlock, fit: ShaftFit, radius_mm: float, length_mm: float) -> list[tuple[Array, Array]]:
    """The best first guess of two shafts side by side in place of one: how far apart, which way, one how much deeper."""
    points, live, expected = _near(block, [(fit.tip_mm, fit.toward)], [length_mm])
    thin = slice(None, None, max(1, len(points) // 2500))
    points, live, expected = points[thin], live[thin], expected[thin]
    one, other = across(fit.toward)
    slice_mm = float(block.spacing_mm[2])
    best: tuple[float, list[tuple[Array, Array]]] = (np.inf, [])
    for angle in np.arange(12) * np.pi / 6.0:
        way = np.cos(angle) * one + np.sin(angle) * other
        for apart in (2.0 * radius_mm, 3.0 * radius_mm, 5.0 * radius_mm):
            for shorter in (0.0, 2.0, 4.0, 7.0, 11.0):
                tips = (
                    fit.tip_mm + 0.5 * apart * way,
                    fit.tip_mm - 0.5 * apart * way - shorter * fit.toward,
                )
                for share in (0.5, 1.0):
                    total = expected.copy()
                    for tip in tips:
                        total += shaft_hu(
                            points, tip, fit.toward, share * fit.strength, fit.blur_mm, radius_mm, slice_mm
                        )
                    left = (np.minimum(total, block.clip_hu) - live) / _ROBUST_HU
                    cost = float(np.mean(np.sqrt(1.0 + left**2)))
                    if cost < best[0]:
                        best = (cost, [(tip, fit.toward) for tip in tips])
    return best[1]


def cost_hu(block: SliceBlock, fits: list[ShaftFit], radius_mm: list[float], near: list[tuple[Array, Array]]) -> float:
    """Mean robust misfit of shafts over the voxels near some lines, to choose between one shaft and two."""
    points, live, expected = _near(block, near, [60.0] * len(near))
    total = expected.copy()
    for fit, radius in zip(fits, radius_mm, strict=True):
        total += shaft_hu(points, fit.tip_mm, fit.toward, fit.strength, fit.blur_mm, radius, float(block.spacing_mm[2]))
    left = (np.minimum(total, block.clip_hu) - live) / _ROBUST_HU
    return float(np.mean(2.0 * (np.sqrt(1.0 + left**2) - 1.0)))


def _first_blur(block: SliceBlock) -> float:
    return float(np.clip(0.75 * block.spacing_mm[0], 0.45, 1.2))


def _first_strength(radius_mm: float) -> float:
    return 8000.0 * float(np.pi) * radius_mm**2


def _leveled(
    block: SliceBlock, tip: Array, toward: Array, radius: float, length: float
) -> tuple[Array, Array, float, float]:
    """A better start for a shaft that lies nearly within thick slices, and one sigma of its slope through them, degrees, and
    of its tip's height, mm; 0 where slices say it themselves.

    How it lies within a slice is hardly seen; where it passes from one to the next is. So heights and slopes are tried all.
    """
    slice_mm, rise = float(block.spacing_mm[2]), float(toward[2])
    if slice_mm < 1.5 or abs(rise) * length > 3.0 * slice_mm:
        return tip, toward, 0.0, 0.0
    flat = np.array([toward[0], toward[1], 0.0])
    flat /= np.linalg.norm(flat)
    points, live, expected = _near(block, [(tip, toward)], [length])
    thin = np.arange(0, len(points), max(1, len(points) // 3000))
    points, live, expected = points[thin], live[thin], expected[thin]
    strength, blur = _first_strength(radius), _first_blur(block)
    middle = tip - 0.5 * length * toward
    most = 2.2 * slice_mm / length
    tried = []
    for slope in np.linspace(-most, most, 23):
        axis = flat + np.array([0.0, 0.0, rise + slope])
        axis /= np.linalg.norm(axis)
        for height in np.linspace(-0.6, 0.6, 9) * slice_mm:
            place = middle + [0.0, 0.0, height] + 0.5 * length * axis
            added = shaft_hu(points, place, axis, strength, blur, radius, slice_mm)
            left = (np.minimum(expected + added, block.clip_hu) - live) / _ROBUST_HU
            tried.append((float(np.mean(np.sqrt(1.0 + left**2) - 1.0)), place, axis))
    best = min(cost for cost, _, _ in tried)
    near = [(place, axis) for cost, place, axis in tried if cost <= 1.1 * best]
    axis = np.mean([a for _, a in near], axis=0)
    axis /= np.linalg.norm(axis)
    doubt = float(np.rad2deg(np.std([a[2] for _, a in near])))
    height = float(np.std([p[2] for p, _ in near]))
    return np.mean([p for p, _ in near], axis=0), axis, doubt, height


def _near(block: SliceBlock, lines: list[tuple[Array, Array]], length_mm: list[float]) -> tuple[Array, Array, Array]:
    """Voxel centers, scanned and expected values near the front part of some lines."""
    shape = np.array(block.live_hu.shape[::-1])
    chosen = np.zeros(block.live_hu.shape, bool)
    half = 0.5 * block.spacing_mm[2]
    for (tip, toward), length in zip(lines, length_mm, strict=True):
        behind = min(length, _REACH_BEHIND_MM)
        ends = np.stack([tip + _REACH_BEFORE_MM * toward, tip - behind * toward])
        low = np.floor((ends.min(axis=0) - _REACH_ASIDE_MM) / block.spacing_mm).astype(int)
        high = np.ceil((ends.max(axis=0) + _REACH_ASIDE_MM) / block.spacing_mm).astype(int) + 1
        low, high = np.clip(low, 0, shape), np.clip(high, 0, shape)
        if (high <= low).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
        grid = np.indices(tuple(high[::-1] - low[::-1])).reshape(3, -1).T[:, ::-1] + low
        aside, t = distance_in_slices(grid * block.spacing_mm, tip, toward, half)
        near = (aside <= _REACH_ASIDE_MM) & (t <= behind) & (t >= -_REACH_BEFORE_MM)
        near &= (t <= _CLOSE_MM) | (np.arange(len(t)) % 3 == 0)
        chosen[box] |= near.reshape(chosen[box].shape)
    kji = np.argwhere(chosen)
    points = kji[:, ::-1] * block.spacing_mm
    where = tuple(kji.T)
    return points, block.live_hu[where].astype(float), block.expected_hu[where].astype(float)


def distance_in_slices(points_mm: Array, tip_mm: Array, toward: Array, half_mm: float) -> tuple[Array, Array]:
    """How far a line passes by the slice-thick columns of voxels (N, 3): distance (N,), and where along it, from the tip back.

    A line that crosses a thick slice at an angle runs through many of its pixels; each is as far as it lies from the
    piece of the line within the slice.
    """
    delta = points_mm - tip_mm
    back = -toward

    def aside(t: Array) -> Array:
        left = delta - t[:, None] * back
        found: Array = np.hypot(np.linalg.norm(left[:, :2], axis=1), np.maximum(np.abs(left[:, 2]) - half_mm, 0.0))
        return found

    nearest = delta @ back
    distance = aside(nearest)
    flat = back[:2]
    level, rise = float(flat @ flat), float(back[2])
    if abs(rise) > 1e-6:
        one, other = (delta[:, 2] - half_mm) / rise, (delta[:, 2] + half_mm) / rise
        within = np.clip(delta[:, :2] @ flat / max(level, 1e-9), np.minimum(one, other), np.maximum(one, other))
        own = aside(within)
        better = own < distance
        distance, nearest = np.where(better, own, distance), np.where(better, within, nearest)
    return distance, nearest
