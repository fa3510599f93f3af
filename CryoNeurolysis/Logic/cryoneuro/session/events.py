"""The append-only record of a case."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from ..model import CaseError, Event


def event(kind: str, text: str, hashes: dict[str, str] | None = None) -> Event:
    """An event of now."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Event(now, kind, text, tuple(sorted((hashes or {}).items())))


def read_events(path: Path) -> tuple[Event, ...]:
    """Events of events.jsonl; a last line that a crash cut short is left out.

    Raises:
        CaseError: a line in the middle is damaged.
    """
    if not path.is_file():
        return ()
    rows = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        try:
            data = json.loads(line)
            rows.append(Event(data["time_utc"], data["kind"], data["text"], tuple(map(tuple, data["hashes"]))))
        except (ValueError, KeyError) as error:
            if number == len(lines) - 1:
                break
            raise CaseError(f"Line {number + 1} of {path} is damaged; restore the file from a copy.") from error
    return tuple(rows)


def append_event(folder: str | Path, item: Event) -> None:
    """Add one event to a case's record; it is on disk when this returns.

    Raises:
        CaseError: the folder holds no case, or cannot be written.
    """
    path = Path(folder) / "events.jsonl"
    if not (path.parent / "case.json").is_file():
        raise CaseError(f"{folder} holds no case; nothing was recorded.")
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(event_line(item))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise CaseError(f"The record of {folder} cannot be written ({error.strerror}).") from error


def event_line(item: Event) -> str:
    """One line of events.jsonl."""
    data = {"time_utc": item.time_utc, "kind": item.kind, "text": item.text, "hashes": [list(h) for h in item.hashes]}
    return json.dumps(data, ensure_ascii=False) + "\n"
