"""Received files on disk: whole or not at all, still there after a crash, not without end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..knowledge import constant
from ..model import GuidanceError

_HANDLED = "handled"
_UID = re.compile(r"[0-9][0-9.]{0,63}")


class SpoolFullError(GuidanceError):
    """There is no room for another image."""


@dataclass(frozen=True)
class Spooled:
    """A file that has been written: where, and of which series and instance (names of folder and file)."""

    series: str
    instance: str
    path: Path


def name_of(uid: str) -> str:
    """A file name for a UID: itself where it is one, otherwise a digest; never a path."""
    return uid if _UID.fullmatch(uid) else "x" + hashlib.sha256(uid.encode("utf-8", "replace")).hexdigest()[:40]


class Spool:
    """A folder of received series, one folder each.

    Raises:
        GuidanceError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, most_bytes: float | None = None, least_free_bytes: float | None = None) -> None:
        self.folder = folder
        self.most_bytes = 1e9 * constant("live_spool_most_gb") if most_bytes is None else most_bytes
        self.least_free = 1e9 * constant("live_disk_free_gb") if least_free_bytes is None else least_free_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".write-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise GuidanceError(
                f"Live scans cannot be kept in {folder} ({error.strerror}); choose another folder."
            ) from None
        # What was being written when the program was stopped was never acknowledged.
        for path in folder.glob("*/*.part"):
            path.unlink(missing_ok=True)
        self._bytes = sum(p.stat().st_size for p in folder.glob("*/*.dcm"))

    def write(self, series_uid: str, instance_uid: str, content: bytes) -> Spooled:
        """Write an image so that it is there after a crash of program or machine; one that is there already stays.

        Raises:
            SpoolFullError: the disk or the share of it that may be used is full.
            GuidanceError: it cannot be written for another reason.
        """
        folder = self.folder / name_of(series_uid)
        target = folder / f"{name_of(instance_uid)}.dcm"
        found = Spooled(folder.name, target.stem, target)
        if target.exists():
            return found
        if self._bytes + len(content) > self.most_bytes:
            raise SpoolFullError(
                f"Live scans take up {self._bytes / 1e9:.1f} GB in {self.folder}, as much as they may; empty the folder."
            )
        free = shutil.disk_usage(self.folder).free
        if free - len(content) < self.least_free:
            raise SpoolFullError(f"Only {free / 1e9:.1f} GB are free on the disk of {self.folder}; make room.")
        part = folder / f"{target.stem}.{os.getpid()}.part"
        try:
            folder.mkdir(exist_ok=True)
            with part.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(target)
            _sync_folder(folder)
            _sync_folder(self.folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if error.errno == 28:
                raise SpoolFullError(f"The disk of {self.folder} is full; make room.") from None
            raise GuidanceError(f"An image cannot be written to {folder} ({error.strerror}).") from None
        self._bytes += len(content)
        return found

    def handled(self, series: str, count: int) -> None:
        """A series has been used, with so many slices."""
        folder = self.folder / name_of(series)
        with contextlib.suppress(OSError):
            part = folder / f"{_HANDLED}.part"
            part.write_text(f"{count}\n", encoding="utf-8")
            part.replace(folder / _HANDLED)

    def waiting(self) -> Iterator[Spooled]:
        """Images of series that were received but not used before the program ended."""
        for folder in sorted((p for p in self.folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime):
            files = sorted(folder.glob("*.dcm"))
            try:
                done = int((folder / _HANDLED).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                done = 0
            if len(files) > done:
                yield from (Spooled(folder.name, path.stem, path) for path in files)


def _sync_folder(folder: Path) -> None:
    """Put a folder's own entries on disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
