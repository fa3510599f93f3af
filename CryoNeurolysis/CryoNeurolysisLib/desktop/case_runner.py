"""The panel's hands: drives the engine's stages and shows their results in the scene. No qt.

Methods that compute touch no node and may run in a worker; methods that touch nodes run on the main thread. The engine is
imported inside the methods that need it: the panel opens before it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryoneuro.model import Acquisition, CancelledError, Case, CaseError, Check, CtVolume, ImageError, PlanningError

Progress = Callable[[float, str], None]
Cancelled = Callable[[], bool]
_UNDO_STEPS = 50
COMPARED = 3
"""So many paths are drawn side by side at most; more lines than that hide the anatomy."""


@dataclass(frozen=True, eq=False)
class Made:
    """What a job has made: the case, what the plan was chosen from, and what takes time before it is shown."""

    case: Case
    prepared: Any
    found: Any = None
    finalists: tuple[Any, ...] = ()


def for_course(anatomy: Any, course: Any, cleared: tuple[str, ...]) -> Any:
    """The anatomy with a course, and with what its nerve needs and nobody has made known."""
    from cryoneuro.anatomy import for_target

    return for_target(replace(anatomy, nerves=(course,), cleared=()), course, cleared)


class CaseRunner:
    """One case on one CT of one scene."""

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self.case: Case | None = None
        self.check = Check()
        self.kept: Case | None = None
        self.nodes: Any = None
        self.found: Any = None
        self.finalists: tuple[Any, ...] = ()
        self.prepared: Any = None
        self.choices: dict[str, Any] = {}
        self.others: list[Any] = []
        self.records: list[Any] = []
        self._segmented: tuple[str, Case] | None = None
        self._before: list[Case] = []
        self._after: list[Case] = []

    # What the scene holds

    def source(self, volumeNode: Any, acquisition: Acquisition | None = None) -> Any:
        """What a volume node holds now, to be read in any thread (main thread).

        Raises:
            ImageError: it cannot be planned on.
        """
        from ..scene.ct_node import ctSource

        return ctSource(volumeNode, acquisition)

    def labels(self, segmentationNode: Any) -> Any:
        """What a segmentation node holds now, to be read in any thread; None without one (main thread).

        Raises:
            ImageError: it cannot be used.
        """
        from ..scene.segmentation_labels import labelSource

        return labelSource(segmentationNode)

    def readCt(self, volumeNode: Any, position: str = "") -> CtVolume:
        """The CT of a volume node (main thread).

        Raises:
            ImageError: it cannot be planned on.
        """
        ct: CtVolume = self.source(volumeNode).read()
        return replace(ct, acquisition=replace(ct.acquisition, patient_position=position)) if position else ct

    # Work, in any thread

    def segment(self, ct: CtVolume, progress: Progress, cancelled: Cancelled, labels: Any = None) -> Case:
        """A case with its anatomy; the one from before where this CT with these labels has been segmented.

        Raises:
            CryoNeuroError: the CT cannot be segmented, in its own words.
        """
        from cryoneuro.anatomy import segment
        from cryoneuro.model import content_hash
        from cryoneuro.pipeline import new_case

        key = content_hash(ct) + ("" if labels is None else content_hash(labels))
        if self._segmented is None or self._segmented[0] != key:
            anatomy = segment(ct, labels, progress=progress, cancelled=cancelled)
            self._segmented = (key, replace(new_case(ct), anatomy=anatomy))
        return self._segmented[1]

    def again(self, ct: CtVolume, progress: Progress, cancelled: Cancelled, labels: Any = None) -> Case:
        """As segment, with what was made before: it no longer fits, but only a person throws it away.

        Raises:
            CryoNeuroError: the CT cannot be segmented, in its own words.
        """
        old = self.case
        case = self._kept(self.segment(ct, progress, cancelled, labels))
        course = self.course()
        if old is not None and course is not None and case.anatomy is not None and old.anatomy is not None:
            case = replace(case, anatomy=for_course(case.anatomy, course, old.anatomy.cleared))
        return self._withOld(case, old)

    def propose(self, ct: CtVolume, request: Any, progress: Progress, cancelled: Cancelled, labels: Any = None) -> Case:
        """A case with its anatomy and the nerve's course; a plan for the course before is kept.

        Raises:
            CryoNeuroError: the stage that cannot be done, in its own words.
        """
        from cryoneuro.pipeline import course_step

        old = self.case
        case = self.segment(ct, lambda f, text: progress(0.9 * f, text), cancelled, labels)
        return self._withOld(course_step(self._kept(case), request), old)

    @staticmethod
    def _withOld(case: Case, old: Case | None) -> Case:
        return case if old is None else replace(case, plan=old.plan, thermal=old.thermal, assessment=old.assessment)

    def grow(self, group: str, side: str, inside_ras_mm: Any, outside_ras_mm: Any) -> Case:
        """The case with a structure grown from clicks; what was planned before is kept.

        Raises:
            AnatomyError: see cryoneuro.anatomy.grow_structure.
        """
        from cryoneuro.pipeline import grow_step

        old = self.case
        if old is None or old.anatomy is None:
            raise PlanningError("The case has no anatomy yet; segment the CT first.")
        taken = {s.name for s in old.anatomy.structures}
        names = (group, f"{group}_{side}", *(f"{group}_{side}_{n}" for n in range(2, 99)))
        name = next(n for n in names if n not in taken)
        case = grow_step(old, name, group, inside_ras_mm, outside_ras_mm)
        course = self.course()
        if course is not None and case.anatomy is not None:
            case = replace(case, anatomy=for_course(case.anatomy, course, old.anatomy.cleared))
        return self._withOld(case, old)

    def plan(self, ct: CtVolume, request: Any, progress: Progress, cancelled: Cancelled, labels: Any = None) -> Any:
        """Segment, unless this CT with these labels has been segmented already, and plan.

        Raises:
            CryoNeuroError: the stage that cannot be done, in its own words.
        """
        from cryoneuro.pipeline import planned_step

        case = self.segment(ct, lambda f, text: progress(0.6 * f, text), cancelled, labels)
        return planned_step(self._kept(case), request, lambda f, text: progress(0.6 + 0.4 * f, text), cancelled)

    def freeze(self, case: Case, progress: Progress, cancelled: Cancelled) -> Case:
        """Simulate and assess.

        Raises:
            CryoNeuroError: there is no plan, it cannot be simulated, or it was stopped.
        """
        from cryoneuro.pipeline import DOUBT_SAMPLES, simulate_step
        from cryoneuro.thermal import compiled_available

        # Without the compiled solver a full sample would take most of a minute.
        samples = DOUBT_SAMPLES if compiled_available() else DOUBT_SAMPLES // 4
        frozen = simulate_step(case, progress=progress, cancelled=cancelled, samples=samples)
        if frozen.thermal is not None and not frozen.thermal.complete:
            raise CancelledError("The simulation was stopped; what was shown before stays.")
        return frozen

    def prepare(self, case: Case) -> Any:
        """What takes time before a case is shown; what has not changed since the last time is taken from there."""
        from ..scene.prepared import prepareCase

        return prepareCase(case, self.prepared)

    def skinSurface(self) -> Any:
        """The colored skin of the paths that were tried."""
        from ..scene.skin_map_node import skinMapSurface

        assert self.case is not None and self.case.anatomy is not None
        return skinMapSurface(self.case.anatomy, self.found)

    def _kept(self, case: Case) -> Case:
        """The case with what a person has entered already: the checks, and the yes to structures."""
        if self.case is None or self.case.anatomy is None or case.anatomy is None:
            return replace(case, check=self.check)
        agreed = {s.name for s in self.case.anatomy.structures if s.confirmed}
        structures = tuple(replace(s, confirmed=s.confirmed or s.name in agreed) for s in case.anatomy.structures)
        return replace(case, anatomy=replace(case.anatomy, structures=structures), check=self.check)

    # The case

    def put(self, case: Case) -> None:
        """Take an edit that can be undone (main thread); show() brings it into the scene."""
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
        self.case = source.pop()
        return self.case

    def canUndo(self) -> bool:
        """Whether an edit can be taken back."""
        return bool(self._before)

    def canRedo(self) -> bool:
        """Whether an edit can be brought again."""
        return bool(self._after)

    def course(self) -> Any:
        """The nerve's course of the case."""
        if self.case is None or self.case.anatomy is None:
            return None
        # A course that was dragged after the plan stands in the anatomy; the plan keeps the one it was made for.
        nerves = self.case.anatomy.nerves
        return nerves[0] if nerves else (None if self.case.plan is None else self.case.plan.nerve)

    def confirm(self) -> Case:
        """The case with the user's yes to the course.

        Raises:
            PlanningError: there is no course.
        """
        from cryoneuro.pipeline import confirm_step

        course = self.course()
        if self.case is None or course is None:
            raise PlanningError("There is no course yet; propose one or click it first.")
        if self.case.plan is not None and self.case.plan.nerve is course:
            return confirm_step(self.case, course=True)
        assert self.case.anatomy is not None
        agreed = tuple(replace(nerve, confirmed=True) for nerve in self.case.anatomy.nerves)
        return replace(self.case, anatomy=replace(self.case.anatomy, nerves=agreed))

    def isChosen(self, finalist: Any) -> bool:
        """Whether the plan runs on a finalist's path."""
        if self.case is None or self.case.plan is None or len(self.case.plan.probes) != 1:
            return False
        mine, its = self.case.plan.probes[0].trajectory, finalist.plan.probes[0].trajectory
        return bool((mine.tip_ras_mm == its.tip_ras_mm).all() and (mine.entry_ras_mm == its.entry_ras_mm).all())

    def rank(self, weights: Mapping[str, float]) -> None:
        """Order finalists and candidates by other weights; nothing is computed again.

        Raises:
            PlanningError: all weights are 0.
        """
        from cryoneuro.finalists import usual_weights
        from cryoneuro.planning import CRITERIA, ranked

        used = {name: weights.get(name, usual) for name, usual in usual_weights().items()}
        if not any(used.values()):
            raise PlanningError("All weights are 0, so no path is better than another; give one criterion a weight.")
        costed = [replace(f, cost=f.cost_by(used)) for f in self.finalists]
        self.finalists = tuple(sorted(costed, key=lambda f: f.cost))
        geometry = {name: used[name] for name in CRITERIA}
        if self.found is not None and any(geometry.values()):
            self.found = ranked(self.found, geometry)

    def consoleText(self) -> str:
        """The paths in the words of the console."""
        if self.case is None or self.case.plan is None:
            return ""
        from cryoneuro.planning import console_pose

        words = [console_pose(p.trajectory, self.case.ct).text for p in self.case.plan.probes]
        return "\n".join(f"{n}: {text}" if len(words) > 1 else text for n, text in enumerate(words, start=1))

    def nerveChart(self, index: int | None = None) -> str:
        """The nerve's temperature against place and against time as an SVG, at one of the times."""
        if self.case is None or self.case.assessment is None or self.case.plan is None:
            return ""
        from cryoneuro.report import SMALL, svg_text, time_curves

        return svg_text(*time_curves(self.case, index), frame=SMALL)

    def previewHtml(self) -> str:
        """The report's words; what is missing where it cannot be made yet."""
        if self.case is None:
            return "<p>Nothing yet.</p>"
        from cryoneuro.report import build_report, render_preview

        try:
            return render_preview(build_report(self.case))
        except CaseError as error:
            return f"<p>{error}</p>"

    def save(self, folder: Path, pictures: tuple[Any, ...] = ()) -> Path:
        """Write the case folder, with its report where there is one (any thread); returns the folder.

        Raises:
            CaseError: it cannot be written.
        """
        from cryoneuro.report import build_report, write_report
        from cryoneuro.session import event, save_case

        if self.case is None:
            raise CaseError("There is no case to save yet; segment the CT first.")
        place = folder / self.case.pseudonym
        written = tuple(self.records)
        save_case(self.case, place, (*written, event("saved from the panel", self.case.pseudonym)))
        del self.records[: len(written)]
        if self.case.assessment is not None:
            write_report(build_report(self.case, pictures), place / "report")
        return place

    def text(self) -> str:
        """The summary of the case."""
        if self.case is None:
            return ""
        from cryoneuro.console import summary

        return summary(self.case, {}, "this scene")

    # Nodes, on the main thread

    def show(self, case: Case, volumeNode: Any, prepared: Any = None) -> None:
        """Bring what the scene shows to a case.

        Raises:
            ImageError: the CT is no longer in the scene.
        """
        from ..scene.case_scene import buildCase, updateCase

        if volumeNode is None or volumeNode.GetScene() is None:
            raise ImageError("The CT of this result is no longer in the scene; load it again and plan anew.")
        self.case = case
        self.check = case.check or self.check
        self.prepared = prepared if prepared is not None and prepared.case is case else self.prepare(case)
        self._dropSkin()
        self.showOthers(False)
        if self.nodes is None or self.nodes.ct is not volumeNode:
            self.hide()
            self.nodes = buildCase(self.scene, case, volumeNode, self.prepared)
        else:
            updateCase(self.scene, self.nodes, case, self.prepared)

    def hide(self) -> None:
        """Take the case's nodes out of the scene; the CT stays, and so does the case."""
        from ..scene.case_scene import removeCase

        self.showOthers(False)
        if self.nodes is not None:
            removeCase(self.scene, self.nodes)
        self.nodes = None

    def clear(self) -> None:
        """Forget the case and take its nodes out of the scene; the CT stays."""
        self.hide()
        self.case = self.prepared = self.found = None
        self.finalists = ()
        self._before.clear()
        self._after.clear()

    def movePath(self) -> None:
        """Let the drawn shaft follow a path that is being dragged."""
        from ..scene.case_scene import movePath

        if self.nodes is not None and self.case is not None:
            movePath(self.nodes, self.case)

    def isSeen(self, name: str) -> bool:
        """Whether a structure is shown in the views."""
        display = self._segmentDisplay()
        return display is not None and bool(display.GetSegmentVisibility(name))

    def setSeen(self, name: str, seen: bool) -> None:
        """Show or hide a structure in the views."""
        display = self._segmentDisplay()
        if display is not None:
            display.SetSegmentVisibility(name, seen)

    def _segmentDisplay(self) -> Any:
        node = None if self.nodes is None else self.nodes.segmentation
        return None if node is None or node.GetScene() is None else node.GetDisplayNode()

    def showSkin(self, surface: Any) -> None:
        """Show the colored skin that skinSurface has made; None hides it."""
        from ..scene.case_scene import fileNode
        from ..scene.skin_map_node import skinMapNode

        self._dropSkin()
        if surface is not None and self.nodes is not None and self.case is not None:
            self.nodes.skin = skinMapNode(self.scene, surface)
            fileNode(self.scene, self.nodes, self.nodes.skin, self.case.pseudonym)

    def _dropSkin(self) -> None:
        if self.nodes is not None and self.nodes.skin is not None:
            from ..scene.case_scene import removeNode

            if self.nodes.skin.GetScene() is not None:
                removeNode(self.scene, self.nodes.skin)
            self.nodes.skin = None

    def showOthers(self, shown: bool) -> None:
        """Draw the best paths beside the chosen one, each with its number, or take them away."""
        from ..scene.case_scene import fileNode, removeNode
        from ..scene.nodes import otherPathNode

        for node in self.others:
            if node.GetScene() is not None:
                removeNode(self.scene, node)
        self.others = []
        if not shown or self.nodes is None or self.case is None:
            return
        for number, finalist in enumerate(self.finalists[:COMPARED], start=1):
            if not self.isChosen(finalist):
                node = otherPathNode(self.scene, number, finalist.plan.probes[0].trajectory)
                fileNode(self.scene, self.nodes, node, self.case.pseudonym)
                self.others.append(node)

    def timesS(self) -> list[float]:
        """Times of the temperature fields, s; empty before the freeze."""
        return [] if self.case is None or self.case.thermal is None else list(self.case.thermal.snapshot_times_s)

    def showTime(self, index: int) -> str:
        """Let the isotherms show one moment; returns the moment in words."""
        from ..scene.isotherms import updateIsotherms

        times = self.timesS()
        if not times or self.nodes is None or self.case is None or self.case.thermal is None:
            return ""
        index = max(0, min(index, len(times) - 1))
        run = self.case.thermal
        updateIsotherms(self.nodes.isotherms, run.temperature_c[index], run.geometry)
        return f"{times[index] / 60:.1f} min"

    def archive(self, volumeNode: Any) -> None:
        """Put the case into the scene, so that it is saved with it; at once, where the background has not done it yet."""
        if self.case is not None and self.case is not self.kept:
            self.keep(volumeNode, self.case, self.packed(self.case))

    def packed(self, case: Case) -> str:
        """A case as the text of an archive (any thread)."""
        from ..scene.case_archive import packedCase

        return packedCase(case)

    def keep(self, volumeNode: Any, case: Case, text: str) -> None:
        """Put a packed case into the scene."""
        from ..scene.case_archive import keepArchive

        if volumeNode is not None and volumeNode.GetScene() is not None:
            keepArchive(self.scene, volumeNode, text)
            self.kept = case

    def archived(self, volumeNode: Any) -> str:
        """The text of the case that was saved with the scene for this CT; empty where there is none."""
        from ..scene.case_archive import archiveNode

        node = archiveNode(self.scene, volumeNode)
        return "" if node is None or self.case is not None else node.GetText() or ""

    def adopt(self, text: str, ct: CtVolume) -> Made:
        """The case of an archive's text, ready to be shown (any thread).

        Raises:
            CryoNeuroError: it cannot be read, or belongs to another CT.
        """
        from ..scene.case_archive import unpackedCase

        case = unpackedCase(text, ct)
        return Made(case, self.prepare(case))
