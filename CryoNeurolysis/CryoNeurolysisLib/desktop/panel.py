"""The panel's frame: step bar, pages, background jobs, the CT's case, and what every step may ask of them.

Nothing here computes: steps hand work to the runner, mostly in a thread, and show what comes back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import qt
import slicer
from cryoneuro.model import Advice, Case, Check, CryoNeuroError, Verdict
from slicer.i18n import tr as _

from . import services
from .archive_keeper import ArchiveKeeper
from .case_book import CaseBook, giveChoices, takeChoices
from .case_runner import CaseRunner, Made
from .ct_look import CtLook, looked
from .drag_watch import DragWatch
from .keyboard import connectKeys
from .placing import Placing
from .request_text import courseKey, planKey, segmentationKey
from .step_state import STEPS, PanelFacts, StepState, stepStates
from .steps import ALL_STEPS
from .steps.check_step import begun
from .worker import BackgroundJob


class Panel:
    """All steps of the case of the chosen CT."""

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
        self.current = 0
        self.isPresenting = False
        self.look = CtLook()
        self.saved: Any = None
        self.savedTo = ""
        self._volumeId = self._boundTo = ""
        self._running = self._failed = ""
        self._quiet = False
        self._timer, self._lookTimer = qt.QTimer(), qt.QTimer()
        self.job = BackgroundJob(self._timer)
        # What a CT is, is found out beside a job, not instead of one.
        self.lookJob = BackgroundJob(self._lookTimer)
        self.placing = Placing(slicer.mrmlScene, self.guarded, lambda call: qt.QTimer.singleShot(0, call))
        self.drag = DragWatch(self, qt.QTimer())
        self.keeper = ArchiveKeeper(self, qt.QTimer(), qt.QTimer())
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
        ui.cancelButton.clicked.connect(lambda *_unused: self.cancel())
        self.keys = connectKeys(self)
        self.go(0)

    # What the steps ask

    def parameters(self) -> Any:
        """The scene's parameter node."""
        return self.node

    def volume(self) -> Any:
        """The chosen CT; None where none is chosen."""
        return None if self.node is None else self.node.inputVolume

    def book(self) -> CaseBook:
        """The cases of the scene."""
        return self.logic.book()

    def runner(self) -> CaseRunner:
        """The runner of the chosen CT; an empty one for none."""
        return self.book().of(self.volume())

    def step(self, name: str) -> Any:
        """The controller of a step."""
        return self.steps[STEPS.index(name)]

    def isRunning(self) -> bool:
        """Whether a job runs."""
        return self.job.isRunning()

    def isIdle(self) -> bool:
        """Whether a job could be started now."""
        return not self.isRunning() and self.volume() is not None

    def courseFits(self) -> bool:
        """Whether the course belongs to what is chosen."""
        return self.runner().course() is not None and self.node.courseFor == courseKey(self.node)

    def planFits(self) -> bool:
        """Whether the plan belongs to what is chosen."""
        case = self.runner().case
        return case is not None and case.plan is not None and self.node.plannedFor == planKey(self.node)

    def check(self) -> Check:
        """What has been said before the procedure."""
        return self.runner().check

    def inputs(self) -> tuple[Any, Any]:
        """CT and labels as they are now, to be read in a job.

        Raises:
            ImageError: they cannot be used.
        """
        runner = self.runner()
        acquisition = services.acquisition(self.volume(), self.node.position)
        return runner.source(self.volume(), acquisition), runner.labels(self.node.organs)

    # Moving about

    def setNode(self, node: Any) -> None:
        """Work on another parameter node, or on none."""
        self.node = node
        if node is not None:
            self.parametersChanged()
            self.go(min(max(int(node.step), 0), len(STEPS) - 1))

    def go(self, index: int) -> None:
        """Show a step; every step can be visited at any time."""
        self.current = min(max(index, 0), len(STEPS) - 1)
        self.ui.stepStack.setCurrentIndex(self.current)
        if self.node is not None:
            self.node.step = self.current
            self.guarded(self.steps[self.current].entered)
        self.guarded(self.refresh)

    def parametersChanged(self) -> None:
        """The parameter node says something else than before; another CT brings another case."""
        volume = self.volume()
        identifier = "" if volume is None else volume.GetID()
        if identifier != self._volumeId:
            self._changeVolume(identifier)
        self._lookAtCt()
        self.refresh()

    def _changeVolume(self, identifier: str) -> None:
        """Put the case of the CT that was chosen before aside, and bring that of the new one."""
        before = slicer.mrmlScene.GetNodeByID(self._volumeId) if self._volumeId else None
        if before is None and self._volumeId:
            self._volumeLost()
        self._volumeId = identifier
        self.unwatch()
        if before is not None:
            old = self.book().of(before)
            old.choices = takeChoices(self.node)
            old.hide()
        self.look = CtLook()
        self._failed = ""
        if self.volume() is None:
            return
        runner = self.runner()
        other = self._boundTo not in ("", identifier)
        self._boundTo = identifier
        if other or runner.choices:
            with slicer.util.NodeModify(self.node):
                giveChoices(self.node, runner.choices)
        if runner.case is not None:
            self.present(runner, runner.case)

    def _lookAtCt(self) -> None:
        """Find out in the background what the CT is, and whether a case was saved for it."""
        volume = self.volume()
        if volume is None or not self.look.isStale(volume):
            return
        runner = self.runner()
        try:
            source = runner.source(volume, services.acquisition(volume, self.node.position))
        except CryoNeuroError as error:
            self.look = CtLook.of(volume, error=str(error))
            return
        self.look = CtLook.of(volume, source)
        text, prepare = runner.archived(volume), runner.adopt
        self.lookJob.abandon()
        self.lookJob.start(
            lambda p, c: looked(source, text, prepare),
            lambda f, t: None,
            lambda found: self.guarded(self._looked, volume.GetID(), found),
            lambda error: self.guarded(self._lookFailed, error),
        )

    def _looked(self, identifier: str, found: Any) -> None:
        if self.node is None or identifier != self._volumeId:
            return
        self.look = self.look.known(found)
        runner = self.runner()
        again = None if runner.case is not None else self.book().found(self.volume(), found.ct)
        if again is not None:
            with slicer.util.NodeModify(self.node):
                giveChoices(self.node, again.choices)
            self.present(again, again.case)
            self.refresh(_("The case of this CT is back."))
        elif found.made is not None and runner.case is None:
            from ..scene.case_scene import removeLeftovers

            removeLeftovers(slicer.mrmlScene, self.volume(), found.made.case.pseudonym)
            self.present(runner, found.made.case, found.made.prepared)
            runner.kept = found.made.case
            self.refresh(_("The case of this scene is back."))
        else:
            self.refresh(found.error)

    def _lookFailed(self, error: BaseException) -> None:
        if not isinstance(error, CryoNeuroError):
            logging.error("CryoNeurolysis failed", exc_info=error)
        self.look = self.look.known(None, str(error) or type(error).__name__)
        self.refresh()

    # The step bar

    def states(self) -> dict[str, StepState]:
        """State of every step."""
        return stepStates(self.facts())

    def facts(self) -> PanelFacts:
        """What the states follow from."""
        if self.node is None:
            return PanelFacts()
        node, runner = self.node, self.runner()
        picture = self.step("live").room.picture
        case, course, check = runner.case, runner.course(), runner.check
        anatomy = None if case is None else case.anatomy
        plan = None if case is None else case.plan
        assessment = None if case is None else case.assessment
        return PanelFacts(
            running=self._running if self.isRunning() else "",
            failed=self._failed,
            ct=self.volume() is not None,
            warnings=len(self.look.warnings),
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
            checked=begun(check) and services.checkIsClear(check, node.target),
            live=picture is not None,
            liveGood=picture is not None and picture.good and picture.advice is Advice.GO,
            saved=self.saved is not None and self.saved is case,
        )

    def refresh(self, sentence: str = "") -> None:
        """Bring the step bar, the buttons and the page to what is."""
        if sentence:
            self.ui.statusLabel.setText(sentence)
        if self._quiet or self.node is None:
            return
        self._quiet = True
        try:
            for index, (name, state) in enumerate(self.states().items()):
                button = getattr(self.ui, f"{name}StepButton")
                button.setText(f"{index + 1} {_(name.capitalize())}\n{state.mark}")
                button.setToolTip(
                    _("Step {step}: {state}. Alt+{key}").format(step=name, state=_(state.words), key=index + 1)
                )
                button.setChecked(index == self.current)
            running = self.isRunning()
            self.ui.cancelButton.setEnabled(running or self.placing.isPlacing())
            if not running:
                self.ui.progressBar.setValue(0)
            self.ui.backButton.setEnabled(self.current > 0)
            self.ui.nextButton.setEnabled(self.current < len(STEPS) - 1)
            self.ui.undoButton.setEnabled(bool(self.runner().canUndo() and not running))
            self.ui.redoButton.setEnabled(bool(self.runner().canRedo() and not running))
            self.steps[self.current].refresh()
        finally:
            self._quiet = False
        self.keeper.changed()

    def guarded(self, action: Callable[..., Any], *values: Any) -> Any:
        """Call an action; what it raises becomes a sentence in the panel, since Qt would only print it."""
        try:
            return action(*values)
        except ValueError as error:  # the engine's own errors are sentences
            self._failedWith(str(error))
        except Exception as error:
            logging.exception("CryoNeurolysis failed")
            self._failedWith(str(error) or type(error).__name__)
        return None

    def _failedWith(self, sentence: str) -> None:
        self.ui.statusLabel.setText(sentence)
        try:
            self.refresh()
        except Exception:
            logging.exception("CryoNeurolysis cannot show its state")

    # Work in the background

    def start(self, step: str, work: Callable[..., Any], onDone: Callable[..., None], sentence: str) -> None:
        """Run work(progress, cancelled) beside the interface; onDone(made, runner) is called on the main thread.

        Args:
            work: returns a Case, or something with a case, found and finalists.
        """
        # A result belongs to the CT it was made from, whatever is chosen or opened in the meantime.
        runner = self.runner()

        def whole(progress: Any, cancelled: Any) -> Made:
            result = work(progress, cancelled)
            case = result if isinstance(result, Case) else result.case
            more = (None, ()) if isinstance(result, Case) else (result.found, result.finalists)
            return Made(case, runner.prepare(case), *more)

        self.startAny(step, whole, lambda made: onDone(made, runner), sentence)

    def startAny(self, step: str, work: Callable[..., Any], onDone: Callable[[Any], None], sentence: str) -> None:
        """As start, for work that makes no case."""

        def done(result: Any) -> None:
            self._running = ""
            self.guarded(onDone, result)
            self.guarded(self.refresh)

        def failed(error: BaseException) -> None:
            self._running, self._failed = "", step
            if not isinstance(error, CryoNeuroError):
                logging.error("CryoNeurolysis failed", exc_info=error)
            self._failedWith(str(error) or type(error).__name__)

        if self.isRunning():
            self.refresh(_("Something else is being computed; wait for it or press Cancel."))
            return
        self._running, self._failed = step, ""
        self.job.start(work, self._progress, done, failed)
        self.refresh(sentence)

    def cancel(self) -> None:
        """Stop what runs, and what is being clicked."""
        self.job.cancel()
        if self.placing.isPlacing():
            self.placing.stop()
            self.refresh(_("Nothing was placed."))

    def _progress(self, fraction: float, text: str) -> None:
        self.ui.progressBar.setValue(int(100 * fraction))
        self.ui.statusLabel.setText(text)

    # The scene

    def present(self, runner: CaseRunner, case: Case, prepared: Any = None) -> None:
        """Show a case where its CT is the chosen one, and watch its nodes; else it waits for its CT.

        Raises:
            ImageError: the CT is no longer in the scene.
        """
        if runner is not self.runner():
            runner.case, runner.prepared = case, prepared
            return
        if self.step("live").room.isShowing():
            # What lies in the planning CT's place must not lie over a live scan.
            runner.case, runner.prepared = case, prepared
            return
        self.unwatch()
        self.isPresenting = True
        try:
            runner.show(case, self.volume(), prepared)
        finally:
            self.isPresenting = False
        self.drag.watch(runner)

    def unwatch(self) -> None:
        """Follow no node any more."""
        self.drag.stop()
        self.placing.stop()

    def undo(self) -> None:
        """Take the last edit of the case back."""
        self._show(self.runner().undo())

    def redo(self) -> None:
        """Bring it again."""
        self._show(self.runner().redo())

    def _show(self, case: Case | None) -> None:
        if case is None:
            return
        self.step("path").choicesOf(case)
        self.present(self.runner(), case)
        self.refresh()

    def removed(self, node: Any) -> None:
        """A node was taken out of the scene by hand; what it showed can be made again, the case itself is kept."""
        if self.isPresenting or self.node is None:
            return
        if node.GetID() == self._volumeId:
            self._volumeLost()
            return
        nodes = self.runner().nodes
        if nodes is not None and node in nodes.everything():
            # Seen in a moment, when the scene has done with the node.
            name = node.GetName()
            qt.QTimer.singleShot(0, lambda: self.guarded(self._redraw, name))

    def _volumeLost(self) -> None:
        """The chosen CT was removed: its case is put aside until the CT is loaded again."""
        identifier, self._volumeId = self._volumeId, ""
        self.unwatch()
        self.job.cancel()
        self.look = CtLook()
        words = _("The CT was removed.")
        runner = self.book().lose(identifier)
        if runner is not None:
            runner.choices = takeChoices(self.node)
            runner.hide()
            words = _("The CT of this case was removed. Load it again; the case is kept until the scene is closed.")
        self.refresh(words)

    def _redraw(self, name: str) -> None:
        runner = self.runner()
        if runner.case is not None and self.volume() is not None and not self.isRunning():
            self.present(runner, runner.case)
            self.refresh(
                _("{name} was removed and has been drawn again; hide it with its eye instead.").format(name=name)
            )

    # The end

    def archive(self) -> None:
        """Put every case into the scene, where the keeper has not done it yet."""
        for volume, runner in self.book().everyone():
            runner.archive(volume)

    def close(self) -> None:
        """The application closes."""
        self.unwatch()
        self.step("freeze").stop()
        self.step("live").stop()
        self.job.close()
        self.lookJob.close()
        self.keeper.close()

    def abandon(self) -> None:
        """The scene is about to close: a running job must not put nodes into the next one."""
        self.unwatch()
        self.step("live").abandon()
        self.job.abandon()
        self.lookJob.abandon()
        self.keeper.stop()
        self._running = self._failed = self.savedTo = self._volumeId = self._boundTo = ""
        self.saved = None
        self.look = CtLook()
