"""Ribs told apart, followed and counted, on drawn chests where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from cryoneuro.anatomy.ribs import Rib, find_ribs, rib_numbers
from cryoneuro.model import VolumeGeometry
from scipy import spatial

SPACING = 1.5
GEOMETRY = VolumeGeometry(
    (110, 130, 190),
    np.array([[SPACING, 0, 0, -142.0], [0, SPACING, 0, -60.0], [0, 0, SPACING, -82.0], [0, 0, 0, 1.0]]),
)
STARTS_S_MM = (-30.0, 0.0, 30.0)
RADIUS_MM = 5.0


def course(side: float, start_s_mm: float) -> np.ndarray:
    """The middle of a drawn rib (N, 3): around the lung and down toward the front."""
    turn = np.linspace(np.deg2rad(-70), np.deg2rad(60), 400)
    return np.column_stack(
        [side * (15.0 + 95.0 * np.cos(turn)), 30.0 + 75.0 * np.sin(turn), start_s_mm - 18.0 * (turn - turn[0])]
    )


@pytest.fixture(scope="module")
def chest() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bone and lung, and the canal's middle."""
    kji = np.indices(GEOMETRY.shape_kji).reshape(3, -1).T
    points = GEOMETRY.ijk_to_ras_mm(kji[:, ::-1])
    axes = np.concatenate([course(side, start) for side in (-1.0, 1.0) for start in STARTS_S_MM])
    bone = spatial.cKDTree(axes).query(points, distance_upper_bound=RADIUS_MM)[0] < RADIUS_MM
    bone |= (np.abs(points[:, 0]) < 25) & (np.abs(points[:, 1] + 20) < 18)
    # A shoulder blade that touches the middle rib from outside.
    turn = np.arctan2((points[:, 1] - 30.0) / 75.0, (np.abs(points[:, 0]) - 15.0) / 95.0)
    out = np.hypot((points[:, 1] - 30.0) / 75.0, (np.abs(points[:, 0]) - 15.0) / 95.0)
    bone |= (np.abs(turn + 0.5) < 0.25) & (out > 1.05) & (out < 1.12) & (np.abs(points[:, 2]) < 40)
    lung = np.hypot((np.abs(points[:, 0]) - 15.0) / 87.0, (points[:, 1] - 30.0) / 67.0) < 1.0
    lung &= (np.abs(points[:, 0]) > 27) & (points[:, 2] > -50)
    middle = np.tile([0.0, -20.0], (GEOMETRY.shape_kji[0], 1))
    return bone.reshape(GEOMETRY.shape_kji), lung.reshape(GEOMETRY.shape_kji), middle


def test_every_rib_is_one_curve_and_a_shoulder_blade_is_none(chest) -> None:
    bone, lung, middle = chest
    ribs = find_ribs(GEOMETRY, bone, lung, middle)
    assert [rib.side for rib in ribs] == ["left"] * 3 + ["right"] * 3
    for rib, (sign, start) in zip(ribs, [(sign, s) for sign in (-1.0, 1.0) for s in STARTS_S_MM], strict=True):
        truth = course(sign, start)
        seen = truth[np.abs(truth[:, 0]) > 38]
        off = np.linalg.norm(rib.center_ras_mm[:, None] - seen, axis=2)
        # The ends are averaged over half a step.
        assert off.min(axis=1)[1:-1].max() < 3.0, (rib.side, start)
        length = np.linalg.norm(np.diff(rib.center_ras_mm, axis=0), axis=1).sum()
        assert length > 0.85 * np.linalg.norm(np.diff(seen, axis=0), axis=1).sum()


def test_the_lower_edge_lies_a_radius_below_the_middle(chest) -> None:
    bone, lung, middle = chest
    for rib in find_ribs(GEOMETRY, bone, lung, middle):
        below = rib.center_ras_mm[3:-3] - rib.lower_ras_mm[3:-3]
        along = np.gradient(rib.center_ras_mm, axis=0)[3:-3]
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        assert abs(np.median(below[:, 2]) - RADIUS_MM) < 1.5
        assert np.abs(np.einsum("ij,ij->i", below, along)).max() < 2.0
        inward = -np.sign(rib.center_ras_mm[3:-3, 0]) * below[:, 0]
        # The inner half of the edge at the side wall; what is left of a touching shoulder blade draws the middle outward.
        assert np.median(inward[np.abs(rib.center_ras_mm[3:-3, 0]) > 95]) < 0.0


def test_no_spine_or_no_lung_gives_no_ribs(chest) -> None:
    bone, lung, middle = chest
    assert find_ribs(GEOMETRY, bone, lung, np.full_like(middle, np.nan)) == ()
    assert find_ribs(GEOMETRY, bone, np.zeros_like(lung), middle) == ()


def ribs_at(side: str, heights: list[float]) -> tuple[Rib, ...]:
    none = np.zeros((1, 1, 1), bool)
    return tuple(Rib(side, none, np.array([[40.0, 0.0, s]] * 2), np.zeros((2, 3))) for s in heights)


def test_ribs_are_counted_from_one_vertebra_on_both_sides() -> None:
    body = {n: -24.0 * n for n in range(9, 13)}
    heights = [-24.0 * n + min(16.0, 16.0 - 6.4 * (n - 7)) for n in (12, 11, 10, 9, 8, 7, 6)]
    assert rib_numbers(ribs_at("left", heights) + ribs_at("right", heights[1:]), body) == (
        *(12, 11, 10, 9, 8, 7, 6),
        *(11, 10, 9, 8, 7, 6),
    )


def test_a_gap_between_ribs_ends_the_count() -> None:
    body = {11: -264.0, 12: -288.0}
    assert rib_numbers(ribs_at("left", [-304.0, -274.0, -160.0]), body) == (12, 11, None)


def test_a_rib_halfway_between_two_vertebrae_gets_no_number() -> None:
    body = {n: -24.0 * n for n in (11, 12)}
    usual = [-24.0 * n + 16.0 - 6.4 * (n - 7) for n in (11, 12)]
    assert rib_numbers(ribs_at("right", [float(np.mean(usual))]), body) == (None,)
    assert rib_numbers(ribs_at("right", [usual[1]]), {}) == (None,)
