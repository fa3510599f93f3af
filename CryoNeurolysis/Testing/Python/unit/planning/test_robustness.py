"""The chance that every limit holds, against a case where it can be reckoned."""

from __future__ import annotations

import numpy as np
import pytest
from cryoneuro.knowledge import constant, limits, probe
from cryoneuro.model import Anatomy, Nerve, Structure, StructureRole, TissueMap, Trajectory, VolumeGeometry
from cryoneuro.planning import robustness
from scipy.stats import norm

GRID = VolumeGeometry((60, 60, 60), np.diag([1.5, 1.5, 1.5, 1.0]))
NEEDLE = probe("argon_17g_short")
PATH = Trajectory(np.array([45.0, 2.0, 45.0]), np.array([45.0, 70.0, 45.0]))
COURSE = Nerve("plexus", "celiac_plexus", np.array([[40.0, 68, 45], [50.0, 68, 45]]), 2.0, 2.0, "drawn", True)


def beside_a_wall(r_mm: float) -> Anatomy:
    """A body whose bone fills all that lies beyond a plane."""
    i = np.indices(GRID.shape_kji)[2] * 1.5
    body = Structure("body", "body", StructureRole.BODY, np.ones(GRID.shape_kji, bool), "drawn", "all", "high")
    wall = Structure("wall", "bone", StructureRole.AVOID, i >= r_mm, "drawn", "plane", "high")
    return Anatomy(GRID, TissueMap(np.ones(GRID.shape_kji, np.uint8)), (body, wall))


@pytest.mark.parametrize("gap_mm", [1.5, 4.5, 9.0])
def test_beside_a_wall_the_chance_is_that_of_a_normal_error(gap_mm: float) -> None:
    found = robustness(beside_a_wall(45.0 + gap_mm), COURSE, NEEDLE, limits(), PATH, draws=4000, seed=3)
    free_mm = gap_mm - 0.75 - 0.5 * NEEDLE.diameter_mm - limits()["clearance.bone"].stop
    sigma = np.hypot(constant("targeting_error_sigma_mm"), constant("registration_sigma_mm"))
    # 4000 draws know it to 0.025; what is left is the voxels' edge.
    assert found.chance == pytest.approx(norm.cdf(free_mm / sigma), abs=0.04)
    assert found.low < found.chance < found.high and found.high - found.low < 0.04
    assert found.lost[0][0] == "clearance.bone" and found.lost[0][1] == pytest.approx(1 - found.chance)
    assert "too close to bone" in found.sentence and f"{100 * found.chance:.0f} %" in found.sentence


def test_the_same_seed_gives_the_same_chance() -> None:
    anatomy = beside_a_wall(50.0)
    one, same, other = (robustness(anatomy, COURSE, NEEDLE, limits(), PATH, seed=seed) for seed in (1, 1, 2))
    assert one == same and one.lost != other.lost


def test_far_from_everything_nothing_is_lost() -> None:
    found = robustness(beside_a_wall(87.0), COURSE, NEEDLE, limits(), PATH)
    assert found.chance == 1.0 and found.lost == () and found.low < 1.0 == found.high
