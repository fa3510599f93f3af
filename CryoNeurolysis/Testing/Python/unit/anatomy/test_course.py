"""Courses from clicks that follow fat, and what lies round a course."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.anatomy import corridor, nerve_from_points
from cryoneuro.knowledge import tissue
from cryoneuro.model import Anatomy, AnatomyError, Nerve, Structure, StructureRole, TissueMap, VolumeGeometry

GRID_MM = 1.5
SHAPE = (40, 60, 60)


def made(labels: np.ndarray, *structures: Structure) -> Anatomy:
    matrix = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    geometry = VolumeGeometry(labels.shape, matrix)
    body = Structure("body", "body", StructureRole.BODY, labels > 0, "computed", "all", "high")
    return Anatomy(geometry, TissueMap(labels.astype(np.uint8)), (body, *structures))


def winding() -> tuple[Anatomy, np.ndarray]:
    """Muscle with a plane of fat that bends round a column of bone; and points (R, A, S) on the plane."""
    labels = np.full(SHAPE, tissue("muscle").label)
    i = np.arange(SHAPE[2])
    j = np.rint(30 + 12 * np.sin((i - 30) / 30 * np.pi)).astype(int)
    for a, b in zip(i, j, strict=True):
        labels[:, b - 1 : b + 2, a] = tissue("fat").label
    labels[:, 27:34, 29:32] = tissue("bone_cortical").label
    labels[:, 20:27, 29:32] = tissue("fat").label
    points = np.array([[5 * GRID_MM, j[5] * GRID_MM, 30.0], [55 * GRID_MM, j[55] * GRID_MM, 30.0]])
    return made(labels), points


def test_a_course_follows_fat_round_bone() -> None:
    anatomy, points = winding()
    straight = nerve_from_points(anatomy, "pudendal", points)
    course = nerve_from_points(anatomy, "pudendal", points, follow=True)
    assert np.allclose(course.points_ras_mm[[0, -1]], points)
    assert "along fat" in course.rule and "along fat" not in straight.rule

    def share(nerve: Nerve, name: str) -> float:
        at = nerve.at(np.arange(0.0, float(nerve.arc_length_mm[-1]), 0.5))
        kji = np.rint(anatomy.geometry.ras_to_ijk(at)).astype(int)[:, ::-1]
        return float((anatomy.tissue.labels_kji[tuple(kji.T)] == tissue(name).label).mean())

    assert share(course, "bone_cortical") == 0.0
    assert share(course, "fat") > 0.8 > share(straight, "fat")
    steps = np.linalg.norm(np.diff(course.points_ras_mm, axis=0), axis=1)
    assert steps.max() < 4 * GRID_MM


def test_the_course_keeps_every_given_point() -> None:
    anatomy, points = winding()
    middle = np.array([[20 * GRID_MM, 12 * GRID_MM, 27.0]])
    course = nerve_from_points(anatomy, "pudendal", np.concatenate([points[:1], middle, points[1:]]), follow=True)
    assert np.linalg.norm(course.points_ras_mm - middle, axis=1).min() < 1e-6


def test_a_turned_body_gives_the_same_course() -> None:
    """R and A exchanged: the course exchanged."""
    anatomy, points = winding()
    turned = made(anatomy.tissue.labels_kji.transpose(0, 2, 1).copy())
    one = nerve_from_points(anatomy, "pudendal", points, follow=True)
    other = nerve_from_points(turned, "pudendal", points[:, [1, 0, 2]], follow=True)
    assert float(one.arc_length_mm[-1]) == pytest.approx(float(other.arc_length_mm[-1]), rel=0.03)


def test_no_way_is_a_sentence() -> None:
    labels = np.full(SHAPE, tissue("muscle").label)
    labels[:, :, 30:32] = tissue("bone_cortical").label
    with pytest.raises(AnatomyError, match="No way joins"):
        nerve_from_points(made(labels), "pudendal", [[15.0, 45.0, 30.0], [75.0, 45.0, 30.0]], follow=True)


def test_the_corridor_measures_fat_and_neighbors() -> None:
    """Fat on one half of the course, muscle on the other; a plate of bone 9 mm away; the course runs out of the picture."""
    labels = np.full(SHAPE, tissue("muscle").label)
    labels[:, :, :30] = tissue("fat").label
    mask = np.zeros(SHAPE, bool)
    mask[:, 46:50, :] = True
    plate = Structure("plate", "bone", StructureRole.AVOID, mask, "drawn", "by hand", "high")
    far = np.zeros(SHAPE, bool)
    far[:3, :3, :3] = True
    corner = Structure("corner", "kidney", StructureRole.AVOID, far, "drawn", "by hand", "high")
    anatomy = made(labels, plate, corner)
    wall_mm = 45.5 * GRID_MM
    points = np.array([[10.0, wall_mm - 9.0, 30.0], [120.0, wall_mm - 9.0, 30.0]])
    found = corridor(anatomy, Nerve("n", "pudendal", points, 1.0, 1.0, "r"), 6.0)
    assert found.fat_fraction[2] == pytest.approx(1.0)
    in_view = np.flatnonzero(found.in_view)
    assert found.fat_fraction[in_view[-8]] == pytest.approx(0.0)
    assert [name for name, _ in found.neighbors] == ["plate"]
    assert np.nanmin(found.neighbors[0][1]) == pytest.approx(9.0, abs=0.3)
    leaves = found.leaves_view_at_mm
    assert leaves == pytest.approx(59 * GRID_MM - 10.0, abs=2.0)
    assert np.isnan(found.fat_fraction[-1])
    with pytest.raises(AnatomyError, match="1 to 50"):
        corridor(anatomy, Nerve("n", "pudendal", points, 1.0, 1.0, "r"), 0.0)


def test_a_course_on_the_phantom_stays_out_of_bone_and_lung(phantom_anatomy: Anatomy, planned_case) -> None:
    nerve = planned_case.plan.nerve
    ends = nerve.points_ras_mm[[0, -1]]
    course = nerve_from_points(phantom_anatomy, "intercostal", ends, follow=True)
    closed = corridor(replace(phantom_anatomy), course, 5.0)
    nearest = {name: float(np.nanmin(values)) for name, values in closed.neighbors}
    assert all(nearest.get(name, 1.0) > -1.5 for name in ("bone", "lung_left"))
