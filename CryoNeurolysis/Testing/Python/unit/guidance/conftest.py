"""Small CT series as files, and DCMTK as the scanner that sends them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cryoneuro.guidance import Arrival, FrameSource
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

WriteSeries = Callable[..., list[Path]]


@pytest.fixture
def write_series(tmp_path: Path) -> WriteSeries:
    """write_series(name, slices=5, **attributes) -> its files; attributes overwrite those of every slice."""

    def write(name: str, slices: int = 5, size: int = 32, **attributes: object) -> list[Path]:
        folder = tmp_path / name
        folder.mkdir()
        series, study, frame = generate_uid(), generate_uid(), generate_uid()
        rng = np.random.default_rng(7)
        files = []
        for k in range(slices):
            meta = FileMetaDataset()
            meta.MediaStorageSOPClassUID = CTImageStorage
            meta.MediaStorageSOPInstanceUID = generate_uid()
            meta.TransferSyntaxUID = ExplicitVRLittleEndian
            data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
            data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
            data.PatientID, data.PatientBirthDate, data.PatientName = "P1", "19700101", "Test"
            data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
            data.Modality, data.PatientPosition, data.SeriesDescription = "CT", "FFS", name
            data.AcquisitionDate, data.AcquisitionTime = "20261127", "101500"
            data.InstanceNumber = k + 1
            data.ImagePositionPatient = [-16.0, -16.0, 5.0 * k]
            data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            data.PixelSpacing, data.SliceThickness = [1.0, 1.0], 5.0
            data.Rows = data.Columns = size
            data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
            data.BitsAllocated = data.BitsStored = 16
            data.HighBit, data.PixelRepresentation = 15, 1
            data.RescaleSlope, data.RescaleIntercept = 1, -1024
            values = rng.integers(0, 1100, (size, size)).astype(np.int16)
            values[0, :8] = 0
            data.PixelData = values.tobytes()
            for key, value in attributes.items():
                setattr(data, key, value)
            path = folder / f"{k:03d}.dcm"
            pydicom.dcmwrite(path, data, enforce_file_format=True)
            files.append(path)
        return files

    return write


@pytest.fixture(scope="session")
def dcmtk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a DCMTK program with arguments; other packages bring programs of the same names."""
    sender = shutil.which("dcmsend")
    if sender is None:
        pytest.skip("DCMTK is not installed (apt-get install dcmtk)")
    folder = Path(sender).resolve().parent

    def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(folder / program), *(str(a) for a in arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


def _until(source: FrameSource, count: int, seconds: float = 10.0, scans: bool = False) -> list[Arrival]:
    found: list[Arrival] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found += source.poll()
        if len([a for a in found if a.ct is not None or not scans]) >= count:
            break
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def until() -> Callable[..., list[Arrival]]:
    """until(source, count, seconds=10, scans=False) -> what came, polled until there are so many (scans) or time is up."""
    return _until


@pytest.fixture
def closing() -> Iterator[Callable[[FrameSource], FrameSource]]:
    """Closes what a test opens, also where it fails."""
    opened: list[FrameSource] = []

    def keep(source: FrameSource) -> FrameSource:
        opened.append(source)
        return source

    yield keep
    for source in opened:
        source.close()
