"""Paths: clearances against exact surfaces, limits that hold, reasons that are true, the same plan however stored."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from cryoneuro.anatomy import for_target, nerve_from_points, propose_nerve, segment
from cryoneuro.imaging import make_phantom
from cryoneuro.knowledge import limits, nerve, probe, protocol
from cryoneuro.model import (
    Anatomy,
    Case,
    Limits,
    Nerve,
    PlanningError,
    Structure,
    StructureRole,
    TissueMap,
    Trajectory,
    VolumeGeometry,
    content_hash,
)
from cryoneuro.planning import console_pose, exact_clearances, manual_plan, plan_paths
from cryoneuro.planning.clearance import exact_clearance_mm, signed_distance_mm
from cryoneuro.planning.explain import shares
from hypothesis import given, settings
from hypothesis import strategies as st

GRID = VolumeGeometry((61, 61, 61), np.diag([1.0, 1.0, 1.0, 1.0]))


def ball(center, radius: float) -> Structure:
    k, j, i = np.indices(GRID.shape_kji)
    mask = (i - center[0]) ** 2 + (j - center[1]) ** 2 + (k - center[2]) ** 2 <= radius**2
    return Structure("ball", "kidney", StructureRole.AVOID, mask, "drawn", "ball", "high")


def distance_to_segment(point, a, b) -> float:
    t = np.clip((point - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return float(np.linalg.norm(point - a - t * (b - a)))


points = st.tuples(*[st.floats(2, 58)] * 3).map(np.array)


@settings(max_examples=60, deadline=None)
@given(points, points, st.floats(4, 9))
def test_exact_clearance_of_a_ball(entry, tip, radius) -> None:
    if np.linalg.norm(entry - tip) < 5:
        return
    center = np.array([30.0, 30.0, 30.0])
    truth = distance_to_segment(center, entry, tip) - radius - 0.75
    found = exact_clearance_mm(ball(center, radius), GRID, Trajectory(entry, tip), 0.75)
    if truth > 0.8:
        assert abs(found - truth) < 0.8
    if truth < -1.2:
        assert found < 0


@settings(max_examples=60, deadline=None)
@given(points, points, st.integers(0, 2**31 - 1))
def test_exact_clearance_is_the_least_over_all_surface_voxels(entry, tip, seed: int) -> None:
    """An independent way: every voxel of every structure, no tree, no samples of the path."""
    if np.linalg.norm(entry - tip) < 5:
        return
    mask = np.random.default_rng(seed).random(GRID.shape_kji) > 0.9998
    if not mask.any():
        return
    structure = Structure("dust", "kidney", StructureRole.AVOID, mask, "drawn", "dust", "high")
    centers = np.argwhere(mask)[:, ::-1].astype(float)
    truth = min(distance_to_segment(c, entry, tip) for c in centers) - 0.5 - 0.75
    found = exact_clearance_mm(structure, GRID, Trajectory(entry, tip), 0.75)
    if truth > 0.3:
        assert found == pytest.approx(truth, abs=1e-9)


def test_exact_clearance_agrees_with_vtk_surfaces() -> None:
    """An independent way: the surface drawn by VTK, the shaft as many points on a segment."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    rng = np.random.default_rng(3)
    structure = ball((31, 27, 33), 8.3)
    image = vtk.vtkImageData()
    image.SetDimensions(61, 61, 61)
    image.GetPointData().SetScalars(numpy_to_vtk(structure.mask_kji.astype(np.float32).ravel(), deep=True))
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 0.5)
    contour.Update()
    implicit = vtk.vtkImplicitPolyDataDistance()
    implicit.SetInput(contour.GetOutput())
    for _ in range(40):
        path = Trajectory(rng.uniform(2, 58, 3), rng.uniform(2, 58, 3))
        outside = min(implicit.EvaluateFunction(p) for p in path.points_ras_mm(0.1)) - 0.75
        found = exact_clearance_mm(structure, GRID, path, 0.75)
        if outside > 0:
            assert found <= outside + 0.1
            assert found >= outside - 0.5
        elif outside < -1.5:
            assert found < 0


def test_signed_distance_is_zero_half_a_voxel_outside() -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[5:15, 5:15, 5:15] = True
    distance = signed_distance_mm(mask, 2.0)
    assert distance[10, 10, 15] == pytest.approx(1.0) and distance[10, 10, 17] == pytest.approx(5.0)
    assert distance[10, 10, 10] < -7


def test_the_plan_holds_every_limit(planned_case: Case) -> None:
    plan, anatomy = planned_case.plan, planned_case.anatomy
    assert plan is not None and anatomy is not None
    path = plan.probes[0].trajectory
    assert all(c.slack_mm >= 0 for c in plan.clearances if not c.unknown)
    assert [c.slack_mm for c in plan.clearances] == sorted(c.slack_mm for c in plan.clearances)
    for structure in anatomy.structures:
        if structure.role is StructureRole.AVOID:
            ijk = np.rint(anatomy.geometry.ras_to_ijk(path.points_ras_mm(0.2))).astype(int)
            assert not structure.mask_kji[ijk[:, 2], ijk[:, 1], ijk[:, 0]].any(), structure.name
    assert path.length_mm <= plan.probes[0].probe.usable_shaft_mm
    # The cold part lies beside the nerve: its middle within the stand-off plus what the angle adds.
    middle = path.tip_ras_mm - plan.probes[0].probe.center_from_tip_mm * path.direction_ras
    assert np.linalg.norm(plan.nerve.points_ras_mm - middle, axis=1).min() < 8


def test_entry_is_on_skin_of_the_usual_side(planned_case: Case) -> None:
    assert planned_case.plan is not None
    r, a, _ = planned_case.plan.probes[0].trajectory.entry_ras_mm
    assert np.hypot(r / 150, a / 105) == pytest.approx(1, abs=0.03)
    assert a < 0 and r < 0


def replan(anatomy: Anatomy, target: str = "intercostal", limit: Limits | None = None):
    course = propose_nerve(anatomy, target, "left")
    record = nerve(target)
    return plan_paths(
        for_target(anatomy, course), course, probe(record.default_probe), protocol(record.default_protocol), limit
    )


def test_same_input_same_plan(phantom_anatomy: Anatomy) -> None:
    assert content_hash(replan(phantom_anatomy)[0]) == content_hash(replan(phantom_anatomy)[0])


@cache
def trajectory_with_axes(axes: tuple[float, ...]) -> Trajectory:
    ct = make_phantom(2.0, rotation=np.reshape(axes, (3, 3)), noise_hu=0).ct
    return replan(segment(ct, grid_mm=2.0))[0].probes[0].trajectory


@pytest.mark.parametrize(
    "axes",
    [
        np.array([[0, 0, -1.0], [1, 0, 0], [0, 1, 0]]),
        np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
    ],
    ids=["permuted", "flipped"],
)
def test_stored_axes_do_not_change_the_plan(axes) -> None:
    """The same voxels at the same places, stored in another order: exactly the same plan."""
    one, other = (trajectory_with_axes(tuple(a.ravel())) for a in (np.eye(3), axes))
    assert np.allclose(one.entry_ras_mm, other.entry_ras_mm, atol=1e-6)
    assert np.allclose(one.tip_ras_mm, other.tip_ras_mm, atol=1e-6)


def test_an_oblique_ct_gives_the_same_plan_in_ras() -> None:
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", [12, -9, 17], degrees=True).as_matrix()
    base, turned = (
        segment(make_phantom(1.5, rotation=a, noise_hu=0).ct, grid_mm=2.0) for a in (np.diag([-1.0, -1, 1]), turn)
    )
    one, other = (replan(a)[0] for a in (base, turned))
    assert np.abs(one.nerve.at(10)[0] - other.nerve.at(10)[0]).max() < 1.5
    a, b = one.probes[0].trajectory, other.probes[0].trajectory
    assert np.linalg.norm(a.tip_ras_mm - b.tip_ras_mm) < 6.0
    assert np.linalg.norm(a.entry_ras_mm - b.entry_ras_mm) < 8.0
    assert np.rad2deg(np.arccos(a.direction_ras @ b.direction_ras)) < 8.0


def test_reasons_add_up(phantom_anatomy: Anatomy) -> None:
    plan, found = replan(phantom_anatomy)
    passing = (found.slack >= 0).all(axis=1)
    assert passing.sum() == len(found.order)
    cost = found.criteria[found.order] @ found.weights
    assert (np.diff(cost) >= -1e-6).all()
    for name, share in shares(found):
        assert share == pytest.approx((found.slack[:, found.limit_ids.index(name)] < 0).mean())
    assert any("paths were tried" in text for text in plan.explanation)


def test_no_path_names_the_limit_and_how_much(phantom_anatomy: Anatomy) -> None:
    strict = Limits(
        tuple(replace(i, stop=500.0, warning=600.0) if i.id == "clearance.lung" else i for i in limits().items)
    )
    with pytest.raises(PlanningError, match=r"No path.*too close to lung by \d+\.\d mm"):
        replan(phantom_anatomy, limit=strict)


def test_a_short_probe_cannot_reach(phantom_anatomy: Anatomy) -> None:
    course = propose_nerve(phantom_anatomy, "celiac_plexus", "left")
    short = replace(probe("n2o_20g"), usable_shaft_mm=30.0)
    with pytest.raises(PlanningError, match="longer probe"):
        plan_paths(phantom_anatomy, course, short, protocol("3-1-3"))


def test_a_structure_that_swallows_the_target_is_named(phantom_anatomy: Anatomy) -> None:
    course = propose_nerve(phantom_anatomy, "intercostal", "left")
    place = phantom_anatomy.geometry.ras_to_ijk(course.at(0.5 * course.arc_length_mm[-1]))[0]
    k, j, i = np.indices(phantom_anatomy.geometry.shape_kji)
    mask = (i - place[0]) ** 2 + (j - place[1]) ** 2 + (k - place[2]) ** 2 <= 20**2
    mass = Structure("liver", "liver", StructureRole.AVOID, mask, "drawn", "too large", "low")
    anatomy = replace(phantom_anatomy, structures=(*(s for s in phantom_anatomy.structures if s.name != "liver"), mass))
    with pytest.raises(
        PlanningError, match=r"100 % of the nerve's course lies inside liver.*No path holds every limit"
    ):
        plan_paths(for_target(anatomy, course), course, probe("argon_17g_short"), protocol("3-1-3"))


def test_a_nerve_outside_the_body_is_refused(phantom_anatomy: Anatomy) -> None:
    outside = Nerve("n", "intercostal", np.array([[0, 0, 0], [0, 300.0, 0]]), 1.5, 2.0, "x")
    with pytest.raises(PlanningError, match="leaves the body"):
        plan_paths(phantom_anatomy, outside, probe("argon_17g_short"), protocol("3-1-3"))


def test_a_body_without_skin_in_view_is_refused() -> None:
    body = Structure("body", "body", StructureRole.BODY, np.ones(GRID.shape_kji, bool), "drawn", "all", "high")
    anatomy = Anatomy(GRID, TissueMap(np.ones(GRID.shape_kji, np.uint8)), (body,))
    course = nerve_from_points(anatomy, "intercostal", [[20, 30, 30], [40, 30, 30]])
    with pytest.raises(PlanningError, match="No skin"):
        plan_paths(anatomy, course, probe("argon_17g_short"), protocol("3-1-3"))


def test_a_path_of_ones_own_is_measured_not_forbidden(planned_case: Case) -> None:
    assert planned_case.anatomy is not None and planned_case.plan is not None
    anatomy, plan = planned_case.anatomy, planned_case.plan
    through_lung = manual_plan(anatomy, plan.nerve, plan.probes[0].probe, plan.protocol, [-60, 96, 40], [-60, -60, 40])
    lung = next(c for c in through_lung.clearances if c.structure == "lung_left")
    assert lung.slack_mm < 0 and not through_lung.is_clear
    with pytest.raises(PlanningError, match="same point"):
        manual_plan(anatomy, plan.nerve, plan.probes[0].probe, plan.protocol, [0, 0, 0], [0, 0, 0])
    with pytest.raises(PlanningError, match=r"away from the skin.*nearest skin"):
        manual_plan(anatomy, plan.nerve, plan.probes[0].probe, plan.protocol, [-60, -70, 40], [-60, -60, 40])
    with pytest.raises(PlanningError, match="reaches 170 mm"):
        manual_plan(anatomy, plan.nerve, plan.probes[0].probe, plan.protocol, [-60, 96, 40], [-60, -80, 40])
    with pytest.raises(PlanningError, match="outside the body"):
        manual_plan(anatomy, plan.nerve, plan.probes[0].probe, plan.protocol, [0, 0, 0], [0, 300, 0])


def test_unknown_structures_stand_first_and_deny_clearness(phantom_anatomy: Anatomy) -> None:
    plan, _ = replan(phantom_anatomy, "celiac_plexus")
    assert plan.unknown and not plan.is_clear
    assert [c.unknown for c in plan.clearances[: len(plan.unknown)]] == [True] * len(plan.unknown)


def test_console_words(planned_case: Case) -> None:
    ct = planned_case.ct
    straight = console_pose(Trajectory(np.array([-50.0, -100, 0]), np.array([-50.0, -50, 0])), ct)
    assert straight.depth_mm == pytest.approx(50) and straight.axial_angle_deg == pytest.approx(0)
    assert "front" in straight.text
    tilted = console_pose(Trajectory(np.array([0.0, -100, 0]), np.array([40.0, -100, 40])), ct)
    assert tilted.tilt_deg == pytest.approx(45) and "patient right" in tilted.text and "head" in tilted.text
    assert tilted.tip_slice > tilted.entry_slice
    assert straight.table_s_mm == 0.0 and straight.lateral_mm == -50.0
    assert "50 mm to the patient's left of the laser line" in straight.text and "table at S 0.0 mm" in straight.text


def test_target_nerve_counts_only_beside_it(phantom_anatomy: Anatomy) -> None:
    for target, wanted in (("intercostal", True), ("celiac_plexus", False)):
        plan, _ = replan(phantom_anatomy, target)
        rows = exact_clearances(phantom_anatomy, plan.nerve, plan.probes[0].trajectory, 0.75, limits(), nerve(target))
        assert any(c.structure == "target_nerve" for c in rows) is wanted
