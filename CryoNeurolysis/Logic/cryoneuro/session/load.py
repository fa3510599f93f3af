"""Reads a case folder back to the same content hashes."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..model import (
    Acquisition,
    Anatomy,
    Assessment,
    Case,
    CaseError,
    Check,
    CryoNeuroError,
    CtVolume,
    Event,
    Nerve,
    Plan,
    Structure,
    StructureRole,
    ThermalRun,
    TissueMap,
    VolumeGeometry,
    content_hash,
)
from .codec import from_json
from .events import read_events
from .place import SCHEMA, case_content, finish_swap, last_state
from .segmentation import read_layers


def load_case(folder: str | Path, verify: bool = True) -> tuple[Case, tuple[Event, ...]]:
    """Read a case folder and its record.

    Args:
        verify: compute the content hashes again and compare them with what was written.

    Raises:
        CaseError: no case there, a part damaged or changed by somebody else, or another version's schema.
    """
    target = Path(folder).expanduser().absolute()
    finish_swap(target)
    source = last_state(target)
    if source is None:
        raise CaseError(f"{target} is no case folder (it has no case.json); make one with: cryoneuro segment CT.")
    content = case_content(source)
    if content.get("schema") != SCHEMA:
        raise CaseError(f"{source} was written as '{content.get('schema')}', this program reads '{SCHEMA}'.")
    hashes = content.get("hashes", {})
    if "ct" not in hashes or not set(hashes) <= {f.name for f in fields(Case)}:
        raise CaseError(f"{source / 'case.json'} is damaged; restore it from a copy.")
    try:
        case = Case(
            pseudonym=content["pseudonym"],
            ct=_read_ct(source, content["ct"]),
            anatomy=_read_anatomy(source, content["anatomy"]) if "anatomy" in hashes else None,
            plan=from_json(Plan, _json(source / "plan.json")) if "plan" in hashes else None,
            thermal=_read_thermal(source, content["thermal"]) if "thermal" in hashes else None,
            assessment=_read_assessment(source, content) if "assessment" in hashes else None,
            software=content["software"],
            check=from_json(Check, _json(source / "check.json")) if "check" in hashes else None,
        )
        events = read_events(source / "events.jsonl")
    except CaseError:
        raise
    except CryoNeuroError as error:
        raise CaseError(f"The case in {source} is damaged: {error}") from error
    except RuntimeError as error:
        raise CaseError(f"An image of the case in {source} is missing or damaged; restore it from a copy.") from error
    except (OSError, LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
        raise CaseError(f"A file of the case in {source} is missing or damaged; restore it from a copy.") from error
    if verify:
        for name, wanted in hashes.items():
            if content_hash(getattr(case, name)) != wanted:
                raise CaseError(
                    f"The {name} in {source} is not what was saved: a file was changed by another program. "
                    "Restore it from a copy, or make the case again."
                )
    return case, events


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _geometry(data: Any) -> VolumeGeometry:
    return VolumeGeometry(tuple(data["shape_kji"]), np.array(data["ijk_to_ras"], dtype=np.float64))


def _array(path: Path, geometry: VolumeGeometry, dtype: Any) -> Any:
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    if array.ndim == 4:
        array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
    if array.shape[-3:] != geometry.shape_kji or array.dtype != np.dtype(dtype):
        raise CaseError(f"{path} holds {array.dtype} {array.shape}, expected {np.dtype(dtype)} {geometry.shape_kji}.")
    return array


def _read_ct(folder: Path, data: Any) -> CtVolume:
    geometry = _geometry(data["geometry"])
    array = _array(folder / "ct.nrrd", geometry, np.int16)
    acquisition = from_json(Acquisition, data["acquisition"])
    return CtVolume(array, geometry, acquisition, data["name"], tuple(data["warnings"]))


def _read_anatomy(folder: Path, data: Any) -> Anatomy:
    geometry = _geometry(data["geometry"])
    layers, found = read_layers(folder / "anatomy.seg.nrrd")
    if found != geometry:
        raise CaseError(f"The segmentation in {folder} lies on another grid than it was saved on.")
    structures = []
    for row in data["structures"]:
        values = {k: v for k, v in row.items() if k not in ("layer", "label")}
        values["role"] = StructureRole(values["role"])
        for name in ("center_ras_mm", "lower_edge_ras_mm"):
            values[name] = _optional(row, name)
        structures.append(Structure(mask_kji=layers[row["layer"]] == row["label"], **values))
    fat = folder / "fat_percent.nrrd"
    tissue = TissueMap(
        _array(folder / "tissue.nrrd", geometry, np.uint8), _array(fat, geometry, np.uint8) if fat.is_file() else None
    )
    return Anatomy(
        geometry,
        tissue,
        tuple(structures),
        tuple(from_json(Nerve, item) for item in data["nerves"]),
        tuple(data["unknown"]),
        tuple(data["cleared"]),
        tuple(data["notes"]),
    )


def _read_assessment(folder: Path, content: Any) -> Assessment:
    assessment = from_json(Assessment, _json(folder / "assessment.json"))
    if "chance" not in content or assessment.ensemble is None:
        return assessment
    geometry = _geometry(content["chance"])
    chance = _four(_array(folder / "thermal" / "chance.seq.nrrd", geometry, np.float32))
    return replace(assessment, ensemble=replace(assessment.ensemble, geometry=geometry, probability=chance))


def _read_thermal(folder: Path, data: Any) -> ThermalRun:
    geometry = _geometry(data["geometry"])
    return ThermalRun(
        geometry,
        np.array(data["snapshot_times_s"]),
        _four(_array(folder / "thermal" / "temperature.seq.nrrd", geometry, np.float32)),
        _array(folder / "thermal" / "coldest.nrrd", geometry, np.float32),
        np.array(data["isotherms_c"]),
        _four(_array(folder / "thermal" / "seconds_below.seq.nrrd", geometry, np.float32)),
        data["complete"],
        tuple((str(a), str(b)) for a, b in data["provenance"]),
        _four(_array(folder / "thermal" / "first_below.seq.nrrd", geometry, np.float32))
        if data.get("has_first_below")
        else None,
        *(_optional(data, name) for name in ("points_ras_mm", "point_times_s", "point_c")),
    )


def _optional(data: Any, name: str) -> Any:
    return None if data.get(name) is None else np.array(data[name])


def _four(array: Any) -> Any:
    """A sequence of a single frame comes back without its time axis."""
    return array if array.ndim == 4 else array[None]
