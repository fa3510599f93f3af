"""Writes and reads a case folder.

The folder is made under a temporary name beside its place and renamed when it is whole. Parts whose content has not
changed are linked from the last state instead of written again. If a crash falls between the two renames, the last
whole state is still there under its old name, and load_case finds it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .. import __version__
from ..imaging import write_sequence, write_volume
from ..knowledge import color
from ..model import (
    Acquisition,
    Anatomy,
    Assessment,
    Case,
    CaseError,
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
from .codec import from_json, to_json
from .events import event, event_line, read_events
from .markups import write_markup
from .segmentation import read_layers, write_segmentation

SCHEMA = "cryoneuro-case/1"
_PARTS: Mapping[str, tuple[str, ...]] = {
    "ct": ("ct.nrrd",),
    "anatomy": ("anatomy.seg.nrrd", "tissue.nrrd"),
    "thermal": ("thermal/coldest.nrrd", "thermal/temperature.seq.nrrd", "thermal/seconds_below.seq.nrrd"),
}


def save_case(case: Case, folder: str | Path, events: tuple[Event, ...] = ()) -> dict[str, str]:
    """Write the whole case; returns the content hash of each part.

    Args:
        folder: replaced when it is a case folder already; its record and report are kept.
        events: appended to the record.

    Raises:
        CaseError: the folder holds something else, cannot be written, or the disk is full; then nothing has changed.
    """
    target = Path(folder).expanduser().absolute()
    check_target(target)
    old = _last_state(target)
    known = _content(old) if old else {}
    known_hashes = known.get("hashes", {})
    hashes = {
        name: content_hash(getattr(case, name))
        for name in ("ct", "anatomy", "plan", "thermal", "assessment")
        if getattr(case, name) is not None
    }
    if known_hashes.get("ct", hashes["ct"]) != hashes["ct"]:
        raise CaseError(
            f"{target} holds the case of another CT ({known.get('pseudonym')}); choose another output folder, or remove it."
        )
    scratch = target.with_name(f".{target.name}.writing-{os.getpid()}")
    _remove_leftovers(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        content = _write_parts(case, scratch, old, known, hashes)
        if old:
            _keep_others(old, scratch, same_result=all(known_hashes.get(n) == hashes.get(n) for n in _SHOWN_IN_REPORT))
        record = (old / "events.jsonl").read_text(encoding="utf-8") if old and (old / "events.jsonl").is_file() else ""
        record += "".join(
            event_line(item) for item in (*events, event("saved", f"CryoNeurolysis {__version__}", hashes))
        )
        (scratch / "events.jsonl").write_text(record, encoding="utf-8")
        (scratch / "case.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        _swap(scratch, target)
    except OSError as error:
        raise CaseError(_disk_sentence(error, target)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return hashes


_SHOWN_IN_REPORT = ("plan", "thermal", "assessment")
_OURS = (
    "case.json",
    "ct.nrrd",
    "anatomy.seg.nrrd",
    "tissue.nrrd",
    "plan.json",
    "assessment.json",
    "events.jsonl",
    "thermal",
)


def _content(folder: Path) -> dict[str, Any]:
    """What case.json says.

    Raises:
        CaseError: it is damaged.
    """
    try:
        content = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CaseError(
            f"{folder / 'case.json'} is damaged; restore it from a copy, or choose another folder."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("hashes", {}), dict):
        raise CaseError(f"{folder / 'case.json'} is damaged; restore it from a copy, or choose another folder.")
    return content


def _keep_others(old: Path, scratch: Path, same_result: bool) -> None:
    """Take over what is not ours to write: files that a person put there, and pictures that still show this result."""
    for path in sorted(old.iterdir()):
        made_from_result = path.name in ("report", "scene.mrb")
        numbered = path.name.startswith(("nerve_", "probe_")) and path.name.endswith(".mrk.json")
        if path.name in _OURS or numbered or (made_from_result and not same_result) or (scratch / path.name).exists():
            continue
        if path.is_dir():
            shutil.copytree(path, scratch / path.name, copy_function=_link)
        else:
            _link(path, scratch / path.name)


def _remove_leftovers(target: Path) -> None:
    """Remove what processes that were killed while writing have left."""
    for path in target.parent.glob(f".{target.name}.writing-*"):
        number = path.name.rsplit("-", 1)[1]
        if number.isdigit() and not Path(f"/proc/{number}").exists() and Path("/proc").is_dir():
            shutil.rmtree(path, ignore_errors=True)


_NEEDED_BYTES = 200_000_000
"""A case with a CT of 512 x 512 x 300 and its thermal run stays under this."""


def check_target(folder: str | Path) -> None:
    """Say before any long work that a case could not be written there.

    Raises:
        CaseError: the folder holds something else, cannot be written, or the disk has no room.
    """
    target = Path(folder).expanduser().absolute()
    if not target.name:
        raise CaseError(f"{target} cannot be a case folder; give the folder a name.")
    try:
        state = _last_state(target)
        foreign = target.exists() and state is None and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise CaseError(_disk_sentence(error, target)) from error
    if foreign:
        raise CaseError(f"{target} exists and is no case folder; choose another output folder.")
    if state is not None:
        _content(state)
    parent = target.parent
    while not parent.exists():
        parent = parent.parent
    probe = parent / f".{target.name}.try-{os.getpid()}"
    try:
        # Trying is the only test that is right on every file system and for every user.
        probe.mkdir()
        probe.rmdir()
        free = shutil.disk_usage(parent).free
    except OSError as error:
        raise CaseError(_disk_sentence(error, target)) from error
    if free < _NEEDED_BYTES:
        raise CaseError(
            f"Only {free / 1e6:.0f} MB are free at {parent}, a case needs up to {_NEEDED_BYTES / 1e6:.0f} MB; "
            "free some space. Nothing was changed."
        )


def _disk_sentence(error: OSError, target: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: the case could not be written to {target}. Free some space; nothing was changed."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{target} cannot be written (no permission); choose another output folder. Nothing was changed."
    return f"The case could not be written to {target}: {error.strerror or error}. Nothing was changed."


def _old_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.last")


def _last_state(target: Path) -> Path | None:
    for folder in (target, _old_name(target)):
        if (folder / "case.json").is_file():
            return folder
    return None


def _finish_swap(target: Path) -> None:
    """A crash fell between the two renames: put the last whole state back in its place."""
    old = _old_name(target)
    if not (target / "case.json").is_file() and (old / "case.json").is_file() and not target.exists():
        with contextlib.suppress(OSError):
            old.rename(target)


def _swap(scratch: Path, target: Path) -> None:
    old = _old_name(target)
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    scratch.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _link(source: str | Path, destination: str | Path) -> None:
    """Hard link where the file system can, else a copy: an unchanged part is not written twice."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def _write_parts(
    case: Case, folder: Path, old: Path | None, known: Mapping[str, Any], hashes: dict[str, str]
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "software": case.software or f"CryoNeurolysis {__version__}",
        "pseudonym": case.pseudonym,
        "note": "Research software, not a medical device.",
        "hashes": hashes,
    }

    def unchanged(name: str) -> bool:
        """Link the part's files from the last state when its content is the same."""
        if old is None or known.get("hashes", {}).get(name) != hashes[name]:
            return False
        if not all((old / file).is_file() for file in _PARTS[name]) or name not in known:
            return False
        for file in _PARTS[name]:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            _link(old / file, folder / file)
        content[name] = known[name]
        return True

    if not unchanged("ct"):
        write_volume(folder / "ct.nrrd", case.ct.array_kji, case.ct.geometry)
        content["ct"] = {
            "geometry": to_json(case.ct.geometry),
            "acquisition": to_json(case.ct.acquisition),
            "name": case.ct.name,
            "warnings": list(case.ct.warnings),
        }
    if case.anatomy is not None and not unchanged("anatomy"):
        content["anatomy"] = _write_anatomy(case.anatomy, folder)
    for number, nerve in enumerate(case.anatomy.nerves if case.anatomy else (), start=1):
        labels = [f"{n + 1}" for n in range(len(nerve.points_ras_mm))]
        write_markup(
            folder / f"nerve_{number}.mrk.json", "Curve", nerve.name, nerve.points_ras_mm, labels, color("nerve")
        )
    if case.plan is not None:
        (folder / "plan.json").write_text(
            json.dumps(to_json(case.plan), indent=1, ensure_ascii=False), encoding="utf-8"
        )
        for number, planned in enumerate(case.plan.probes, start=1):
            ends = np.stack([planned.trajectory.entry_ras_mm, planned.trajectory.tip_ras_mm])
            write_markup(
                folder / f"probe_{number}.mrk.json",
                "Line",
                f"Probe {number}",
                ends,
                ["entry", "tip"],
                color("trajectory"),
            )
    if case.thermal is not None and not unchanged("thermal"):
        content["thermal"] = _write_thermal(case.thermal, folder)
    if case.assessment is not None:
        text = json.dumps(to_json(case.assessment), indent=1, ensure_ascii=False)
        (folder / "assessment.json").write_text(text, encoding="utf-8")
    return content


def _write_anatomy(anatomy: Anatomy, folder: Path) -> dict[str, Any]:
    places = write_segmentation(folder / "anatomy.seg.nrrd", anatomy.structures, anatomy.geometry)
    write_volume(folder / "tissue.nrrd", anatomy.tissue.labels_kji, anatomy.geometry)
    structures = []
    for structure, place in zip(anatomy.structures, places, strict=True):
        row = {f.name: to_json(getattr(structure, f.name)) for f in fields(Structure) if f.name != "mask_kji"}
        structures.append(row | place)
    return {
        "geometry": to_json(anatomy.geometry),
        "structures": structures,
        "nerves": to_json(anatomy.nerves),
        "unknown": list(anatomy.unknown),
        "cleared": list(anatomy.cleared),
        "notes": list(anatomy.notes),
    }


def _write_thermal(run: ThermalRun, folder: Path) -> dict[str, Any]:
    (folder / "thermal").mkdir(exist_ok=True)
    write_volume(folder / "thermal" / "coldest.nrrd", run.coldest_c, run.geometry)
    write_sequence(folder / "thermal" / "temperature.seq.nrrd", run.temperature_c, run.geometry, run.snapshot_times_s)
    below = folder / "thermal" / "seconds_below.seq.nrrd"
    write_sequence(below, run.time_below_s, run.geometry, run.isotherms_c, "isotherm", "C")
    return {
        "geometry": to_json(run.geometry),
        "snapshot_times_s": to_json(run.snapshot_times_s),
        "isotherms_c": to_json(run.isotherms_c),
        "complete": run.complete,
        "provenance": to_json(run.provenance),
    }


def load_case(folder: str | Path, verify: bool = True) -> tuple[Case, tuple[Event, ...]]:
    """Read a case folder and its record.

    Args:
        verify: compute the content hashes again and compare them with what was written.

    Raises:
        CaseError: no case there, a part damaged or changed by somebody else, or another version's schema.
    """
    target = Path(folder).expanduser().absolute()
    _finish_swap(target)
    source = _last_state(target)
    if source is None:
        raise CaseError(f"{target} is no case folder (it has no case.json); make one with: cryoneuro segment CT.")
    content = _content(source)
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
            assessment=from_json(Assessment, _json(source / "assessment.json")) if "assessment" in hashes else None,
            software=content["software"],
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
        structures.append(Structure(mask_kji=layers[row["layer"]] == row["label"], **values))
    tissue = TissueMap(_array(folder / "tissue.nrrd", geometry, np.uint8))
    return Anatomy(
        geometry,
        tissue,
        tuple(structures),
        tuple(from_json(Nerve, item) for item in data["nerves"]),
        tuple(data["unknown"]),
        tuple(data["cleared"]),
        tuple(data["notes"]),
    )


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
    )


def _four(array: Any) -> Any:
    """A sequence of a single frame comes back without its time axis."""
    return array if array.ndim == 4 else array[None]
