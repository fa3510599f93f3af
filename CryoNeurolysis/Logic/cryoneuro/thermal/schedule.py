"""What a probe's surface does over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..knowledge import constant
from ..model import ProbeModel, Protocol, ProtocolStep, StepKind


@dataclass(frozen=True)
class Drive:
    """One step of the schedule with its place in time."""

    start_s: float
    end_s: float
    step: ProtocolStep


def timeline(protocol: Protocol) -> tuple[Drive, ...]:
    """The protocol's steps one after the other."""
    rows = []
    start = 0.0
    for step in protocol.steps:
        rows.append(Drive(start, start + step.duration_s, step))
        start += step.duration_s
    return tuple(rows)


def probe_drive(probe: ProbeModel, drive: Drive, time_s: float, before_c: float) -> float | None:
    """Surface temperature of the cold part at a time within a step, C; None when the probe is off.

    Args:
        before_c: surface temperature when the step began.

    The surface approaches its set temperature exponentially; duty lowers the set temperature's distance from the
    body. A probe without active thaw is off in that step.
    """
    body = constant("body_temperature_c")
    step = drive.step
    if step.kind is StepKind.PASSIVE_THAW:
        return None
    if step.kind is StepKind.ACTIVE_THAW:
        if probe.active_thaw_c is None:
            return None
        target = probe.active_thaw_c
    else:
        target = body + (probe.tip_temperature_c - body) * step.duty_percent / 100.0
    decay = float(np.exp(-(time_s - drive.start_s) / probe.cool_down_s))
    return target + (before_c - target) * decay
