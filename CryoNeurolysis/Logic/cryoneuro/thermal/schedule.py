"""What a probe's surface does over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model import ProbeModel, Protocol, ProtocolStep, StepKind


@dataclass(frozen=True)
class Drive:
    """One step of a schedule with its place in time."""

    start_s: float
    end_s: float
    step: ProtocolStep


def timeline(protocol: Protocol, start_s: float = 0.0) -> tuple[Drive, ...]:
    """The protocol's steps one after the other, the first one at start_s."""
    rows = []
    start = start_s
    for step in protocol.steps:
        rows.append(Drive(start, start + step.duration_s, step))
        start += step.duration_s
    return tuple(rows)


def active_drive(drives: tuple[Drive, ...], time_s: float) -> Drive | None:
    """The step that begins at or holds a time; None before the first and after the last one."""
    for drive in drives:
        if drive.start_s - 1e-6 <= time_s < drive.end_s - 1e-6:
            return drive
    return None


def set_temperature_c(probe: ProbeModel, step: ProtocolStep, body_c: float) -> float | None:
    """Temperature that the surface goes to in a step; None when the probe is off. A probe without active thaw is off in
    that step. Duty lowers the set temperature's distance from the body."""
    if step.kind is StepKind.PASSIVE_THAW:
        return None
    if step.kind is StepKind.ACTIVE_THAW:
        return probe.active_thaw_c
    if step.kind is StepKind.HOLD:
        return step.temperature_c
    return body_c + (probe.tip_temperature_c - body_c) * step.duty_percent / 100.0


def share_of_way(probe: ProbeModel, since_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far the surface has come (N,), 0 to 1, at N times since a step began."""
    if probe.cool_down:
        times, shares = (np.array(x) for x in zip(*probe.cool_down, strict=True))
        result: npt.NDArray[np.float64] = np.interp(since_s, times, shares, left=0.0)
        return result
    return -np.expm1(-np.asarray(since_s, float) / probe.cool_down_s)


def probe_drive(
    probe: ProbeModel, drive: Drive, times_s: npt.ArrayLike, before_c: float, body_c: float
) -> npt.NDArray[np.float64]:
    """Surface temperature of the cold part at times (N,) within a step, C; NaN when the probe is off.

    Args:
        before_c: surface temperature when the step began.
    """
    times = np.atleast_1d(np.asarray(times_s, float))
    target = set_temperature_c(probe, drive.step, body_c)
    if target is None:
        return np.full(times.shape, np.nan)
    return before_c + (target - before_c) * share_of_way(probe, times - drive.start_s)
