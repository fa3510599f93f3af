"""The needle of a block: on the probe's path, or on one of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.knowledge import needle, needles
from cryoneuro.model import Case, KnowledgeError, PlanningError
from cryoneuro.pipeline import block_step, new_case
from cryoneuro.planning import exact_clearances


def test_the_needle_shares_the_way_and_stops_at_the_nerve(planned_case: Case) -> None:
    assert planned_case.plan is not None
    freeze = planned_case.plan.probes[0].trajectory
    path = block_step(planned_case, needle("chiba_22g_150"))
    assert path.shared and np.array_equal(path.trajectory.entry_ras_mm, freeze.entry_ras_mm)
    assert np.allclose(path.trajectory.direction_ras, freeze.direction_ras)
    assert path.trajectory.length_mm < freeze.length_mm
    course = planned_case.plan.nerve.points_ras_mm
    along = planned_case.plan.nerve.at(np.linspace(0, planned_case.plan.nerve.arc_length_mm[-1], 400))
    every = freeze.points_ras_mm(0.05)
    nearest = np.linalg.norm(every[:, None] - along[None], axis=2).min()
    assert path.to_nerve_mm == pytest.approx(nearest, abs=0.1) and len(course)
    assert path.to_nerve_mm <= path.needle.spread_mm


def test_a_path_of_its_own_holds_every_limit(planned_case: Case) -> None:
    from cryoneuro.knowledge import nerve

    assert planned_case.plan is not None and planned_case.anatomy is not None
    tool = needle("spinal_25g_90")
    path = block_step(planned_case, tool, own=True)
    assert not path.shared and path.trajectory.length_mm <= tool.usable_shaft_mm
    rows = exact_clearances(
        planned_case.anatomy,
        planned_case.plan.nerve,
        path.trajectory,
        0.25,
        planned_case.plan.limits,
        nerve("intercostal"),
    )
    assert min(c.slack_mm for c in rows if not c.unknown) >= 0
    assert path.to_nerve_mm - planned_case.plan.nerve.radius_mm <= tool.spread_mm


def test_what_cannot_be_is_a_sentence(planned_case: Case) -> None:
    with pytest.raises(PlanningError, match="choose a longer needle"):
        block_step(planned_case, replace(needle("spinal_25g_90"), usable_shaft_mm=20.0))
    with pytest.raises(PlanningError, match="no plan yet"):
        block_step(new_case(planned_case.ct), needle("spinal_25g_90"))
    with pytest.raises(KnowledgeError, match="chiba"):
        needle("chiba_22g_15")
    with pytest.raises(KnowledgeError, match="must be positive"):
        replace(needles()[0], diameter_mm=0.0)
