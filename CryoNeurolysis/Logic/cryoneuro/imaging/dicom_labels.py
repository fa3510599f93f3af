"""Structures from DICOM: segmentation objects (SEG) and radiotherapy structure sets (RTSTRUCT)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model import ImageError, VolumeGeometry
from .label_map import LabelMap
from .polygon import filled_polygon

SEG_UID = "1.2.840.10008.5.1.4.1.1.66.4"
RTSTRUCT_UID = "1.2.840.10008.5.1.4.1.1.481.3"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SAME_PLACE_MM = 0.01
_OFF_PLANE = 0.4
"""A contour's points lie in one slice of the CT, within this many slices."""
_BRIDGED_SLICES = 4
"""Contours drawn on every second or third slice mean the slices between as well."""


def read_dicom_labels(path: Path, geometry: VolumeGeometry | None) -> LabelMap:
    """Segments of a SEG, or contours of an RTSTRUCT filled on the grid of the CT they were drawn on.

    Args:
        geometry: grid of the CT; an RTSTRUCT has none of its own.

    Raises:
        ImageError: pydicom is missing, another kind of DICOM object, no structure in it, or contours off the CT's slices.
    """
    try:
        import pydicom  # Not at file scope: only who imports DICOM structures needs it.
    except ImportError as error:
        raise ImageError("To read DICOM structures pydicom is needed; install it with: pip install pydicom.") from error
    try:
        data = pydicom.dcmread(path)
    except (pydicom.errors.InvalidDicomError, OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be read as DICOM; export it again.") from error
    kind = str(data.get("SOPClassUID", ""))
    try:
        if kind == SEG_UID:
            return _from_seg(data, path.name)
        if kind == RTSTRUCT_UID:
            return _from_contours(data, path.name, geometry)
    except (AttributeError, KeyError, IndexError, NotImplementedError, RuntimeError) as error:
        raise ImageError(f"{path} is damaged or incomplete ({error}); export it again.") from error
    raise ImageError(
        f"{path} is a DICOM object of the kind '{data.get('Modality', 'unknown')}'; structures come from SEG or RTSTRUCT."
    )


def _layered(
    masks: list[tuple[str, npt.NDArray[np.bool_]]], geometry: VolumeGeometry, source: str, frame_uid: str
) -> LabelMap:
    """A label map whose structures may overlap: each goes to the first layer in which it has room."""
    layers: list[tuple[npt.NDArray[np.uint16], dict[int, str]]] = []
    for name, mask in masks:
        free = next((layer for layer in layers if not layer[0][mask].any()), None)
        if free is None:
            free = (np.zeros(geometry.shape_kji, np.uint16), {})
            layers.append(free)
        array, names = free
        value = len(names) + 1
        array[mask] = value
        names[value] = name
    maps = [LabelMap(array, geometry, names, source, frame_uid=frame_uid) for array, names in layers]
    if not maps:
        raise ImageError(f"{source} is empty: no structure has a voxel in it.")
    return LabelMap(maps[0].labels_kji, geometry, maps[0].names, source, tuple(maps[1:]), frame_uid)


def _segment_name(item: Any) -> str:
    """What a segment is called, else what it is, with its side."""
    label = str(item.get("SegmentLabel", "")).strip()
    if label and not label.lower().startswith("segment"):
        return label
    codes = item.get("SegmentedPropertyTypeCodeSequence") or []
    if not codes:
        return label or f"segment {item.get('SegmentNumber', '?')}"
    sides = codes[0].get("SegmentedPropertyTypeModifierCodeSequence") or []
    return " ".join([*(str(s.get("CodeMeaning", "")) for s in sides), str(codes[0].get("CodeMeaning", label))]).strip()


def _from_seg(data: Any, source: str) -> LabelMap:
    shared = data.SharedFunctionalGroupsSequence[0]
    frames = data.PerFrameFunctionalGroupsSequence

    def group(frame: Any, name: str) -> Any:
        return (frame.get(name) or shared[name])[0]

    axes = np.array(group(frames[0], "PlaneOrientationSequence").ImageOrientationPatient, dtype=float)
    measures = group(frames[0], "PixelMeasuresSequence")
    row_mm, column_mm = (float(v) for v in measures.PixelSpacing)
    along_i, along_j = axes[:3], axes[3:]
    normal = np.cross(along_i, along_j)
    places = np.array([group(f, "PlanePositionSequence").ImagePositionPatient for f in frames], dtype=float)
    height = places @ normal
    levels = np.unique(np.round(height / _SAME_PLACE_MM) * _SAME_PLACE_MM)
    if len(levels) > 1:
        step = float(np.diff(levels).min())
        index = (height - levels[0]) / step
        if np.abs(index - np.rint(index)).max() > 0.05:
            raise ImageError(
                f"The slices of {source} are not evenly spaced; resample the segmentation and export it again."
            )
    else:
        step = float(measures.get("SpacingBetweenSlices", measures.get("SliceThickness", 1.0)))
        index = np.zeros(len(frames))
    k = np.rint(index).astype(int)
    pixels = data.pixel_array
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if str(data.SegmentationType) == "FRACTIONAL":
        pixels = pixels > 0.5 * float(data.get("MaximumFractionalValue", 255))
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = along_i * column_mm, along_j * row_mm, normal * step
    matrix[:3, 3] = places[int(np.argmin(height))]
    geometry = VolumeGeometry((int(k.max()) + 1, pixels.shape[1], pixels.shape[2]), _LPS_TO_RAS @ matrix)
    label_map = str(data.SegmentationType) == "LABELMAP"
    numbers = (
        None if label_map else [int(group(f, "SegmentIdentificationSequence").ReferencedSegmentNumber) for f in frames]
    )
    masks = []
    for item in data.SegmentSequence:
        number = int(item.SegmentNumber)
        mask = np.zeros(geometry.shape_kji, bool)
        for n, frame in enumerate(pixels):
            if numbers is None or numbers[n] == number:
                mask[k[n]] |= frame == number if numbers is None else frame > 0
        if mask.any():
            masks.append((_segment_name(item), mask))
    return _layered(masks, geometry, source, str(data.get("FrameOfReferenceUID", "")))


def _from_contours(data: Any, source: str, geometry: VolumeGeometry | None) -> LabelMap:
    if geometry is None:
        raise ImageError(f"{source} holds contours, which need the CT they were drawn on; give the CT with them.")
    names = {int(item.ROINumber): str(item.ROIName).strip() for item in data.StructureSetROISequence}
    masks = []
    for item in data.get("ROIContourSequence", []):
        number = int(item.ReferencedROINumber)
        mask = _filled(item.get("ContourSequence", []), geometry, names.get(number, str(number)), source)
        if mask.any():
            masks.append((names.get(number, f"roi_{number}"), mask))
    frames = data.get("ReferencedFrameOfReferenceSequence", [])
    frame_uid = str(frames[0].get("FrameOfReferenceUID", "")) if frames else ""
    return _layered(masks, geometry, source, frame_uid)


def _filled(contours: Any, geometry: VolumeGeometry, name: str, source: str) -> npt.NDArray[np.bool_]:
    """Closed contours filled slice by slice; one inside another is a hole."""
    mask = np.zeros(geometry.shape_kji, bool)
    for contour in contours:
        if str(contour.ContourGeometricType) != "CLOSED_PLANAR":
            continue
        lps = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
        ijk = geometry.ras_to_ijk(lps * [-1.0, -1.0, 1.0])
        level = float(ijk[:, 2].mean())
        if np.abs(ijk[:, 2] - level).max() > _OFF_PLANE:
            raise ImageError(
                f"The contours of '{name}' in {source} do not lie in the slices of this CT; they were drawn on another image."
            )
        k = round(level)
        if 0 <= k < geometry.shape_kji[0]:
            mask[k] ^= filled_polygon(ijk[:, :2], geometry.shape_kji[1:])
    drawn = np.flatnonzero(mask.any(axis=(1, 2)))
    steps = np.diff(drawn)
    if len(steps) and 1 < np.median(steps) <= _BRIDGED_SLICES:
        for low, high in pairwise(drawn):
            if high - low <= _BRIDGED_SLICES:
                for between in range(low + 1, high):
                    mask[between] = mask[low] if between - low <= high - between else mask[high]
    return mask
