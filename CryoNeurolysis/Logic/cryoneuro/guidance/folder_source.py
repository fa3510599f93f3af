"""Watches a folder into which a console exports, and reads series that are complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..imaging import series_of_file
from ..knowledge import constant
from ..model import GuidanceError
from .arrival import Arrival
from .read_series import arrival_of
from .series import SeriesGathering

_MOST_FILES = 200_000


@dataclass
class _Seen:
    size: int
    changed: float
    since_s: float


class FolderSource:
    """A FrameSource: DICOM files in a folder and the folders in it.

    A file is read when its size and its time have stayed the same for a moment; a series is given when nothing of it has
    come for a quiet time. What lay there when watching began is passed over, unless asked for.

    Raises:
        GuidanceError: there is no such folder.
    """

    def __init__(
        self,
        folder: str | Path,
        include_old: bool = False,
        settle_s: float = 0.4,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = Path(folder).expanduser()
        if not self.folder.is_dir():
            raise GuidanceError(
                f"There is no folder called {self.folder}; choose the one into which the console exports."
            )
        self._clock, self._settle_s = clock, settle_s
        self._gathering = SeriesGathering()
        self._seen: dict[Path, _Seen] = {}
        self._done: dict[Path, tuple[int, float]] = {}
        self._taken: set[Path] = set()
        self._lost = False
        if not include_old:
            self._done = dict(self._files() or {})

    @property
    def words(self) -> str:
        return f"folder {self.folder}"

    def poll(self) -> tuple[Arrival, ...]:
        now = self._clock()
        files = self._files()
        told: list[Arrival] = []
        if files is None:
            if not self._lost:
                told.append(
                    Arrival("", f"The folder {self.folder} cannot be read any more; is it still connected?", now)
                )
            self._lost = True
            return tuple(told)
        self._lost = False
        for path, (size, changed) in files.items():
            if self._done.get(path) == (size, changed):
                continue
            seen = self._seen.get(path)
            if seen is None or (seen.size, seen.changed) != (size, changed):
                self._seen[path] = _Seen(size, changed, now)
                self._gathering.stir(now)
                continue
            if now - seen.since_s < self._settle_s:
                continue
            del self._seen[path]
            self._done[path] = (size, changed)
            told += self._take(path, now)
        # Files that were removed need not be remembered.
        for gone in [p for p in self._done if p not in files]:
            del self._done[gone]
            self._taken.discard(gone)
        for gone in [p for p in self._seen if p not in files]:
            del self._seen[gone]
        due = self._gathering.due(now)
        self._gathering.forget(now - 2.0 * constant("live_series_longest_s"))
        return (*told, *(arrival_of(item) for item in due))

    def handled(self, arrival: Arrival) -> None:
        """Nothing to do: a watched folder belongs to the console."""

    def close(self) -> None:
        """Nothing is held open."""

    def _take(self, path: Path, now: float) -> list[Arrival]:
        facts = series_of_file(path)
        if facts is None:
            return []
        series_uid, instance_uid, modality = facts
        if not series_uid:
            return [Arrival("", f"{path.name} is a DICOM file that cannot be read; export it again.", now)]
        if modality and modality != "CT":
            return []
        # A file that was written anew brings its series again; a copy of it under another name does not.
        self._gathering.add(series_uid, instance_uid or path.name, path, now, changed=path in self._taken)
        self._taken.add(path)
        return []

    def _files(self) -> dict[Path, tuple[int, float]] | None:
        """Size and time of every file; None when the folder cannot be read."""
        found: dict[Path, tuple[int, float]] = {}
        try:
            for path in self.folder.rglob("*"):
                try:
                    facts = path.stat()
                    if path.is_file() and not path.is_symlink():
                        found[path] = (facts.st_size, facts.st_mtime)
                except OSError:
                    continue
                if len(found) >= _MOST_FILES:
                    break
            next(iter(self.folder.iterdir()), None)
        except OSError:
            return None
        return found
