"""The panel's hands: drives the engine's stages and shows their results in the scene. No qt.

Methods that compute touch no node and may run in a worker; methods that touch nodes run on the main thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryoneuro.anatomy import segment
from cryoneuro.console import summary
from cryoneuro.imaging import LabelMap
from cryoneuro.model import CancelledError, Case, CtVolume, ImageError, PlanningError, content_hash
from cryoneuro.pipeline import DOUBT_SAMPLES, Request, confirm_step, new_case, plan_step, simulate_step
from cryoneuro.thermal import compiled_available

from ..scene.case_scene import CaseNodes, buildCase, removeCase
from ..scene.ct_node import ctFromNode
from ..scene.isotherms import updateIsotherms
from ..scene.segmentation_labels import labelsFromSegmentation

Progress = Callable[[float, str], None]
Cancelled = Callable[[], bool]


class CaseRunner:
    """One case on one CT of one scene."""

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self.case: Case | None = None
        self.nodes: CaseNodes | None = None
        self._segmented: tuple[str, Case] | None = None

    def readCt(self, volumeNode: Any) -> CtVolume:
        """The CT of a volume node (main thread).

        Raises:
            ImageError: it cannot be planned on.
        """
        return ctFromNode(volumeNode)

    def readLabels(self, segmentationNode: Any) -> LabelMap | None:
        """The structures of a segmentation node, None without one (main thread).

        Raises:
            ImageError: they cannot be used.
        """
        return labelsFromSegmentation(segmentationNode)

    def plan(
        self, ct: CtVolume, request: Request, progress: Progress, cancelled: Cancelled, labels: LabelMap | None = None
    ) -> Case:
        """Segment, unless this CT with these labels has been segmented already, and plan (any thread).

        Raises:
            CryoNeuroError: the stage that cannot be done, in its own words.
        """
        key = content_hash(ct) + ("" if labels is None else content_hash(labels))
        if self._segmented is None or self._segmented[0] != key:
            anatomy = segment(ct, labels, progress=lambda f, text: progress(0.6 * f, text), cancelled=cancelled)
            self._segmented = (key, replace(new_case(ct), anatomy=anatomy))
        return plan_step(self._segmented[1], request, lambda f, text: progress(0.6 + 0.4 * f, text), cancelled)

    def confirm(self) -> Case:
        """The case with the user's yes to the proposed course.

        Raises:
            PlanningError: there is no plan.
        """
        if self.case is None:
            raise PlanningError("Nothing has been planned yet; press Plan first.")
        return confirm_step(self.case, course=True)

    def freeze(self, case: Case, progress: Progress, cancelled: Cancelled) -> Case:
        """Simulate and assess (any thread).

        Raises:
            CryoNeuroError: there is no plan, it cannot be simulated, or it was stopped.
        """
        # Without the compiled solver a full sample would take most of a minute.
        samples = DOUBT_SAMPLES if compiled_available() else DOUBT_SAMPLES // 4
        frozen = simulate_step(case, progress=progress, cancelled=cancelled, samples=samples)
        if frozen.thermal is not None and not frozen.thermal.complete:
            raise CancelledError("The simulation was stopped; what was shown before stays.")
        return frozen

    def show(self, case: Case, volumeNode: Any) -> None:
        """Replace what the scene shows of the case (main thread).

        Raises:
            ImageError: the CT is no longer in the scene.
        """
        if volumeNode is None or volumeNode.GetScene() is None:
            raise ImageError("The CT of this result is no longer in the scene; load it again and plan anew.")
        self.clear()
        self.case = case
        self.nodes = buildCase(self.scene, case, volumeNode)

    def timesS(self) -> list[float]:
        """Times of the temperature fields, s; empty before the freeze."""
        return [] if self.case is None or self.case.thermal is None else list(self.case.thermal.snapshot_times_s)

    def showTime(self, index: int) -> str:
        """Let the isotherms show one moment (main thread); returns the moment in words."""
        times = self.timesS()
        if not times or self.nodes is None or self.case is None or self.case.thermal is None:
            return ""
        index = max(0, min(index, len(times) - 1))
        run = self.case.thermal
        updateIsotherms(self.nodes.isotherms, run.temperature_c[index], run.geometry)
        return f"{times[index] / 60:.1f} min"

    def text(self) -> str:
        """The summary of the case."""
        return "" if self.case is None else summary(self.case, {}, "this scene")

    def clear(self) -> None:
        """Take the case's nodes out of the scene; the CT stays (main thread)."""
        if self.nodes is not None:
            removeCase(self.scene, self.nodes)
        self.nodes = None
        self.case = None
