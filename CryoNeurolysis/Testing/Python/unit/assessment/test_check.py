"""What a person says before the procedure: findings, limits, nothing assumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryoneuro.assessment import check_findings, high_risk
from cryoneuro.knowledge import checklist, constant
from cryoneuro.model import AssessmentError, BlockRecord, Case, Check, PlanningError, Status, content_hash
from cryoneuro.pipeline import approve_step
from cryoneuro.session import load_case, save_case


def by_name(check: Check, target: str = "celiac_plexus") -> dict[str, Status]:
    return {f.id.removeprefix("check."): f.status for f in check_findings(check, target)}


def test_what_nobody_said_is_unknown() -> None:
    found = by_name(Check())
    assert found["block"] is found["inr"] is found["platelets"] is Status.UNKNOWN
    assert all(found[q.id] is Status.UNKNOWN for q in checklist() if q.id in found)
    assert Status.OK not in found.values() and "anesthetic" not in found
    low = by_name(Check(), "intercostal")
    assert high_risk("celiac_plexus") and not high_risk("lateral_femoral_cutaneous") and low["block"] is Status.UNKNOWN


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [(8, 4, Status.OK), (8, 4.1, Status.STOP), (6, 0, Status.OK), (5, 7, Status.STOP), (0, 0, Status.UNKNOWN)],
)
def test_a_block_counts_from_half_of_the_pain_on(before: float, after: float, status: Status) -> None:
    check = Check(block=BlockRecord("lidocaine", 5.0, "around the crus", before, after))
    assert by_name(check)["block"] is status
    assert ("block_negative" in by_name(check)) == (before == 0)


def test_answers_count_by_what_they_mean() -> None:
    check = Check().answered("infection", True).answered("raynaud", True).answered("pregnancy", False)
    found = by_name(check.answered("pregnancy", True).answered("pregnancy", False))
    assert (found["infection"], found["raynaud"], found["pregnancy"]) == (Status.STOP, Status.WARNING, Status.OK)
    assert next(iter(check_findings(check, "celiac_plexus"))).status is Status.STOP


def test_bleeding_by_the_risk_of_the_puncture() -> None:
    check = Check(inr=2.5, platelets_giga_l=30.0)
    high, low = by_name(check, "celiac_plexus"), by_name(check, "lateral_femoral_cutaneous")
    assert high["inr"] is high["platelets"] is Status.STOP and low["inr"] is low["platelets"] is Status.OK
    assert constant("inr_high_risk") < 2.5 < constant("inr_low_risk")


def test_the_dose_of_the_anesthetic_by_weight() -> None:
    check = Check(anesthetic="lidocaine", anesthetic_percent=2.0, anesthetic_ml=10.0, weight_kg=60.0)
    assert check.anesthetic_mg == 200.0 and by_name(check)["anesthetic"] is Status.OK
    assert by_name(replace(check, weight_kg=40.0))["anesthetic"] is Status.STOP
    assert by_name(replace(check, weight_kg=100.0, anesthetic_ml=16.0))["anesthetic"] is Status.STOP
    assert by_name(replace(check, weight_kg=None))["anesthetic"] is Status.UNKNOWN
    assert by_name(replace(check, anesthetic="ether"))["anesthetic"] is Status.UNKNOWN


@pytest.mark.parametrize(
    "wrong", [{"inr": 0.0}, {"platelets_giga_l": -1.0}, {"weight_kg": float("nan")}, {"anesthetic_percent": 50.0}]
)
def test_values_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(AssessmentError, match="must lie between"):
        Check(**wrong)
    with pytest.raises(AssessmentError, match="0 and 10, but is 11"):
        BlockRecord(pain_before=11.0)


def test_an_approval_knows_what_was_approved_and_is_kept(planned_case: Case, tmp_path: Path) -> None:
    case = approve_step(planned_case, " Dr. A ", "2026-01-01T00:00:00Z")
    assert case.plan is not None and case.check is not None and case.plan.approved_by == "Dr. A"
    assert case.check.approvals[0].content == content_hash(case.plan)
    again = approve_step(case, "Dr. B", "2026-01-02T00:00:00Z")
    assert again.check is not None and [a.who for a in again.check.approvals] == ["Dr. B"]
    check = replace(case.check, inr=1.1, block=BlockRecord("lidocaine", 3.0, "along the rib", 7, 2)).answered(
        "raynaud", False
    )
    save_case(replace(case, check=check), tmp_path / "case")
    found, _ = load_case(tmp_path / "case")
    assert found.check == check
    for broken, who, words in (
        (planned_case, "  ", "needs a name"),
        (replace(planned_case, plan=None), "x", "no plan"),
    ):
        with pytest.raises(PlanningError, match=words):
            approve_step(broken, who, "now")
