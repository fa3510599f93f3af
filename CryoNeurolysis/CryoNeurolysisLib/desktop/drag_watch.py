"""Follows the course and the path while the user drags their points, and notices when the drag has ended. No qt."""

from __future__ import annotations

from typing import Any

import slicer

_SETTLED_MS = 250
"""A drag that rests so long has ended."""


class DragWatch:
    """Of one case at a time."""

    def __init__(self, panel: Any, timer: Any) -> None:
        """
        Args:
            panel: the panel: guarded(), step(), isRunning().
            timer: a qt.QTimer of the owner.
        """
        self.panel = panel
        self._observed: list[tuple[Any, int]] = []
        self._runner: Any = None
        self._course = self._path = False
        self._settle = timer
        timer.setSingleShot(True)
        timer.timeout.connect(lambda: panel.guarded(self._settled))

    def watch(self, runner: Any) -> None:
        """Follow the nodes of a case."""
        self.stop()
        self._runner = runner
        nodes = runner.nodes
        if nodes is None:
            return
        event = slicer.vtkMRMLMarkupsNode.PointModifiedEvent
        for node, slot in ((nodes.nerves[:1], self._courseMoved), (nodes.trajectories[:1], self._pathMoved)):
            for markup in node:
                self._observed.append((markup, markup.AddObserver(event, slot)))
        for curve in nodes.nerves[:1]:
            curve.SetLocked(False)

    def stop(self) -> None:
        """Follow nothing any more."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        self._settle.stop()
        self._course = self._path = False

    def isDragging(self) -> bool:
        """Whether a drag has begun and not ended."""
        return self._course or self._path

    def _courseMoved(self, *_unused: Any) -> None:
        if not self.panel.isRunning():
            self._course = True
            self._settle.start(_SETTLED_MS)

    def _pathMoved(self, line: Any, *_unused: Any) -> None:
        if not self.panel.isRunning():
            self._path = True
            ends = [line.GetNthControlPointPositionWorld(n) for n in range(2)]
            self.panel.guarded(self.panel.step("path").dragged, ends)
            self._settle.start(_SETTLED_MS)

    def _settled(self) -> None:
        course, path, runner = self._course, self._path, self._runner
        self._course = self._path = False
        if path:
            self.panel.step("path").dropped()
        elif course and runner.nodes is not None and runner.nodes.nerves:
            curve = runner.nodes.nerves[0]
            points = [curve.GetNthControlPointPositionWorld(n) for n in range(curve.GetNumberOfControlPoints())]
            self.panel.step("target").dragged(points)
