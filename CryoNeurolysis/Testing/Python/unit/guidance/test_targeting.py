"""Errors of a probe that lies somewhere known, told the same however the patient lies; a correction that leads to the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.guidance import placed_plan, targeting_error
from cryoneuro.guidance.targeting import skin_crossing
from cryoneuro.model import Alignment, Case, FoundProbe, GuidanceError, across, moved
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation


def alignment(matrix: np.ndarray) -> Alignment:
    return Alignment(matrix, 0.2, 0.5, 0.0, 0.0, None, 1.0, 20, True, "")


def rigid(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
    matrix[:3, 3] = rng.normal(size=3) * 100
    return matrix


def found_at(tip: np.ndarray, direction: np.ndarray, matrix: np.ndarray, number: int | None = 0) -> FoundProbe:
    ends = moved(matrix, np.stack([tip, tip - 60.0 * direction]))
    return FoundProbe(ends[0], ends[1], number, True, 0.3, 0.2, 2e4)


@given(st.floats(-8, 8), st.floats(0, 8), st.floats(0, 2 * np.pi), st.floats(0.0, 10.0), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_error_is_told_the_same_however_the_patient_lies(
    planned_case: Case, deep: float, aside: float, way: float, tilt: float, seed: int
) -> None:
    assert planned_case.plan is not None and planned_case.anatomy is not None
    planned = planned_case.plan.probes[0]
    d = planned.trajectory.direction_ras
    one, other = across(d)
    out = np.cos(way) * one + np.sin(way) * other
    tip = planned.trajectory.tip_ras_mm + deep * d + aside * out
    turned = Rotation.from_rotvec(np.deg2rad(tilt) * np.cross(d, out)).apply(d)
    move = rigid(seed)
    error = targeting_error(planned, found_at(tip, turned, move), alignment(move), planned_case.anatomy)
    assert error.depth_mm == pytest.approx(deep, abs=1e-6)
    assert error.lateral_mm == pytest.approx(aside, abs=1e-6)
    assert error.tip_mm == pytest.approx(np.hypot(deep, aside), abs=1e-6)
    assert error.angle_deg == pytest.approx(tilt, abs=1e-4)
    # Going on by what is said leaves what is said.
    left = tip + error.to_go_mm * turned - planned.trajectory.tip_ras_mm
    assert np.linalg.norm(left) == pytest.approx(error.miss_mm, abs=1e-6)
    assert abs(float(left @ turned)) < 1e-6


def test_words_lead_to_the_target(planned_case: Case) -> None:
    assert planned_case.plan is not None and planned_case.anatomy is not None
    planned = planned_case.plan.probes[0]
    d, tip = planned.trajectory.direction_ras, planned.trajectory.tip_ras_mm
    still = np.eye(4)

    def words(place: np.ndarray, way: np.ndarray) -> str:
        return targeting_error(planned, found_at(place, way, still), alignment(still), planned_case.anatomy).correction

    assert words(tip, d) == "The tip lies where it was planned."
    assert "Advance 10 mm" in words(tip - 10.0 * d, d)
    assert "Draw back 3 mm" in words(tip + 3.0 * d, d)
    # The tip lies 8 mm too near the head on a path that begins at the planned entry: it has to turn toward the feet.
    high = tip + np.array([0.0, 0.0, 8.0])
    way = (high - planned.trajectory.entry_ras_mm) / np.linalg.norm(high - planned.trajectory.entry_ras_mm)
    said = words(high, way)
    assert "degrees toward the feet" in said and "head" not in said
    # And 8 mm too far aside in the axial plane: it has to turn back to the other side.
    aside = np.cross([0.0, 0.0, 1.0], d)
    aside /= np.linalg.norm(aside)
    for sign in (1.0, -1.0):
        place = tip + 8.0 * sign * aside
        way = (place - planned.trajectory.entry_ras_mm) / np.linalg.norm(place - planned.trajectory.entry_ras_mm)
        said = words(place, way)
        back = -sign * aside
        if abs(aside[0]) >= abs(aside[1]):
            side = "patient's right" if back[0] > 0 else "patient's left"
        else:
            side = "front" if back[1] > 0 else "back"
        assert f"toward the {side} in the axial plane" in said


def test_the_plan_with_the_real_pose(planned_case: Case) -> None:
    assert planned_case.plan is not None and planned_case.anatomy is not None
    plan, anatomy = planned_case.plan, planned_case.anatomy
    planned = plan.probes[0]
    d = planned.trajectory.direction_ras
    one, _ = across(d)
    move = rigid(3)
    tip = planned.trajectory.tip_ras_mm + 2.0 * one
    placed, notes = placed_plan(plan, anatomy, [found_at(tip, d, move)], alignment(move))
    np.testing.assert_allclose(placed.probes[0].trajectory.tip_ras_mm, tip, atol=1e-6)
    assert not notes and not placed.approved_by
    # The entry lies on the skin, as the planned one does.
    gap = np.linalg.norm(placed.probes[0].trajectory.entry_ras_mm - planned.trajectory.entry_ras_mm)
    assert gap < 8.0
    assert placed.clearances and placed.clearances != plan.clearances
    far, notes = placed_plan(plan, anatomy, [found_at(tip, d, move, None)], alignment(move))
    assert far.probes == plan.probes and "not seen" in notes[0] and "other straight metal" in notes[1]
    with pytest.raises(GuidanceError, match="outside the body"):
        skin_crossing(anatomy, planned.trajectory.entry_ras_mm - 40.0 * d, d)


def test_a_tip_beyond_the_last_slice_is_said(planned_case: Case) -> None:
    assert planned_case.plan is not None and planned_case.anatomy is not None
    planned = planned_case.plan.probes[0]
    d, tip = planned.trajectory.direction_ras, planned.trajectory.tip_ras_mm
    still = np.eye(4)
    cut = replace(found_at(tip - 20.0 * d, d, still), tip_in_view=False)
    placed, notes = placed_plan(planned_case.plan, planned_case.anatomy, [cut], alignment(still))
    np.testing.assert_allclose(placed.probes[0].trajectory.tip_ras_mm, tip, atol=1e-6)
    assert "not in the scan" in notes[0]
