"""Probe strength, perfusion and time offset from the ice seen so far.

What each scan shows at each place is compared with what a run predicts there: a fall of CT number where it is frozen. Runs at a
few values of strength and perfusion stand for all others (second order in each), so that thousands of combinations cost
nothing. The most likely combination, with the spreads of the data as priors, is the calibration; its curvature is its doubt.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

from ..assessment import Variation, varied_probes, varied_records, varied_surface
from ..imaging import sample
from ..knowledge import constant
from ..model import (
    Anatomy,
    Calibration,
    Cancelled,
    GuidanceError,
    Plan,
    PlannedProbe,
    ProbeModel,
    ThermalRun,
    moved,
    never_cancelled,
)
from ..thermal import TissueBox, placed_protections, simulate_box, tissue_box, watched_c
from .compare_ice import temperature_at
from .seen_ice import FallBlock, distance_from_probes_mm

Array = npt.NDArray[np.float64]
GRID_MM = 2.0
SNAPSHOT_S = 15.0
_MOST_PLACES = 3500
_NEAR_MM = 24.0
_LAYERS = 3
_EDGE_C = 0.7
_OFFSETS_S = np.arange(-60.0, 61.0, 15.0)
_ROBUST = 2.5
_REACH = 2.5
_STEP = 1.2
_RUNS_KEPT = 10
_SLOPE_STEP = 0.05


@dataclass(frozen=True, eq=False)
class IceObservation:
    """What one scan says of ice, thinned so that a day of scans fits in memory.

    Attributes:
        time_s: of the scan, from the start of the freeze as it was said.
        points_ras_mm: (N, L, 3) places in the planning CT's frame: each voxel in layers through its slice.
        fell_hu, expected_hu, sigma_hu: (N,).
        alike: how many neighboring voxels count as one.
    """

    time_s: float
    points_ras_mm: npt.NDArray[np.float32]
    fell_hu: npt.NDArray[np.float32]
    expected_hu: npt.NDArray[np.float32]
    sigma_hu: npt.NDArray[np.float32]
    alike: float


def observation(
    block: FallBlock, probes: Sequence[PlannedProbe], time_s: float, seed: int = 0
) -> IceObservation | None:
    """A scan's places near the probes that can tell; None where there are too few."""
    distance = distance_from_probes_mm(block.geometry, block.alignment, probes)
    kji = np.argwhere((block.expected_hu > 0.0) & (distance < _NEAR_MM))
    if len(kji) < 100:
        return None
    total = len(kji)
    if total > _MOST_PLACES:
        kji = kji[np.random.default_rng(seed).choice(total, _MOST_PLACES, replace=False)]
    step = np.array(block.geometry.spacing_mm)
    count = _LAYERS if step[2] > 2.0 else 1
    layers = (np.arange(count) - 0.5 * (count - 1)) / count
    ijk = kji[:, None, ::-1] + np.stack([0 * layers, 0 * layers, layers], axis=1)[None]
    points = block.geometry.ijk_to_ras_mm(ijk.reshape(-1, 3))
    back = moved(block.alignment.live_to_plan, points).reshape(*ijk.shape)
    where = tuple(kji.T)
    # Thinned places are farther apart, and so less alike.
    alike = max(1.0, block.alike * len(kji) / total)
    return IceObservation(
        time_s,
        back.astype(np.float32),
        block.fell_hu[where],
        block.expected_hu[where],
        block.sigma_hu[where],
        alike,
    )


class Replayed:
    """Runs of a plan with other strengths and perfusions, made once each, for the tissue round its probes as they lie."""

    def __init__(self, anatomy: Anatomy, plan: Plan, cancelled: Cancelled = never_cancelled) -> None:
        self.plan, self._cancelled = plan, cancelled
        snapshots = round(plan.duration_s / SNAPSHOT_S) + 8
        self.box: TissueBox = tissue_box(anatomy, plan, GRID_MM, snapshots)
        self._protections = placed_protections(anatomy, plan, self.box.geometry)
        self._kept: OrderedDict[tuple[float, float], ThermalRun] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, strength: float, perfusion: float) -> ThermalRun:
        """A run of the whole protocol at values in sigmas of their spreads; the last few are kept.

        Raises:
            ThermalError: see thermal.simulate_box.
        """
        key = (round(float(strength), 3), round(float(perfusion), 3))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._made(*key)
        if made.complete:
            with self._lock:
                self._kept[key] = made
                while len(self._kept) > _RUNS_KEPT:
                    self._kept.popitem(last=False)
        return made

    def prepare(self) -> None:
        """Make what recalibration will ask for first, while nobody waits."""
        self.runs(_design(np.zeros(2)))

    def _made(self, strength: float, perfusion: float) -> ThermalRun:
        variation = Variation(
            np.array([strength, 0.0, 0.0, perfusion]), np.zeros((len(self.plan.probes), 3)), np.zeros(2), np.zeros(3)
        )
        return simulate_box(
            self.box,
            varied_probes(self.plan, variation),
            self.plan.protocol,
            SNAPSHOT_S,
            protections=self._protections,
            isotherms_c=watched_c(self.plan),
            records=varied_records(self.box.records, variation),
            cancelled=self._cancelled,
        )

    def runs(self, values: Sequence[tuple[float, float]]) -> list[ThermalRun]:
        """Several runs side by side."""
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            return list(pool.map(lambda v: self.run(v[0], v[1]), values))


def recalibrate(
    replayed: Replayed, observations: Sequence[IceObservation], start: Calibration | None = None
) -> Calibration:
    """The most likely strength, perfusion and time offset from all scans so far.

    Args:
        start: the calibration before; saves a round where little has changed.

    Raises:
        GuidanceError: no observation was given.
    """
    if not observations:
        raise GuidanceError("No scan since the start of the freeze shows the tissue round the probe.")
    last = replayed.plan.duration_s
    # Runs that are there already serve as long as the answer stays within their reach.
    center = np.zeros(2)
    if start is not None and float(np.abs(start.values[:2]).max()) > 0.75 * _STEP:
        center = np.clip(np.round(start.values[:2] / _STEP) * _STEP, -_REACH, _REACH)
    result: optimize.OptimizeResult | None = None
    for attempt in range(3):
        surrogate = _Surrogate(replayed, observations, center, last)
        guess = (np.zeros(3) if start is None else start.values) if result is None else result.x
        result = optimize.least_squares(
            surrogate.residuals,
            np.clip(guess, -2.9, 2.9),
            bounds=([-3.0] * 3, [3.0] * 3),
            jac=surrogate.slopes,
            max_nfev=60,
        )
        moved_by = float(np.abs(result.x[:2] - center).max())
        # Within the runs' own reach their interpolation is good; beyond it they are made anew round the new place.
        if moved_by < 0.75 * _STEP or attempt == 2:
            break
        center = np.clip(np.round(result.x[:2] / _STEP) * _STEP, -_REACH, _REACH)
    assert result is not None
    covariance = np.linalg.inv(result.jac.T @ result.jac + 1e-6 * np.eye(3))
    return calibration_of(result.x, covariance, len(observations), replayed.plan.probes[0].probe)


def calibration_of(values: Array, covariance: Array, scans: int, probe: ProbeModel) -> Calibration:
    """A calibration with its factors and its sentence."""
    strength = varied_surface(probe, float(values[0]))[1]
    perfusion = float(np.exp(constant("perfusion_spread") * values[1]))
    offset = constant("live_clock_sigma_s") * float(values[2])
    sigma = np.sqrt(np.diag(covariance))
    more, less = (varied_surface(probe, float(values[0] + s * sigma[0]))[1] for s in (1.0, -1.0))
    doubt = 50.0 * (more - less)
    sentence = (
        f"From the ice in {scans} scan(s): probe strength {100 * strength:.0f} % of the data's (one sigma {doubt:.0f} %), "
        f"perfusion {perfusion:.1f} times the data's, the freeze began {abs(offset):.0f} s "
        f"{'earlier' if offset > 0 else 'later'} than was said."
    )
    return Calibration(values, covariance, strength, perfusion, offset, scans, sentence)


class _Surrogate:
    """What a place's temperature would be at any strength, perfusion and offset, from five runs."""

    def __init__(
        self, replayed: Replayed, observations: Sequence[IceObservation], center: Array, last_s: float
    ) -> None:
        self.center, self.observations = center, observations
        runs = replayed.runs(_design(center))
        self._fields = []
        body = constant("body_temperature_c")
        for item in observations:
            flat = item.points_ras_mm.reshape(-1, 3).astype(float)
            at_times = []
            for offset in _OFFSETS_S:
                time = float(np.clip(item.time_s + offset, 0.0, last_s))
                at_times.append(
                    [
                        sample(temperature_at(r, time), r.geometry, flat, 1, outside=body).astype(np.float32)
                        for r in runs
                    ]
                )
            self._fields.append(np.array(at_times).reshape(len(_OFFSETS_S), 5, *item.points_ras_mm.shape[:2]))

    def temperature_c(self, number: int, values: Array) -> npt.NDArray[np.float32]:
        """(N, L) at the places of an observation."""
        fields = self._fields[number]
        offset = float(np.clip(constant("live_clock_sigma_s") * values[2], _OFFSETS_S[0], _OFFSETS_S[-1]))
        place = float(np.interp(offset, _OFFSETS_S, np.arange(len(_OFFSETS_S))))
        low = min(int(place), len(_OFFSETS_S) - 2)
        part = np.float32(place - low)
        middle, up, down, more, less = (1.0 - part) * fields[low] + part * fields[low + 1]
        s, p = (values[:2] - self.center) / _STEP
        result: npt.NDArray[np.float32] = (
            middle
            + np.float32(0.5 * s) * (up - down)
            + np.float32(0.5 * s * s) * (up + down - 2.0 * middle)
            + np.float32(0.5 * p) * (more - less)
            + np.float32(0.5 * p * p) * (more + less - 2.0 * middle)
        )
        return result

    def residuals(self, values: Array) -> Array:
        """Misfit of every place, robust, and of the priors, so that half the sum of squares is minus the log likelihood."""
        parts = []
        for number, item in enumerate(self.observations):
            frozen = _frozen(self.temperature_c(number, values)).mean(axis=1)
            off = (item.fell_hu - item.expected_hu * frozen) / item.sigma_hu
            # Streaks and motion are no normal noise: what is far off counts little more than what is off.
            soft = np.sign(off) * _ROBUST * np.sqrt(2.0 * (np.sqrt(1.0 + (off / _ROBUST) ** 2) - 1.0))
            parts.append(soft.astype(float) / np.sqrt(item.alike))
        return np.concatenate([*parts, values])

    def slopes(self, values: Array) -> Array:
        """(M, 3) derivatives of the residuals; the fields are single precision, so by steps that can be seen in them."""
        columns = []
        for n in range(3):
            step = np.zeros(3)
            step[n] = _SLOPE_STEP
            columns.append((self.residuals(values + step) - self.residuals(values - step)) / (2.0 * _SLOPE_STEP))
        return np.stack(columns, axis=1)


def _design(center: Array) -> list[tuple[float, float]]:
    """Strength and perfusion of the runs round a place."""
    steps = ((0.0, 0.0), (_STEP, 0.0), (-_STEP, 0.0), (0.0, _STEP), (0.0, -_STEP))
    return [(float(center[0]) + a, float(center[1]) + b) for a, b in steps]


def _frozen(temperature_c: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    result: npt.NDArray[np.float32] = 1.0 / (1.0 + np.exp(np.clip(temperature_c / np.float32(_EDGE_C), -30.0, 30.0)))
    return result
