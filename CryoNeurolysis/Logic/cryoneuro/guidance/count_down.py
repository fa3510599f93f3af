"""What comes: when the nerve will be treated, when a neighbor's limit will be reached, how cold both become; with a band."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..assessment import NerveDose, neighbor_points, nerve_course_c
from ..imaging import sample
from ..knowledge import constant
from ..model import Anatomy, Countdown, Plan, ThermalRun

Points = tuple[tuple[str, str, npt.NDArray[np.float64]], ...]
Band = tuple[float | None, float | None, float | None]
_COLD_C = 30.0
"""What no run cools below this is not looked at closely."""


@dataclass(frozen=True)
class _Coming:
    """One run read out, times from the start of the freeze."""

    treated_s: float | None
    nerve_c: float
    limits_s: dict[str, float | None]
    coldest_c: dict[str, float]


def count_down(anatomy: Anatomy, plan: Plan, runs: Sequence[ThermalRun], now_s: Sequence[float]) -> Countdown:
    """The countdown from runs of weaker, likeliest and stronger ice.

    Args:
        runs: of the whole protocol; the middle one is the likeliest.
        now_s: how long the freeze has gone on in each.
    """
    neighbors = tuple(neighbor_points(anatomy, runs[len(runs) // 2].geometry))
    with ThreadPoolExecutor(max_workers=len(runs)) as pool:
        read = list(pool.map(lambda run: _read(run, plan, neighbors), runs))
    middle, now = read[len(read) // 2], now_s[len(now_s) // 2]
    treated = _band([_left(r.treated_s, t) for r, t in zip(read, now_s, strict=True)])
    stops = {name: plan.limits.get(f"guard.{group}", "guard.default").stop for name, group, _ in neighbors}
    first, limit = "", _band([None] * len(read))
    for name, _, _ in neighbors:
        own = _band([_left(r.limits_s[name], t) for r, t in zip(read, now_s, strict=True)])
        if own[0] is not None and (limit[0] is None or _key(own) < _key(limit)):
            first, limit = name, own
    nearest = min(middle.coldest_c, key=lambda n: middle.coldest_c[n] - stops[n], default="")
    neighbor_c = _spread([r.coldest_c[nearest] for r in read]) if nearest else (constant("body_temperature_c"),) * 3
    nerve_c = _spread([r.nerve_c for r in read])
    end = max(plan.duration_s - now, 0.0)
    done = treated[1] is not None and treated[1] <= 0.0
    # The next scan may be minutes away: what may be reached before it comes is said now.
    soon = limit[0] is not None and limit[0] <= constant("live_stop_ahead_s")
    parts = [_nerve_words(treated, nerve_c, end)]
    if first:
        parts.append(f"{_name(first).capitalize()} reaches its limit of {stops[first]:g} C {_when(limit)}.")
    elif nearest:
        parts.append(
            f"No neighbor reaches its limit in this protocol; nearest comes {_name(nearest)} with {neighbor_c[1]:.0f} C "
            f"({neighbor_c[0]:.0f} to {neighbor_c[2]:.0f} C)."
        )
    return Countdown(
        treated,
        first,
        limit,
        nerve_c,
        nearest,
        neighbor_c,
        bool(done or soon),
        " ".join(parts),
    )


def _read(run: ThermalRun, plan: Plan, neighbors: Points) -> _Coming:
    times = run.snapshot_times_s
    distance, course = nerve_course_c(run, plan.nerve)
    treat, needed = plan.limits["nerve.coldest"].stop, plan.limits["nerve.treated_length"].stop
    held_s = plan.limits["nerve.time_below"].warning
    # Cold enough is treated only when it has been so for the wanted time.
    below = (course <= treat).astype(float)
    seconds = np.concatenate(
        [np.zeros((1, course.shape[1])), np.cumsum(0.5 * (below[1:] + below[:-1]) * np.diff(times)[:, None], axis=0)]
    )
    lengths = np.array([_dose(distance, held_s - row).treated_length_mm(0.0) for row in seconds])
    body = constant("body_temperature_c")
    limits: dict[str, float | None] = {}
    cold: dict[str, float] = {}
    for name, group, points in neighbors:
        stop = plan.limits.get(f"guard.{group}", "guard.default").stop
        limits[name], cold[name] = None, body
        if not len(points):
            continue
        ever = sample(run.coldest_c, run.geometry, points, 1, outside=body)
        cold[name] = float(ever.min())
        near = points[ever <= min(max(stop, cold[name]) + 5.0, _COLD_C)]
        if cold[name] < stop and len(near):
            values = np.array([float(sample(f, run.geometry, near, 1, outside=body).min()) for f in run.temperature_c])
            limits[name] = _crossing(times, -np.minimum.accumulate(values), -stop)
    return _Coming(_crossing(times, lengths, needed), float(course.min()), limits, cold)


def _dose(distance: npt.NDArray[np.float64], section_c: npt.NDArray[np.float64]) -> NerveDose:
    return NerveDose(distance, section_c, section_c, section_c, np.zeros_like(section_c))


def _crossing(times: npt.NDArray[np.float64], values: npt.NDArray[np.float64], wanted: float) -> float | None:
    """When rising values reach what is wanted, in a straight line between snapshots; None where they never do."""
    reached = np.flatnonzero(values >= wanted)
    if not len(reached):
        return None
    n = int(reached[0])
    if n == 0:
        return float(times[0])
    before, after = float(values[n - 1]), float(values[n])
    part = 1.0 if after == before else (wanted - before) / (after - before)
    return float(times[n - 1] + part * (times[n] - times[n - 1]))


def _left(at_s: float | None, now_s: float) -> float | None:
    return None if at_s is None else at_s - now_s


def _band(values: Sequence[float | None]) -> Band:
    """Soonest, middle one, latest; None is never."""
    known = [v for v in values if v is not None]
    if not known:
        return (None, None, None)
    return (min(known), values[len(values) // 2], max(known) if len(known) == len(values) else None)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return (min(values), values[len(values) // 2], max(values))


def _key(band: Band) -> float:
    return band[1] if band[1] is not None else (band[0] or 0.0) + 1e6


def _name(structure: str) -> str:
    return structure.replace("_", " ")


def _nerve_words(treated: Band, nerve_c: tuple[float, float, float], end_s: float) -> str:
    ends = f"its coldest cross-section ends at {nerve_c[1]:.0f} C ({nerve_c[0]:.0f} to {nerve_c[2]:.0f} C)"
    if treated[1] is not None and treated[1] <= 0.0:
        return f"The nerve has been treated over the length and the time that are needed; {ends}."
    if treated[0] is None:
        return f"The nerve will not be treated in the {end_s / 60:.0f} min that are left; {ends}."
    if treated[1] is None:
        return f"The nerve may be treated, but likelier not, in the {end_s / 60:.0f} min that are left; {ends}."
    return f"The nerve will be treated {_when(treated)}; {ends}."


def _when(band: Band) -> str:
    """A time to come in words, with its band."""
    soonest, middle, latest = band
    if middle is not None and middle <= 0.0:
        return "now: it has been reached"
    low = f"{max(soonest or 0.0, 0.0) / 60:.1f}"
    high = "never" if latest is None else f"{max(latest, 0.0) / 60:.1f}"
    if middle is None:
        return f"perhaps in {low} min, perhaps never"
    return f"in {middle / 60:.1f} min ({low} to {high})"
