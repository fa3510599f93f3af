"""A DICOM CT series in the right slice order and frame, or a sentence why not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..model import Acquisition, Cancelled, CancelledError, ImageError, Progress
from .dicom_whole import is_cut_short

_UNEVEN_MM = 0.1
"""Slice distances that differ by more are not one regular volume; scanners round positions to about 0.01 mm."""


@dataclass(frozen=True)
class SliceHeader:
    """What one file says."""

    path: Path
    modality: str
    series_uid: str
    instance_uid: str
    study_uid: str
    frame_uid: str
    description: str
    image_type: str
    position_lps_mm: npt.NDArray[np.float64] | None
    orientation: npt.NDArray[np.float64] | None
    tilt_deg: float | None
    thickness_mm: float | None
    patient_position: str
    acquired: str
    patient_key: str
    bits: int
    said_spacing_mm: npt.NDArray[np.float64] | None
    rescale: tuple[str, str]
    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]


def is_dicom(path: Path) -> bool:
    """Whether a file carries the DICOM preamble."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _header(path: Path) -> SliceHeader | None:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None

    def text(tag: str) -> str:
        return reader.GetMetaData(tag).strip().strip("\0") if reader.HasMetaDataKey(tag) else ""

    def numbers(tag: str, count: int) -> npt.NDArray[np.float64] | None:
        try:
            values = np.array([float(v) for v in text(tag).split("\\")])
        except ValueError:
            return None
        return values if len(values) == count else None

    def number(tag: str) -> float | None:
        values = numbers(tag, 1)
        return None if values is None else float(values[0])

    return SliceHeader(
        path=path,
        modality=text("0008|0060"),
        series_uid=text("0020|000e"),
        instance_uid=text("0008|0018"),
        study_uid=text("0020|000d"),
        frame_uid=text("0020|0052"),
        description=text("0008|103e"),
        image_type=text("0008|0008"),
        position_lps_mm=numbers("0020|0032", 3),
        orientation=numbers("0020|0037", 6),
        tilt_deg=number("0018|1120"),
        thickness_mm=number("0018|0050"),
        patient_position=text("0018|5100"),
        acquired=f"{text('0008|0022')} {text('0008|0032')}".strip(),
        patient_key=patient_key(text("0010|0020"), text("0010|0030")),
        bits=int(number("0028|0100") or 16),
        said_spacing_mm=numbers("0028|0030", 2),
        rescale=(text("0028|1053"), text("0028|1052")),
        size=tuple(reader.GetSize()),
        spacing_mm=tuple(reader.GetSpacing()),
    )


_ONE_OF = (
    ("patient_key", "patient"),
    ("study_uid", "study"),
    ("frame_uid", "frame of reference"),
    ("patient_position", "patient position"),
)


def series_of_file(path: Path) -> tuple[str, str, str] | None:
    """Series UID, instance UID and modality of a DICOM file, empty where it cannot be read; None when it is no DICOM."""
    try:
        if path.stat().st_size <= 132 or not is_dicom(path):
            return None
    except OSError:
        return None
    header = _header(path)
    return ("", "", "") if header is None else (header.series_uid, header.instance_uid, header.modality)


def patient_key(patient_id: str, birth_date: str) -> str:
    """What tells one patient from another without saying who it is; empty where a file does not say who."""
    said = patient_id.strip()
    both = f"{said}|{birth_date.strip()}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(both).hexdigest()[:16] if said else ""


def scan_folder(folder: Path) -> dict[str, list[SliceHeader]]:
    """Image headers of a folder by series UID; files that are no DICOM images are passed over."""
    return _scan(folder)[0]


def _scan(folder: Path) -> tuple[dict[str, list[SliceHeader]], list[str]]:
    """Headers by series UID, and the names of DICOM files that are damaged or no images; each file is opened once."""
    return _scan_files([p for p in folder.iterdir() if p.is_file()])


def _scan_files(paths: Sequence[Path]) -> tuple[dict[str, list[SliceHeader]], list[str]]:
    series: dict[str, list[SliceHeader]] = {}
    unread = []
    for path in sorted(p for p in paths if p.stat().st_size > 132):
        if not is_dicom(path):
            continue
        header = _header(path)
        if header is not None:
            series.setdefault(header.series_uid, []).append(header)
        elif path.name != "DICOMDIR":
            unread.append(path.name)
    return series, unread


def series_text(files: list[SliceHeader]) -> str:
    """One line that tells a series from another."""
    first = files[0]
    what = first.description or "without description"
    return f"{first.series_uid} ({first.modality or 'no modality'}, {what}, {len(files)} files)"


def read_dicom_folder(
    folder: Path,
    series_uid: str | None,
    progress: Progress,
    cancelled: Cancelled,
    member: Path | None = None,
) -> tuple[sitk.Image, Acquisition, list[str]]:
    """Read one CT series of a folder.

    Args:
        member: a file of the wanted series, when the user pointed at a file.

    Raises:
        ImageError: no or several series, not a CT, or a geometry that is not one regular, untilted volume.
    """
    series, unread = _scan(folder)
    if not series:
        raise ImageError(f"{folder} holds no DICOM images; choose the folder that holds the slices of the CT.")
    return _read_series(_choose(folder, series, series_uid, member), unread, folder, progress, cancelled)


def read_dicom_files(
    paths: Sequence[Path], progress: Progress, cancelled: Cancelled
) -> tuple[sitk.Image, Acquisition, list[str]]:
    """Read one CT series from its files.

    Raises:
        ImageError: see read_dicom_folder.
    """
    folder = paths[0].parent if paths else Path()
    series, unread = _scan_files(paths)
    if not series:
        raise ImageError(f"None of {len(paths)} files is a DICOM image that can be read; send the series again.")
    if unread:
        raise ImageError(
            f"{len(unread)} of {len(paths)} files of the series are damaged ({', '.join(unread[:3])}); send it again."
        )
    return _read_series(_choose(folder, series, None, None), unread, folder, progress, cancelled)


def _read_series(
    files: list[SliceHeader], unread: list[str], folder: Path, progress: Progress, cancelled: Cancelled
) -> tuple[sitk.Image, Acquisition, list[str]]:
    first = files[0]
    if first.modality and first.modality != "CT":
        raise ImageError(
            f"The series in {folder} is a {first.modality} study, not a CT; cryoneurolysis is planned on CT."
        )
    acquisition = Acquisition(
        modality=first.modality,
        patient_position=first.patient_position,
        gantry_tilt_deg=first.tilt_deg,
        slice_thickness_mm=first.thickness_mm,
        study_uid=first.study_uid,
        series_uid=first.series_uid,
        frame_of_reference_uid=first.frame_uid,
        acquired=first.acquired,
        description=first.description,
        patient_key=first.patient_key,
    )
    for name, words in _ONE_OF:
        if len({getattr(f, name) for f in files}) > 1:
            raise ImageError(f"The slices in {folder} belong to more than one {words}; export one series anew.")
    if len(files) == 1 and len(first.size) == 3 and first.size[2] > 1:
        # An enhanced multi-frame CT keeps its whole geometry in one file.
        _check_whole(first)
        return sitk.ReadImage(str(first.path)), acquisition, []
    ordered, step_mm = _ordered(files, folder)
    image = _read_slices(ordered, step_mm, progress, cancelled)
    warnings = []
    if unread:
        warnings.append(
            f"{len(unread)} DICOM file(s) of the folder could not be read as images and were left out: "
            f"{', '.join(unread[:5])}. If they are slices of this CT, it is not complete."
        )
    if first.thickness_mm and step_mm > 1.5 * first.thickness_mm:
        warnings.append(
            f"Slices are {first.thickness_mm:g} mm thick but lie {step_mm:g} mm apart: "
            "what lies between them was not scanned."
        )
    return image, acquisition, warnings


def _choose(
    folder: Path, series: dict[str, list[SliceHeader]], series_uid: str | None, member: Path | None
) -> list[SliceHeader]:
    if member is not None and series_uid is None:
        for files in series.values():
            if any(header.path == member for header in files):
                return files
    if series_uid is not None:
        hits = [files for uid, files in series.items() if uid == series_uid]
        hits = hits or [files for uid, files in series.items() if uid.startswith(series_uid)]
        if len(hits) != 1:
            offers = "; ".join(series_text(files) for files in series.values())
            raise ImageError(f"{len(hits)} series in {folder} begin with '{series_uid}'. There are: {offers}.")
        return hits[0]
    # Scout views are no volume; nobody means them when asking for the CT of a folder.
    volumes = [files for files in series.values() if "LOCALIZER" not in files[0].image_type.upper()]
    volumes = volumes or list(series.values())
    if len(volumes) > 1:
        offers = "; ".join(series_text(files) for files in volumes)
        raise ImageError(
            f"{folder} holds {len(volumes)} series; say which one with --series and the start of its UID: {offers}."
        )
    return volumes[0]


def _check_header(header: SliceHeader) -> None:
    """Refuse values that a reader would replace by its own and say nothing."""
    assert header.position_lps_mm is not None and header.orientation is not None
    name = header.path.name
    if not np.isfinite(header.position_lps_mm).all():
        raise ImageError(f"{name} lies at a place that is no number; the series cannot be placed.")
    row, column = header.orientation[:3], header.orientation[3:]
    if not np.isfinite(header.orientation).all() or not np.allclose(
        [row @ row, column @ column, row @ column], [1.0, 1.0, 0.0], atol=1e-2
    ):
        raise ImageError(f"{name} has rows and columns that are not at right angles; reconstruct the series anew.")
    if header.said_spacing_mm is None or not (np.isfinite(header.said_spacing_mm) & (header.said_spacing_mm > 0)).all():
        raise ImageError(f"{name} does not say how large its pixels are (PixelSpacing); export the series again.")
    slope, intercept = header.rescale
    for tag, said in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if said and not _is_number(said):
            raise ImageError(f"{name} has '{said[:20]}' for {tag}, which is no number; export the series again.")
    if slope and float(slope) == 0.0:
        raise ImageError(
            f"{name} has a RescaleSlope of 0, which makes all its CT numbers alike; export the series again."
        )


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _ordered(files: list[SliceHeader], folder: Path) -> tuple[list[SliceHeader], float]:
    """Slices along the normal, first to last, and their distance in mm."""
    if len(files) < 2:
        raise ImageError(f"The series in {folder} has a single slice; a volume needs at least two.")
    for header in files:
        if header.position_lps_mm is None or header.orientation is None:
            raise ImageError(f"{header.path.name} does not say where the slice lies; the series cannot be placed.")
        _check_header(header)
        if not np.allclose(header.spacing_mm[:2], files[0].spacing_mm[:2], rtol=1e-3):
            raise ImageError(
                f"{header.path.name} has pixels of {header.spacing_mm[0]:g} mm, the first slice {files[0].spacing_mm[0]:g} mm; "
                "export the series again with one pixel size."
            )
        if header.size[:2] != files[0].size[:2]:
            raise ImageError(
                f"{header.path.name} has {header.size[:2]} pixels, the first slice {files[0].size[:2]}; "
                "export the series again with one matrix."
            )
    orientations = np.array([h.orientation for h in files])
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        spread = np.rad2deg(np.arccos(np.clip(_normals(orientations) @ _normals(orientations)[0], -1, 1))).max()
        raise ImageError(
            f"The slices in {folder} are not parallel: the gantry was tilted by up to {spread:.1f} degrees between them. "
            "Scan again without gantry tilt."
        )
    tilts = [abs(h.tilt_deg) for h in files if h.tilt_deg is not None]
    normal = _normals(orientations)[0]
    positions = np.array([h.position_lps_mm for h in files])
    depth = positions @ normal
    order = np.argsort(depth, kind="stable")
    ordered = [files[i] for i in order]
    steps = np.diff(depth[order])
    step = float(np.median(steps))
    where = [h.path.name for h in ordered]
    doubles = np.flatnonzero(steps < 0.01)
    if len(doubles):
        n = int(doubles[0])
        raise ImageError(
            f"Two slices lie at the same place ({where[n]} and {where[n + 1]}, {len(doubles)} such pairs): "
            "the folder holds a series twice or two phases of one; choose one of them."
        )
    shear = positions[order][-1] - positions[order][0]
    lean = np.rad2deg(np.arccos(np.clip(np.dot(shear, normal) / np.linalg.norm(shear), -1, 1)))
    if tilts and max(tilts) - min(tilts) > 0.5:
        raise ImageError(
            f"The gantry tilt changes within the series ({min(tilts):.1f} to {max(tilts):.1f} degrees); "
            "scan again without gantry tilt."
        )
    if lean > 0.5 or (tilts and max(tilts) > 0.5 and abs(normal[2]) > 0.999 and lean > 0.1):
        raise ImageError(
            f"The CT was scanned with a gantry tilt of {lean:.1f} degrees: its slices are shifted against each other. "
            "Scan again without tilt, or resample it to a straight volume first."
        )
    gaps = np.flatnonzero(np.abs(steps - step) > max(_UNEVEN_MM, 0.02 * step))
    if len(gaps):
        n = int(gaps[0])
        ratio = steps[n] / step
        if abs(ratio - round(ratio)) < 0.05 and round(ratio) > 1:
            raise ImageError(
                f"{round(ratio) - 1} slice(s) are missing between {where[n]} and {where[n + 1]} "
                f"({steps[n]:.2f} mm instead of {step:.2f} mm); export the whole series."
            )
        raise ImageError(
            f"The slice distance changes within the series ({steps.min():.2f} to {steps.max():.2f} mm, "
            f"first between {where[n]} and {where[n + 1]}); reconstruct it with an even distance."
        )
    return ordered, float((depth.max() - depth.min()) / (len(files) - 1))


def _normals(orientations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    normals = np.cross(orientations[:, :3], orientations[:, 3:])
    result: npt.NDArray[np.float64] = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return result


def _check_whole(header: SliceHeader) -> None:
    if is_cut_short(header.path, int(np.prod(header.size)) * header.bits // 8):
        raise ImageError(f"{header.path} was cut short: a part of its picture is missing; copy the series again.")


def _read_slices(files: list[SliceHeader], step_mm: float, progress: Progress, cancelled: Cancelled) -> sitk.Image:
    """The volume, slice by slice in our order: the reader's own sorting is not relied upon."""
    first = files[0]
    assert first.orientation is not None and first.position_lps_mm is not None
    planes = []
    for number, header in enumerate(files):
        if cancelled():
            raise CancelledError("Reading the CT was stopped.")
        _check_whole(header)
        try:
            plane = sitk.GetArrayFromImage(sitk.ReadImage(str(header.path)))
        except RuntimeError as error:
            raise ImageError(f"{header.path} is damaged and cannot be read; copy the series again.") from error
        planes.append(plane.reshape(plane.shape[-2:]))
        progress((number + 1) / len(files), f"Slice {number + 1} of {len(files)}")
    image = sitk.GetImageFromArray(np.stack(planes))
    row, column = first.orientation[:3], first.orientation[3:]
    direction = np.stack([row, column, np.cross(row, column)], axis=1)
    image.SetSpacing([*first.spacing_mm[:2], step_mm])
    image.SetOrigin([float(v) for v in first.position_lps_mm])
    image.SetDirection([float(v) for v in direction.ravel()])
    return image
