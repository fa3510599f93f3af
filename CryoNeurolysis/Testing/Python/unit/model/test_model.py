"""Frozen objects: geometry, hashes, validation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cryoneuro.model import (
    Acquisition,
    AnatomyError,
    CryoNeuroError,
    CtVolume,
    ImageError,
    KnowledgeError,
    Limit,
    Nerve,
    PlanningError,
    Protocol,
    ProtocolStep,
    StepKind,
    Trajectory,
    VolumeGeometry,
    content_hash,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation


def a_geometry(angles: tuple[float, float, float] = (0.0, 0.0, 0.0), spacing: tuple[float, ...] = (1.0, 2.0, 3.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(spacing)
    matrix[:3, 3] = (10, -20, 30)
    return VolumeGeometry((4, 5, 6), matrix)


@given(st.tuples(*[st.floats(-180, 180)] * 3), st.tuples(*[st.floats(0.3, 5)] * 3))
def test_points_go_to_ras_and_back(angles, spacing) -> None:
    geometry = a_geometry(angles, spacing)
    points = np.array([[0, 0, 0], [5, 4, 3], [1.5, -2, 9]])
    assert np.allclose(geometry.ras_to_ijk(geometry.ijk_to_ras_mm(points)), points, atol=1e-9)
    assert np.allclose(geometry.spacing_mm, spacing)
    assert geometry.contains(geometry.center_ras_mm)[0]
    assert not geometry.contains(geometry.corners_ras_mm.mean(axis=0) + 1000)[0]


def test_center_and_corners_of_a_known_grid() -> None:
    geometry = a_geometry()
    assert np.allclose(geometry.center_ras_mm, (10 + 2.5, -20 + 2 * 2, 30 + 3 * 1.5))
    assert np.allclose(geometry.corners_ras_mm.min(axis=0), (9.5, -21, 28.5))
    assert geometry.voxel_volume_mm3 == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.diag([1.0, 0.0, 1.0, 1.0]), "spacing"),
        (np.array([[1.0, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "right angles"),
        (np.eye(3), "4 x 4"),
        (np.full((4, 4), np.nan), "NaN"),
    ],
)
def test_impossible_geometries_are_refused(matrix, words) -> None:
    with pytest.raises(CryoNeuroError, match=words):
        VolumeGeometry((2, 2, 2), matrix)


def test_geometry_equality_ignores_rounding() -> None:
    matrix = a_geometry().ijk_to_ras.copy()
    matrix[0, 3] += 1e-7
    assert a_geometry() == VolumeGeometry((4, 5, 6), matrix)
    assert a_geometry() != VolumeGeometry((4, 5, 7), matrix)


def test_a_volume_contains_what_lies_within_its_outer_faces() -> None:
    """Voxels of 2 x 3 x 4 mm, the first one's middle at (10, 20, 30): its outer faces lie half a voxel before it."""
    grid = VolumeGeometry((4, 5, 6), np.array([[2.0, 0, 0, 10], [0, 3.0, 0, 20], [0, 0, 4.0, 30], [0, 0, 0, 1.0]]))
    low, high = np.array([9.0, 18.5, 28.0]), np.array([21.0, 33.5, 44.0])
    middle = 0.5 * (low + high)
    for axis in range(3):
        for face, outward in ((low, -1.0), (high, 1.0)):
            point = middle.copy()
            point[axis] = face[axis]
            step = np.zeros(3)
            step[axis] = 0.01 * outward
            assert grid.contains([point - step])[0] and not grid.contains([point + step])[0]


def test_arrays_are_read_only_and_do_not_follow_their_source() -> None:
    source = np.zeros((4, 4, 4), np.int16)
    ct = CtVolume(source[:, :, :], VolumeGeometry((4, 4, 4), np.eye(4)))
    with pytest.raises(ValueError, match="read-only"):
        ct.array_kji[0, 0, 0] = 1
    source[0, 0, 0] = 5
    assert ct.array_kji[0, 0, 0] == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        ct.name = "other"  # type: ignore[misc]


def test_a_ct_must_fit_its_geometry() -> None:
    with pytest.raises(ImageError, match="geometry says"):
        CtVolume(np.zeros((2, 2, 2), np.int16), VolumeGeometry((3, 2, 2), np.eye(4)))


def a_ct(value: int = 0, position: str = "HFS") -> CtVolume:
    array = np.full((2, 3, 4), value, np.int16)
    return CtVolume(array, VolumeGeometry((2, 3, 4), np.eye(4)), Acquisition(patient_position=position))


def test_hash_is_of_the_content() -> None:
    assert content_hash(a_ct()) == content_hash(a_ct())
    assert content_hash(a_ct()) != content_hash(a_ct(1))
    assert content_hash(a_ct()) != content_hash(a_ct(position="HFP"))
    assert content_hash((1, 2)) != content_hash((12,))
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    with pytest.raises(CryoNeuroError):
        content_hash(object())


def a_nerve(points) -> Nerve:
    return Nerve("n", "intercostal", np.asarray(points, dtype=float), 1.5, 3.0, "rule")


def test_nerve_walks_along_its_course() -> None:
    nerve = a_nerve([[0, 0, 0], [10, 0, 0], [10, 10, 0]])
    assert nerve.arc_length_mm[-1] == pytest.approx(20)
    assert np.allclose(nerve.at([5, 15]), [[5, 0, 0], [10, 5, 0]])
    assert np.allclose(nerve.tangent_at(5), [1, 0, 0])


@pytest.mark.parametrize("points", [[[0, 0, 0]], [[0, 0, 0], [0, 0, 0]], [[0, 0], [1, 1]]])
def test_a_course_needs_two_places(points) -> None:
    with pytest.raises(AnatomyError):
        a_nerve(points)


def test_trajectory() -> None:
    path = Trajectory(np.zeros(3), np.array([0.0, 30.0, 40.0]))
    assert path.length_mm == pytest.approx(50)
    assert np.allclose(path.direction_ras, [0, 0.6, 0.8])
    points = path.points_ras_mm(1.0)
    assert np.allclose(points[[0, -1]], [[0, 0, 0], [0, 30, 40]])
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).max() <= 1.0 + 1e-9
    with pytest.raises(PlanningError, match="same point"):
        Trajectory(np.zeros(3), np.zeros(3))


def test_limits_are_signed() -> None:
    keep = Limit("a", "mm", True, 5.0, 2.0, "source", "high", True)
    under = Limit("b", "mm", False, 5.0, 8.0, "source", "high", True)
    assert (keep.slack(3.0), keep.warning_slack(3.0)) == (1.0, -2.0)
    assert (under.slack(9.0), under.warning_slack(4.0)) == (-1.0, 1.0)


def test_a_protocol_must_freeze() -> None:
    thaw = ProtocolStep(StepKind.PASSIVE_THAW, 10)
    with pytest.raises(KnowledgeError, match="never freezes"):
        Protocol("p", "p", (thaw,), "s", "low", False)
    with pytest.raises(KnowledgeError, match="longer than 0"):
        ProtocolStep(StepKind.FREEZE, 0)
    with pytest.raises(KnowledgeError, match="5 to 100"):
        ProtocolStep(StepKind.FREEZE, 10, 1.0)
