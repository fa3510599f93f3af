"""Seen ice against the predicted 0 C surface of the same minute."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging import on_volume
from ..knowledge import constant
from ..model import IceComparison, SeenIce, ThermalRun
from .sides import SIDES


def temperature_at(run: ThermalRun, time_s: float) -> npt.NDArray[np.float32]:
    """Temperature field (k, j, i) of a run at a time, C, in a straight line between its snapshots; held beyond its ends."""
    times = run.snapshot_times_s
    right = int(np.clip(np.searchsorted(times, time_s), 1, len(times) - 1))
    part = np.float32(np.clip((time_s - times[right - 1]) / (times[right] - times[right - 1]), 0.0, 1.0))
    result: npt.NDArray[np.float32] = run.temperature_c[right - 1] + part * (
        run.temperature_c[right] - run.temperature_c[right - 1]
    )
    return result


def compare_ice(seen: SeenIce, run: ThermalRun, time_s: float) -> IceComparison | None:
    """How the two surfaces lie to each other where the scan can tell; None where neither is there.

    Args:
        time_s: of the scan, from the start of the freeze.
    """
    body = constant("body_temperature_c")
    field = on_volume(temperature_at(run, time_s), run.geometry, seen.geometry, body)
    predicted = field < 0.0
    tells = ~seen.blind_kji
    if not predicted.any() and not seen.seen_kji.any():
        return None
    if not predicted.any() or not seen.seen_kji.any():
        missing = "none is seen" if predicted.any() else "none was predicted"
        volume = float(np.count_nonzero(predicted | seen.seen_kji)) * seen.geometry.voxel_volume_mm3 / 1000.0
        far = float("inf")
        there = "predicted" if predicted.any() else "seen"
        return IceComparison(0.0, far, far, far, f"{volume:.1f} mL of ice were {there}, {missing}.")
    both = np.count_nonzero(predicted & seen.seen_kji & tells)
    together = int(np.count_nonzero(predicted & tells)) + int(np.count_nonzero(seen.seen_kji & tells))
    dice = 2.0 * both / max(together, 1)
    spacing = seen.geometry.spacing_mm[0]
    edge_seen, edge_predicted = _edge(seen.seen_kji), _edge(predicted)
    to_seen, to_predicted = (
        ndimage.distance_transform_edt(~edge).astype(np.float32) * np.float32(spacing)
        for edge in (edge_seen, edge_predicted)
    )
    # Only where the scan tells on both sides of an edge.
    clear = ndimage.binary_erosion(tells, iterations=2)
    # Positive where the prediction reaches beyond what is seen.
    beyond_seen = np.where(seen.seen_kji, -to_seen, to_seen)
    from_seen = np.where(predicted, to_predicted, -to_predicted)[edge_seen & clear]
    from_predicted = beyond_seen[edge_predicted & clear]
    short = np.concatenate([from_seen, from_predicted])
    gaps = np.abs(short)
    if not len(gaps):
        return None
    mean, p95, less = float(gaps.mean()), float(np.percentile(gaps, 95)), float(short.mean())
    sentence = f"Seen and predicted ice agree to {mean:.1f} mm on average ({p95:.1f} mm at 95 %, Dice {dice:.2f})."
    if abs(less) >= 0.5 * constant("live_scan_said_mm"):
        sentence += f" {'Less' if less > 0 else 'More'} ice is seen than predicted, by {abs(less):.1f} mm."
    where = _where(edge_predicted & clear, beyond_seen, seen)
    if where:
        sentence += f" It is short toward the {where}."
    return IceComparison(float(dice), mean, p95, less, sentence)


def _edge(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Outermost voxels of a mask."""
    result: npt.NDArray[np.bool_] = mask & ~ndimage.binary_erosion(mask)
    return result


def _where(edge: npt.NDArray[np.bool_], from_seen_mm: npt.NDArray[np.float32], seen: SeenIce) -> str:
    """The side on which seen ice stays behind the prediction by more than is said; empty where it does nowhere."""
    kji = np.argwhere(edge)
    if len(kji) < 20:
        return ""
    gap = from_seen_mm[edge]
    points = seen.geometry.ijk_to_ras_mm(kji[:, ::-1])
    middle = points.mean(axis=0)
    worst, said = constant("live_scan_said_mm"), ""
    for axis in range(3):
        for sign, name in zip((1.0, -1.0), SIDES[axis], strict=True):
            away = points - middle
            side = sign * away[:, axis] > 0.7 * np.linalg.norm(away, axis=1)
            if np.count_nonzero(side) >= 15 and float(np.median(gap[side])) > worst:
                worst = float(np.median(gap[side]))
                said = f"{name} ({worst:.0f} mm)"
    return said
