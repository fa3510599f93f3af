"""Verdict and findings row by row: what decides, and what must never be said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.assessment import assess, dose_chance, varied_surface
from cryoneuro.assessment.assess import _banded, _chance_finding, _measured, _verdict
from cryoneuro.assessment.nerve_dose import nerve_dose
from cryoneuro.knowledge import probe, probes
from cryoneuro.model import Anatomy, Case, Finding, Limit, Plan, Status, ThermalError, ThermalRun, Verdict
from cryoneuro.planning import wilson_interval
from scipy import stats


def finding(finding_id: str, status: Status, value: float | None = 1.0, subject: str = "") -> Finding:
    return Finding(
        finding_id,
        subject or finding_id,
        finding_id,
        "mm",
        value,
        None,
        None,
        None,
        5.0,
        None,
        status,
        f"{finding_id}!",
    )


OK, LOOK, STOP, UNKNOWN = Status.OK, Status.WARNING, Status.STOP, Status.UNKNOWN
# status of treated length, of coldest, of a neighbor, of a path, something unknown, chance treated, chance safe: the verdict
TABLE = [
    (OK, OK, OK, OK, False, 0.95, 0.95, Verdict.TREATED_AND_SAFE),
    (OK, OK, OK, OK, False, None, None, Verdict.TREATED_AND_SAFE),
    (LOOK, OK, OK, OK, False, 0.95, 0.95, Verdict.CAUTION),
    (OK, OK, LOOK, OK, False, 0.95, 0.95, Verdict.CAUTION),
    (OK, OK, OK, OK, False, 0.6, 0.95, Verdict.CAUTION),
    (OK, OK, OK, OK, False, 0.51, 0.51, Verdict.CAUTION),
    (OK, OK, OK, OK, False, 0.49, 0.95, Verdict.LIKELY_NOT_TREATED),
    (LOOK, OK, OK, OK, False, 0.08, None, Verdict.LIKELY_NOT_TREATED),
    (STOP, OK, OK, OK, False, 0.95, 0.95, Verdict.NOT_TREATED),
    (OK, STOP, OK, OK, False, 0.95, 0.95, Verdict.NOT_TREATED),
    (STOP, STOP, OK, OK, False, 0.0, 0.95, Verdict.NOT_TREATED),
    (OK, OK, OK, OK, True, 0.95, 0.95, Verdict.UNKNOWN),
    (STOP, OK, OK, OK, True, 0.95, 0.95, Verdict.UNKNOWN),
    (OK, OK, OK, OK, True, 0.08, 0.95, Verdict.UNKNOWN),
    (OK, OK, STOP, OK, False, 0.95, 0.95, Verdict.UNSAFE),
    (OK, OK, OK, STOP, False, 0.95, 0.95, Verdict.UNSAFE),
    (OK, OK, STOP, OK, True, 0.95, 0.95, Verdict.UNSAFE),
    (STOP, STOP, STOP, STOP, True, 0.0, 0.0, Verdict.UNSAFE),
    (OK, OK, OK, OK, False, 0.95, 0.3, Verdict.UNSAFE),
    (OK, OK, OK, OK, True, 0.95, 0.3, Verdict.UNSAFE),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[-1].value)
def test_verdict_row(planned_case: Case, row) -> None:
    length, coldest, neighbor, path, blind, treated, safe, wanted = row
    plan = planned_case.plan
    assert plan is not None
    rows = [
        finding("nerve.treated_length", length, 7.5),
        finding("nerve.coldest", coldest, -30.0),
        finding("guard.bowel", neighbor, subject="bowel"),
        finding("path.bone", path, subject="bone"),
        *([finding("unknown.kidney", UNKNOWN, None, "kidney")] if blind else []),
    ]
    for what, chance in (("treated", treated), ("safe", safe)):
        if chance is not None:
            rows.append(_chance_finding(plan, what, chance, 64, "runs"))
    verdict, sentence = _verdict(rows, plan)
    assert verdict is wanted
    reached = STOP not in (length, coldest)
    likely = treated is None or treated >= 0.5
    assert sentence.startswith("The nerve is treated over") == (reached and likely), sentence
    assert sentence.startswith("Likely not treated") == (reached and not likely), sentence
    assert ("The nerve is not treated" in sentence) == (not reached)
    if treated is not None:
        low, high = wilson_interval(treated, 64)
        words = f"{100 * treated:.0f} %, 95 % interval {100 * low:.0f} to {100 * high:.0f}"
        assert words in sentence.split(". ")[0], "the chance stands in the headline"
    if safe is not None:
        assert f"{100 * safe:.0f} %" in sentence and ("Likely not safe" in sentence) == (safe < 0.5)
    assert ("kidney" in sentence) == blind
    assert ("Not safe: " in sentence) == (STOP in (neighbor, path))
    assert ("No limit of a neighbor is crossed" in sentence) == (STOP not in (neighbor, path) and not blind)


MOST = Limit("a", "mm", True, 10.0, 5.0, "x", "low", False)


def limit(at_least: bool) -> Limit:
    """Stop at 5, warn at 10 where more is better; stop at 10, warn at 5 where less is."""
    return MOST if at_least else replace(MOST, warning=5.0, stop=10.0, at_least=False)


@pytest.mark.parametrize(
    ("at_least", "value", "low", "high", "wanted"),
    [
        (True, 12.0, 11.0, 13.0, OK),
        (True, 12.0, 6.0, 13.0, OK),
        (True, 12.0, 4.9, 13.0, LOOK),
        (True, 12.0, 0.0, 30.0, LOOK),
        (True, 7.0, 6.0, 8.0, LOOK),
        (True, 4.0, 3.0, 30.0, STOP),
        (False, 3.0, 2.0, 4.0, OK),
        (False, 3.0, 2.0, 9.9, OK),
        (False, 3.0, 2.0, 10.1, LOOK),
        (False, 3.0, -50.0, 4.0, OK),
        (False, 7.0, 6.0, 8.0, LOOK),
        (False, 11.0, 0.0, 12.0, STOP),
    ],
)
def test_measured_row(at_least: bool, value: float, low: float, high: float, wanted: Status) -> None:
    """What holds only in the middle of its band is not simply fine: the end of the band on the bad side counts."""
    found = _measured(limit(at_least), "s", "m", value, low, high, "text")
    assert found.status is wanted and (found.low, found.high) == (low, high)
    assert found.slack == pytest.approx(value - 5.0 if at_least else 10.0 - value)


def test_bands_of_a_sample_are_not_stretched_to_hold_the_plan() -> None:
    assert _banded({"x": (0.0, 1.0, 4.3)}, "x", [5.9, 2.0])[:2] == (0.0, 4.3)
    assert _banded({}, "x", [5.9, 2.0])[:2] == (2.0, 5.9)


def test_interval_is_wilsons() -> None:
    for hits, count in ((5, 64), (0, 64), (64, 64), (24, 64), (1, 8)):
        exact = stats.binomtest(hits, count).proportion_ci(0.95, "wilson")
        assert wilson_interval(hits / count, count) == pytest.approx((exact.low, exact.high), abs=1e-5)
    assert [round(100 * v) for v in wilson_interval(5 / 64, 64)] == [3, 17]


def cold_run(case: Case, isotherms: tuple[float, ...]) -> tuple[Anatomy, Plan, ThermalRun]:
    """-90 C round the nerve's middle, 12 C/mm warmer outward; below each isotherm for as many seconds as it is cold."""
    assert case.anatomy is not None and case.plan is not None
    plan = replace(case.plan, nerve=replace(case.plan.nerve, sigma_mm=0.0))
    center = plan.nerve.at(0.5 * plan.nerve.arc_length_mm[-1])[0]
    from cryoneuro.imaging import working_geometry

    geometry = working_geometry(center - 30.0, center + 30.0, 1.0)
    ijk = np.indices(geometry.shape_kji)[::-1].reshape(3, -1).T
    away = np.linalg.norm(geometry.ijk_to_ras_mm(ijk) - center, axis=1).reshape(geometry.shape_kji)
    field = np.minimum(-90.0 + 12.0 * away, 37.0).astype(np.float32)
    below = np.stack([(field <= c) * np.float32(300.0 + 5.0 * c) for c in isotherms])
    run = ThermalRun(
        geometry, np.array([0.0, 400.0]), np.stack([field, field]), field, np.array(isotherms), below, True, ()
    )
    return case.anatomy, plan, run


@pytest.mark.parametrize("treat_c", [-20.0, -40.0, -25.0])
def test_the_isotherm_that_treats_comes_from_the_limit(planned_case: Case, treat_c: float) -> None:
    """Length, coldest, and the time, which is another one at another isotherm."""
    anatomy, plan, run = cold_run(planned_case, (0.0, -20.0, -25.0, -40.0))
    plan = replace(plan, limits=plan.limits.changed({"nerve.coldest": treat_c}))
    result = assess(anatomy, plan, run)
    held = result.finding("nerve.time_below")
    assert held.value == pytest.approx(300.0 + 5.0 * treat_c, abs=1.0)
    assert f"{treat_c:g} C or colder" in held.sentence
    dose = nerve_dose(run, plan.nerve, treat_c=treat_c)
    assert result.finding("nerve.treated_length").value == dose.treated_length_mm(treat_c)
    assert f"reaches {treat_c:g} C over" in result.finding("nerve.treated_length").sentence


def test_an_isotherm_that_was_not_watched_is_a_sentence(planned_case: Case) -> None:
    anatomy, plan, run = cold_run(planned_case, (0.0, -20.0, -40.0))
    plan = replace(plan, limits=plan.limits.changed({"nerve.coldest": -33.0}))
    with pytest.raises(ThermalError, match=r"did not watch -33 C.*Simulate the plan again"):
        assess(anatomy, plan, run)


def test_without_a_sample_the_chance_comes_from_moving_the_cold(planned_case: Case) -> None:
    """A ball of cold that holds the nerve as planned, and hardly ever when the hand misses by 3.6 mm and more."""
    anatomy, plan, run = cold_run(planned_case, (0.0, -20.0, -40.0))
    result = assess(anatomy, plan, run)
    chance = result.finding("chance.treated")
    assert chance.value == dose_chance(run, plan) < 0.9 and chance.status is Status.WARNING
    assert result.verdict is not Verdict.TREATED_AND_SAFE
    seen = assess(anatomy, plan, run, placed=True)
    assert all(f.id != "chance.treated" for f in seen.findings)


def test_the_sample_spans_what_the_sources_say() -> None:
    for model in probes():
        assert model.temperature_basis and model.surface_span_c is not None, model.id
        coldest, warmest = model.surface_span_c
        assert varied_surface(model, 1.0)[0] == pytest.approx(coldest)
        assert varied_surface(model, -1.0)[0] == pytest.approx(warmest)
        assert varied_surface(model, 0.0) == (pytest.approx(model.tip_temperature_c), pytest.approx(1.0))
    assert varied_surface(probe("icesphere"), -1.2)[0] > -100.0, "a measured probe is reached"
    fitted = replace(probe("icesphere"), surface_span_c=None)
    assert varied_surface(fitted, 1.0)[1] == pytest.approx(1.08)


def test_the_assumed_surface_is_said(assessed_case: Case) -> None:
    assert assessed_case.assessment is not None and assessed_case.plan is not None
    model = assessed_case.plan.probes[0].probe
    said = [s for s in assessed_case.assessment.doubt if s.startswith(f"Taken for {model.name}")]
    assert len(said) == 1 and f"{model.tip_temperature_c:g} C" in said[0] and model.temperature_basis in said[0]
