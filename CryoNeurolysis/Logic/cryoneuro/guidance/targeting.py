"""The probe as it lies against the probe as planned: errors, what is still to go, the correction, the plan with the real pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..imaging import sample
from ..knowledge import constant
from ..knowledge import nerve as nerve_record
from ..model import (
    Alignment,
    Anatomy,
    Clearance,
    FoundProbe,
    GuidanceError,
    Plan,
    PlannedProbe,
    TargetingError,
    Trajectory,
    moved,
)
from ..planning import exact_clearances
from .sides import SIDES

Array = npt.NDArray[np.float64]
_STEP_MM = 0.5
_FARTHEST_SKIN_MM = 300.0
_LEAST_MM = 1.0
"""What a person can place or read at the console; smaller corrections are not named."""


def in_plan_frame(found: FoundProbe, alignment: Alignment) -> tuple[Array, Array]:
    """Tip (3,) and unit direction (3,) of a found probe in the planning CT's frame."""
    back = alignment.live_to_plan
    return moved(back, found.tip_ras_mm), back[:3, :3] @ found.direction_ras


def targeting_error(planned: PlannedProbe, found: FoundProbe, alignment: Alignment, anatomy: Anatomy) -> TargetingError:
    """How a found probe lies against its plan.

    Raises:
        GuidanceError: the probe does not reach into the body.
    """
    tip, direction = in_plan_frame(found, alignment)
    wanted = planned.trajectory
    off = tip - wanted.tip_ras_mm
    depth = float(off @ wanted.direction_ras)
    lateral = float(np.linalg.norm(off - depth * wanted.direction_ras))
    angle = float(np.rad2deg(np.arccos(np.clip(direction @ wanted.direction_ras, -1.0, 1.0))))
    to_go = float(-off @ direction)
    miss = off + to_go * direction
    sigma = float(np.hypot(found.tip_sigma_mm, alignment.sigma_mm))
    entry = skin_crossing(anatomy, tip, direction)
    number = found.planned or 0
    deep = f"{abs(depth):.1f} mm too {'deep' if depth > 0 else 'shallow'}"
    sentence = (
        f"Probe {number + 1}: tip {np.linalg.norm(off):.1f} mm from the plan ({lateral:.1f} mm aside, {deep}, "
        f"{angle:.1f} degrees off; known to {sigma:.1f} mm)."
    )
    if not found.tip_in_view:
        sentence += " Its tip lies outside the scan; it is taken to be no deeper than the scan shows."
    correction = _correction(entry, tip, direction, wanted.tip_ras_mm, to_go, miss)
    return TargetingError(
        number,
        float(np.linalg.norm(off)),
        lateral,
        depth,
        angle,
        to_go,
        float(np.linalg.norm(miss)),
        sigma,
        sentence,
        correction,
    )


def skin_crossing(anatomy: Anatomy, tip_ras_mm: Array, direction_ras: Array) -> Array:
    """Where a probe's axis leaves the body behind its tip (3,), RAS mm.

    Raises:
        GuidanceError: the tip lies outside the body.
    """
    back = np.arange(0.0, _FARTHEST_SKIN_MM, _STEP_MM)
    points = tip_ras_mm - back[:, None] * direction_ras
    inside = sample(anatomy.body_kji.view(np.uint8), anatomy.geometry, points, 1, outside=0.0) > 0.5
    # A tip that just scratches the grid's edge of the skin is inside all the same.
    if not inside[:5].any():
        place = ", ".join(f"{v:.0f}" for v in tip_ras_mm)
        raise GuidanceError(f"The tip of the probe at ({place}) mm RAS of the planning CT lies outside the body.")
    outside = np.flatnonzero(~inside)
    outside = outside[outside > int(np.argmax(inside))]
    # Gas within the body counts as body; the first place outside is the skin.
    last = int(outside[0]) if len(outside) else len(back) - 1
    result: Array = points[max(last - 1, 1)]
    return result


def placed_plan(
    plan: Plan, anatomy: Anatomy, found: Sequence[FoundProbe], alignment: Alignment
) -> tuple[Plan, tuple[str, ...]]:
    """The plan with its probes where they lie, clearances of the real shafts, and what has to be said of it.

    A probe that is not seen stays where it was planned, and that is said. Nobody has approved the new plan.

    Raises:
        GuidanceError: a probe does not reach into the body.
    """
    by_number = {f.planned: f for f in found if f.planned is not None}
    probes, notes = [], []
    for number, planned in enumerate(plan.probes):
        seen = by_number.get(number)
        if seen is None:
            notes.append(f"Probe {number + 1} is not seen in this scan; it is taken to lie as planned.")
            probes.append(planned)
            continue
        tip, direction = in_plan_frame(seen, alignment)
        if not seen.tip_in_view:
            # It goes on beyond the last slice; the planned depth is the best guess where it lies farther in.
            tip = tip + max(float((planned.trajectory.tip_ras_mm - tip) @ direction), 0.0) * direction
            notes.append(f"The tip of probe {number + 1} is not in the scan; the planned depth is taken.")
        probes.append(replace(planned, trajectory=Trajectory(skin_crossing(anatomy, tip, direction), tip)))
    strangers = sum(f.planned is None for f in found)
    if strangers:
        notes.append(f"{strangers} other straight metal instrument(s) lie near the plan.")
    record = nerve_record(plan.nerve.target_id)
    worst: dict[str, Clearance] = {}
    for item in probes:
        for c in exact_clearances(
            anatomy, plan.nerve, item.trajectory, 0.5 * item.probe.diameter_mm, plan.limits, record
        ):
            if c.structure not in worst or c.slack_mm < worst[c.structure].slack_mm:
                worst[c.structure] = c
    clearances = tuple(sorted(worst.values(), key=lambda c: (not c.unknown, c.slack_mm)))
    placed = replace(
        plan,
        probes=tuple(probes),
        clearances=clearances,
        explanation=("Probes as they lie in a live scan.", *notes),
        approved_by="",
    )
    return placed, tuple(notes)


def _correction(entry: Array, tip: Array, direction: Array, wanted: Array, to_go: float, miss: Array) -> str:
    """What to do with the probe, in the angles and lengths of the console."""
    gap = float(np.linalg.norm(miss))
    advance = f"{'Advance' if to_go > 0 else 'Draw back'} {abs(to_go):.0f} mm"
    if gap <= max(constant("targeting_error_sigma_mm"), _LEAST_MM):
        if abs(to_go) < _LEAST_MM:
            return "The tip lies where it was planned."
        return f"{advance} along the present path."
    ideal = wanted - entry
    depth = float(np.linalg.norm(ideal))
    if depth < 1.0:
        return f"{advance}."
    ideal = ideal / depth
    parts = []
    turn = _axial_deg(ideal) - _axial_deg(direction)
    turn = (turn + 180.0) % 360.0 - 180.0
    if abs(turn) >= 0.5:
        # The way the tip moves when the probe turns about the head-feet axis.
        across = np.cross([0.0, 0.0, 1.0], direction)
        side = float(across[0]) * turn
        if abs(across[0]) >= abs(across[1]):
            where = "patient's right" if side > 0 else "patient's left"
        else:
            where = "front" if float(across[1]) * turn > 0 else "back"
        parts.append(f"{abs(turn):.0f} degrees toward the {where} in the axial plane")
    tilt = float(np.rad2deg(np.arcsin(np.clip(ideal[2], -1, 1)) - np.arcsin(np.clip(direction[2], -1, 1))))
    if abs(tilt) >= 0.5:
        parts.append(f"{abs(tilt):.0f} degrees toward the {'head' if tilt > 0 else 'feet'}")
    words = " and ".join(parts) or f"{gap:.0f} mm aside"
    out = float(np.linalg.norm(tip - entry))
    return (
        f"On its present path the tip passes the target {gap:.0f} mm aside ({_sides(-miss)} is where it should go). Draw back "
        f"{max(out - 10.0, 0.0):.0f} mm to just under the skin, turn the tip {words}, and advance to a depth of {depth:.0f} mm."
    )


def _axial_deg(direction: Array) -> float:
    return float(np.rad2deg(np.arctan2(direction[1], direction[0])))


def _sides(offset: Array) -> str:
    """A displacement in words, its two largest parts."""
    order = sorted(range(3), key=lambda n: -abs(offset[n]))
    parts = [
        f"{abs(offset[n]):.0f} mm toward the {SIDES[n][0] if offset[n] > 0 else SIDES[n][1]}"
        for n in order[:2]
        if abs(offset[n]) >= _LEAST_MM
    ]
    return " and ".join(parts) or f"{np.linalg.norm(offset):.0f} mm"
