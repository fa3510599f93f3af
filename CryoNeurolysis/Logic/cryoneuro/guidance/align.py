"""Lays the planning CT over a live scan, by bone, and says how far that can be trusted."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..imaging import KeptForArrays
from ..knowledge import constant
from ..model import Alignment, Anatomy, CtVolume, VolumeGeometry, inverse_of, moved
from .live_body import body_of
from .matched import Array, Match, Picture, Samples, match, picture_of
from .rough import coarse, rough_shifts
from .sides import SIDES

_REACH_MM = 130.0
_METAL_HU = 1500.0
_BONE_HU = 160.0
_LEVELS = ((4.0, 3.0), (2.0, 1.5))
"""Grid and blur, mm: first soft tissue and bone together, then bone alone."""

_COARSE_SAMPLES, _FINE_SAMPLES = 15000, 40000
_LEAST_BONE = 400
_PLACE_MM = 36.0
_PLACE_SAMPLES, _MOST_PLACES = 2000, 32
_LEAST_LIKENESS = 0.55
_KEPT: KeptForArrays[object] = KeptForArrays(12)


@dataclass(frozen=True, eq=False)
class _Live:
    """What a live scan gives to be looked for."""

    rough: Samples
    bone: Samples
    soft: Samples


def align(
    plan_ct: CtVolume,
    live_ct: CtVolume,
    target_ras_mm: npt.ArrayLike,
    anatomy: Anatomy | None = None,
    same_frame: bool = True,
    guess: npt.ArrayLike | None = None,
) -> Alignment:
    """Rigid movement of the planning CT onto a live scan, round the target.

    Bone leads: it keeps its shape. Metal and what scatters from it, what lies outside the patient or outside one of the two
    scans do not count. How far places of bone lie off when each is matched alone gives the residual.

    Args:
        target_ras_mm: (3,) in the planning CT's frame.
        anatomy: of the planning CT; tells the patient from the table.
        same_frame: both scans count from the same point (frame of reference); otherwise every shift is tried.
        guess: plan_to_live (4, 4) of the scan before, when there was one.
    """
    target = np.asarray(target_ras_mm, dtype=float)
    start, doubt = _start(plan_ct, live_ct, target, anatomy, same_frame, guess)
    if start is None:
        return _refused(doubt)
    thick = _thickness_mm(live_ct)
    live_target = moved(inverse_of(start), target)
    found: list[Match] = []
    matrix = start
    with ThreadPoolExecutor(max_workers=2 * len(_LEVELS)) as pool:
        lives = [pool.submit(_samples, live_ct, *level, live_target) for level in _LEVELS]
        pictures = [pool.submit(_picture, plan_ct, target, *level, live_ct, thick, anatomy) for level in _LEVELS]
    for number, (made, taken) in enumerate(zip(pictures, lives, strict=True)):
        picture, live = made.result(), taken.result()
        last = number == len(_LEVELS) - 1
        bony = len(live.bone.hu) >= _LEAST_BONE
        chosen = live.bone.thinned(_FINE_SAMPLES) if last and bony else live.rough.thinned(_COARSE_SAMPLES)
        result = match(picture, chosen, matrix, live_target, gain=last)
        matrix = result.live_to_other
        found.append(result)
    return _judged(plan_ct, live_ct, target, live, picture, found, matrix, bony, thick)


def _thickness_mm(ct: CtVolume) -> float:
    return max(ct.geometry.spacing_mm[2], ct.acquisition.slice_thickness_mm or 0.0)


def _start(
    plan_ct: CtVolume,
    live_ct: CtVolume,
    target: Array,
    anatomy: Anatomy | None,
    same_frame: bool,
    guess: npt.ArrayLike | None,
) -> tuple[Array | None, str]:
    """A first live_to_plan (4, 4), or None and why not."""
    if guess is not None and same_frame:
        return inverse_of(guess), ""
    plan = _KEPT.get((plan_ct.array_kji,), ("coarse", plan_ct.geometry.ijk_to_ras.tobytes()), lambda: coarse(plan_ct))
    reach = constant("live_reach_same_frame_mm") if same_frame else None
    shifts = rough_shifts(plan, coarse(live_ct), reach)  # type: ignore[arg-type]
    if not shifts:
        return None, (
            "The live scan shows nothing that the planning CT holds; scan the region of the target, "
            "or choose the patient's planning CT."
        )
    best: list[tuple[float, Array]] = []
    thick = _thickness_mm(live_ct)
    grid_mm, blur_mm = _LEVELS[0]
    for shift, _ in shifts[: 1 if same_frame else None]:
        first = np.eye(4)
        first[:3, 3] = shift
        center = target - shift
        picture = _picture(plan_ct, target, grid_mm, blur_mm, live_ct, thick, anatomy)
        samples = _samples(live_ct, grid_mm, blur_mm, center).rough.thinned(_COARSE_SAMPLES)
        result = match(picture, samples, first, center)
        best.append(
            (result.likeness if result.used > 0.5 * constant("live_least_overlap") else -1.0, result.live_to_other)
        )
    order = sorted(range(len(best)), key=lambda n: -best[n][0])
    if not same_frame and len(order) > 1:
        likely, other = best[order[0]], best[order[1]]
        gap = float(np.linalg.norm(_shift_at(likely[1], target) - _shift_at(other[1], target)))
        if gap > 10.0 and 1.0 - other[0] < constant("live_ambiguity_ratio") * (1.0 - likely[0]):
            return None, (
                f"The live scan fits the planning CT nearly as well in two places {gap:.0f} mm apart, perhaps one vertebra or "
                "one rib off; scan more slices, or in the same frame of reference as the planning CT."
            )
    return best[order[0]][1], ""


def _shift_at(live_to_plan: Array, target: Array) -> Array:
    """Where the target lies in the live scan, less where it lay."""
    result: Array = moved(inverse_of(live_to_plan), target) - target
    return result


def _picture(
    ct: CtVolume,
    target: Array,
    grid_mm: float,
    blur_mm: float,
    live_ct: CtVolume,
    thick_mm: float,
    anatomy: Anatomy | None,
) -> Picture:
    """The planning CT round the target, as sharp as the live scan."""
    unit = live_ct.geometry.ijk_to_ras[:3, :3] / np.array(live_ct.geometry.spacing_mm)
    own = np.array([blur_mm, blur_mm, thick_mm / np.sqrt(12.0)])
    sigma = np.round(np.sqrt((unit**2) @ own**2), 2)
    body = None if anatomy is None else (anatomy.body_kji, anatomy.geometry)
    arrays = (ct.array_kji,) if anatomy is None else (ct.array_kji, anatomy.body_kji)
    key = (target.tobytes(), grid_mm, sigma.tobytes(), ct.geometry.ijk_to_ras.tobytes())
    made = _KEPT.get(arrays, key, lambda: picture_of(ct, target, _REACH_MM, grid_mm, sigma, body))
    assert isinstance(made, Picture)
    return made


def _samples(ct: CtVolume, grid_mm: float, blur_mm: float, center: Array) -> _Live:
    """Places of the live scan: all of the body, bone and what touches it, and soft tissue away from bone."""
    spacing = np.array(ct.geometry.spacing_mm)
    factors = [max(1, round(grid_mm / s)) for s in spacing[:2]]
    whole_body = _KEPT.get((ct.array_kji,), "body", lambda: body_of(ct))
    assert isinstance(whole_body, np.ndarray)
    # Only what lies within reach is looked at, in whole coarse pixels.
    middle = ct.geometry.ras_to_ijk(center)[0, :2]
    n = np.array(ct.geometry.shape_kji[:0:-1])
    first = np.clip(np.floor((middle - _REACH_MM / spacing[:2]) / factors).astype(int) * factors, 0, n)
    last = np.clip(np.ceil((middle + _REACH_MM / spacing[:2]) / factors).astype(int) * factors, 0, n)
    if (last - first < 4 * np.array(factors)).any():
        first, last = np.zeros(2, int), n
    part = (slice(None), slice(first[1], last[1]), slice(first[0], last[0]))
    values = np.maximum(ct.array_kji[part], np.int16(-1024))
    small = sitk.GetArrayFromImage(sitk.BinShrink(sitk.GetImageFromArray(values.astype(np.float32)), [*factors, 1]))
    metal = values > _METAL_HU
    step = spacing[:2] * factors
    sigma = np.sqrt(np.maximum(blur_mm**2 - step**2 / 12.0, 0.0)) / step
    clear = np.clip(small, -200.0, 900.0)
    blurred = np.stack([ndimage.gaussian_filter(plane, sigma[::-1], mode="nearest") for plane in clear])
    body = _shrunk(whole_body[part], factors, small.shape)
    near_metal = _near_metal(metal, factors, small.shape, step)
    usable = body & ~near_metal
    bone = (small > _BONE_HU) & usable
    reach = max(1, round(3.0 / float(step.mean())))
    disk = np.hypot(*np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))) <= reach + 0.3
    # Specks are vessels with contrast, stones or noise.
    bone = np.stack([_specks_off(plane, 20.0 / float(step.prod())) for plane in bone])
    near_bone = np.stack([ndimage.binary_dilation(plane, disk) for plane in bone]) & usable
    soft = (
        usable & ~np.stack([ndimage.binary_dilation(plane, disk, 2) for plane in bone]) & (small > -250) & (small < 250)
    )
    matrix = ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, :3] @ np.array([*(first + 0.5 * (np.array(factors) - 1)), 0.0])
    matrix[:3, :2] *= factors
    geometry = VolumeGeometry(small.shape, matrix)

    def taken(mask: npt.NDArray[np.bool_], reach_mm: float) -> Samples:
        kji = np.argwhere(mask)
        points = geometry.ijk_to_ras_mm(kji[:, ::-1]) if len(kji) else np.empty((0, 3))
        close = np.linalg.norm(points - center, axis=1) <= reach_mm
        kji = kji[close]
        return Samples(points[close], blurred[tuple(kji.T)].astype(float))

    near = _REACH_MM - 10.0
    return _Live(taken(usable, near), taken(near_bone, near), taken(soft, 60.0))


def _shrunk(mask: npt.NDArray[np.bool_], factors: list[int], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """A mask at the middle of every coarse pixel."""
    j, i = (factors[n] // 2 + factors[n] * np.arange(shape[2 - n]) for n in (1, 0))
    result: npt.NDArray[np.bool_] = mask[:, j][:, :, i]
    return result


def _near_metal(
    metal: npt.NDArray[np.bool_], factors: list[int], shape: tuple[int, ...], step: Array
) -> npt.NDArray[np.bool_]:
    """Pixels (coarser) within a few millimeters of metal in their slice; streaks farther away weigh less by themselves."""
    result = np.zeros(shape, bool)
    reach = max(1, round(5.0 / float(step.mean())))
    for k in np.flatnonzero(metal.any(axis=(1, 2))):
        j, i = np.nonzero(metal[k])
        plane = np.zeros(shape[1:], bool)
        plane[np.minimum(j // factors[1], shape[1] - 1), np.minimum(i // factors[0], shape[2] - 1)] = True
        result[k] = ndimage.binary_dilation(plane, iterations=reach)
    return result


def _specks_off(plane: npt.NDArray[np.bool_], least: float) -> npt.NDArray[np.bool_]:
    labels, count = ndimage.label(plane)
    if not count:
        return plane
    keep = np.bincount(labels.ravel()) >= least
    keep[0] = False
    kept: npt.NDArray[np.bool_] = keep[labels]
    return kept


def _judged(
    plan_ct: CtVolume,
    live_ct: CtVolume,
    target: Array,
    live: _Live,
    picture: Picture,
    found: list[Match],
    matrix: Array,
    bony: bool,
    thick_mm: float,
) -> Alignment:
    """How far a match can be trusted, in numbers and words."""
    last = found[-1]
    plan_to_live = inverse_of(matrix)
    live_target = moved(plan_to_live, target)
    steps = _places(picture, live.bone if bony else live.rough.thinned(_FINE_SAMPLES), matrix, live_target)
    residual = float(np.sqrt(np.mean([np.sum(s**2) for s, _ in steps]))) if steps else float("inf")
    # Near places say more of the target than far ones.
    close = np.array([np.exp(-0.5 * (d / 60.0) ** 2) for _, d in steps])
    away = np.array([s for s, _ in steps]).reshape(-1, 3)
    count = float(close.sum()) ** 2 / max(float((close**2).sum()), 1e-9)
    spread = float(np.sqrt((close[:, None] * away**2).sum() / max(float(close.sum()), 1e-9)))
    open_mm = _open_mm(last, picture.geometry.spacing_mm[0])
    # A tenth of the coarsest voxel is what matching by numbers between voxels can promise at best.
    least_mm = 0.1 * max(*live_ct.geometry.spacing_mm, *plan_ct.geometry.spacing_mm)
    parts = (spread / np.sqrt(max(count, 1.0)), open_mm, least_mm)
    sigma = float(np.linalg.norm(parts)) if steps else float("inf")
    shift = float(np.linalg.norm(live_target - target))
    turn = float(np.rad2deg(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1.0) / 2.0, -1.0, 1.0))))
    overlap = found[0].used
    breathing = _breathing(picture, live, matrix, live_target)
    why = _why_not(plan_ct, live_ct, found, steps, residual, sigma, overlap, live_target, thick_mm, turn)
    words = (
        f"The patient lies {shift:.1f} mm and {turn:.1f} degrees from the planning CT at the target; "
        f"{'bone' if bony else 'tissue (hardly any bone is in view)'} fits to {residual:.1f} mm, the target's place is known to "
        f"about {sigma:.1f} mm."
    )
    if breathing is not None and float(np.linalg.norm(breathing)) >= constant("live_breathing_said_mm"):
        words += f" Soft tissue has moved {_directions(breathing)} against bone, by breathing or pressure."
    return Alignment(plan_to_live, residual, sigma, shift, turn, breathing, overlap, len(steps), not why, why or words)


def _places(picture: Picture, bone: Samples, matrix: Array, live_target: Array) -> list[tuple[Array, float]]:
    """How far each place of bone lies off when it is matched alone: shift (3,) and its distance from the target, mm."""
    if not len(bone.hu):
        return []
    cell = np.floor((bone.points_ras_mm - live_target) / _PLACE_MM + 0.5).astype(int)
    cell -= cell.min(axis=0)
    number = np.ravel_multi_index(tuple(cell.T), tuple(cell.max(axis=0) + 1))

    def one(place: int) -> tuple[Array, float] | None:
        own = bone.only(number == place)
        if len(own.hu) < 150:
            return None
        center = own.points_ras_mm.mean(axis=0)
        own = own.thinned(_PLACE_SAMPLES)
        result = match(picture, own, matrix, center, "shift", 6, gain=True)
        if result.used < 0.5 or result.likeness < 0.5:
            return None
        # Along a straight piece of bone a shift changes nothing and says nothing.
        values, vectors = np.linalg.eigh(result.information[3:, 3:])
        known = values > 0.05 * values[-1]
        shift = moved(result.live_to_other, center) - moved(matrix, center)
        shift = vectors[:, known] @ (vectors[:, known].T @ shift)
        return shift, float(np.linalg.norm(center - live_target))

    names, start = np.unique(number, return_index=True)
    # Near places say what matters; far ones cost as much.
    near = np.argsort(np.linalg.norm(bone.points_ras_mm[start] - live_target, axis=1))[:_MOST_PLACES]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return [row for row in pool.map(one, names[near].tolist()) if row is not None]


def _open_mm(result: Match, grid_mm: float) -> float:
    """One sigma of the target's place by what the samples leave open, the worst direction; neighbors repeat each other."""
    information = result.information / result.spread_hu**2 / 8.0
    try:
        covariance = np.linalg.inv(information + 1e-9 * np.eye(6))
    except np.linalg.LinAlgError:
        return float("inf")
    return float(np.sqrt(max(np.linalg.eigvalsh(covariance[3:, 3:])[-1], 0.0)))


def _breathing(picture: Picture, live: _Live, matrix: Array, live_target: Array) -> Array | None:
    """How far soft tissue round the target lies from where bone says, (3,) RAS mm in the live scan; None if unclear."""
    if len(live.soft.hu) < 2000:
        return None
    soft = live.soft.thinned(_COARSE_SAMPLES)
    result = match(picture, soft, matrix, live_target, "shift", 15)
    if result.used < 0.5 or result.likeness < 0.4:
        return None
    shift = np.linalg.inv(result.live_to_other)[:3, :3] @ (
        moved(matrix, live_target) - moved(result.live_to_other, live_target)
    )
    return shift if float(np.linalg.norm(shift)) <= 30.0 else None


def _directions(shift_ras_mm: Array) -> str:
    parts = []
    for value, (plus, minus) in zip(shift_ras_mm, SIDES, strict=True):
        if abs(value) >= 1.0:
            parts.append(f"{abs(value):.0f} mm toward the {plus if value > 0 else minus}")
    return ", ".join(parts) or f"{np.linalg.norm(shift_ras_mm):.0f} mm"


def _why_not(
    plan_ct: CtVolume,
    live_ct: CtVolume,
    found: list[Match],
    steps: list[tuple[Array, float]],
    residual: float,
    sigma: float,
    overlap: float,
    live_target: Array,
    thick_mm: float,
    turn: float,
) -> str:
    """A sentence why the overlay must not be shown; empty when it may."""
    do = "The last good overlay stays."
    if overlap < constant("live_least_overlap"):
        return (
            f"Only {100 * overlap:.0f} % of the live scan lies within the planning CT round the target, too little to place it; "
            f"scan the region of the target. {do}"
        )
    if found[-1].likeness < _LEAST_LIKENESS or not steps:
        return (
            f"The live scan does not look like the planning CT (likeness {found[-1].likeness:.2f} of 1, "
            f"{_LEAST_LIKENESS} is needed); is it the same patient and the same region? {do}"
        )
    if residual > constant("live_residual_stop_mm"):
        return (
            f"The planning CT fits the live scan only to {residual:.1f} mm, more than {constant('live_residual_stop_mm'):g} mm; "
            f"the patient may lie differently. Plan on a new CT. {do}"
        )
    if sigma > constant("live_residual_stop_mm"):
        return (
            f"The live scan shows too little bone to say where the target lies (one sigma {sigma:.1f} mm); "
            f"scan more slices or a larger field. {do}"
        )
    margin = 0.5 * thick_mm + 20.0
    inside = live_ct.geometry.ras_to_ijk(live_target)[0]
    n = np.array(live_ct.geometry.shape_kji[::-1])
    off = np.maximum(np.maximum(-inside, inside - (n - 1)), 0.0) * np.array(live_ct.geometry.spacing_mm)
    if float(off.max()) > margin + 60.0:
        return f"The target lies {off.max():.0f} mm outside the live scan; scan the region of the target. {do}"
    if turn > constant("live_turn_stop_deg"):
        return (
            f"The patient has turned by {turn:.0f} degrees since the planning CT, more than "
            f"{constant('live_turn_stop_deg'):g}; plan on a new CT. {do}"
        )
    return ""


def _refused(sentence: str) -> Alignment:
    nowhere = float("inf")
    return Alignment(np.eye(4), nowhere, nowhere, 0.0, 0.0, None, 0.0, 0, False, sentence)
