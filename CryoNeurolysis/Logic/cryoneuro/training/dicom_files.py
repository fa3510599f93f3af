"""A CT as DICOM files, as a scanner would send them: for trainees' consoles and for tests of the receiver."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..model import CtVolume, ImageError

_CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"


def write_dicom_series(
    ct: CtVolume, folder: str | Path, made_s: float | None = None, header: Mapping[str, Any] | None = None
) -> tuple[Path, ...]:
    """Write one file for each slice; returns them from the first to the last.

    Args:
        made_s: when the scan was made, seconds since 1970; now when None.
        header: DICOM keywords and values for every slice, in place of the usual ones.

    Raises:
        ImageError: pydicom is not installed.
    """
    try:
        from pydicom import dcmwrite
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid
    except ImportError:
        raise ImageError("Writing DICOM needs the package pydicom; install it with: pip install pydicom.") from None
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    moment = time.time() if made_s is None else made_s
    when, part = time.localtime(moment), moment % 1.0
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ct.geometry.ijk_to_ras
    step = np.array(ct.geometry.spacing_mm)
    axes = lps[:3, :3] / step
    series, acquisition = generate_uid(), ct.acquisition
    files = []
    for k, plane in enumerate(ct.array_kji):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = _CT_CLASS
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = _CT_CLASS, meta.MediaStorageSOPInstanceUID
        data.PatientID, data.PatientName, data.PatientBirthDate = "TRAINING", "Training", "19000101"
        data.StudyInstanceUID = acquisition.study_uid or generate_uid(entropy_srcs=["study", ct.name])
        data.FrameOfReferenceUID = acquisition.frame_of_reference_uid or generate_uid(entropy_srcs=["frame", ct.name])
        data.SeriesInstanceUID, data.SeriesDescription = series, "Live"
        data.Modality, data.PatientPosition = "CT", acquisition.patient_position or "HFS"
        data.AcquisitionDate = time.strftime("%Y%m%d", when)
        data.AcquisitionTime = time.strftime("%H%M%S", when) + f"{part:.3f}"[1:]
        data.InstanceNumber = k + 1
        data.ImagePositionPatient = [f"{v:.6f}" for v in lps[:3, 3] + k * lps[:3, 2]]
        data.ImageOrientationPatient = [f"{v:.8f}" for v in (*axes[:, 0], *axes[:, 1])]
        data.PixelSpacing = [f"{step[1]:.6f}", f"{step[0]:.6f}"]
        data.SliceThickness = f"{step[2]:.6f}"
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.RescaleSlope, data.RescaleIntercept = 1, 0
        data.PixelData = np.ascontiguousarray(plane, "<i2").tobytes()
        for key, value in (header or {}).items():
            setattr(data, key, value)
        files.append(place / f"{k + 1:04d}.dcm")
        dcmwrite(files[-1], data, enforce_file_format=True)
    return tuple(files)
