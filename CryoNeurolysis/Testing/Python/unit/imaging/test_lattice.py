"""The working grid does not depend on how the voxels are stored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cryoneuro.anatomy.labels import structures_from_labels
from cryoneuro.imaging import LabelMap, label_on_grid, read_label_map, sample, to_sitk, working_ct, working_geometry
from cryoneuro.imaging.read import NO_DATA_HU
from cryoneuro.model import CtVolume, ImageError, VolumeGeometry
from scipy.spatial.transform import Rotation


def smooth_ct(axes: np.ndarray, spacing: float = 2.0, count: int = 40) -> CtVolume:
    """A CT of a smooth function of the world, its axes turned."""
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing
    matrix[:3, 3] = -axes @ np.full(3, (count - 1) / 2 * spacing)
    geometry = VolumeGeometry((count, count, count), matrix)
    ijk = np.indices(geometry.shape_kji)[::-1].reshape(3, -1).T
    ras = geometry.ijk_to_ras_mm(ijk)
    values = 300 * np.sin(ras @ [0.05, 0.03, 0.02]) - 200
    return CtVolume(values.reshape(geometry.shape_kji).astype(np.int16), geometry)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:])
def test_axis_order_and_flips_change_nothing(order) -> None:
    base = working_ct(smooth_ct(np.eye(3)), 1.5)
    axes = np.eye(3)[:, order] * np.array([1, -1, -1])
    turned = working_ct(smooth_ct(axes), 1.5)
    assert turned.geometry == base.geometry
    assert np.abs(turned.array_kji.astype(int) - base.array_kji).max() <= 1


def test_oblique_grids_give_the_same_voxels() -> None:
    base = working_ct(smooth_ct(np.eye(3)), 1.5)
    turned = working_ct(smooth_ct(Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix()), 1.5)
    centers = base.geometry.ijk_to_ras_mm(np.argwhere(np.ones((20, 20, 20), bool))[:, ::-1] + 17)
    a = sample(base.array_kji, base.geometry, centers, 0)
    b = sample(turned.array_kji, turned.geometry, centers, 0)
    assert np.abs(a - b).max() < 4
    assert turned.geometry.is_ras_aligned
    offset = (turned.geometry.ijk_to_ras[:3, 3] - base.geometry.ijk_to_ras[:3, 3]) / 1.5
    assert np.allclose(offset, np.rint(offset), atol=1e-9)


def test_outside_the_volume_nothing_was_measured() -> None:
    turned = working_ct(smooth_ct(Rotation.from_euler("z", 45, degrees=True).as_matrix()), 2.0)
    corner = turned.measured_kji[turned.measured_kji.shape[0] // 2, 0, 0]
    assert not corner and turned.measured_kji.mean() > 0.4


def test_padding_was_not_measured() -> None:
    ct = smooth_ct(np.eye(3))
    array = ct.array_kji.copy()
    array[:, :10] = NO_DATA_HU
    working = working_ct(CtVolume(array, ct.geometry), 2.0)
    assert not working.measured_kji[:, :9].any() and working.measured_kji[1:-1, 11:-1, 1:-1].all()
    assert working.array_kji.min() >= -1024


@pytest.mark.parametrize("grid_mm", [0.1, 9.0])
def test_silly_grids_are_refused(grid_mm: float) -> None:
    with pytest.raises(ImageError, match=r"0\.5 to 5 mm"):
        working_ct(smooth_ct(np.eye(3)), grid_mm)


def test_too_many_voxels_are_refused_with_advice() -> None:
    with pytest.raises(ImageError, match="coarser"):
        working_geometry([0, 0, 0], [900, 900, 900], 0.5)


def test_sample_is_trilinear_and_knows_outside() -> None:
    geometry = VolumeGeometry((3, 3, 3), np.eye(4))
    array = np.arange(27, dtype=float).reshape(3, 3, 3)
    assert sample(array, geometry, np.array([[0.5, 1.0, 1.0]]))[0] == pytest.approx(12.5)
    assert np.isnan(sample(array, geometry, np.array([[9.0, 0, 0]]))[0])


def test_labels_move_to_another_grid() -> None:
    source = VolumeGeometry((4, 4, 4), np.diag([2.0, 2.0, 2.0, 1.0]))
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[2, 1, 3] = 7
    target = working_geometry([0, 0, 0], [7, 7, 7], 1.0)
    moved = label_on_grid(labels, source, target)
    centers = target.ijk_to_ras_mm(np.argwhere(moved == 7)[:, ::-1])
    assert np.allclose(centers.mean(axis=0), (6, 2, 4), atol=0.6)


def test_label_names_from_file_beside_or_default(tmp_path) -> None:
    import SimpleITK as sitk

    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 2, 3] = 1
    labels[1, 2, 1] = 52
    path = tmp_path / "labels.nrrd"
    sitk.WriteImage(to_sitk(labels, VolumeGeometry((3, 4, 5), np.eye(4))), str(path))
    assert read_label_map(path).names == {1: "spleen", 52: "aorta"}
    (tmp_path / "labels.json").write_text('{"1": "thing"}')
    assert read_label_map(path).names == {1: "thing", 52: "label_52"}
    (tmp_path / "names.csv").write_text("id,name\n1,liver\n52,colon\n")
    found: LabelMap = read_label_map(path, tmp_path / "names.csv")
    assert found.names == {1: "liver", 52: "colon"}
    (tmp_path / "bad.json").write_text("[1, 2]")
    with pytest.raises(ImageError, match="names"):
        read_label_map(path, tmp_path / "bad.json")


def test_empty_or_continuous_label_maps_are_refused(tmp_path) -> None:
    import SimpleITK as sitk

    geometry = VolumeGeometry((3, 4, 5), np.eye(4))
    for name, array, words in (
        ("empty", np.zeros((3, 4, 5), np.uint8), "empty"),
        ("float", np.random.default_rng(0).random((3, 4, 5)).astype(np.float32), "whole numbers"),
    ):
        path = tmp_path / f"{name}.nrrd"
        sitk.WriteImage(to_sitk(array, geometry), str(path))
        with pytest.raises(ImageError, match=words):
            read_label_map(path)
    with pytest.raises(ImageError, match="no label map"):
        read_label_map(tmp_path / "nowhere.nrrd")


def test_overlapping_segments_come_in_layers(tmp_path) -> None:
    """As Slicer writes them: one component a layer, the same value in two layers for two structures."""
    import SimpleITK as sitk

    layers = np.zeros((3, 4, 5, 2), np.uint8)
    layers[1, 1:3, 1:4, 0] = 1
    layers[1, 2, 2, 1] = 1
    layers[:, :, 0, 1] = 2
    image = to_sitk(layers, VolumeGeometry((3, 4, 5), np.eye(4)))
    for number, (name, value, layer) in enumerate((("Left kidney", "1", "0"), ("Tumor", "1", "1"), ("body", "2", "1"))):
        for what, text in (("Name", name), ("LabelValue", value), ("Layer", layer)):
            image.SetMetaData(f"Segment{number}_{what}", text)
    path = tmp_path / "drawn.seg.nrrd"
    sitk.WriteImage(image, str(path))
    found = read_label_map(path)
    assert found.names == {1: "Left kidney"} and (found.labels_kji == 1).sum() == 6
    assert [layer.names for layer in found.further] == [{1: "Tumor", 2: "body"}]
    assert np.argwhere(found.further[0].labels_kji == 1).tolist() == [[1, 2, 2]]
    structures, notes = structures_from_labels(found, found.geometry)
    assert any("'body'" in note and "left out" in note for note in notes)
    assert [(s.name, s.group, int(s.mask_kji.sum())) for s in structures] == [
        ("kidney_left", "kidney", 6),
        ("Tumor", "other", 1),
    ]
    for number in range(3):
        image.EraseMetaData(f"Segment{number}_LabelValue")
    sitk.WriteImage(image, str(tmp_path / "color.nrrd"))
    with pytest.raises(ImageError, match="2 values in each voxel"):
        read_label_map(tmp_path / "color.nrrd")
