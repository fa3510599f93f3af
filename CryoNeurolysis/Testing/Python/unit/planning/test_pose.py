"""Limits of a shaft's pose: arms outside the skin, and every limit said of a path that a person draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.knowledge import limits, nerve, probe
from cryoneuro.model import Anatomy, Case, Structure, StructureRole
from cryoneuro.planning import manual_plan
from cryoneuro.planning.candidates import Candidates
from cryoneuro.planning.pose import pose_slack


def with_arm(anatomy: Anatomy, center_ras_mm: np.ndarray, radius_mm: float) -> Anatomy:
    kji = np.indices(anatomy.geometry.shape_kji)
    points = anatomy.geometry.ijk_to_ras_mm(kji[::-1].reshape(3, -1).T)
    ball = (np.linalg.norm(points - center_ras_mm, axis=1) < radius_mm).reshape(anatomy.geometry.shape_kji)
    arm = Structure("arms", "arm", StructureRole.PASS, ball, "computed", "drawn", "high")
    return replace(anatomy, structures=(*anatomy.structures, arm))


def test_an_arm_on_the_way_outside_the_skin_is_a_limit(planned_case: Case) -> None:
    anatomy, plan = planned_case.anatomy, planned_case.plan
    assert anatomy is not None and plan is not None
    path, tool = plan.probes[0].trajectory, plan.probes[0].probe
    one = Candidates(
        path.entry_ras_mm[None], path.tip_ras_mm[None], -path.direction_ras[None], path.direction_ras[None], np.zeros(1)
    )
    record = nerve("intercostal")
    assert "path.arms" not in pose_slack(anatomy, plan.nerve, record, tool, limits(), one)
    on_the_way = path.entry_ras_mm - 5.0 * path.direction_ras
    slack = pose_slack(with_arm(anatomy, on_the_way, 4.0), plan.nerve, record, tool, limits(), one)["path.arms"][0]
    assert slack < -limits()["path.arms"].stop
    off = on_the_way + 12.0 * np.cross(path.direction_ras, [0.0, 0.0, 1.0])
    beside = pose_slack(with_arm(anatomy, off, 4.0), plan.nerve, record, tool, limits(), one)["path.arms"][0]
    expected = 12.0 - 4.0 - 0.5 * tool.diameter_mm - limits()["path.arms"].stop
    assert beside == pytest.approx(expected, abs=2.5)


def test_a_drawn_path_says_every_limit_of_its_pose_that_it_breaks(planned_case: Case) -> None:
    anatomy, plan = planned_case.anatomy, planned_case.plan
    assert anatomy is not None and plan is not None
    path = plan.probes[0].trajectory
    tool = probe(plan.probes[0].probe.id)
    good = manual_plan(anatomy, plan.nerve, tool, plan.protocol, path.entry_ras_mm, path.tip_ras_mm)
    assert good.explanation == ("Path drawn by a person.",)
    tight = limits().changed({"path.tilt": 0.0, "path.skin_angle": 1.0, "path.bore": 300.0})
    poor = manual_plan(anatomy, plan.nerve, tool, plan.protocol, path.entry_ras_mm, path.tip_ras_mm, tight)
    text = " ".join(poor.explanation)
    assert "oblique" in text and "bore" in text and "mm." in text and "degrees." in text
