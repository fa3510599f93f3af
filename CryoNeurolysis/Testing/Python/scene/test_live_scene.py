"""The live scan with the plan under it as a real MRML scene: one transform carries everything; bad scans change nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryoneuro.guidance import Arrival, LivePicture, LiveSetup, LiveState, follow, identity_questions
from cryoneuro.model import Case, moved
from cryoneuro.training import ScanSettings, room_truth, virtual_room_scan

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed (extra: scene)")
vtk = pytest.importorskip("vtk")

from CryoNeurolysisLib.scene.convert import arrayOf  # noqa: E402
from CryoNeurolysisLib.scene.host import HeadlessHost  # noqa: E402
from CryoNeurolysisLib.scene.live_render import LiveRenderer  # noqa: E402
from CryoNeurolysisLib.scene.live_scene import LiveScene  # noqa: E402

pytestmark = pytest.mark.slow
NOW = 1.79e9


@pytest.fixture(scope="module")
def pictures(planned_case: Case) -> tuple[LivePicture, LivePicture]:
    """Before the freeze and two minutes into it."""
    assert planned_case.plan is not None and planned_case.anatomy is not None
    truth = room_truth(planned_case.plan)
    settings = ScanSettings(slice_mm=2.5, slices=20, size=200, pixel_mm=1.3)
    scans = [
        virtual_room_scan(planned_case.ct, planned_case.anatomy, truth, replace(settings, seed=n), t)
        for n, t in enumerate((0.0, 150.0))
    ]
    accepted = frozenset(q.key for q in identity_questions(planned_case.ct, scans[0]))
    setup = LiveSetup(planned_case.ct, planned_case.anatomy, planned_case.plan, accepted)
    state, before = follow(setup, LiveState(), Arrival("a", "", NOW, scans[0]))
    setup = replace(setup, freeze_started_s=NOW + 10.0)
    _, during = follow(setup, state, Arrival("b", "", NOW + 160.0, scans[1]))
    assert before.good and during.good
    return before, during


def test_everything_of_the_plan_follows_into_the_scan(planned_case: Case, pictures: tuple[LivePicture, ...]) -> None:
    with HeadlessHost() as host:
        scene = LiveScene(host.scene, planned_case)
        assert scene.ct is None and not scene.show(replace(pictures[0], good=False))
        assert scene.ct is None
        assert scene.show(pictures[0])
        np.testing.assert_array_equal(arrayOf(scene.ct.GetImageData()), pictures[0].ct.array_kji)
        assert scene.ct.GetParentTransformNode() is None
        names = {}
        for node in (*scene._still, *scene._moving):
            assert node.GetParentTransformNode() is scene.transform, node.GetName()
            names[node.GetName()] = node
        for wanted in ("Anatomy", "Probe 1 as planned", "Probe 1 as it lies", "Isotherm 0 C", "Isotherm -20 C"):
            assert wanted in names
        # The planned shaft's front end, brought to the world by Slicer's own transform, is the plan's tip in the live frame.
        assert planned_case.plan is not None and pictures[0].alignment is not None
        tip = planned_case.plan.probes[0].trajectory.tip_ras_mm
        there = [0.0] * 3
        general = vtk.vtkGeneralTransform()
        scene.transform.GetTransformToWorld(general)
        general.TransformPoint(tip.tolist(), there)
        np.testing.assert_allclose(there, moved(pictures[0].alignment.plan_to_live, tip), atol=1e-6)
        count = host.scene.GetNumberOfNodes()
        # The next scan takes the place of the last one: nothing piles up.
        for picture in (pictures[1], pictures[0], pictures[1], pictures[0]):
            assert scene.show(picture)
        assert host.scene.GetNumberOfNodes() == count
        before = scene.ct
        assert not scene.show(replace(pictures[1], good=False)) and scene.ct is before
        scene.clear()
        assert not host.scene.GetNodesByClass("vtkMRMLScalarVolumeNode").GetNumberOfItems()


def test_pictures_show_probe_ice_and_advice(
    tmp_path: Path, planned_case: Case, pictures: tuple[LivePicture, ...]
) -> None:
    renderer = LiveRenderer(planned_case)
    try:
        for picture in pictures:
            drawn = renderer.draw(picture, tmp_path)
            assert [p.name for p, _ in drawn] == [f"{picture.number:04d}-axial.png", f"{picture.number:04d}-path.png"]
        assert renderer.draw(replace(pictures[0], good=False), tmp_path) == ()
    finally:
        renderer.close()
    reader = vtk.vtkPNGReader()
    reader.SetFileName(str(tmp_path / "latest-axial.png"))
    reader.Update()
    from vtk.util.numpy_support import vtk_to_numpy

    values = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
    colors = len(np.unique(values[:, :3], axis=0))
    assert colors > 200 and not list(tmp_path.glob(".latest*"))
