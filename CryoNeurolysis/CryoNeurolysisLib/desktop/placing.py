"""Points that the user clicks in any view, through the application's own place mode. No qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer

Points = np.ndarray


class Placing:
    """One set of points at a time."""

    def __init__(self, scene: Any, guarded: Callable[..., Any], later: Callable[[Callable[[], None]], Any]) -> None:
        """
        Args:
            guarded: calls a function and shows what it raises.
            later: calls a function when the scene has done with the event that it is in.
        """
        self.scene = scene
        self._guarded = guarded
        self._later = later
        self._node: Any = None
        self._tags: list[tuple[Any, int]] = []
        self._onPoints: Callable[[Points], None] | None = None
        self._onEnd: Callable[[Points], None] | None = None
        self._single = False

    def isPlacing(self) -> bool:
        """Whether clicks in the views set points now."""
        return self._node is not None

    def start(
        self,
        kind: str,
        name: str,
        rgb: tuple[float, float, float],
        onEnd: Callable[[Points], None],
        onPoints: Callable[[Points], None] | None = None,
        single: bool = False,
    ) -> None:
        """Let the user click points.

        Args:
            kind: class of the markups node that shows them.
            onEnd: called with the points (N, 3) in RAS mm when the user has ended with a right click, or after the only one.
            onPoints: called after every point.
            single: one point is all.
        """
        self.stop()
        node = self.scene.AddNewNodeByClass(kind, name)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(*rgb)
        display.SetSelectedColor(*rgb)
        display.SetPointLabelsVisibility(False)
        node.SetSaveWithScene(False)
        self._node, self._onEnd, self._onPoints, self._single = node, onEnd, onPoints, single
        defined = slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent
        self._tags.append((node, node.AddObserver(defined, lambda *_unused: self._guarded(self._point))))
        interaction, selection = self._modes()
        if interaction is None or selection is None:
            return
        selection.SetReferenceActivePlaceNodeClassName(kind)
        selection.SetActivePlaceNodeID(node.GetID())
        interaction.SetPlaceModePersistence(0 if single else 1)
        interaction.SetCurrentInteractionMode(interaction.Place)
        changed = interaction.InteractionModeChangedEvent
        self._tags.append((interaction, interaction.AddObserver(changed, lambda *_unused: self._guarded(self._mode))))

    def points(self) -> Points:
        """Points that have been clicked so far (N, 3), RAS mm."""
        if self._node is None:
            return np.empty((0, 3))
        count = self._node.GetNumberOfControlPoints()
        defined = [
            n for n in range(count) if self._node.GetNthControlPointPositionStatus(n) == self._node.PositionDefined
        ]
        return np.array([self._node.GetNthControlPointPositionWorld(n) for n in defined]).reshape(-1, 3)

    def end(self) -> None:
        """As with a right click: take the points."""
        if self._node is None:
            return
        points, done = self.points(), self._onEnd
        self.stop()
        if done is not None:
            done(points)

    def stop(self) -> None:
        """Take the points away and go back to looking; nothing is called."""
        node, self._node = self._node, None
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags = []
        interaction, _selection = self._modes()
        if (
            node is not None
            and interaction is not None
            and interaction.GetCurrentInteractionMode() == interaction.Place
        ):
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        if node is not None and node.GetScene() is not None:
            self.scene.RemoveNode(node)

    def _modes(self) -> tuple[Any, Any]:
        return tuple(self.scene.GetFirstNodeByClass(f"vtkMRML{n}Node") for n in ("Interaction", "Selection"))

    def _point(self) -> None:
        if self._onPoints is not None:
            self._onPoints(self.points())
        if self._single:
            self._later(lambda: self._guarded(self.end))

    def _mode(self) -> None:
        interaction, _selection = self._modes()
        if self._node is not None and interaction.GetCurrentInteractionMode() != interaction.Place and not self._single:
            self._later(lambda: self._guarded(self.end))
