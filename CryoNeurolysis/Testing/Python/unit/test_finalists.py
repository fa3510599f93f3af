"""Finalists frozen in a preview and ranked by geometry and ice together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.assessment import dose_chance
from cryoneuro.finalists import Finalist
from cryoneuro.knowledge import constant
from cryoneuro.model import Case, PlanningError
from cryoneuro.pipeline import Request, compare_step, plan_step


@pytest.fixture(scope="module")
def rows(planned_case: Case) -> tuple[Finalist, ...]:
    return compare_step(planned_case, Request("intercostal"), 4)


def test_best_first_and_each_a_path_of_its_own(rows) -> None:
    assert [f.cost for f in rows] == sorted(f.cost for f in rows) and len(rows) == 4
    tips = [f.plan.probes[0].trajectory.tip_ras_mm for f in rows]
    assert min(np.linalg.norm(a - b) for n, a in enumerate(tips) for b in tips[:n]) >= 1.5
    assert sorted(f.rank for f in rows) == [1, 2, 3, 4]
    assert all(f.treated_mm > 0 and f.neighbor for f in rows)


def test_the_plan_is_the_best_of_them(planned_case: Case) -> None:
    best = compare_step(planned_case, Request("intercostal"), 8)[0]
    assert planned_case.plan is not None
    tip = planned_case.plan.probes[0].trajectory.tip_ras_mm
    assert np.array_equal(best.plan.probes[0].trajectory.tip_ras_mm, tip)
    assert any("by geometry and ice together" in text for text in planned_case.plan.explanation)


def test_what_the_ice_does_can_decide(planned_case: Case) -> None:
    request = Request("intercostal", weights=(("untreated", 1000.0),))
    found = compare_step(planned_case, request, 6)
    wanted_mm = found[0].plan.limits["nerve.treated_length"].warning
    assert min(found[0].treated_mm, wanted_mm) == max(min(f.treated_mm, wanted_mm) for f in found)
    away = compare_step(planned_case, Request("intercostal", weights=(("cold_neighbor", 1000.0),)), 6)
    crowded = [min(2.0, max(0.0, f.neighbor_margin)) for f in away]
    assert crowded[0] == max(crowded) and [f.cost for f in away] == sorted(f.cost for f in away)
    assert [f.rank for f in away] != sorted(f.rank for f in away)


def test_a_preview_does_not_decide_what_it_is_too_coarse_for(planned_case: Case, rows) -> None:
    """What is needed lies within the preview's error of what it found: the plan's own grid is asked."""
    needed_mm = round(rows[0].treated_mm - 0.5 * constant("preview_doubt_mm"), 1)
    near = plan_step(planned_case, Request("intercostal", limits=(("nerve.treated_length", needed_mm),))).plan
    far = plan_step(planned_case, Request("intercostal")).plan
    assert near is not None and far is not None
    assert any("On 1 mm it treats" in text for text in near.explanation)
    assert not any("On 1 mm it treats" in text for text in far.explanation)


def test_several_probes_can_be_asked_for(planned_case: Case) -> None:
    two = plan_step(planned_case, Request("intercostal", probe_count=2)).plan
    assert two is not None and len(two.probes) == 2
    with pytest.raises(PlanningError, match="keep 60 mm"):
        plan_step(planned_case, Request("intercostal", probe_count=2, limits=(("path.probe_gap", 60.0),)))


def test_chance_of_the_dose_grows_with_the_cold(rows) -> None:
    finalist = rows[0]
    run, plan = finalist.run, finalist.plan
    chances = [
        dose_chance(replace(run, coldest_c=(run.coldest_c + shift).astype(np.float32)), plan)
        for shift in (200.0, 20.0, 0.0, -20.0, -300.0)
    ]
    assert chances[0] == 0.0 and chances[-1] == 1.0
    assert chances == sorted(chances) and chances[1] < chances[3]
    assert dose_chance(run, plan, seed=1) == dose_chance(run, plan, seed=1)


def test_chance_of_the_dose_in_a_slab_of_cold_is_that_of_a_normal_error(rows) -> None:
    """Cold on one side of a plane beside the nerve: treated while the nerve stays on that side."""
    from scipy.stats import norm

    finalist = rows[0]
    plan, run = finalist.plan, finalist.run
    axis = plan.probes[0].trajectory.direction_ras
    side = np.cross(axis, plan.nerve.tangent_at(0.5 * float(plan.nerve.arc_length_mm[-1])))
    side /= np.linalg.norm(side)
    k, j, i = np.indices(run.geometry.shape_kji)
    places = run.geometry.ijk_to_ras_mm(np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1))
    across_mm = ((places - plan.nerve.points_ras_mm.mean(axis=0)) @ side).reshape(run.geometry.shape_kji)
    reach = ((plan.nerve.points_ras_mm - plan.nerve.points_ras_mm.mean(axis=0)) @ side).max()
    edge_mm = 4.0
    # -20 C lies at the edge; the nerve must be on the cold side with its whole section somewhere over the needed length.
    slab = np.clip(-20.0 + 30.0 * (across_mm - edge_mm), -150.0, 37.0).astype(np.float32)
    flat = replace(run, coldest_c=slab)
    sigma = np.sqrt(
        constant("targeting_error_sigma_mm") ** 2 + constant("registration_sigma_mm") ** 2 + plan.nerve.sigma_mm**2
    )
    found = dose_chance(flat, plan, draws=1500)
    room = edge_mm - plan.nerve.radius_mm
    # The course is not quite at right angles to the side; its reach bounds what that can change.
    low, high = norm.cdf((room - reach) / sigma), norm.cdf((room + reach) / sigma)
    assert low - 0.04 <= found <= high + 0.04 and high - low < 0.6
