"""The panel's hands: drives the engine's stages and shows their results in the scene. No qt.

Methods that compute touch no node and may run in a worker; methods that touch nodes run on the main thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cryoneuro.anatomy import segment
from cryoneuro.console import summary
from cryoneuro.finalists import Finalist, usual_weights
from cryoneuro.imaging import LabelMap
from cryoneuro.model import (
    CancelledError,
    CandidateSet,
    Case,
    CaseError,
    CtVolume,
    ImageError,
    Nerve,
    PlanningError,
    content_hash,
)
from cryoneuro.pipeline import (
    DOUBT_SAMPLES,
    Planned,
    Request,
    confirm_step,
    course_step,
    new_case,
    planned_step,
    simulate_step,
)
from cryoneuro.planning import CRITERIA, console_pose, ranked
from cryoneuro.report import build_report, nerve_curve, render_preview, svg_text
from cryoneuro.thermal import compiled_available

from ..scene.case_archive import archiveCase, archivedCase
from ..scene.case_scene import CaseNodes, buildCase, fileNode, removeCase, removeLeftovers, removeNode
from ..scene.ct_node import ctFromNode
from ..scene.isotherms import updateIsotherms
from ..scene.segmentation_labels import labelsFromSegmentation
from ..scene.skin_map_node import skinMapNode

Progress = Callable[[float, str], None]
Cancelled = Callable[[], bool]
_UNDO_STEPS = 50


class CaseRunner:
    """One case on one CT of one scene."""

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self.case: Case | None = None
        self.nodes: CaseNodes | None = None
        self.found: CandidateSet | None = None
        self.finalists: tuple[Finalist, ...] = ()
        self._segmented: tuple[str, Case] | None = None
        self._before: list[Case] = []
        self._after: list[Case] = []

    def readCt(self, volumeNode: Any, position: str = "") -> CtVolume:
        """The CT of a volume node (main thread).

        Args:
            position: how the patient lies, where the user says it.

        Raises:
            ImageError: it cannot be planned on.
        """
        ct = ctFromNode(volumeNode)
        return replace(ct, acquisition=replace(ct.acquisition, patient_position=position)) if position else ct

    def readLabels(self, segmentationNode: Any) -> LabelMap | None:
        """The structures of a segmentation node, None without one (main thread).

        Raises:
            ImageError: they cannot be used.
        """
        return labelsFromSegmentation(segmentationNode)

    def segment(self, ct: CtVolume, progress: Progress, cancelled: Cancelled, labels: LabelMap | None = None) -> Case:
        """A case with its anatomy; the one from before where this CT with these labels has been segmented (any thread).

        Raises:
            CryoNeuroError: the CT cannot be segmented, in its own words.
        """
        key = content_hash(ct) + ("" if labels is None else content_hash(labels))
        if self._segmented is None or self._segmented[0] != key:
            anatomy = segment(ct, labels, progress=progress, cancelled=cancelled)
            self._segmented = (key, replace(new_case(ct), anatomy=anatomy))
        return self._segmented[1]

    def propose(
        self, ct: CtVolume, request: Request, progress: Progress, cancelled: Cancelled, labels: LabelMap | None = None
    ) -> Case:
        """A case with its anatomy and the nerve's course (any thread).

        Raises:
            CryoNeuroError: the stage that cannot be done, in its own words.
        """
        case = self.segment(ct, lambda f, text: progress(0.9 * f, text), cancelled, labels)
        return course_step(self._kept(case), request)

    def plan(
        self, ct: CtVolume, request: Request, progress: Progress, cancelled: Cancelled, labels: LabelMap | None = None
    ) -> Planned:
        """Segment, unless this CT with these labels has been segmented already, and plan (any thread).

        Raises:
            CryoNeuroError: the stage that cannot be done, in its own words.
        """
        case = self.segment(ct, lambda f, text: progress(0.6 * f, text), cancelled, labels)
        return planned_step(self._kept(case), request, lambda f, text: progress(0.6 + 0.4 * f, text), cancelled)

    def _kept(self, case: Case) -> Case:
        """The case with what a person has entered already: the checks, and the yes to structures."""
        if self.case is None or case.anatomy is None:
            return case
        agreed = {s.name for s in self.case.anatomy.structures if s.confirmed} if self.case.anatomy else set()
        structures = tuple(replace(s, confirmed=s.confirmed or s.name in agreed) for s in case.anatomy.structures)
        return replace(case, anatomy=replace(case.anatomy, structures=structures), check=self.case.check)

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

    def put(self, case: Case) -> None:
        """Take an edit of the plan that can be undone (main thread); show() brings it into the scene."""
        if self.case is not None:
            self._before.append(self.case)
            del self._before[:-_UNDO_STEPS]
        self._after.clear()
        self.case = case

    def undo(self) -> Case | None:
        """The case before the last edit, None where there is none."""
        return self._step(self._before, self._after)

    def redo(self) -> Case | None:
        """The case that was taken back last, None where there is none."""
        return self._step(self._after, self._before)

    def _step(self, source: list[Case], other: list[Case]) -> Case | None:
        if not source or self.case is None:
            return None
        other.append(self.case)
        return source.pop()

    def canUndo(self) -> bool:
        """Whether an edit can be taken back."""
        return bool(self._before)

    def canRedo(self) -> bool:
        """Whether an edit can be brought again."""
        return bool(self._after)

    def show(self, case: Case, volumeNode: Any) -> None:
        """Replace what the scene shows of the case (main thread).

        Raises:
            ImageError: the CT is no longer in the scene.
        """
        if volumeNode is None or volumeNode.GetScene() is None:
            raise ImageError("The CT of this result is no longer in the scene; load it again and plan anew.")
        self._clearNodes()
        self.case = case
        self.nodes = buildCase(self.scene, case, volumeNode)

    def course(self) -> Nerve | None:
        """The nerve's course of the case."""
        if self.case is None:
            return None
        if self.case.plan is not None:
            return self.case.plan.nerve
        return self.case.anatomy.nerves[0] if self.case.anatomy is not None and self.case.anatomy.nerves else None

    def isSeen(self, name: str) -> bool:
        """Whether a structure is shown in the views."""
        display = self._segmentDisplay()
        return display is not None and bool(display.GetSegmentVisibility(name))

    def setSeen(self, name: str, seen: bool) -> None:
        """Show or hide a structure in the views (main thread)."""
        display = self._segmentDisplay()
        if display is not None:
            display.SetSegmentVisibility(name, seen)

    def _segmentDisplay(self) -> Any:
        node = None if self.nodes is None else self.nodes.segmentation
        return None if node is None or node.GetScene() is None else node.GetDisplayNode()

    def isChosen(self, finalist: Finalist) -> bool:
        """Whether the plan runs on a finalist's path."""
        if self.case is None or self.case.plan is None or len(self.case.plan.probes) != 1:
            return False
        mine, its = self.case.plan.probes[0].trajectory, finalist.plan.probes[0].trajectory
        return bool((mine.tip_ras_mm == its.tip_ras_mm).all() and (mine.entry_ras_mm == its.entry_ras_mm).all())

    def rank(self, weights: Mapping[str, float]) -> None:
        """Order finalists and candidates by other weights; nothing is computed again."""
        used = {name: weights.get(name, usual) for name, usual in usual_weights().items()}
        if not any(used.values()):
            raise PlanningError("All weights are 0, so no path is better than another; give one criterion a weight.")
        costed = [replace(f, cost=f.cost_by(used)) for f in self.finalists]
        self.finalists = tuple(sorted(costed, key=lambda f: f.cost))
        geometry = {name: used[name] for name in CRITERIA}
        if self.found is not None and any(geometry.values()):
            self.found = ranked(self.found, geometry)

    def showSkinMap(self, shown: bool) -> None:
        """Show or hide the skin map (main thread)."""
        if self.nodes is None or self.case is None or self.case.anatomy is None:
            return
        if self.nodes.skin is not None:
            removeNode(self.scene, self.nodes.skin)
            self.nodes.skin = None
        if shown and self.found is not None:
            self.nodes.skin = skinMapNode(self.scene, self.case.anatomy, self.found)
            fileNode(self.scene, self.nodes, self.nodes.skin, self.case.pseudonym)

    def consoleText(self) -> str:
        """The paths in the words of the console."""
        if self.case is None or self.case.plan is None:
            return ""
        words = [console_pose(p.trajectory, self.case.ct).text for p in self.case.plan.probes]
        return "\n".join(f"{n}: {text}" if len(words) > 1 else text for n, text in enumerate(words, start=1))

    def nerveChart(self) -> str:
        """Coldest temperature along the nerve as an SVG."""
        if self.case is None or self.case.assessment is None or self.case.plan is None:
            return ""
        return svg_text(nerve_curve(self.case.plan, self.case.assessment))

    def previewHtml(self) -> str:
        """The report's words; what is missing where it cannot be made yet."""
        if self.case is None:
            return "<p>Nothing yet.</p>"
        try:
            return render_preview(build_report(self.case))
        except CaseError as error:
            return f"<p>{error}</p>"

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
        self._clearNodes()
        self.case = None
        self.found, self.finalists = None, ()
        self._before.clear()
        self._after.clear()

    def _clearNodes(self) -> None:
        if self.nodes is not None:
            removeCase(self.scene, self.nodes)
        self.nodes = None

    def adopt(self, volumeNode: Any) -> bool:
        """Bring back the case that was saved with the scene (main thread); False where there is none.

        Raises:
            CryoNeuroError: it cannot be read, or its CT is not the chosen one.
        """
        case = archivedCase(self.scene)
        if case is None:
            return False
        found = ctFromNode(volumeNode)
        if found.array_kji.shape != case.ct.array_kji.shape or not (found.array_kji == case.ct.array_kji).all():
            raise ImageError(
                "The case in this scene belongs to another CT than the chosen one; choose the CT it was made on."
            )
        removeLeftovers(self.scene, volumeNode)
        self.show(case, volumeNode)
        return True

    def archive(self) -> None:
        """Put the case into the scene, so that it is saved with it (main thread)."""
        if self.case is not None:
            archiveCase(self.scene, self.case)
