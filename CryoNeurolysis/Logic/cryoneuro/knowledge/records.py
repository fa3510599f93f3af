"""Finds Resources/Data in every layout and reads its files, checking what every record must carry."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..model import KnowledgeError

CONFIDENCES = ("high", "medium", "low")


@cache
def data_folder() -> Path:
    """Folder of the data files: beside Logic in the source tree and in Slicer, inside the package in a wheel.

    Raises:
        KnowledgeError: no layout has them.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parents[1] / "Resources" / "Data", package / "data"):
        if (folder / "nerves.json").is_file():
            return folder
    raise KnowledgeError(f"The data files of the program were not found near {package}; install the program again.")


@cache
def load_records(name: str) -> tuple[Mapping[str, Any], ...]:
    """Records of Resources/Data/<name>.json, each with id, source, confidence and verified.

    Raises:
        KnowledgeError: the file is missing, broken, or a record lacks one of them.
    """
    return _read(data_folder() / f"{name}.json", name)


@cache
def site_records(name: str) -> tuple[Mapping[str, Any], ...]:
    """A site's own records of a kind, from <name>.json in the folder that CRYONEURO_SITE_DATA names; none without it.

    Raises:
        KnowledgeError: the file is broken, or a record lacks what every record must carry.
    """
    folder = os.environ.get("CRYONEURO_SITE_DATA", "")
    path = Path(folder) / f"{name}.json"
    return _read(path, name) if folder and path.is_file() else ()


def _read(path: Path, name: str) -> tuple[Mapping[str, Any], ...]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise KnowledgeError(f"The data file {path} cannot be read ({error}); install the program again.") from error
    if content.get("schema") != f"cryoneuro-{name}/1":
        raise KnowledgeError(f"{path} has schema '{content.get('schema')}', expected 'cryoneuro-{name}/1'.")
    records = content["records"]
    seen: set[str] = set()
    for record in records:
        identifier = record.get("id")
        if not isinstance(identifier, str) or not identifier or identifier in seen:
            raise KnowledgeError(f"{path.name}: a record has no id or repeats one: '{identifier}'.")
        seen.add(identifier)
        if not isinstance(record.get("source"), str) or len(record["source"]) < 5:
            raise KnowledgeError(f"{path.name}, {identifier}: the source is missing.")
        if record.get("confidence") not in CONFIDENCES:
            raise KnowledgeError(f"{path.name}, {identifier}: confidence must be one of {', '.join(CONFIDENCES)}.")
        if not isinstance(record.get("verified"), bool):
            raise KnowledgeError(f"{path.name}, {identifier}: verified must be true or false.")
    return tuple(records)


def find_record(kind: str, wanted: str, records: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The record whose id, name or alias is `wanted`, without regard to case, spaces, dashes and underscores; the first one
    where several are.

    Raises:
        KnowledgeError: none is; the message offers the nearest.
    """
    names: dict[str, Mapping[str, Any]] = {}
    for record in records:
        for text in (record["id"], record.get("name", ""), *record.get("aliases", ())):
            names.setdefault(_key(text), record)
    key = _key(wanted)
    if key in names:
        return names[key]
    near = difflib.get_close_matches(key, names, n=3, cutoff=0.5)
    near += [name for name in names if key and key in name and name not in near]
    offers = list(dict.fromkeys(names[name]["id"] for name in near))[:3]
    if not offers:
        raise KnowledgeError(f"No {kind} is called '{wanted}', nor anything like it; see: cryoneuro list.")
    raise KnowledgeError(f"No {kind} is called '{wanted}'. Did you mean {' or '.join(offers)}?")


def _key(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())
