"""The panel: the step bar, the pages, the background job, and every action of a case.

Nothing here computes: actions hand work to the runner, mostly in a thread, and show what comes back.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from cryoneuro.model import Check, CryoNeuroError, Verdict
from cryoneuro.pipeline import approve_step, confirm_step, course_step, dragged_step, with_plan
from cryoneuro.planning import snapped, why_not
from cryoneuro.report import build_report, write_report
from cryoneuro.session import event, save_case
from slicer.i18n import tr as _

from ..scene.path_slices import lookAlong, lookInPlane, lookUsual
from .request_text import courseKey, planKey, pointsText, requestOf, segmentationKey
from .step_state import STEPS, PanelFacts, StepState, stepStates
from .steps import ALL_STEPS
from .steps.check_step import begun
from .worker import BackgroundJob

_SETTLED_MS = 250
"""A drag that rests so long has ended."""
_NEW_COURSE_MM = 20.0


class Panel:
    """All steps of one case."""

    def __init__(self, ui: Any, logic: Any, loadUi: Any) -> None:
        """
        Args:
            ui: widgets of the shell by name.
            logic: the module's logic.
            loadUi: loads a page by the name of its file.
        """
        self.ui = ui
        self.logic = logic
        self.node: Any = None
        self._running = ""
        self._failed = ""
        self._savedTo = ""
        self._saved: Any = None
        self._quiet = False
        self._facts: tuple[Any, str] = (None, "")
        self._observed: list[tuple[Any, int]] = []
        self._dragStart: Any = None
        self.current = 0
        self.isPresenting = False
        self._timer = qt.QTimer()
        self.job = BackgroundJob(self._timer)
        self._settle = qt.QTimer()
        self._settle.setSingleShot(True)
        self._settle.timeout.connect(lambda: self.guarded(self._settled))
        self.pages, self.steps = [], []
        for kind in ALL_STEPS:
            page, widgets = loadUi(kind.uiName)
            ui.stepStack.addWidget(page)
            self.pages.append(page)
            self.steps.append(kind(self, widgets))
        for index, name in enumerate(STEPS):
            button = getattr(ui, f"{name}StepButton")
            button.clicked.connect(lambda *_unused, index=index: self.go(index))
        ui.backButton.clicked.connect(lambda *_unused: self.go(self.current - 1))
        ui.nextButton.clicked.connect(lambda *_unused: self.go(self.current + 1))
        ui.undoButton.clicked.connect(lambda *_unused: self.guarded(self.undo))
        ui.redoButton.clicked.connect(lambda *_unused: self.guarded(self.redo))
        ui.cancelButton.clicked.connect(lambda *_unused: self.job.cancel())
        self.go(0)

    # What the steps ask

    def parameters(self) -> Any:
        """The scene's parameter node."""
        return self.node

    def runner(self) -> Any:
        """The case runner of the scene."""
        return self.logic.runner()

    def isRunning(self) -> bool:
        """Whether a job runs."""
        return self.job.isRunning()

    def courseFits(self) -> bool:
        """Whether the course belongs to what is chosen."""
        return self.runner().course() is not None and self.node.courseFor == courseKey(self.node)

    def planFits(self) -> bool:
        """Whether the plan belongs to what is chosen."""
        case = self.runner().case
        return case is not None and case.plan is not None and self.node.plannedFor == planKey(self.node)

    def check(self) -> Check:
        """What has been said before the procedure."""
        case = self.runner().case
        return case.check if case is not None and case.check is not None else self.logic.check

    def savedWhere(self) -> str:
        """Where the case was saved."""
        if not self._savedTo:
            return _("Not saved yet. Saving the scene saves the case as well.")
        same = self._saved is self.runner().case
        return self._savedTo if same else _("{where}; the case has changed since.").format(where=self._savedTo)

    # Moving about

    def setNode(self, node: Any) -> None:
        """Work on another parameter node, or on none."""
        self.node = node
        if node is not None:
            self.go(min(max(int(node.step), 0), len(STEPS) - 1))

    def go(self, index: int) -> None:
        """Show a step; every step can be visited at any time."""
        self.current = min(max(index, 0), len(STEPS) - 1)
        self.ui.stepStack.setCurrentIndex(self.current)
        if self.node is not None:
            self.node.step = self.current
            self.guarded(self.steps[self.current].entered)
        self.refresh()

    def states(self) -> dict[str, StepState]:
        """State of every step."""
        return stepStates(self.facts())

    def facts(self) -> PanelFacts:
        """What the states follow from."""
        node, runner = self.node, self.runner()
        case = runner.case
        if node is None:
            return PanelFacts()
        anatomy = None if case is None else case.anatomy
        plan = None if case is None else case.plan
        assessment = None if case is None else case.assessment
        course = runner.course()
        check = self.check()
        return PanelFacts(
            running=self._running if self.isRunning() else "",
            failed=self._failed,
            ct=node.inputVolume is not None,
            warnings=0 if case is None or node.inputVolume is None else len(case.ct.warnings),
            segmented=anatomy is not None,
            segmentedFor=node.segmentedFor == segmentationKey(node),
            unknown=0 if anatomy is None else len(anatomy.unknown),
            course=course is not None,
            courseFor=self.courseFits(),
            confirmed=course is not None and course.confirmed,
            planned=plan is not None,
            plannedFor=self.planFits(),
            clear=plan is not None and all(c.slack_mm >= 0 for c in plan.clearances if not c.unknown),
            approved=plan is not None and bool(plan.approved_by),
            frozen=assessment is not None,
            frozenFor=self.planFits(),
            verdictGood=assessment is not None and assessment.verdict is Verdict.TREATED_AND_SAFE,
            checkBegun=begun(check),
            checked=self.logic.checkIsClear(check, node.target),
            saved=self._saved is not None and self._saved is case,
        )

    def refresh(self, sentence: str = "") -> None:
        """Bring the step bar, the buttons and the page to what is."""
        if self._quiet or self.node is None:
            return
        self._quiet = True
        try:
            for index, (name, state) in enumerate(self.states().items()):
                button = getattr(self.ui, f"{name}StepButton")
                button.setText(f"{index + 1} {name.capitalize()}\n{state.mark}")
                button.setToolTip(
                    _("Step {step}: {state}. Alt+{key}").format(step=name, state=_(state.words), key=index + 1)
                )
                button.setChecked(index == self.current)
            running = self.isRunning()
            self.ui.cancelButton.setEnabled(running)
            if not running:
                self.ui.progressBar.setValue(0)
            self.ui.backButton.setEnabled(self.current > 0)
            self.ui.nextButton.setEnabled(self.current < len(STEPS) - 1)
            self.ui.undoButton.setEnabled(bool(self.runner().canUndo() and not running))
            self.ui.redoButton.setEnabled(bool(self.runner().canRedo() and not running))
            self.steps[self.current].refresh()
            if sentence:
                self.ui.statusLabel.setText(sentence)
        finally:
            self._quiet = False

    def guarded(self, action: Any, *values: Any) -> Any:
        """Call an action; what it raises becomes a sentence in the panel, since Qt would only print it."""
        try:
            return action(*values)
        except CryoNeuroError as error:
            self.refresh(str(error))
        except ValueError as error:
            self.refresh(str(error))
        except Exception as error:
            logging.exception("CryoNeurolysis failed")
            self.refresh(str(error) or type(error).__name__)
        return None

    # Work in the background

    def start(self, step: str, work: Any, onDone: Any, sentence: str) -> None:
        """Run work(progress, cancelled) beside the interface; onDone(result, volume) is called on the main thread."""
        # The result is shown on the CT it was made from, whatever is chosen or opened in the meantime.
        volumeId = self.node.inputVolume.GetID()

        def done(result: Any) -> None:
            self._running = ""
            self.guarded(lambda: onDone(result, slicer.mrmlScene.GetNodeByID(volumeId)))
            self.refresh()

        def failed(error: BaseException) -> None:
            self._running, self._failed = "", step
            if not isinstance(error, CryoNeuroError):
                logging.error("CryoNeurolysis failed", exc_info=error)
            self.refresh(str(error) or type(error).__name__)

        self._running, self._failed = step, ""
        if not self.job.start(work, self._progress, done, failed):
            self.refresh(_("Something else is being computed; wait for it or press Cancel."))
            return
        self.refresh(sentence)

    def _progress(self, fraction: float, text: str) -> None:
        self.ui.progressBar.setValue(int(100 * fraction))
        self.ui.statusLabel.setText(text)

    def _inputs(self) -> tuple[Any, Any]:
        """CT and labels, read on the main thread."""
        runner = self.runner()
        return runner.readCt(self.node.inputVolume, self.node.position), runner.readLabels(self.node.organs)

    def _present(self, case: Any, volume: Any) -> None:
        """Show a case and watch its nodes."""
        self.unwatch()
        self.isPresenting = True
        try:
            self.runner().show(case, volume)
        finally:
            self.isPresenting = False
        self.watch()

    # Anatomy and course

    def segment(self) -> None:
        """Segment the CT."""
        ct, labels = self._inputs()
        runner, key = self.runner(), segmentationKey(self.node)

        def done(case: Any, volume: Any) -> None:
            self.node.segmentedFor = key
            self._present(replace(case, check=self.check()), volume)
            self.refresh(_("Segmented. Look at the structures; what is unknown stands first."))

        self.start("anatomy", lambda p, c: runner.segment(ct, p, c, labels), done, _("Segmenting"))

    def propose(self) -> None:
        """Find the course from landmarks; segments first where that has not been done."""
        self.node.coursePoints = ""
        self.node.courseAccepted = False
        self._findCourse(_("Course proposed. Look at it in the slices, then agree or drag its points."))

    def _findCourse(self, sentence: str) -> None:
        ct, labels = self._inputs()
        runner, request = self.runner(), requestOf(self.node)
        segmented, key = segmentationKey(self.node), courseKey(self.node)

        def done(case: Any, volume: Any) -> None:
            self.node.segmentedFor, self.node.courseFor = segmented, key
            self._present(case, volume)
            course = runner.course()
            self.lookAt("target")
            self.refresh(f"{sentence} {course.rule}." if course is not None else sentence)

        self.start("target", lambda p, c: runner.propose(ct, request, p, c, labels), done, _("Looking for the nerve"))

    def drawCourse(self) -> None:
        """A course of the user's own, which begins as a short line through the middle of the slices."""
        red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
        if red is not None:
            matrix = red.GetSliceToRAS()
            middle = np.array([matrix.GetElement(n, 3) for n in range(3)])
        else:
            bounds = [0.0] * 6
            self.node.inputVolume.GetRASBounds(bounds)
            middle = np.array([(bounds[2 * n] + bounds[2 * n + 1]) / 2 for n in range(3)])
        half = np.array([0.0, 0.0, 0.5 * _NEW_COURSE_MM])
        self.node.coursePoints = pointsText([middle - half, middle, middle + half])
        self._findCourse(_("Drag the points to where the nerve runs."))

    def acceptCourse(self) -> None:
        """The user has looked at the course and agrees."""
        runner = self.runner()
        case = runner.case
        self.node.courseAccepted = True
        if case.plan is not None:
            runner.put(confirm_step(case, course=True))
        else:
            nerves = tuple(replace(nerve, confirmed=True) for nerve in case.anatomy.nerves)
            runner.put(replace(case, anatomy=replace(case.anatomy, nerves=nerves)))
        self.refresh(_("You agreed to the course."))

    def openEditor(self) -> None:
        """The anatomy in the Segment Editor."""
        self.logic.openEditor(self.runner().nodes.segmentation, self.node.inputVolume)

    def takeOver(self) -> None:
        """Use what was drawn or changed in the Segment Editor."""
        source = self.runner().nodes.segmentation
        self.node.organs = self.logic.copySegmentation(source, self.node.organs)
        self.segment()

    def setCleared(self, group: str, cleared: bool) -> None:
        """The user says that a structure is not in the field, or takes that back."""
        rest = [g for g in self.node.cleared if g != group]
        self.node.cleared = [*rest, group] if cleared else rest
        runner = self.runner()
        if runner.course() is not None and runner.case.anatomy is not None:
            course = runner.course()
            points = tuple(tuple(float(v) for v in p) for p in course.points_ras_mm)
            aimed = course_step(runner.case, replace(requestOf(self.node), points_ras_mm=points))
            anatomy = replace(aimed.anatomy, nerves=(course,))
            plan = runner.case.plan
            if plan is not None:
                plan = replace(plan, unknown=anatomy.unknown)
                self.node.plannedFor = planKey(self.node)
            runner.put(confirm_step(replace(runner.case, anatomy=anatomy, plan=plan)))
        self.refresh()

    def agreeTo(self, name: str) -> None:
        """The user has looked at a structure and agrees."""
        runner = self.runner()
        runner.put(confirm_step(runner.case, (name,)))
        self.refresh(_("You agreed to {name}.").format(name=name.replace("_", " ")))

    # The path

    def plan(self) -> None:
        """Try every path."""
        self.node.pathPoints = ""
        ct, labels = self._inputs()
        runner, request = self.runner(), requestOf(self.node)
        keys = segmentationKey(self.node), courseKey(self.node), planKey(self.node)

        def done(planned: Any, volume: Any) -> None:
            self.node.segmentedFor, self.node.courseFor, self.node.plannedFor = keys
            runner.found, runner.finalists = planned.found, planned.finalists
            runner.put(planned.case)
            self._present(planned.case, volume)
            self.lookAt("target")
            text = _("Path planned. Look at it, then approve it and press Next.")
            self.refresh(f"{text} {runner.consoleText()}")

        self.start("path", lambda p, c: runner.plan(ct, request, p, c, labels), done, _("Planning"))

    def takePath(self, row: int) -> None:
        """Take another one of the best paths."""
        runner = self.runner()
        if not 0 <= row < len(runner.finalists):
            return
        case = with_plan(runner.case, runner.finalists[row].plan, requestOf(self.node))
        self.node.pathPoints = ""
        self.node.plannedFor = planKey(self.node)
        runner.put(case)
        self._present(case, self.node.inputVolume)
        self.refresh(_("Path {number} taken.").format(number=row + 1))

    def rankAgain(self) -> None:
        """A weight was moved."""
        self.runner().rank(dict(self.node.weights))
        self.refresh()

    def showSkinMap(self, shown: bool) -> None:
        """Color the skin."""
        self.runner().showSkinMap(shown)
        self.refresh()

    def whyNot(self) -> str:
        """Why no path enters at the crosshair."""
        runner = self.runner()
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        place = np.array(crosshair.GetCrosshairRAS()) if crosshair is not None else np.zeros(3)
        return why_not(runner.found, snapped(runner.case.anatomy, place, "skin"))

    def drawPath(self) -> None:
        """Let the user drag entry and tip."""
        nodes = self.runner().nodes
        if nodes is None or not nodes.trajectories:
            return
        line = nodes.trajectories[0]
        line.SetLocked(False)
        line.GetDisplayNode().SetHandlesInteractive(False)
        self.refresh(_("Drag entry or tip in any view; the numbers follow."))

    def approve(self, who: str) -> None:
        """A person approves the plan as it is now."""
        runner = self.runner()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        runner.put(approve_step(runner.case, who, now))
        self.refresh(_("Plan approved by {who}.").format(who=who.strip()))

    def lookAt(self, what: str) -> None:
        """Turn the slice views: plane of the path, across it, or the usual directions through the target."""
        case = self.runner().case
        course = self.runner().course()
        slices = {n: slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{n}") for n in ("Red", "Yellow", "Green")}
        if what == "target" and course is not None:
            place = course.at(0.5 * float(course.arc_length_mm[-1]))[0]
            for name, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
                if slices[name] is not None:
                    lookUsual(slices[name], orientation, place)
        if case is None or case.plan is None:
            return
        path = case.plan.probes[0].trajectory
        if what == "plane" and slices["Yellow"] is not None:
            lookInPlane(slices["Yellow"], path)
        elif what == "eye" and slices["Green"] is not None:
            lookAlong(slices["Green"], path, path.length_mm)

    # Nodes that the user drags

    def watch(self) -> None:
        """Follow the course and the path when their points are moved."""
        nodes = self.runner().nodes
        if nodes is None:
            return
        for node in (*nodes.nerves[:1], *nodes.trajectories[:1]):
            tag = node.AddObserver(slicer.vtkMRMLMarkupsNode.PointModifiedEvent, self._moved)
            self._observed.append((node, tag))
        for node in nodes.nerves[:1]:
            node.SetLocked(False)

    def unwatch(self) -> None:
        """Follow nothing any more."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        self._settle.stop()
        self._dragStart = None

    def _moved(self, caller: Any, _event: Any = None) -> None:
        nodes = self.runner().nodes
        if nodes is None or self.isRunning():
            return
        if nodes.trajectories and caller is nodes.trajectories[0]:
            self.guarded(self._pathMoved, caller)
        self._settle.start(_SETTLED_MS)

    def _pathMoved(self, line: Any) -> None:
        runner = self.runner()
        if self._dragStart is None:
            self._dragStart = runner.case
        ends = [line.GetNthControlPointPositionWorld(n) for n in range(2)]
        runner.case = dragged_step(runner.case, ends[0], ends[1], self.steps[STEPS.index("path")].snaps())
        self.refresh(runner.consoleText())

    def _settled(self) -> None:
        """A drag has ended: the path gets all its numbers, a course makes what comes later stale."""
        runner = self.runner()
        if self._dragStart is not None:
            start, moved, self._dragStart = self._dragStart, runner.case, None
            path = moved.plan.probes[0].trajectory
            self.node.pathPoints = pointsText([path.entry_ras_mm, path.tip_ras_mm])
            self.node.plannedFor = planKey(self.node)
            runner.case = start
            case = with_plan(moved, moved.plan, requestOf(self.node))
            runner.put(case)
            self._present(case, self.node.inputVolume)
            self.drawPath()
            return
        nodes = runner.nodes
        if nodes is None or not nodes.nerves:
            return
        curve = nodes.nerves[0]
        points = [curve.GetNthControlPointPositionWorld(n) for n in range(curve.GetNumberOfControlPoints())]
        self.node.coursePoints = pointsText(points)
        request = replace(requestOf(self.node), accepted=False)
        aimed = course_step(runner.case, request)
        kept = replace(aimed, plan=runner.case.plan, thermal=runner.case.thermal, assessment=runner.case.assessment)
        if kept.plan is None:
            self.node.courseFor = courseKey(self.node)
        runner.put(kept)
        self.refresh(_("Course changed; what comes later was made for the course before."))

    # Freeze

    def freeze(self) -> None:
        """Simulate and assess."""
        runner = self.runner()
        case = runner.case

        def done(frozen: Any, volume: Any) -> None:
            runner.put(frozen)
            self._present(frozen, volume)
            self.refresh(frozen.assessment.sentence)

        self.start("freeze", lambda p, c: runner.freeze(case, p, c), done, _("Freezing"))

    # Check and report

    def setCheck(self, check: Check) -> None:
        """Keep what was entered."""
        runner = self.runner()
        self.logic.check = check
        if runner.case is not None:
            runner.put(replace(runner.case, check=check))
        self.refresh()

    def save(self, folder: str) -> None:
        """Write the case folder with its report."""
        runner = self.runner()
        place = Path(folder) / runner.case.pseudonym
        save_case(runner.case, place, (event("saved from the panel", str(runner.case.pseudonym)),))
        if runner.case.assessment is not None:
            write_report(build_report(runner.case), place / "report")
        self._saved, self._savedTo = runner.case, str(place)
        self.refresh(_("Saved in {place}.").format(place=place))

    # Undo

    def undo(self) -> None:
        """Take the last edit of the case back."""
        self._stepTo(self.runner().undo())

    def redo(self) -> None:
        """Bring it again."""
        self._stepTo(self.runner().redo())

    def _stepTo(self, case: Any) -> None:
        if case is None:
            return
        self.unwatch()
        # The choices go with the plan that was made for them.
        path = case.plan.probes[0].trajectory if case.plan is not None else None
        drawn = path is not None and "Path drawn by a person." in case.plan.explanation
        self.node.pathPoints = pointsText([path.entry_ras_mm, path.tip_ras_mm]) if drawn else ""
        if case.plan is not None:
            self.node.plannedFor = planKey(self.node)
        self._present(case, self.node.inputVolume)
        self.refresh()

    # Case

    def factsHtml(self) -> str:
        """What the scan is, from the volume itself, or why it cannot be used."""
        volume = self.node.inputVolume
        if volume is None:
            return "<p>" + _("Choose a CT. Sample Data has a phantom and a public CT.") + "</p>"
        key = (volume.GetID(), volume.GetImageDataMTime(), self.node.position, volume.GetParentTransformNode())
        if self._facts[0] != key:
            try:
                ct = self.runner().readCt(volume, self.node.position)
                spacing = " x ".join(f"{s:.2f}" for s in ct.geometry.spacing_mm)
                size = " x ".join(str(n) for n in ct.geometry.shape_kji[::-1])
                position = ct.acquisition.patient_position or _(
                    "not said: entries from the table's side cannot be told"
                )
                lines = [f"{size} voxels of {spacing} mm", f"{_('Patient position')}: {position}"]
                lines += [f"! {text}" for text in ct.warnings]
            except CryoNeuroError as error:
                lines = [f"! {error}"]
            self._facts = (key, "".join(f"<p>{line}</p>" for line in lines))
        return self._facts[1]

    def loadNewest(self) -> None:
        """The CT series that came last into the DICOM database."""
        self.node.inputVolume = self.logic.loadNewestCt()
        self.refresh(_("Newest series loaded."))

    def findOrgans(self) -> None:
        """Let TotalSegmentator find the organs; it shows its own progress and may take minutes."""
        self.node.organs = self.logic.segmentOrgans(self.node.inputVolume)
        self.refresh(_("Organs found; look at them, then press Segment."))

    def installFaster(self) -> None:
        """Install the optional compiler, when the user agrees; without it everything works, only slower."""
        self.logic.installFastSolver()
        self.refresh()

    def adopt(self) -> None:
        """Bring back the case that was saved with the scene."""
        if self.node is None or self.node.inputVolume is None or self.runner().case is not None:
            return
        self.unwatch()
        if self.runner().adopt(self.node.inputVolume):
            self.watch()
            self.go(int(self.node.step))
            self.refresh(_("The case of this scene is back."))

    def removed(self, node: Any) -> None:
        """A node was taken out of the scene by hand; what it showed can be made again, the case itself is kept."""
        nodes = self.runner().nodes
        if self._quiet or self.isPresenting or nodes is None:
            return
        if node is nodes.ct:
            self.unwatch()
            self.job.cancel()
            self.refresh(
                _("The CT of this case was removed. Load it again; the case is kept until the scene is closed.")
            )
        elif node in nodes.everything():
            self.refresh(_("{name} was removed; Undo and Redo draw it again.").format(name=node.GetName()))

    def close(self) -> None:
        """The application closes."""
        self.unwatch()
        self.steps[STEPS.index("freeze")].stop()
        self.job.close()

    def abandon(self) -> None:
        """The scene is about to close: a running job must not put nodes into the next one."""
        self.unwatch()
        self.job.abandon()
        self._running = self._failed = self._savedTo = ""
        self._saved = None
        self._facts = (None, "")
