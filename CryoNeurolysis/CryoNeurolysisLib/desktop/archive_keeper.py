"""Keeps the case in the scene up to date in the background, so that whoever saves the scene saves the case. No qt.

The application writes the files of a scene before it tells anybody that it is saving; what is put into the scene then comes late.
"""

from __future__ import annotations

from typing import Any

from .worker import BackgroundJob

_REST_MS = 1500
"""A case that has not changed for so long is packed; packing takes about a second in a thread."""


class ArchiveKeeper:
    """Of the chosen CT's case."""

    def __init__(self, panel: Any, wait: Any, poll: Any) -> None:
        """
        Args:
            panel: the panel: runner(), volume(), isRunning(), guarded().
            wait, poll: qt.QTimers of the owner.
        """
        self.panel = panel
        self.job = BackgroundJob(poll)
        self._wait = wait
        wait.setSingleShot(True)
        wait.timeout.connect(lambda: panel.guarded(self._pack))

    def changed(self) -> None:
        """The case may have changed."""
        if not self.isCurrent() and not self.job.isRunning():
            self._wait.start(_REST_MS)

    def isCurrent(self) -> bool:
        """Whether the scene holds the case as it is."""
        runner = self.panel.runner()
        return runner.case is None or runner.case is runner.kept

    def _pack(self) -> None:
        volume, runner = self.panel.volume(), self.panel.runner()
        if volume is None or self.isCurrent():
            return
        if self.panel.isRunning() or self.panel.drag.isDragging():
            self._wait.start(_REST_MS)
            return
        case = runner.case

        def done(text: str) -> None:
            # The CT may have been removed, the case changed again.
            if volume.GetScene() is not None:
                self.panel.guarded(runner.keep, volume, case, text)
            self.changed()

        self.job.start(lambda p, c: runner.packed(case), lambda f, t: None, done, lambda error: None)

    def stop(self) -> None:
        """Nothing more is packed."""
        self._wait.stop()
        self.job.abandon()

    def close(self) -> None:
        """The application closes."""
        self._wait.stop()
        self.job.close()
