"""Series that land in Slicer's own DICOM database, as a source of live scans."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cryoneuro.guidance import Arrival, SeriesGathering, arrival_of
from slicer.i18n import tr as _

from . import services


class DatabaseSource:
    """A FrameSource. The database belongs to the main thread: look() is called there, poll() in the worker."""

    def __init__(self) -> None:
        """
        Raises:
            ValueError: no database is open.
        """
        if not services.hasDicomDatabase():
            raise ValueError(_("No DICOM database is open; open one in the DICOM module."))
        self._gathering = SeriesGathering()
        self._old = {path for files in services.ctFilesOfDatabase().values() for path in files}

    @property
    def words(self) -> str:
        """What it listens to."""
        return _("CT series that come into Slicer's DICOM database")

    def look(self) -> None:
        """See what has come (main thread)."""
        for series, files in services.ctFilesOfDatabase().items():
            for path in files:
                if path not in self._old:
                    self._old.add(path)
                    self._gathering.add(series, path, Path(path), time.time())

    def poll(self) -> tuple[Arrival, ...]:
        """Series that are complete (any thread)."""
        return tuple(arrival_of(item) for item in self._gathering.due(time.time()))

    def handled(self, arrival: Any) -> None:
        """Nothing to do: the database keeps its files."""

    def close(self) -> None:
        """Nothing is held open."""
