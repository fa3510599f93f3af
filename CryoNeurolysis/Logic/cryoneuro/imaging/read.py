"""Reads a CT from a file or a DICOM folder and refuses what cannot be planned on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..model import (
    Acquisition,
    Cancelled,
    CtVolume,
    ImageError,
    Progress,
    VolumeGeometry,
    never_cancelled,
    no_progress,
)
from .dicom import is_dicom, read_dicom_files, read_dicom_folder, scan_folder, series_text
from .nifti import nifti_nonfinite
from .padding import padded_columns
from .sitk_bridge import from_sitk

NO_DATA_HU = -2048
"""Value of voxels that the scanner did not measure: the corners outside its circular field of view."""

_SPACING_MM = (0.05, 20.0)
_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz", ".hdr")


def read_ct(
    path: str | Path,
    series_uid: str | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> CtVolume:
    """Read a CT from a DICOM folder, a DICOM file of a series, or an NRRD, MHA or NIfTI file.

    Args:
        path: folder or file.
        series_uid: which series, when the folder holds several (its beginning is enough).

    Returns:
        The CT in HU with its geometry in RAS and warnings in plain words.

    Raises:
        ImageError: missing, empty or unreadable file, no CT, incomplete, unevenly spaced or tilted series.
    """
    source = Path(path).expanduser()
    if not source.exists():
        raise ImageError(f"There is no file or folder called {source}; check the path.")
    progress(0.0, "Reading the CT")
    if source.is_dir():
        image, acquisition, warnings = read_dicom_folder(source, series_uid, progress, cancelled)
        name = acquisition.description or source.name
    else:
        if source.stat().st_size == 0:
            raise ImageError(f"{source} is empty (0 bytes); copy it again from where it came.")
        if is_dicom(source) and not source.name.lower().endswith(_SUFFIXES):
            image, acquisition, warnings = read_dicom_folder(source.parent, series_uid, progress, cancelled, source)
            name = acquisition.description or source.parent.name
        else:
            image, acquisition, warnings = _read_file(source), Acquisition(), []
            name = source.name.split(".")[0]
    volume = _checked_ct(image, acquisition, warnings, name, source)
    progress(1.0, "CT read")
    return volume


def read_ct_files(
    paths: Sequence[Path], progress: Progress = no_progress, cancelled: Cancelled = never_cancelled
) -> CtVolume:
    """Read a CT from the DICOM files of one series, wherever they lie and whatever lies beside them.

    Raises:
        ImageError: see read_ct.
    """
    image, acquisition, warnings = read_dicom_files(paths, progress, cancelled)
    return _checked_ct(image, acquisition, warnings, acquisition.description or "CT", paths[0].parent)


def _checked_ct(image: sitk.Image, acquisition: Acquisition, warnings: list[str], name: str, source: Path) -> CtVolume:
    array, geometry = from_sitk(image)
    if min(geometry.spacing_mm) < _SPACING_MM[0] or max(geometry.spacing_mm) > _SPACING_MM[1]:
        sizes = " x ".join(f"{s:g}" for s in geometry.spacing_mm)
        raise ImageError(f"{source} has voxels of {sizes} mm; a CT has {_SPACING_MM[0]:g} to {_SPACING_MM[1]:g} mm.")
    hu, more = _checked_hu(array, source)
    return CtVolume(hu, geometry, acquisition, name, (*warnings, *more))


def ct_from_array(
    array_kji: npt.NDArray[Any], geometry: VolumeGeometry, acquisition: Acquisition, name: str
) -> CtVolume:
    """A CT from values that are in memory already, with the same checks as one from a file.

    Args:
        array_kji: CT numbers in HU, any numeric type.

    Raises:
        ImageError: NaN, or values that cannot be HU.
    """
    hu, warnings = _checked_hu(array_kji, name)
    return CtVolume(hu, geometry, acquisition, name, tuple(warnings))


def list_series(folder: str | Path) -> list[str]:
    """One sentence for each DICOM series in a folder."""
    return [series_text(files) for files in scan_folder(Path(folder)).values()]


def _read_file(path: Path) -> sitk.Image:
    if path.name.lower().endswith((".nii", ".nii.gz")):
        bad = nifti_nonfinite(path)
        if bad:
            raise ImageError(_not_finite_text(path, bad))
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise ImageError(
            f"{path} is not an image that can be read; give a DICOM folder or a NRRD, MHA or NIfTI file."
        ) from error
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or min(image.GetSize()) < 2:
        raise ImageError(f"{path} has size {image.GetSize()}; a CT volume of several slices is needed.")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError(
            f"{path} has {image.GetNumberOfComponentsPerPixel()} values per voxel; a CT has one (is this a color image?)."
        )
    return image


def _not_finite_text(source: Path | str, count: int) -> str:
    return f"{source} has {count} voxels that are not a number (NaN or infinite); export the CT again as integers."


def _checked_hu(array: npt.NDArray[Any], source: Path | str) -> tuple[npt.NDArray[np.int16], list[str]]:
    """Array as int16 HU, with the sentences the user should read."""
    warnings: list[str] = []
    if np.issubdtype(array.dtype, np.floating):
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            raise ImageError(_not_finite_text(source, bad))
    lowest, highest = float(array.min()), float(array.max())
    sample = array[:: max(1, array.shape[0] // 64), ::4, ::4]
    bright = float(np.mean(sample > 700))
    if lowest > -200 or bright > 0.2:
        raise ImageError(
            f"The values of {source} run from {lowest:g} to {highest:g} and do not look like CT numbers (HU): "
            "air should be near -1000 and soft tissue near 50. Is this an MR, a label map, or a CT without rescale?"
        )
    hu = np.clip(array, NO_DATA_HU, 32767)
    if np.issubdtype(hu.dtype, np.floating):
        hu = np.rint(hu)
    hu = hu.astype(np.int16)
    # Scanner padding comes as -2000, -2048, -3024 ...; noise in air may fall a little under -1024.
    # Other threads go on during this one; with a mask as an index they would wait.
    np.copyto(hu, np.int16(NO_DATA_HU), where=hu < -1100)
    np.maximum(hu, -1024, out=hu, where=hu != NO_DATA_HU)
    padded = padded_columns(hu)
    if padded is not None:
        hu[:, padded] = NO_DATA_HU
    return hu, warnings
