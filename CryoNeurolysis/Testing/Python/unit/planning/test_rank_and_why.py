"""Moving weights, the paths that nothing beats, and why not here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.anatomy import for_target, propose_nerve
from cryoneuro.imaging.phantom import Phantom
from cryoneuro.knowledge import limits_for, nerve, probe, protocol, tissues
from cryoneuro.model import (
    Anatomy,
    CandidateSet,
    Case,
    Limits,
    PlanningError,
    TissueMap,
    never_cancelled,
    no_progress,
)
from cryoneuro.pipeline import Request, new_case, plan_step, why_step
from cryoneuro.planning import (
    accepted,
    pareto_front,
    plan_paths,
    ranked,
    skin_map,
    tried_paths,
    why_not,
    with_columns,
)
from cryoneuro.planning.candidates import Candidates
from cryoneuro.planning.explain import explain_failure
from cryoneuro.planning.sweep import sweep
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays


@pytest.fixture(scope="module")
def phantom_case_anatomy(phantom: Phantom, phantom_anatomy: Anatomy) -> Case:
    return replace(new_case(phantom.ct), anatomy=phantom_anatomy)


@pytest.fixture(scope="module")
def found(phantom_anatomy: Anatomy) -> CandidateSet:
    course = propose_nerve(phantom_anatomy, "intercostal", "left")
    _, result = plan_paths(
        for_target(phantom_anatomy, course), course, probe("argon_17g_short"), protocol("nerve_3_1_3")
    )
    return result


def a_set(slack: np.ndarray, criteria: np.ndarray) -> CandidateSet:
    count = len(slack)
    entry = np.column_stack([np.arange(count) * 10.0, np.zeros(count), np.zeros(count)])
    names = tuple(f"clearance.{n}" for n in range(slack.shape[1]))
    kinds = tuple(f"c{n}" for n in range(criteria.shape[1]))
    tip = entry + np.array([0.0, 50.0, 0.0])
    return ranked(CandidateSet(entry, tip, names, slack, kinds, criteria, np.ones(len(kinds)), np.empty(0, np.int64)))


def test_ranking_again_with_the_same_weights_changes_nothing(found: CandidateSet) -> None:
    assert np.array_equal(ranked(found).order, found.order)
    assert set(found.order) == set(accepted(found))


@pytest.mark.parametrize("name", ["length", "tilt", "clearance"])
def test_a_criterion_that_counts_alone_is_best_at_the_first_path(found: CandidateSet, name: str) -> None:
    alone = dict.fromkeys(found.criterion_ids, 0.0) | {name: 1.0}
    again = ranked(found, alone)
    column = found.criteria[:, found.criterion_ids.index(name)]
    assert abs(column[again.order[0]] - column[accepted(found)].min()) < 1e-6
    assert (np.diff(np.rint(column[again.order] * 1e6)) >= 0).all()
    assert np.array_equal(again.slack, found.slack)


def test_weights_that_mean_nothing_are_refused(found: CandidateSet) -> None:
    with pytest.raises(PlanningError, match="No criterion is called 'beauty'"):
        ranked(found, {"beauty": 1.0})
    with pytest.raises(PlanningError, match="must be 0 or more"):
        ranked(found, {"length": -1.0})
    with pytest.raises(PlanningError, match="All weights are 0"):
        ranked(found, dict.fromkeys(found.criterion_ids, 0.0))


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, (25, 3), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])))
def test_the_front_is_what_nothing_beats(criteria: np.ndarray) -> None:
    slack = np.ones((25, 2))
    slack[3:6] = -1.0
    made = a_set(slack, criteria)
    front = set(pareto_front(made))
    for n in accepted(made):
        others = made.criteria[accepted(made)]
        beaten = ((others <= made.criteria[n]).all(axis=1) & (others < made.criteria[n]).any(axis=1)).any()
        alike = [m for m in front if np.array_equal(made.criteria[m], made.criteria[n])]
        assert len(alike) == (0 if beaten else 1)
    assert not front & {3, 4, 5}
    assert made.order[0] in front


def test_the_map_shows_the_best_of_every_place(found: CandidateSet) -> None:
    places = skin_map(found)
    passing = np.zeros(len(found), bool)
    passing[accepted(found)] = True
    cost = found.criteria @ found.weights
    for n in range(0, len(places.entry_ras_mm), 37):
        own = np.flatnonzero((found.entry_ras_mm == places.entry_ras_mm[n]).all(axis=1))
        if passing[own].any():
            assert places.cost[n] == cost[own[passing[own]]].min() and places.limit[n] == -1
        else:
            assert np.isnan(places.cost[n]) and places.slack[n] == found.slack[own].min(axis=1).max() < 0
            assert found.slack[places.path[n], places.limit[n]] == places.slack[n]
    assert (places.limit < 0).any() and (places.limit >= 0).any()


def test_why_not_is_true_and_what_it_offers_holds(found: CandidateSet) -> None:
    places = skin_map(found)
    shut = np.flatnonzero(places.limit >= 0)
    for n in shut[:: max(1, len(shut) // 12)]:
        text = why_not(found, places.entry_ras_mm[n])
        assert f"by {-places.slack[n]:.1f}" in text and "The nearest place that holds every limit" in text
        away = np.linalg.norm(places.entry_ras_mm[places.limit < 0] - places.entry_ras_mm[n], axis=1).min()
        assert f"is {away:.0f} mm away" in text
    best = places.entry_ras_mm[int(np.nanargmin(places.cost))]
    assert "number 1 of" in why_not(found, best)
    assert "No path was tried from there" in why_not(found, best + np.array([0.0, 0.0, 900.0]))
    with pytest.raises(PlanningError, match="three numbers"):
        why_not(found, [1.0, 2.0])


def test_without_any_open_place_it_says_what_to_relax() -> None:
    made = a_set(np.array([[2.0, -1.5], [-4.0, 3.0]]), np.zeros((2, 2)))
    text = why_not(made, made.entry_ras_mm[0])
    assert "by 1.5 mm" in text and "if one relaxed the clearance to 1 by 1.5 mm" in text


def test_what_it_says_to_relax_lets_the_path_pass(phantom_anatomy: Anatomy) -> None:
    course = propose_nerve(phantom_anatomy, "intercostal", "left")
    defaults = limits_for(nerve("intercostal"))
    known = for_target(phantom_anatomy, course)
    needle = probe("argon_17g_short")

    def tried(angle_deg: float) -> CandidateSet:
        items = tuple(replace(i, stop=angle_deg) if i.id == "path.skin_angle" else i for i in defaults.items)
        return plan_paths(known, course, needle, protocol("nerve_3_1_3"), Limits(items))[1]

    strict = tried(20.0)
    places = skin_map(strict)
    number = strict.limit_ids.index("path.skin_angle")
    only = [n for n in np.flatnonzero(places.limit == number) if (strict.slack[places.path[n]] < 0).sum() == 1]
    place = only[len(only) // 2]
    relaxed = skin_map(tried(20.0 - places.slack[place] + 0.01))
    same = np.flatnonzero((relaxed.entry_ras_mm == places.entry_ras_mm[place]).all(axis=1))
    assert relaxed.limit[same[0]] == -1


def test_limits_of_one_case_say_so_and_hold(phantom_case_anatomy: Case) -> None:
    request = Request(
        "intercostal", limits=(("path.tilt", 5.0), ("clearance.kidney", 40.0)), weights=(("tilt", 9.0),), probe_count=1
    )
    plan = plan_step(phantom_case_anatomy, request).plan
    assert plan is not None
    assert np.rad2deg(np.arcsin(abs(plan.probes[0].trajectory.direction_ras[2]))) <= 5.0
    tilt, kidney = plan.limits["path.tilt"], plan.limits["clearance.kidney"]
    assert tilt.stop == tilt.warning == 5.0 and "was 40 deg" in tilt.source and not tilt.verified
    assert kidney.stop == kidney.warning == 40.0
    assert all(c.clearance_mm >= 40.0 for c in plan.clearances if c.structure.startswith("kidney"))
    text = " ".join(plan.explanation)
    assert "limit path.tilt 5 deg, usually 40" in text and "Weights given for this case: tilt 9" in text
    with pytest.raises(PlanningError, match=r"No limit is called 'path\.beauty'"):
        plan_step(phantom_case_anatomy, Request("intercostal", limits=(("path.beauty", 1.0),)))


def test_a_group_without_a_limit_of_its_own_gets_one() -> None:
    changed = limits_for(nerve("intercostal")).changed({"clearance.pancreas": 4.0})
    assert changed["clearance.pancreas"].stop == 4.0 and changed["clearance.default"].stop == 2.0
    with pytest.raises(PlanningError, match="needs a number"):
        changed.changed({"path.tilt": float("nan")})


def test_why_in_the_pipeline_knows_the_limits_of_the_case(phantom_case_anatomy: Case) -> None:
    plan = plan_step(phantom_case_anatomy, Request("intercostal", probe_count=1)).plan
    assert plan is not None
    place = tuple(float(v) for v in plan.probes[0].trajectory.entry_ras_mm)
    assert "number 1 of" in why_step(phantom_case_anatomy, Request("intercostal"), place)
    strict = why_step(phantom_case_anatomy, Request("intercostal", limits=(("path.length", 20.0),)), place)
    assert "the path is too long for the probe, by" in strict
    assert "unknown and not safe" not in strict
    lungs = tuple(s for s in phantom_case_anatomy.anatomy.structures if s.group != "lung")
    blind = replace(phantom_case_anatomy, anatomy=replace(phantom_case_anatomy.anatomy, structures=lungs))
    course = tuple(tuple(map(float, point)) for point in plan.nerve.points_ras_mm)
    assert "unknown and not safe: lung" in why_step(blind, Request("intercostal", points_ras_mm=course), place)


def test_limits_that_contradict_each_other_are_named() -> None:
    slack = np.array([[1.0, -2.0, 3.0], [2.0, -1.0, 3.0], [-1.0, 2.0, 3.0], [-3.0, 1.0, 3.0], [-0.5, -0.5, 3.0]])
    found = a_set(slack, np.zeros((5, 1)))
    text = explain_failure(found)
    assert (
        "the clearance to 0 and the clearance to 1 contradict each other here: 2 paths hold the one, 2 the other"
        in text
    )
    never = explain_failure(a_set(slack - np.array([0.0, 0.0, 5.0]), np.zeros((5, 1))))
    assert (
        "No path at all holds the clearance to 2 (the nearest misses by 2.0 mm)" in never and "contradict" not in never
    )
    held = np.array([[1.0, 1.0, -1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
    assert "contradict" not in explain_failure(a_set(held, np.zeros((3, 1))))
    assert "No path at all" not in explain_failure(a_set(held, np.zeros((3, 1))))


def test_columns_join_the_matrix_and_rank_anew(found: CandidateSet) -> None:
    rows = found.order[:5]
    joined = with_columns(found, rows, {"one": ([0.9, 0.1, 0.5, 0.0, 0.3], 100.0), "two": (np.zeros(5), 1.0)})
    assert joined.criterion_ids == (*found.criterion_ids, "one", "two")
    assert list(joined.order) == [3, 1, 4, 2, 0]
    cost = found.criteria[rows] @ found.weights + 100.0 * np.array([0.9, 0.1, 0.5, 0.0, 0.3])
    assert np.allclose(joined.criteria @ joined.weights, cost)
    assert np.array_equal(joined.entry_ras_mm, found.entry_ras_mm[rows])


def test_entries_from_the_table_are_rejected_only_where_the_limit_asks(phantom_case_anatomy: Case) -> None:
    assert phantom_case_anatomy.anatomy is not None
    course = propose_nerve(phantom_case_anatomy.anatomy, "intercostal", "left")
    anatomy, needle = for_target(phantom_case_anatomy.anatomy, course), probe("argon_17g_short")
    usual = limits_for(nerve("intercostal"))
    free = tried_paths(anatomy, course, needle, usual, patient_position="HFS")
    strict = tried_paths(anatomy, course, needle, usual.changed({"path.table": 60.0}), patient_position="HFS")
    way = free.tip_ras_mm - free.entry_ras_mm
    angle = np.rad2deg(np.arccos(way[:, 1] / np.linalg.norm(way, axis=1)))
    column = strict.limit_ids.index("path.table")
    assert np.allclose(strict.slack[:, column], angle - 60.0)
    assert set(strict.order) == {n for n in free.order if angle[n] >= 60.0} and 0 < len(strict.order) < len(free.order)
    with pytest.raises(PlanningError, match="does not say how the patient lies"):
        tried_paths(anatomy, course, needle, usual.changed({"path.table": 60.0}))


def test_what_the_shaft_passes_counts_by_its_share(phantom_case_anatomy: Case) -> None:
    assert phantom_case_anatomy.anatomy is not None
    course = propose_nerve(phantom_case_anatomy.anatomy, "intercostal", "left")
    anatomy = for_target(phantom_case_anatomy.anatomy, course)
    burden = {t.label: t.path_burden for t in tissues()}
    shares = []
    for label in (2, 1, 12):
        filled = replace(anatomy, tissue=TissueMap(np.full(anatomy.geometry.shape_kji, label, np.uint8)))
        entry, tip = np.array([[-60.0, -70.0, 40.0]]), np.array([[-50.0, -60.0, 41.0]])
        paths = Candidates(entry, tip, entry - tip, tip - entry, np.zeros(1))
        found = sweep(
            filled, course, nerve("intercostal"), probe("argon_17g_short"), limits_for(nerve("intercostal")), paths,
            no_progress, never_cancelled,
        )  # fmt: skip
        shares.append(found.criteria[0, found.criterion_ids.index("tissue")])
        assert shares[-1] == pytest.approx(burden[label])
    assert shares == sorted(shares) and shares[0] == 0.0
