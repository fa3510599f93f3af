"""Writes a case folder, whole or not at all; parts that have not changed are linked from the last state."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..imaging import write_sequence, write_volume
from ..knowledge import color
from ..model import Anatomy, Case, CaseError, Event, Structure, ThermalRun, content_hash
from .codec import to_json
from .events import event, event_line
from .markups import write_markup
from .place import SCHEMA, case_content, check_target, disk_sentence, last_state, remove_leftovers, swap
from .segmentation import write_segmentation

_PARTS: Mapping[str, tuple[str, ...]] = {
    "ct": ("ct.nrrd",),
    "anatomy": ("anatomy.seg.nrrd", "tissue.nrrd", "fat_percent.nrrd"),
    "thermal": (
        "thermal/coldest.nrrd",
        "thermal/temperature.seq.nrrd",
        "thermal/seconds_below.seq.nrrd",
        "thermal/first_below.seq.nrrd",
    ),
}
_SHOWN_IN_REPORT = ("plan", "thermal", "assessment")
_OURS = (
    "case.json",
    "ct.nrrd",
    "anatomy.seg.nrrd",
    "tissue.nrrd",
    "fat_percent.nrrd",
    "plan.json",
    "assessment.json",
    "check.json",
    "events.jsonl",
    "thermal",
)


def save_case(
    case: Case, folder: str | Path, events: tuple[Event, ...] = (), without_ct: bool = False
) -> dict[str, str]:
    """Write the whole case; returns the content hash of each part.

    Args:
        folder: replaced when it is a case folder already; its record and report are kept.
        events: appended to the record.
        without_ct: leave the voxels of the CT out, where they are kept elsewhere; they must be put back as ct.nrrd to load it.

    Raises:
        CaseError: the folder holds something else, cannot be written, or the disk is full; then nothing has changed.
    """
    target = Path(folder).expanduser().absolute()
    check_target(target)
    old = last_state(target)
    known = case_content(old) if old else {}
    known_hashes = known.get("hashes", {})
    hashes = {
        name: content_hash(getattr(case, name))
        for name in ("ct", "anatomy", "plan", "thermal", "assessment", "check")
        if getattr(case, name) is not None
    }
    if known_hashes.get("ct", hashes["ct"]) != hashes["ct"]:
        raise CaseError(
            f"{target} holds the case of another CT ({known.get('pseudonym')}); choose another output folder, or remove it."
        )
    scratch = target.with_name(f".{target.name}.writing-{os.getpid()}")
    remove_leftovers(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        content = _write_parts(case, scratch, old, known, hashes, without_ct)
        if old:
            _keep_others(old, scratch, same_result=all(known_hashes.get(n) == hashes.get(n) for n in _SHOWN_IN_REPORT))
        record = (old / "events.jsonl").read_text(encoding="utf-8") if old and (old / "events.jsonl").is_file() else ""
        record += "".join(
            event_line(item) for item in (*events, event("saved", f"CryoNeurolysis {__version__}", hashes))
        )
        (scratch / "events.jsonl").write_text(record, encoding="utf-8")
        (scratch / "case.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        swap(scratch, target)
    except OSError as error:
        raise CaseError(disk_sentence(error, target)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return hashes


def _keep_others(old: Path, scratch: Path, same_result: bool) -> None:
    """Take over what is not ours to write: files that a person put there, and pictures that still show this result."""
    for path in sorted(old.iterdir()):
        made_from_result = path.name in ("report", "scene.mrb")
        numbered = path.name.startswith(("nerve_", "probe_", "rib_")) and path.name.endswith(".mrk.json")
        if path.name in _OURS or numbered or (made_from_result and not same_result) or (scratch / path.name).exists():
            continue
        if path.is_dir():
            shutil.copytree(path, scratch / path.name, copy_function=_link)
        else:
            _link(path, scratch / path.name)


def _link(source: str | Path, destination: str | Path) -> None:
    """Hard link where the file system can, else a copy: an unchanged part is not written twice."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def _write_parts(
    case: Case,
    folder: Path,
    old: Path | None,
    known: Mapping[str, Any],
    hashes: dict[str, str],
    without_ct: bool,
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
        if not without_ct:
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
    for structure in case.anatomy.structures if case.anatomy else ():
        edge = structure.lower_edge_ras_mm
        if edge is not None:
            name, labels = f"{structure.name.replace('_', ' ')}, lower edge", [f"{n + 1}" for n in range(len(edge))]
            write_markup(folder / f"{structure.name}.mrk.json", "Curve", name, edge, labels, color(structure.group))
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
    if case.check is not None:
        (folder / "check.json").write_text(
            json.dumps(to_json(case.check), indent=1, ensure_ascii=False), encoding="utf-8"
        )
    if case.thermal is not None and not unchanged("thermal"):
        content["thermal"] = _write_thermal(case.thermal, folder)
    if case.assessment is not None:
        text = json.dumps(to_json(case.assessment), indent=1, ensure_ascii=False)
        (folder / "assessment.json").write_text(text, encoding="utf-8")
        doubt = case.assessment.ensemble
        if doubt is not None and doubt.probability is not None and doubt.geometry is not None:
            (folder / "thermal").mkdir(exist_ok=True)
            chance = folder / "thermal" / "chance.seq.nrrd"
            write_sequence(chance, doubt.probability, doubt.geometry, np.array(doubt.isotherms_c), "isotherm", "C")
            content["chance"] = to_json(doubt.geometry)
    return content


def _write_anatomy(anatomy: Anatomy, folder: Path) -> dict[str, Any]:
    places = write_segmentation(folder / "anatomy.seg.nrrd", anatomy.structures, anatomy.geometry)
    write_volume(folder / "tissue.nrrd", anatomy.tissue.labels_kji, anatomy.geometry)
    if anatomy.tissue.fat_percent_kji is not None:
        write_volume(folder / "fat_percent.nrrd", anatomy.tissue.fat_percent_kji, anatomy.geometry)
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
    first = run.first_below_s if run.first_below_s is not None else np.full_like(run.time_below_s, -1.0)
    write_sequence(folder / "thermal" / "first_below.seq.nrrd", first, run.geometry, run.isotherms_c, "isotherm", "C")
    return {
        "geometry": to_json(run.geometry),
        "snapshot_times_s": to_json(run.snapshot_times_s),
        "isotherms_c": to_json(run.isotherms_c),
        "complete": run.complete,
        "provenance": to_json(run.provenance),
        "points_ras_mm": to_json(run.points_ras_mm),
        "point_times_s": to_json(run.point_times_s),
        "point_c": to_json(run.point_c),
        "has_first_below": run.first_below_s is not None,
    }
