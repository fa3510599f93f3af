"""Where a case lies: the folder, its last whole state, and the sentences when it cannot be used.

A case is made under a temporary name beside its place and renamed when it is whole. If a crash falls between the two
renames, the last whole state is still there under its old name.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

from ..model import CaseError

SCHEMA = "cryoneuro-case/1"
_NEEDED_BYTES = 200_000_000
"""A case with a CT of 512 x 512 x 300 and its thermal run stays under this."""


def case_content(folder: Path) -> dict[str, Any]:
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


def check_target(folder: str | Path) -> None:
    """Say before any long work that a case could not be written there.

    Raises:
        CaseError: the folder holds something else, cannot be written, or the disk has no room.
    """
    target = Path(folder).expanduser().absolute()
    if not target.name:
        raise CaseError(f"{target} cannot be a case folder; give the folder a name.")
    try:
        state = last_state(target)
        foreign = target.exists() and state is None and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise CaseError(disk_sentence(error, target)) from error
    if foreign:
        raise CaseError(f"{target} exists and is no case folder; choose another output folder.")
    if state is not None:
        case_content(state)
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
        raise CaseError(disk_sentence(error, target)) from error
    if free < _NEEDED_BYTES:
        raise CaseError(
            f"Only {free / 1e6:.0f} MB are free at {parent}, a case needs up to {_NEEDED_BYTES / 1e6:.0f} MB; "
            "free some space. Nothing was changed."
        )


def disk_sentence(error: OSError, target: Path) -> str:
    """What the disk refused, for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: the case could not be written to {target}. Free some space; nothing was changed."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{target} cannot be written (no permission); choose another output folder. Nothing was changed."
    return f"The case could not be written to {target}: {error.strerror or error}. Nothing was changed."


def old_name(target: Path) -> Path:
    """Where the last state waits while a new one takes its place."""
    return target.with_name(f".{target.name}.last")


def last_state(target: Path) -> Path | None:
    """The folder that holds the last whole state of a case, or None."""
    for folder in (target, old_name(target)):
        if (folder / "case.json").is_file():
            return folder
    return None


def finish_swap(target: Path) -> None:
    """A crash fell between the two renames: put the last whole state back in its place."""
    old = old_name(target)
    if not (target / "case.json").is_file() and (old / "case.json").is_file() and not target.exists():
        with contextlib.suppress(OSError):
            old.rename(target)


def swap(scratch: Path, target: Path) -> None:
    """Put a finished state in the place of the last one, which is lost only after that."""
    old = old_name(target)
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    scratch.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(target: Path) -> None:
    """Remove what processes that were killed while writing have left."""
    for path in target.parent.glob(f".{target.name}.writing-*"):
        number = path.name.rsplit("-", 1)[1]
        if number.isdigit() and not Path(f"/proc/{number}").exists() and Path("/proc").is_dir():
            shutil.rmtree(path, ignore_errors=True)
