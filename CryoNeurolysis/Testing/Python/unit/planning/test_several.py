"""Two to four probes chosen together: apart, confirmed, and better than one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from cryoneuro.anatomy import for_target, propose_nerve
from cryoneuro.finalists import freeze
from cryoneuro.knowledge import nerve, probe, protocol
from cryoneuro.model import Anatomy, ColdProfile, PlanningError
from cryoneuro.planning import exact_clearances, finalists, plan_paths, probes_together, shaft_gap_mm
from cryoneuro.planning.plan import with_probe
from cryoneuro.planning.several import _longest_run
from cryoneuro.thermal import cold_profile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import cKDTree


@pytest.fixture(scope="module")
def planned(phantom_anatomy: Anatomy):
    course = propose_nerve(phantom_anatomy, "intercostal", "left")
    anatomy = for_target(phantom_anatomy, course)
    return anatomy, *plan_paths(anatomy, course, probe("argon_17g_short"), protocol("nerve_3_1_3"))


@pytest.fixture(scope="module")
def alone(planned):
    anatomy, plan, _ = planned
    return freeze(anatomy, plan)


@pytest.fixture(scope="module")
def cold(alone) -> ColdProfile:
    return cold_profile(alone.run, alone.plan.probes[0])


@pytest.mark.parametrize("count", [2, 3])
def test_probes_keep_apart_and_treat_more_together(planned, alone, cold, count: int) -> None:
    anatomy, plan, found = planned
    together = probes_together(anatomy, plan, found, count, cold)
    assert len(together.probes) == count
    gap_mm = plan.limits["path.probe_gap"].stop
    for one, other in combinations(together.probes, 2):
        assert shaft_gap_mm(one.trajectory, other.trajectory) - one.probe.diameter_mm >= gap_mm
    for placed in together.probes:
        rows = exact_clearances(anatomy, plan.nerve, placed.trajectory, 0.75, plan.limits, nerve("intercostal"))
        assert all(c.slack_mm >= 0 for c in rows if not c.unknown)
        worst = {c.structure: c.clearance_mm for c in together.clearances}
        assert all(worst[c.structure] <= c.clearance_mm + 1e-9 for c in rows if not c.unknown)
    assert freeze(anatomy, together).treated_mm > alone.treated_mm + 5.0
    said = next(text for text in together.explanation if "chosen together" in text)
    tips = [p.trajectory.tip_ras_mm for p in together.probes]
    assert f"1 and 2 {np.linalg.norm(tips[0] - tips[1]):.0f} mm" in said


def test_the_choice_is_the_same_every_time(planned, cold) -> None:
    anatomy, plan, found = planned
    one, same = (probes_together(anatomy, plan, found, 2, cold) for _ in range(2))
    for a, b in zip(one.probes, same.probes, strict=True):
        assert np.array_equal(a.trajectory.tip_ras_mm, b.trajectory.tip_ras_mm)


def test_impossible_wishes_are_sentences(planned, cold) -> None:
    anatomy, plan, found = planned
    for count in (1, 5):
        with pytest.raises(PlanningError, match="Two to 4 probes"):
            probes_together(anatomy, plan, found, count, cold)
    with pytest.raises(PlanningError, match="keep 90 mm from one another"):
        from dataclasses import replace

        far = replace(plan, limits=plan.limits.changed({"path.probe_gap": 90.0}))
        probes_together(anatomy, far, found, 2, cold)


def test_the_profile_is_what_the_run_holds_around_the_probe(alone, cold) -> None:
    run, placed = alone.run, alone.plan.probes[0]
    assert (np.diff(cold.distance_mm) > 0).all() and (np.diff(cold.coldest_c) > -1.0).all()
    assert cold.coldest_c[0] < -60 and cold.coldest_c[-1] > 30
    # An independent way: the line of the cold part as many points, the voxels of a shell around it.
    front, back = placed.cold_ends_ras_mm
    line = cKDTree(front + np.linspace(0, 1, 200)[:, None] * (back - front))
    k, j, i = np.indices(run.geometry.shape_kji)
    distance = line.query(run.geometry.ijk_to_ras_mm(np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1)))[0]
    for place_mm in (4.5, 8.5, 14.5):
        shell = run.coldest_c.ravel()[np.abs(distance - place_mm) < 0.5].mean()
        assert shell == pytest.approx(37.0 - cold.drop_c(np.array([place_mm]))[0], abs=1.0)
    assert cold.drop_c(np.array([200.0]))[0] == 0.0


@given(arrays(bool, (5, 12), elements=st.booleans()))
def test_the_longest_run_is_counted_right(cold_sections: np.ndarray) -> None:
    for row, found in zip(cold_sections, _longest_run(cold_sections), strict=True):
        stretches = "".join("x" if c else " " for c in row).split()
        assert found == max([len(s) - 1 for s in stretches], default=0)


def test_of_two_shafts_the_nearer_one_is_said(planned, alone, cold) -> None:
    """Clearances of probes together are those of the shaft that comes nearest, whichever is added first; the added probe's
    tightest place is told."""
    anatomy, plan, found = planned
    second = finalists(anatomy, plan, found, 2)[1][0]
    one = {c.structure: c.slack_mm for c in plan.clearances if not c.unknown}
    other = {c.structure: c.slack_mm for c in second.clearances if not c.unknown}
    assert any(one[s] < other[s] for s in one) and any(one[s] > other[s] for s in one)
    for first, added in ((plan, second), (second, plan)):
        both = with_probe(first, added)
        assert [p.trajectory for p in both.probes] == [first.probes[0].trajectory, added.probes[0].trajectory]
        for clearance in both.clearances:
            if not clearance.unknown:
                assert clearance.slack_mm == min(one[clearance.structure], other[clearance.structure])
        worst = next(c for c in added.clearances if not c.unknown)
        assert both.explanation[:-1] == first.explanation
        assert both.explanation[-1].startswith("Probe 2: The tightest place is " + worst.structure.replace("_", " "))
        assert f"{worst.clearance_mm:.1f} mm clear" in both.explanation[-1]
