"""CTs in: every format, the right order and frame, and a sentence for what cannot be planned on."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from cryoneuro.imaging import Phantom, from_sitk, list_series, read_ct, to_sitk
from cryoneuro.imaging.read import NO_DATA_HU
from cryoneuro.model import ImageError, VolumeGeometry
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def small_ct() -> tuple[np.ndarray, VolumeGeometry]:
    rng = np.random.default_rng(1)
    array = np.full((6, 8, 10), -1000, np.int16)
    array[1:5, 2:6, 3:8] = rng.integers(-100, 120, (4, 4, 5))
    matrix = np.diag([-1.5, -1.5, 2.5, 1.0])
    matrix[:3, 3] = (12, 30, -100)
    return array, VolumeGeometry(array.shape, matrix)


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "nii.gz", "nii"])
def test_files_come_back_as_written(tmp_path: Path, suffix: str) -> None:
    array, geometry = small_ct()
    path = tmp_path / f"ct.{suffix}"
    sitk.WriteImage(to_sitk(array, geometry), str(path))
    ct = read_ct(path)
    assert np.array_equal(ct.array_kji, array)
    assert ct.geometry == geometry


def test_bridge_puts_a_voxel_where_ras_says() -> None:
    """LPS (R, A negated) is SimpleITK's frame: the first voxel's origin tells."""
    array, geometry = small_ct()
    image = to_sitk(array, geometry)
    assert np.allclose(image.GetOrigin(), (-12, -30, -100))
    assert np.allclose(image.GetDirection(), np.eye(3).ravel())
    back, same = from_sitk(image)
    assert same == geometry and np.array_equal(back, array)


def write_series(folder: Path, count: int = 6, series: str | None = None, **changes: object) -> list[Path]:
    """A small CT series; changes by name: positions, modality, orientation, tilt, skip, description."""
    folder.mkdir(parents=True, exist_ok=True)
    array, _ = small_ct()
    uid, study, frame = series or generate_uid(), generate_uid(), generate_uid()
    positions = changes.get("positions") or [(-12.0, -30.0, -100.0 + 2.5 * k) for k in range(count)]
    paths = []
    for k, position in enumerate(positions):  # type: ignore[arg-type,var-annotated]
        if k in changes.get("skip", ()):  # type: ignore[operator]
            continue
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
        data.Modality = changes.get("modality", "CT")
        data.SeriesInstanceUID, data.StudyInstanceUID, data.FrameOfReferenceUID = uid, study, frame
        data.SeriesDescription = changes.get("description", "Test")
        data.PatientPosition = "HFP"
        data.ImagePositionPatient = [f"{v:.6f}" for v in position]
        data.ImageOrientationPatient = changes.get("orientation", [1, 0, 0, 0, 1, 0])
        if changes.get("orientations"):
            data.ImageOrientationPatient = changes["orientations"][k]  # type: ignore[index]
        data.GantryDetectorTilt = changes.get("tilt", 0)
        size = changes["pixel_sizes"][k] if changes.get("pixel_sizes") else 1.5  # type: ignore[index]
        data.PixelSpacing, data.SliceThickness = [size, size], 2.5
        data.Rows, data.Columns = array.shape[1:]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.RescaleIntercept, data.RescaleSlope = -1024, 1
        data.PixelData = (array[k % len(array)].astype(np.int32) + 1024).astype(np.uint16).tobytes()
        # Names against the slice order: whoever sorts by name gets it wrong.
        path = folder / f"image_{(7 * k + 3) % 97:02d}.dcm"
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def test_dicom_is_sorted_by_place(tmp_path: Path) -> None:
    write_series(tmp_path)
    ct = read_ct(tmp_path)
    array, geometry = small_ct()
    assert np.array_equal(ct.array_kji, array)
    assert np.allclose(ct.geometry.ijk_to_ras, geometry.ijk_to_ras, atol=1e-4)
    assert ct.acquisition.patient_position == "HFP" and ct.acquisition.modality == "CT"
    assert ct.acquisition.frame_of_reference_uid


def test_a_file_of_a_series_stands_for_the_series(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    assert read_ct(paths[2]).geometry.shape_kji == (6, 8, 10)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    last = max(paths, key=lambda p: float(pydicom.dcmread(p).ImagePositionPatient[2]))
    last.write_bytes(last.read_bytes()[:400])
    assert any(last.name in warning for warning in read_ct(tmp_path).warnings)


def test_oblique_dicom_keeps_its_frame(tmp_path: Path) -> None:
    row, column = np.array([np.cos(0.3), np.sin(0.3), 0.0]), np.array([0.0, 0.0, 1.0])
    normal = np.cross(row, column)
    positions = [tuple(np.array([1.0, 2.0, 3.0]) + 2.5 * k * normal) for k in range(6)]
    write_series(tmp_path, positions=positions, orientation=[*row, *column])
    ct = read_ct(tmp_path)
    lps = np.diag([-1, -1, 1, 1]) @ ct.geometry.ijk_to_ras
    assert np.allclose(lps[:3, 0] / 1.5, row, atol=1e-5) and np.allclose(lps[:3, 2] / 2.5, normal, atol=1e-5)


def test_two_series_are_asked_about(tmp_path: Path) -> None:
    write_series(tmp_path / "a", series="1.2.3.111")
    write_series(tmp_path / "b", series="1.2.3.222", description="Other")
    both = tmp_path / "both"
    both.mkdir()
    for name in ("a", "b"):
        for path in (tmp_path / name).iterdir():
            shutil.copy(path, both / f"{name}_{path.name}")
    with pytest.raises(ImageError, match=r"2 series.*--series"):
        read_ct(both)
    assert len(list_series(both)) == 2
    assert read_ct(both, series_uid="1.2.3.222").acquisition.description == "Other"
    with pytest.raises(ImageError, match="0 series"):
        read_ct(both, series_uid="9.9")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"skip": (2,)}, "missing"),
        ({"positions": [(0.0, 0.0, z) for z in (0, 2.5, 5, 5, 7.5, 10)]}, "same place"),
        ({"positions": [(0.0, 0.0, z) for z in (0, 2.5, 5, 6.6, 9.1, 11.6)]}, "distance changes"),
        ({"modality": "MR"}, "MR study"),
        ({"positions": [(0.0, 0.5 * k, 2.5 * k) for k in range(6)], "tilt": 11.3}, "tilt"),
        ({"orientations": [[1, 0, 0, 0, np.cos(t), np.sin(t)] for t in (0, 0, 0, 0.1, 0.1, 0.1)]}, "not parallel"),
        ({"pixel_sizes": [1.5, 1.5, 1.5, 0.7, 1.5, 1.5]}, "one pixel size"),
        ({"count": 1, "positions": [(0.0, 0.0, 0.0)]}, "single slice"),
    ],
)
def test_series_that_are_no_straight_volume_are_refused(tmp_path: Path, changes, words: str) -> None:
    write_series(tmp_path, **changes)
    with pytest.raises(ImageError, match=words):
        read_ct(tmp_path)


def write(path: Path, array: np.ndarray) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


def not_ct(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 300, (5, 6, 7)).astype(np.float32)
    values[2, 2, 2] = np.nan
    text = tmp_path / "text.nrrd"
    text.write_text("this is no image")
    (tmp_path / "empty.nrrd").write_bytes(b"")
    (tmp_path / "void").mkdir()
    color = sitk.GetImageFromArray(rng.integers(0, 255, (5, 6, 7, 3)).astype(np.uint8), isVector=True)
    sitk.WriteImage(color, str(tmp_path / "color.nrrd"))
    return {
        "missing": tmp_path / "nowhere.nrrd",
        "empty": tmp_path / "empty.nrrd",
        "text": text,
        "void": tmp_path / "void",
        "nan": write(tmp_path / "nan.nii", values),
        "mr": write(tmp_path / "mr.nrrd", rng.integers(0, 900, (5, 6, 7)).astype(np.int16)),
        "raw": write(tmp_path / "raw.nrrd", (rng.integers(-1000, 100, (5, 6, 7)) + 1024).astype(np.int16)),
        "color": tmp_path / "color.nrrd",
        "flat": write(tmp_path / "flat.nrrd", np.full((1, 6, 7), -1000, np.int16)),
    }


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no file or folder"),
        ("empty", "0 bytes"),
        ("text", "not an image"),
        ("void", "no DICOM images"),
        ("nan", "not a number"),
        ("mr", "do not look like CT"),
        ("raw", "do not look like CT"),
        ("color", "color image"),
        ("flat", "several slices"),
    ],
)
def test_what_is_no_ct_gets_a_sentence(tmp_path: Path, kind: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_ct(not_ct(tmp_path)[kind])


def test_padding_is_told_from_air(tmp_path: Path) -> None:
    array, _ = small_ct()
    array = array.astype(np.float32)
    array[:, 0, 0] = -3024
    array[0, 1, 1] = -1031
    ct = read_ct(write(tmp_path / "padded.nrrd", array))
    assert (ct.array_kji[:, 0, 0] == NO_DATA_HU).all() and ct.array_kji[0, 1, 1] == -1024


def test_jpeg_2000_series(shared: Path) -> None:
    ct = read_ct(shared / "data" / "dicom" / "ts_example_ct_dicom")
    assert ct.geometry.shape_kji == (20, 512, 512)
    assert ct.geometry.spacing_mm == pytest.approx((0.9766, 0.9766, 2.0), abs=1e-3)
    labels, geometry = from_sitk(sitk.ReadImage(str(shared / "data" / "dicom" / "ts_example_ct_dicom_labels.nrrd")))
    assert np.allclose(geometry.center_ras_mm, ct.geometry.center_ras_mm, atol=1.0)
    assert labels.any()


def test_gantry_tilt_is_refused(shared: Path, tmp_path: Path) -> None:
    with tarfile.open(shared / "data" / "dicom" / "dcm_qa_ct_GE_gantry_tilt.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = next(p.parent for p in tmp_path.rglob("*") if p.is_file())
    with pytest.raises(ImageError, match="tilt"):
        read_ct(folder)


def test_phantom_is_a_ct(phantom: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "phantom.nrrd"
    sitk.WriteImage(to_sitk(phantom.ct.array_kji, phantom.ct.geometry), str(path))
    assert np.array_equal(read_ct(path).array_kji, phantom.ct.array_kji)
