"""Received files on disk: whole or not at all, still there after a crash, not without end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..knowledge import constant
from ..model import GuidanceError

_HANDLED = "handled"
_UID = re.compile(r"[0-9][0-9.]{0,63}")


class SpoolFullError(GuidanceError):
    """There is no room for another image."""


@dataclass(frozen=True)
class Spooled:
    """A received file.

    Attributes:
        series, instance: names of its folder and file.
        came_s: when it was written, seconds since 1970.
        fresh: it was written now; False where the same content lay there already.
    """

    series: str
    instance: str
    path: Path
    came_s: float = 0.0
    fresh: bool = True


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
        self._bytes = self._counted()

    def _counted(self) -> int:
        """Bytes of all images that lie here; what cannot be read counts nothing."""
        total = 0
        for path in self.folder.glob("*/*.dcm"):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def write(self, series_uid: str, instance_uid: str, content: bytes) -> Spooled:
        """Write an image so that it is there after a crash of program or machine. One of the same content stays; one of
        another content takes its place, and its series counts as not used.

        Raises:
            SpoolFullError: the disk or the share of it that may be used is full.
            GuidanceError: it cannot be written for another reason.
        """
        folder = self.folder / name_of(series_uid)
        target = folder / f"{name_of(instance_uid)}.dcm"
        found = Spooled(folder.name, target.stem, target)
        old = 0
        with contextlib.suppress(OSError):
            old = target.stat().st_size
            if old == len(content) and target.read_bytes() == content:
                return replace(found, fresh=False)
        more = len(content) - old
        if self._bytes + more > self.most_bytes:
            # Somebody may have emptied the folder.
            self._bytes = self._counted()
        if self._bytes + more > self.most_bytes:
            raise SpoolFullError(
                f"Live scans take up {self._bytes / 1e9:.1f} GB in {self.folder}, as much as they may; empty the folder."
            )
        part = folder / f"{target.stem}.{uuid.uuid4().hex}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free - len(content) < self.least_free:
                raise SpoolFullError(
                    f"Only {free / 1e9:.2f} GB are free on the disk of {self.folder}, {self.least_free / 1e9:g} GB are kept "
                    "free for the case; make room."
                )
            with part.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            # Before, not after: a crash between must not leave a new image in a series that counts as used.
            (folder / _HANDLED).unlink(missing_ok=True)
            part.replace(target)
            _sync_folder(folder)
            _sync_folder(self.folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if error.errno == 28:
                raise SpoolFullError(f"The disk of {self.folder} is full; make room.") from None
            raise GuidanceError(f"An image cannot be written to {folder} ({error.strerror}).") from None
        self._bytes += more
        return found

    def handled(self, series: str, count: int) -> None:
        """A series (the name of its folder) has been used, with so many slices."""
        folder = self.folder / Path(series).name
        with contextlib.suppress(OSError):
            part = folder / f"{_HANDLED}.part"
            part.write_text(f"{count}\n", encoding="utf-8")
            part.replace(folder / _HANDLED)

    def waiting(self) -> Iterator[Spooled]:
        """Images of series that were received but not used before the program ended."""
        series: list[tuple[float, Path, list[Spooled]]] = []
        for folder in self.folder.iterdir():
            files = []
            # What somebody else has put there, or has just taken away, is passed over.
            with contextlib.suppress(OSError):
                for path in sorted(folder.glob("*.dcm")):
                    with contextlib.suppress(OSError):
                        if path.is_file() and not path.is_symlink():
                            files.append(Spooled(folder.name, path.stem, path, path.stat().st_mtime))
            if files:
                series.append((max(f.came_s for f in files), folder, files))
        for _, folder, files in sorted(series, key=lambda row: row[0]):
            try:
                done = int((folder / _HANDLED).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                done = 0
            if len(files) > done:
                yield from files


def _sync_folder(folder: Path) -> None:
    """Put a folder's own entries on disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
