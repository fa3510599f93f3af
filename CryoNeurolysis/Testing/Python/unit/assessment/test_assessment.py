"""The verdict on fields whose answer is known beforehand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.assessment import assess, neighbor_band_mm
from cryoneuro.assessment.nerve_dose import nerve_dose
from cryoneuro.assessment.regrowth import regrowth
from cryoneuro.imaging import working_geometry
from cryoneuro.knowledge import nerve
from cryoneuro.model import Anatomy, Case, Nerve, Plan, Status, ThermalRun, Verdict


def ball_run(center, slope: float = 10.0, cold: float = -100.0, size: float = 30.0) -> ThermalRun:
    """A field that rises by `slope` C/mm from `cold` at the center to 37 C."""
    center = np.asarray(center, float)
    geometry = working_geometry(center - size, center + size, 1.0)
    ijk = np.indices(geometry.shape_kji)[::-1].reshape(3, -1).T
    distance = np.linalg.norm(geometry.ijk_to_ras_mm(ijk) - center, axis=1).reshape(geometry.shape_kji)
    field = np.minimum(cold + slope * distance, 37.0).astype(np.float32)
    isotherms = np.array([0.0, -20.0, -40.0])
    below = np.stack([(field <= i) * np.float32(100.0) for i in isotherms])
    return ThermalRun(geometry, np.array([0.0, 100.0]), np.stack([field, field]), field, isotherms, below, True, ())


def straight(center, length: float = 40.0, radius: float = 1.0) -> Nerve:
    half = np.array([0, 0, 0.5 * length])
    return Nerve("nerve", "intercostal", np.stack([center - half, center + half]), radius, 0.0, "test")


def test_treated_length_of_a_ball() -> None:
    """-20 C lies 8 mm from the center; a nerve of radius 1 through it is wholly inside over 2 sqrt(64 - 1)."""
    center = np.array([5.0, -10.0, 20.0])
    dose = nerve_dose(ball_run(center), straight(center))
    assert dose.treated_length_mm(-20.0) == pytest.approx(2 * np.sqrt(63), abs=1.0)
    assert dose.core_c.min() == pytest.approx(-100, abs=3)
    assert dose.section_c.min() == pytest.approx(-90, abs=3)
    assert dose.innermost_c.min() <= dose.core_c.min() + 1e-6


def test_treated_length_is_in_one_piece() -> None:
    dose = nerve_dose(ball_run(np.zeros(3)), straight(np.zeros(3)))
    broken = replace(dose, section_c=np.where(np.abs(dose.distance_mm - 20) < 1, 0.0, dose.section_c))
    assert broken.treated_length_mm(-20.0) < 0.5 * dose.treated_length_mm(-20.0)
    assert dose.treated_length_mm(-300.0) == 0.0


def test_outside_the_box_it_is_body_warm() -> None:
    dose = nerve_dose(ball_run(np.zeros(3)), straight(np.zeros(3)), (500.0, 0, 0))
    assert (dose.section_c == 37).all() and dose.treated_length_mm(-20.0) == 0.0


def synthetic(
    case: Case, cold: float = -90.0, slope: float = 12.0, unknown: tuple[str, ...] = ()
) -> tuple[Anatomy, Plan, ThermalRun]:
    assert case.anatomy is not None and case.plan is not None
    plan = replace(case.plan, unknown=unknown, nerve=replace(case.plan.nerve, sigma_mm=0.0))
    center = plan.nerve.at(0.5 * plan.nerve.arc_length_mm[-1])[0]
    return case.anatomy, plan, ball_run(center, slope, cold)


def test_a_warm_nerve_is_not_treated(planned_case: Case) -> None:
    result = assess(*synthetic(planned_case, cold=-15.0))
    assert result.verdict is Verdict.NOT_TREATED
    assert result.finding("nerve.treated_length").status is Status.STOP
    assert "not treated" in result.sentence


def test_ice_in_the_lung_is_unsafe(planned_case: Case) -> None:
    """-60 C over 30 mm reaches the lung behind the rib."""
    result = assess(*synthetic(planned_case, cold=-100.0, slope=2.5))
    assert result.verdict is Verdict.UNSAFE
    assert result.finding("guard.lung_left").status is Status.STOP
    assert result.finding("guard.lung_left").slack < 0  # type: ignore[operator]


def test_what_must_be_known_blocks_the_verdict(planned_case: Case) -> None:
    result = assess(*synthetic(planned_case, unknown=("kidney",)))
    assert result.verdict is Verdict.UNKNOWN
    assert result.finding("unknown.kidney").value is None
    assert "kidney" in result.sentence


def test_an_unfinished_run_is_unknown(planned_case: Case) -> None:
    anatomy, plan, run = synthetic(planned_case)
    assert assess(anatomy, plan, replace(run, complete=False)).verdict is Verdict.UNKNOWN


def test_bands_of_moved_cold_hold_the_value_and_bad_ones_warn(planned_case: Case) -> None:
    bad = 0
    for cold in (-60.0, -73.0, -74.0, -75.0, -90.0):
        for f in assess(*synthetic(planned_case, cold, 6.0)).findings:
            if f.low is not None and f.high is not None and f.value is not None and not f.id.startswith("chance."):
                assert f.low - 1e-6 <= f.value <= f.high + 1e-6, f.id
            if f.id.startswith("guard.") and f.low is not None and f.stop is not None and f.value is not None:
                crossed = f.low < f.stop <= f.value
                assert not crossed or f.status is Status.WARNING, f.id
                bad += crossed and f.warning is not None and f.value >= f.warning
    assert bad, "a neighbor that is only reached by cold that lies off"
    assert neighbor_band_mm() == pytest.approx(np.hypot(2.3, 3.6))


def test_guard_of_a_structure_is_its_coldest_wall(planned_case: Case) -> None:
    anatomy, plan, run = synthetic(planned_case)
    result = assess(anatomy, plan, run)
    kji = np.argwhere(anatomy.structure("bone").mask_kji)
    steps = 0.5 * anatomy.geometry.spacing_mm[0] * np.concatenate([np.eye(3), -np.eye(3)])
    points = (anatomy.geometry.ijk_to_ras_mm(kji[:, ::-1])[:, None] + steps).reshape(-1, 3)
    center = plan.nerve.at(0.5 * plan.nerve.arc_length_mm[-1])[0]
    wanted = min(37.0, -90 + 12 * np.linalg.norm(points - center, axis=1).min())
    assert result.finding("guard.bone").value == pytest.approx(wanted, abs=3.0)


def test_findings_come_worst_first(assessed_case: Case) -> None:
    assert assessed_case.assessment is not None
    order = [Status.STOP, Status.UNKNOWN, Status.WARNING, Status.OK]
    ranks = [order.index(f.status) for f in assessed_case.assessment.findings]
    assert ranks == sorted(ranks)


def test_what_series_report_is_a_band_in_days(planned_case: Case) -> None:
    anatomy, plan, run = synthetic(planned_case)
    plan = replace(plan, nerve=replace(plan.nerve, target_id="pudendal"))
    finding = assess(anatomy, plan, run).finding("nerve.regrowth")
    assert (finding.low, finding.high) == (8 * 365.25 / 12, 12 * 365.25 / 12)
    assert "reported to last 8 to 12 months (low confidence: " in finding.sentence


def test_regrowth_over_a_known_distance_is_a_band_in_days() -> None:
    record = replace(nerve("pudendal"), regrowth_distance_mm=(100.0, 200.0))
    finding = regrowth(record, "Pudendal nerve")
    assert finding is not None and (finding.low, finding.high) == (100 / 2.0, 200 / 0.5)
    assert regrowth(replace(record, regrowth_distance_mm=None, recovery_months=None), "Pudendal nerve") is None
