"""Segmentation objects written by another program, structure sets, polygons, and the padding round a field of view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cryoneuro.anatomy import segment, structures_from_labels
from cryoneuro.imaging import Phantom, label_on_grid, read_label_map
from cryoneuro.imaging.padding import padded_columns
from cryoneuro.imaging.polygon import filled_polygon
from cryoneuro.model import Acquisition, AnatomyError, CtVolume, ImageError, VolumeGeometry
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

FRAME = "1.2.3.4.5"


def ct_slices(ct: CtVolume) -> list[Dataset]:
    """DICOM headers of a CT's slices: what a segmentation object refers to."""
    study, series = generate_uid(), generate_uid()
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ct.geometry.ijk_to_ras
    slices = []
    for k in range(ct.geometry.shape_kji[0]):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, FRAME
        data.PatientID = data.StudyID = data.AccessionNumber = "x"
        data.PatientName = "X^Y"
        data.PatientBirthDate = data.PatientSex = data.StudyDate = data.StudyTime = ""
        data.Modality, data.SeriesNumber, data.InstanceNumber = "CT", 1, k + 1
        data.Rows, data.Columns = ct.geometry.shape_kji[1:]
        spacing = ct.geometry.spacing_mm
        data.PixelSpacing, data.SliceThickness = [spacing[1], spacing[0]], spacing[2]
        data.ImageOrientationPatient = [*(lps[:3, 0] / spacing[0]), *(lps[:3, 1] / spacing[1])]
        data.ImagePositionPatient = list(lps[:3, 3] + k * lps[:3, 2])
        slices.append(data)
    return slices


def write_seg(path: Path, ct: CtVolume, masks: dict[str, np.ndarray]) -> None:
    """A binary segmentation object, written by highdicom."""
    import highdicom as hd

    code = hd.sr.CodedConcept("123037004", "SCT", "Body structure")
    descriptions = [
        hd.seg.SegmentDescription(n, label, code, code, hd.seg.SegmentAlgorithmTypeValues.MANUAL)
        for n, label in enumerate(masks, start=1)
    ]
    seg = hd.seg.Segmentation(
        ct_slices(ct),
        np.stack(list(masks.values()), axis=-1).astype(np.uint8),
        hd.seg.SegmentationTypeValues.BINARY,
        descriptions,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
    )
    seg.save_as(path)


def write_structure_set(path: Path, contours: dict[str, list[np.ndarray]], frame: str = FRAME) -> None:
    """A structure set with closed contours (N, 3) in RAS mm."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = generate_uid(), ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = meta.MediaStorageSOPClassUID, generate_uid(), "RTSTRUCT"
    reference = Dataset()
    reference.FrameOfReferenceUID = frame
    data.ReferencedFrameOfReferenceSequence = Sequence([reference])
    names, drawn = [], []
    for number, (name, rings) in enumerate(contours.items(), start=1):
        roi = Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        names.append(roi)
        item = Dataset()
        item.ReferencedROINumber = number
        item.ContourSequence = Sequence()
        for ring in rings:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(ring)
            contour.ContourData = [f"{v:.4f}" for v in (ring * [-1.0, -1.0, 1.0]).ravel()]
            item.ContourSequence.append(contour)
        drawn.append(item)
    data.StructureSetROISequence, data.ROIContourSequence = Sequence(names), Sequence(drawn)
    data.save_as(path, enforce_file_format=True)


def ring(center: tuple[float, float, float], radius: float, count: int = 120) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.column_stack([center[0] + radius * np.cos(t), center[1] + radius * np.sin(t), np.full(count, center[2])])


def truth(phantom: Phantom, name: str) -> np.ndarray:
    return phantom.labels_kji == next(v for v, n in phantom.names.items() if n == name)


def test_a_dicom_segmentation_comes_back_where_it_was(phantom: Phantom, tmp_path: Path) -> None:
    kidney, aorta = truth(phantom, "kidney_left"), truth(phantom, "aorta")
    both = {"Left kidney": kidney, "Aorta": aorta, "Sheath": aorta | np.roll(aorta, 4, axis=2)}
    write_seg(tmp_path / "seg.dcm", phantom.ct, both)
    found = read_label_map(tmp_path / "seg.dcm")
    assert len(found.further) == 1, "the sheath overlaps the aorta and needs a layer of its own"
    names = {**found.names, **{v + 100: n for v, n in found.further[0].names.items()}}
    assert sorted(names.values()) == ["Aorta", "Left kidney", "Sheath"]
    for name, wanted in both.items():
        layer = found if name in found.names.values() else found.further[0]
        value = next(v for v, n in layer.names.items() if n == name)
        on_ct = label_on_grid(layer.labels_kji, layer.geometry, phantom.ct.geometry) == value
        assert np.array_equal(on_ct, wanted), name
    assert found.frame_uid == FRAME
    structures, _ = structures_from_labels(found, phantom.ct.geometry)
    assert {"kidney_left", "aorta"} <= {s.name for s in structures}


def test_a_segmentation_in_a_folder_of_its_own(phantom: Phantom, tmp_path: Path) -> None:
    write_seg(tmp_path / "IM0001", phantom.ct, {"Aorta": truth(phantom, "aorta")})
    assert read_label_map(tmp_path).names == {1: "Aorta"}


def test_contours_are_filled_with_their_holes(phantom: Phantom, tmp_path: Path) -> None:
    s_of = phantom.ct.geometry.ijk_to_ras_mm([[0, 0, k] for k in (40, 41, 42)])[:, 2]
    rings = [r for s in s_of for r in (ring((20.0, 10.0, s), 15.0), ring((20.0, 10.0, s), 6.0))]
    write_structure_set(tmp_path / "rs.dcm", {"Colon": rings})
    found = read_label_map(tmp_path / "rs.dcm", geometry=phantom.ct.geometry)
    kji = np.argwhere(found.labels_kji == 1)
    assert set(kji[:, 0]) == {40, 41, 42}
    points = phantom.ct.geometry.ijk_to_ras_mm(kji[:, ::-1])
    far = np.hypot(points[:, 0] - 20.0, points[:, 1] - 10.0)
    assert far.max() <= 15.01 and far.min() >= 5.9
    assert len(kji) * 4.0 == pytest.approx(3 * np.pi * (15**2 - 6**2), rel=0.02)


def test_contours_on_every_second_slice_mean_the_ones_between(phantom: Phantom, tmp_path: Path) -> None:
    s_of = phantom.ct.geometry.ijk_to_ras_mm([[0, 0, k] for k in range(40, 51, 2)])[:, 2]
    write_structure_set(tmp_path / "rs.dcm", {"Colon": [ring((20.0, 10.0, s), 15.0) for s in s_of]})
    found = read_label_map(tmp_path / "rs.dcm", geometry=phantom.ct.geometry)
    assert set(np.argwhere(found.labels_kji)[:, 0]) == set(range(40, 51))


def test_structures_of_another_scan_are_refused(phantom: Phantom, tmp_path: Path) -> None:
    s = float(phantom.ct.geometry.ijk_to_ras_mm([[0, 0, 40]])[0, 2])
    write_structure_set(tmp_path / "rs.dcm", {"Colon": [ring((20.0, 10.0, s), 15.0)]}, frame="9.9")
    labels = read_label_map(tmp_path / "rs.dcm", geometry=phantom.ct.geometry)
    ct = replace(phantom.ct, acquisition=Acquisition(frame_of_reference_uid=FRAME))
    with pytest.raises(AnatomyError, match="another frame of reference"):
        segment(ct, labels, grid_mm=2.0)


def test_what_cannot_be_read_is_said(phantom: Phantom, tmp_path: Path) -> None:
    s = float(phantom.ct.geometry.ijk_to_ras_mm([[0, 0, 40]])[0, 2])
    path = tmp_path / "rs.dcm"
    write_structure_set(path, {"Colon": [ring((20.0, 10.0, s), 15.0)]})
    with pytest.raises(ImageError, match="need the CT"):
        read_label_map(path)
    tilted = ring((20.0, 10.0, s), 15.0)
    tilted[:, 2] += 0.5 * tilted[:, 0]
    write_structure_set(path, {"Colon": [tilted]})
    with pytest.raises(ImageError, match="do not lie in the slices"):
        read_label_map(path, geometry=phantom.ct.geometry)
    write_structure_set(path, {"Colon": []})
    with pytest.raises(ImageError, match="empty"):
        read_label_map(path, geometry=phantom.ct.geometry)
    data = pydicom.dcmread(path)
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    data.save_as(path)
    with pytest.raises(ImageError, match="SEG or RTSTRUCT"):
        read_label_map(path, geometry=phantom.ct.geometry)
    (tmp_path / "other").mkdir()
    with pytest.raises(ImageError, match="holds 0 DICOM files"):
        read_label_map(tmp_path / "other")


@given(
    st.lists(st.tuples(st.floats(-2, 12), st.floats(-2, 12)), min_size=3, max_size=9),
)
@settings(max_examples=150, deadline=None)
def test_filled_polygon_agrees_with_counting_turns(points: list[tuple[float, float]]) -> None:
    """Against matplotlib's path, which another hand wrote, where a polygon does not cross itself: here convex hulls."""
    from matplotlib.path import Path as Outline
    from scipy.spatial import ConvexHull, QhullError

    array = np.array(points) + 1e-3 * np.arange(2 * len(points)).reshape(-1, 2) % 7e-3
    try:
        hull = array[ConvexHull(array).vertices]
    except QhullError:
        return
    j, i = np.mgrid[0:11, 0:11]
    centers = np.column_stack([i.ravel(), j.ravel()])
    wanted = Outline(hull).contains_points(centers, radius=1e-9) | Outline(hull).contains_points(centers, radius=-1e-9)
    edge = np.abs(_edge_distance(hull, centers)) < 1e-6
    found = filled_polygon(hull, (11, 11)).ravel()
    assert np.array_equal(found[~edge], wanted[~edge])


def _edge_distance(hull: np.ndarray, centers: np.ndarray) -> np.ndarray:
    start, end = hull, np.roll(hull, -1, axis=0)
    along = end - start
    t = np.clip(((centers[:, None] - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12), 0, 1)
    return np.linalg.norm(centers[:, None] - (start + t[..., None] * along), axis=2).min(axis=1)


def noisy_air(shape: tuple[int, int, int] = (12, 160, 150)) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.clip(rng.normal(-1000, 15, shape), -1024, None).astype(np.int16)


def test_padding_round_a_circle_is_found_and_measured_air_is_not() -> None:
    array = noisy_air()
    j, i = np.indices(array.shape[1:])
    outside = np.hypot(j - 70, i - 78) > 82
    assert padded_columns(array) is None
    array[:, outside] = -1024
    found = padded_columns(array)
    assert found is not None and np.array_equal(found, outside)


def test_constant_air_beside_a_patient_is_no_padding() -> None:
    """Some scanners clip air to one value; the skin's edge is no circle."""
    array = np.full((12, 160, 150), -1024, np.int16)
    j, i = np.indices(array.shape[1:])
    array[:, np.hypot((j - 80) / 45.0, (i - 75) / 62.0) < 1] = 40
    assert padded_columns(array) is None


def test_padding_is_not_measured(phantom: Phantom) -> None:
    from cryoneuro.imaging import ct_from_array, working_ct

    array = phantom.ct.array_kji.copy()
    j, i = np.indices(array.shape[1:])
    outside = np.hypot(j - array.shape[1] / 2, i - array.shape[2] / 2) > 0.49 * array.shape[2]
    array[:, outside] = -1024
    working = working_ct(ct_from_array(array, phantom.ct.geometry, Acquisition(), "x"), 2.0)
    assert 0.5 * outside.mean() < 1.0 - working.measured_kji.mean() < 1.5 * outside.mean()


def test_geometry_of_a_turned_segmentation(phantom: Phantom, tmp_path: Path) -> None:
    """A CT stored in another axis order gives a segmentation with another orientation, at the same place."""
    turned = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]).T
    from cryoneuro.imaging import make_phantom

    other = make_phantom(4.0, rotation=turned)
    write_seg(tmp_path / "seg.dcm", other.ct, {"Aorta": truth(other, "aorta")})
    found = read_label_map(tmp_path / "seg.dcm")
    assert isinstance(found.geometry, VolumeGeometry)
    wanted = other.ct.geometry.ijk_to_ras_mm(np.argwhere(truth(other, "aorta"))[:, ::-1]).mean(axis=0)
    got = found.geometry.ijk_to_ras_mm(np.argwhere(found.labels_kji)[:, ::-1]).mean(axis=0)
    assert np.abs(wanted - got).max() < 1e-3
