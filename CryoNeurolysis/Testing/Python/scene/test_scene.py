"""The case as a real MRML scene: nodes, pictures, the bundle, and the case folder's files read by Slicer's own readers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cryoneuro.knowledge import color
from cryoneuro.model import Case, ImageError
from cryoneuro.session import save_case

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed (extra: scene)")
vtk = pytest.importorskip("vtk")

from CryoNeurolysisLib.scene.case_scene import buildCase  # noqa: E402
from CryoNeurolysisLib.scene.convert import arrayOf, isosurface, tube  # noqa: E402
from CryoNeurolysisLib.scene.ct_node import ctFromNode  # noqa: E402
from CryoNeurolysisLib.scene.host import HeadlessHost  # noqa: E402
from CryoNeurolysisLib.scene.isotherms import SHOWN_C, isothermColor, updateIsotherms  # noqa: E402
from CryoNeurolysisLib.scene.nodes import ctNode  # noqa: E402


@pytest.fixture(scope="module")
def host():
    with HeadlessHost() as found:
        yield found


@pytest.fixture(scope="module")
def nodes(host, assessed_case: Case):
    return buildCase(host.scene, assessed_case)


def matrix_of(node) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])


def test_ct_is_the_ct(nodes, assessed_case: Case) -> None:
    assert np.array_equal(arrayOf(nodes.ct.GetImageData()), assessed_case.ct.array_kji)
    assert np.allclose(matrix_of(nodes.ct), assessed_case.ct.geometry.ijk_to_ras)
    display = nodes.ct.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (400.0, 40.0)


def segment_mask(segmentation, name: str, geometry) -> np.ndarray:
    reference, found, placed = (slicer.vtkOrientedImageData() for _ in range(3))
    reference.SetDimensions(*geometry.shape_kji[::-1])
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(geometry.ijk_to_ras.ravel().tolist())
    reference.SetImageToWorldMatrix(matrix)
    reference.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    segmentation.GetBinaryLabelmapRepresentation(name, found)
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        found, reference, placed, False, False
    )
    return arrayOf(placed) > 0


def test_segments_are_the_structures(nodes, assessed_case: Case) -> None:
    anatomy = assessed_case.anatomy
    assert anatomy is not None
    for structure in anatomy.structures:
        if structure.group != "unmeasured":
            mask = segment_mask(nodes.segmentation, structure.name, anatomy.geometry)
            assert np.array_equal(mask, structure.mask_kji), structure.name


def test_nerve_and_path_are_where_they_were_planned(nodes, assessed_case: Case) -> None:
    plan = assessed_case.plan
    assert plan is not None
    curve = np.array([nodes.nerves[0].GetNthControlPointPositionWorld(n) for n in range(len(plan.nerve.points_ras_mm))])
    assert np.allclose(curve, plan.nerve.points_ras_mm)
    line = nodes.trajectories[0]
    assert np.allclose(line.GetNthControlPointPositionWorld(0), plan.probes[0].trajectory.entry_ras_mm)
    assert np.allclose(line.GetNthControlPointPositionWorld(1), plan.probes[0].trajectory.tip_ras_mm)


def test_isotherms_lie_where_the_field_has_their_temperature(nodes, assessed_case: Case) -> None:
    from cryoneuro.imaging import sample

    run = assessed_case.thermal
    assert run is not None
    for isotherm in SHOWN_C:
        surface = nodes.isotherms[isotherm].GetPolyData()
        points = np.array([surface.GetPoint(n) for n in range(0, surface.GetNumberOfPoints(), 17)])
        assert np.abs(sample(run.coldest_c, run.geometry, points) - isotherm).max() < 0.1
        assert nodes.isotherms[isotherm].GetDisplayNode().GetVisibility2D()


def test_time_moves_the_isotherms(nodes, assessed_case: Case) -> None:
    run = assessed_case.thermal
    assert run is not None
    updateIsotherms(nodes.isotherms, run.temperature_c[0], run.geometry)
    assert nodes.isotherms[0.0].GetPolyData().GetNumberOfPoints() == 0
    updateIsotherms(nodes.isotherms, run.temperature_c[2], run.geometry)
    early = nodes.isotherms[0.0].GetPolyData().GetNumberOfPoints()
    updateIsotherms(nodes.isotherms, run.coldest_c, run.geometry)
    assert 0 < early < nodes.isotherms[0.0].GetPolyData().GetNumberOfPoints()


def test_one_folder_holds_everything(host, nodes) -> None:
    hierarchy = host.scene.GetSubjectHierarchyNode()
    parents = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(n)) for n in nodes.everything()}
    assert len(parents) == 1 and "CryoNeurolysis" in hierarchy.GetItemName(parents.pop())


def test_a_volume_node_becomes_the_same_ct(host, assessed_case: Case) -> None:
    node = ctNode(host.scene, assessed_case.ct)
    ct = ctFromNode(node)
    assert np.array_equal(ct.array_kji, assessed_case.ct.array_kji) and ct.geometry == assessed_case.ct.geometry
    transform = host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(ImageError, match="transform"):
        ctFromNode(node)
    node.SetAndObserveTransformNodeID(None)
    color_node = host.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    color_image = vtk.vtkImageData()
    color_image.SetDimensions(3, 3, 3)
    color_image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    color_node.SetAndObserveImageData(color_image)
    with pytest.raises(ImageError, match="several values"):
        ctFromNode(color_node)
    host.scene.RemoveNode(color_node)
    with pytest.raises(ImageError, match="No CT"):
        ctFromNode(None)
    host.scene.RemoveNode(node)
    host.scene.RemoveNode(transform)


def test_surfaces_of_known_size() -> None:
    from cryoneuro.imaging import working_geometry

    geometry = working_geometry([-15, -15, -15], [15, 15, 15], 1.0)
    ijk = np.indices(geometry.shape_kji)[::-1].reshape(3, -1).T
    field = np.linalg.norm(geometry.ijk_to_ras_mm(ijk), axis=1).reshape(geometry.shape_kji)
    mass = vtk.vtkMassProperties()
    mass.SetInputData(isosurface(field, geometry, 10.0))
    assert mass.GetVolume() == pytest.approx(4 / 3 * np.pi * 1000, rel=0.01)
    shaft = tube(np.array([[0, 0, 0], [0, 0, 20.0]]), 2.0)
    assert shaft.GetBounds()[4:] == pytest.approx((0, 20))


def rendered(assessed_case: Case, folder: Path) -> None:
    """Rendering runs in a process of its own, as it does for a user: a crash in a driver fails this test alone."""
    save_case(assessed_case, folder)
    code = (
        "import sys\nfrom pathlib import Path\nfrom cryoneuro.session import load_case\n"
        "from CryoNeurolysisLib.scene.render import render_case\n"
        "print(len(render_case(load_case(sys.argv[1])[0], Path(sys.argv[1]))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "5"


@pytest.fixture(scope="module")
def drawn(assessed_case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "case"
    rendered(assessed_case, folder)
    return folder


def pixels(path: Path) -> np.ndarray:
    reader = vtk.vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    from vtk.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*image.GetDimensions()[1::-1], -1)[::-1]


def has_color(picture: np.ndarray, rgb: tuple[float, float, float], tolerance: int = 30) -> int:
    middle = picture[60:-140]  # without the legend, which would always hold the color
    return int((np.abs(middle.astype(int) - (np.array(rgb) * 255).astype(int)).max(axis=2) < tolerance).sum())


@pytest.mark.parametrize("name", ["axial", "sagittal", "coronal", "path"])
def test_slice_pictures_show_ct_isotherms_and_nerve(drawn: Path, name: str) -> None:
    picture = pixels(drawn / "report" / f"{name}.png")
    gray = picture[..., :3].astype(int)
    assert (np.ptp(gray, axis=2) < 6).mean() > 0.5 and gray.std() > 20
    # The smallest isotherm can hide behind nerve and probe where the slice does not run along them.
    for isotherm in (0.0, -20.0, -40.0) if name in ("axial", "path") else (0.0, -20.0):
        assert has_color(picture, isothermColor(isotherm)) > 10, isotherm
    if name != "path":
        assert has_color(picture, color("nerve")) > 10


def test_3d_picture_shows_bone_probe_and_ice(drawn: Path) -> None:
    picture = pixels(drawn / "report" / "3d.png")
    assert picture[..., :3].astype(int).std() > 15
    assert has_color(picture, color("trajectory"), 90) > 20


def test_the_bundle_opens_again(drawn: Path, assessed_case: Case) -> None:
    with HeadlessHost() as fresh:
        fresh.load(drawn / "scene.mrb")
        scene = fresh.scene
        volume = scene.GetFirstNodeByName(assessed_case.ct.name)
        assert np.array_equal(arrayOf(volume.GetImageData()), assessed_case.ct.array_kji)
        assert np.allclose(matrix_of(volume), assessed_case.ct.geometry.ijk_to_ras, atol=1e-9)
        segmentation = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        anatomy = assessed_case.anatomy
        assert anatomy is not None
        wanted = [s.name for s in anatomy.structures if s.group != "unmeasured"]
        assert [segmentation.GetSegmentation().GetNthSegmentID(n) for n in range(len(wanted))] == wanted
        mask = segment_mask(segmentation, "lung_left", anatomy.geometry)
        assert np.array_equal(mask, anatomy.structure("lung_left").mask_kji)
        for isotherm in SHOWN_C:
            assert scene.GetFirstNodeByName(f"Isotherm {isotherm:g} C").GetPolyData().GetNumberOfPoints() > 50
        assert scene.GetFirstNodeByClass("vtkMRMLMarkupsCurveNode").GetNumberOfControlPoints() > 2
        layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
        red = scene.GetSingletonNode("Red", "vtkMRMLSliceCompositeNode")
        assert scene.GetNodeByID(red.GetBackgroundVolumeID()).GetName() == assessed_case.ct.name


def test_slicers_readers_open_every_file_of_the_case(host, drawn: Path, assessed_case: Case) -> None:
    scene = host.scene
    run, anatomy, plan = assessed_case.thermal, assessed_case.anatomy, assessed_case.plan
    assert run is not None and anatomy is not None and plan is not None

    def read(kind: str, storage_kind: str, name: str):
        node = scene.AddNewNodeByClass(kind)
        storage = scene.AddNewNodeByClass(storage_kind)
        storage.SetFileName(str(drawn / name))
        assert storage.ReadData(node) == 1, name
        return node

    segmentation = read("vtkMRMLSegmentationNode", "vtkMRMLSegmentationStorageNode", "anatomy.seg.nrrd")
    for name in ("bone", "lung_right"):
        assert np.array_equal(segment_mask(segmentation, name, anatomy.geometry), anatomy.structure(name).mask_kji)
    sequence = read("vtkMRMLSequenceNode", "vtkMRMLVolumeSequenceStorageNode", "thermal/temperature.seq.nrrd")
    times = [float(sequence.GetNthIndexValue(n)) for n in range(sequence.GetNumberOfDataNodes())]
    assert np.allclose(times, run.snapshot_times_s) and sequence.GetIndexUnit() == "s"
    frame = sequence.GetNthDataNode(3)
    assert np.array_equal(arrayOf(frame.GetImageData()), run.temperature_c[3])
    assert np.allclose(matrix_of(frame), run.geometry.ijk_to_ras)
    curve = read("vtkMRMLMarkupsCurveNode", "vtkMRMLMarkupsJsonStorageNode", "nerve_1.mrk.json")
    assert np.allclose(curve.GetNthControlPointPositionWorld(0), plan.nerve.points_ras_mm[0])
    line = read("vtkMRMLMarkupsLineNode", "vtkMRMLMarkupsJsonStorageNode", "probe_1.mrk.json")
    assert np.allclose(line.GetNthControlPointPositionWorld(1), plan.probes[0].trajectory.tip_ras_mm)
    volume = read("vtkMRMLScalarVolumeNode", "vtkMRMLVolumeArchetypeStorageNode", "thermal/coldest.nrrd")
    assert np.array_equal(arrayOf(volume.GetImageData()), run.coldest_c)
