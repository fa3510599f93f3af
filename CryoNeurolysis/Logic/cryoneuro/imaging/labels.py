"""Label maps made elsewhere: TotalSegmentator and friends, or a Slicer segmentation."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..knowledge import load_records
from ..model import ImageError, VolumeGeometry
from .dicom import is_dicom
from .dicom_labels import read_dicom_labels
from .label_map import LabelMap
from .sitk_bridge import from_sitk

_MOST_LABELS = 400


def read_label_map(
    path: str | Path, names_path: str | Path | None = None, geometry: VolumeGeometry | None = None
) -> LabelMap:
    """Read a label map, a Slicer segmentation, a DICOM segmentation (SEG) or a DICOM structure set (RTSTRUCT).

    Names come, in this order, from names_path (JSON {"1": "spleen"} or CSV with columns id and structure or name),
    from the file itself (.seg.nrrd, DICOM), from labels.json or structures.csv beside it, else from TotalSegmentator's ids.

    Args:
        geometry: grid of the CT; a structure set is filled on it.

    Raises:
        ImageError: missing or unreadable file, no label in it, or names that cannot be read.
    """
    source = Path(path).expanduser()
    if source.is_dir():
        source = _only_file(source)
    if not source.is_file():
        raise ImageError(f"There is no label map called {source}; check the path.")
    if source.stat().st_size > 132 and is_dicom(source):
        return read_dicom_labels(source, geometry)
    try:
        image = sitk.ReadImage(str(source))
    except RuntimeError as error:
        raise ImageError(f"{source} is not an image that can be read as a label map.") from error
    if image.GetDimension() != 3:
        raise ImageError(f"{source} has {image.GetDimension()} dimensions; a label map has three.")
    count = image.GetNumberOfComponentsPerPixel()
    if count == 1:
        layers = [image]
    elif "Segment0_LabelValue" in image.GetMetaDataKeys():
        layers = [sitk.VectorIndexSelectionCast(image, n) for n in range(count)]
    else:
        raise ImageError(
            f"{source} has {count} values in each voxel; it is a picture in color or a field, not a label map."
        )
    maps = []
    for number, layer in enumerate(layers):
        array, geometry = _whole_numbers(layer, source)
        values = _values(array, source)
        if values:
            known = _names(source, image, names_path, number)
            maps.append(LabelMap(array, geometry, {v: known.get(v, f"label_{v}") for v in values}, source.name))
    if not maps:
        raise ImageError(f"{source} is empty: no voxel is labeled.")
    return replace(maps[0], further=tuple(maps[1:]))


def _only_file(folder: Path) -> Path:
    """The one DICOM file of a folder: PACS export a segmentation as a folder with a single file."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.stat().st_size > 132 and is_dicom(p)]
    if len(files) != 1:
        raise ImageError(
            f"{folder} holds {len(files)} DICOM files; give the file of the segmentation or structure set."
        )
    return files[0]


def _whole_numbers(layer: sitk.Image, source: Path) -> tuple[npt.NDArray[Any], VolumeGeometry]:
    array, geometry = from_sitk(layer)
    if np.issubdtype(array.dtype, np.floating):
        if not np.array_equal(array, np.rint(array)):
            raise ImageError(
                f"{source} has values that are no whole numbers; a label map has one number per structure."
            )
        array = array.astype(np.int32)
    return array, geometry


def _values(array: npt.NDArray[Any], source: Path) -> list[int]:
    values = [int(v) for v in np.unique(array) if v != 0]
    if len(values) > _MOST_LABELS:
        raise ImageError(f"{source} has {len(values)} different values; this looks like an image, not a label map.")
    return values


def _names(source: Path, image: sitk.Image, names_path: str | Path | None, layer: int) -> dict[int, str]:
    if names_path is not None:
        return _names_from(Path(names_path).expanduser())
    embedded = _names_in_header(image, layer)
    if embedded:
        return embedded
    for beside in ("labels.json", "structures.csv"):
        if (source.parent / beside).is_file():
            return _names_from(source.parent / beside)
    record = next(r for r in load_records("label_ids") if r["id"] == "totalsegmentator_v2")
    return {int(key): name for key, name in record["names"].items()}


def _names_from(path: Path) -> dict[int, str]:
    try:
        if path.suffix.lower() == ".json":
            return {int(k): str(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
        with path.open(newline="", encoding="utf-8") as stream:
            return {int(r["id"]): r.get("structure") or r["name"] for r in csv.DictReader(stream)}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ImageError(
            f'The label names in {path} cannot be read; give JSON like {{"1": "spleen"}} or CSV with columns id, name.'
        ) from error


def _names_in_header(image: sitk.Image, layer: int) -> dict[int, str]:
    """Names in one layer of a Slicer segmentation: Segment0_Name, Segment0_LabelValue, Segment0_Layer and so on."""
    keys = set(image.GetMetaDataKeys())

    def of(number: int, what: str, otherwise: str) -> str:
        key = f"Segment{number}_{what}"
        return str(image.GetMetaData(key)).strip() if key in keys else otherwise

    names: dict[int, str] = {}
    number = 0
    while f"Segment{number}_LabelValue" in keys:
        if int(of(number, "Layer", "0")) == layer:
            value = of(number, "LabelValue", "0")
            names[int(value)] = of(number, "Name", value)
        number += 1
    return names
