"""Step 4: how to get there: the best paths, why they are best, why not elsewhere, and a person's approval."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import slicer
from cryoneuro.knowledge import color, constant
from slicer.i18n import tr as _

from ..request_text import courseKey, planKey, pointsText, requestOf, segmentationKey
from ..tables import MARKS, fillTable
from .base import Step

_SHARE = 100.0
_CRITERIA = (
    "clearance",
    "length",
    "obliquity",
    "tilt",
    "nerve_angle",
    "centering",
    "tissue",
    "untreated",
    "cold_neighbor",
)
"""One slider for each criterion that the engine weighs; a test holds this list against the engine's."""
_DRAWN = "Path drawn by a person."


class PathStep(Step):
    """Table of paths, weights, clearances, skin map, own path, views, approval."""

    name = "path"
    uiName = "PathStep"

    def setup(self) -> None:
        """Fill the list of counts and connect."""
        self._filling = False
        self._shown: tuple[Any, ...] = ()
        self._dragStart: Any = None
        self.sliders = {name: getattr(self.ui, f"{name}Slider") for name in _CRITERIA}
        self.ui.countSelector.addItems([_("as needed"), "1", "2", "3", "4"])
        self.on(self.ui.countSelector.activated, self.onCount)
        self.on(self.ui.planButton.clicked, self.onPlan)
        self.on(self.ui.pathTable.cellClicked, self.onPath)
        self.on(self.ui.compareBox.clicked, self.onCompare)
        self.on(self.ui.skinBox.clicked, self.onSkin)
        self.on(self.ui.whyButton.clicked, self.onWhy)
        self.on(self.ui.manualButton.clicked, self.onDraw)
        self.on(self.ui.alongButton.clicked, lambda *_unused: self.look("plane"))
        self.on(self.ui.eyeButton.clicked, lambda *_unused: self.look("eye"))
        self.on(self.ui.targetButton.clicked, lambda *_unused: self.look("target"))
        self.on(self.ui.depthSlider.valueChanged, self.onDepth)
        self.on(self.ui.approveButton.clicked, self.onApprove)
        for name, slider in self.sliders.items():
            self.on(slider.valueChanged, lambda value, name=name: self.onWeight(name, value))

    # Plan and choose

    def onCount(self, index: int) -> None:
        """How many probes."""
        self.panel.parameters().probeCount = index

    def onPlan(self, *_unused: Any) -> None:
        """Try every path."""
        node = self.panel.parameters()
        node.pathPoints = ""
        ct, labels = self.panel.inputs()
        planner, request = self.panel.runner(), requestOf(node)
        keys = segmentationKey(node), courseKey(node), planKey(node)

        def work(progress: Any, cancelled: Any) -> Any:
            return planner.plan(ct.read(), request, progress, cancelled, None if labels is None else labels.read())

        def done(made: Any, runner: Any) -> None:
            if runner is self.panel.runner():
                node.segmentedFor, node.courseFor, node.plannedFor = keys
            runner.found, runner.finalists = made.found, made.finalists
            runner.put(made.case)
            self.panel.present(runner, made.case, made.prepared)
            self.ui.skinBox.setChecked(False)
            self.ui.compareBox.setChecked(False)
            self.look("target")
            text = _("Path planned. Look at it, then approve it and press Next.")
            self.panel.refresh(f"{text} {runner.consoleText()}")

        self.panel.start("path", work, done, _("Planning"))

    def onPath(self, row: int, column: int = 0) -> None:
        """Take another one of the best paths."""
        runner, node = self.panel.runner(), self.panel.parameters()
        if not 0 <= row < len(runner.finalists) or self.panel.isRunning():
            return
        node.pathPoints = ""
        self._take(runner.case, runner.finalists[row].plan, _("Path {number} taken.").format(number=row + 1))

    def _take(self, case: Any, plan: Any, sentence: str, then: Any = None) -> None:
        """Put a plan into the case, with all that has to be said of it."""
        node = self.panel.parameters()
        request, key = requestOf(node), planKey(node)

        def work(progress: Any, cancelled: Any) -> Any:
            from cryoneuro.pipeline import with_plan

            progress(0.5, _("Weighing the path"))
            return with_plan(case, plan, request)

        def done(made: Any, runner: Any) -> None:
            if runner is self.panel.runner():
                node.plannedFor = key
            runner.put(made.case)
            self.panel.present(runner, made.case, made.prepared)
            runner.showOthers(bool(self.ui.compareBox.isChecked()))
            broken = [text for text in made.case.plan.explanation if text.startswith("Beyond a limit")]
            self.panel.refresh(" ".join((sentence, runner.consoleText(), *broken)))
            if then is not None:
                then()

        self.panel.start("path", work, done, _("Weighing the path"))

    def onCompare(self, *_unused: Any) -> None:
        """Draw the best paths side by side, or only the chosen one."""
        self.panel.runner().showOthers(bool(self.ui.compareBox.isChecked()))
        self.panel.refresh(_("The best paths are drawn with their numbers in the table."))

    def onWeight(self, name: str, value: int) -> None:
        """A weight was moved: the paths are ranked again at once."""
        if self._filling:
            return
        node = self.panel.parameters()
        node.weights = {**dict(node.weights), name: value / _SHARE}
        self.panel.runner().rank(dict(node.weights))
        self.panel.refresh()

    # Skin, why not

    def onSkin(self, *_unused: Any) -> None:
        """Color the skin by what a path from there would be, or take the colors away."""
        runner = self.panel.runner()
        if not self.ui.skinBox.isChecked():
            runner.showSkin(None)
            return
        self.panel.startAny(
            "path",
            lambda progress, cancelled: runner.skinSurface(),
            lambda surface: self._skinMade(runner, surface),
            _("Coloring the skin"),
        )

    def _skinMade(self, runner: Any, surface: Any) -> None:
        if runner is self.panel.runner() and self.ui.skinBox.isChecked():
            runner.showSkin(surface)
            self.panel.refresh(
                _("Light skin: a good path begins there. Dark: a poor one. Gray: none holds every limit.")
            )

    def onWhy(self, *_unused: Any) -> None:
        """Click a place on the skin to hear why no path begins there, or which one does."""
        self.panel.placing.start(
            "vtkMRMLMarkupsFiducialNode", _("Why not here?"), color("trajectory"), self._why, single=True
        )
        self.panel.refresh(_("Click a place on the skin, in a slice or in 3D."))

    def _why(self, points_ras_mm: Any) -> None:
        if len(points_ras_mm):
            self.whyNot(points_ras_mm[-1])

    def whyNot(self, place_ras_mm: Any) -> None:
        """Say in the page why no path begins at a place."""
        runner = self.panel.runner()
        found, anatomy, place = runner.found, runner.case.anatomy, np.asarray(place_ras_mm, float)

        def work(progress: Any, cancelled: Any) -> Any:
            from cryoneuro.planning import snapped, why_not

            return why_not(found, snapped(anatomy, place, "skin"))

        def done(text: str) -> None:
            self.ui.whyLabel.setText(text)
            self.panel.refresh(text)

        self.panel.startAny("path", work, done, _("Looking at that place"))

    # A path of one's own

    def onDraw(self, *_unused: Any) -> None:
        """Let the user drag entry and tip."""
        nodes = self.panel.runner().nodes
        if nodes is None or not nodes.trajectories:
            return
        nodes.trajectories[0].SetLocked(False)
        self.panel.refresh(_("Drag entry or tip in any view; the numbers follow."))

    def dragged(self, ends_ras_mm: Any) -> None:
        """An end of the path moves: the numbers follow."""
        from cryoneuro.pipeline import dragged_step

        runner = self.panel.runner()
        if self._dragStart is None:
            self._dragStart = runner.case
        runner.case = dragged_step(runner.case, *ends_ras_mm, bool(self.ui.snapBox.isChecked()))
        runner.movePath()
        self.panel.refresh(runner.consoleText())

    def dropped(self) -> None:
        """The drag has ended: the path gets all its numbers, and can be taken back."""
        runner, node = self.panel.runner(), self.panel.parameters()
        if self._dragStart is None:
            return
        moved, runner.case, self._dragStart = runner.case, self._dragStart, None
        path = moved.plan.probes[0].trajectory
        node.pathPoints = pointsText([path.entry_ras_mm, path.tip_ras_mm])
        self._take(moved, moved.plan, _("Path drawn."), self.onDraw)

    def choicesOf(self, case: Any) -> None:
        """Choose what a case was made with, when it comes back by undo or redo."""
        node = self.panel.parameters()
        self._dragStart = None
        path = case.plan.probes[0].trajectory if case.plan is not None else None
        drawn = path is not None and _DRAWN in case.plan.explanation
        node.pathPoints = pointsText([path.entry_ras_mm, path.tip_ras_mm]) if drawn else ""
        if case.plan is not None:
            node.plannedFor = planKey(node)

    # Views

    def look(self, what: str) -> None:
        """Turn the slice views: plane of the path, across it, or the usual directions through the target."""
        from ...scene.path_slices import lookInPlane, lookUsual

        runner = self.panel.runner()
        case, course = runner.case, runner.course()
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
        elif what == "eye":
            self.ui.depthSlider.setValue(round(path.length_mm))
            self.onDepth(round(path.length_mm))

    def onDepth(self, depth_mm: int) -> None:
        """The view across the path goes to a depth under the skin."""
        from ...scene.path_slices import lookAlong

        case = self.panel.runner().case
        green = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeGreen")
        if self._filling or case is None or case.plan is None or green is None:
            return
        lookAlong(green, case.plan.probes[0].trajectory, float(depth_mm))
        self.ui.depthLabel.setText(_("{depth} mm deep").format(depth=depth_mm))

    def onApprove(self, *_unused: Any) -> None:
        """A person approves the plan as it is."""
        from cryoneuro.pipeline import approve_step

        runner = self.panel.runner()
        who = str(self.value(self.ui.approverEdit, "text"))
        runner.put(approve_step(runner.case, who, datetime.now(UTC).isoformat(timespec="seconds")))
        runner.check = runner.case.check
        self.panel.refresh(_("Plan approved by {who}.").format(who=who.strip()))

    # Show

    def refresh(self) -> None:
        """Everything that the plan says."""
        node, runner = self.panel.parameters(), self.panel.runner()
        plan = runner.case.plan if runner.case is not None else None
        idle = self.panel.isIdle()
        self._filling = True
        for name, slider in self.sliders.items():
            weight = dict(node.weights).get(name, constant(f"weight_{name}"))
            slider.setValue(round(_SHARE * weight))
        self.ui.countSelector.setCurrentIndex(node.probeCount)
        if plan is not None:
            self.ui.depthSlider.setMaximum(max(1, round(plan.probes[0].trajectory.length_mm)))
        self._filling = False
        self.ui.planButton.setEnabled(idle)
        for widget in (
            self.ui.alongButton,
            self.ui.eyeButton,
            self.ui.targetButton,
            self.ui.manualButton,
            self.ui.snapBox,
            self.ui.depthSlider,
        ):
            widget.setEnabled(bool(idle and plan is not None))
        for widget in (self.ui.whyButton, self.ui.skinBox):
            widget.setEnabled(bool(idle and runner.found is not None and plan is not None))
        self.ui.compareBox.setEnabled(bool(idle and len(runner.finalists) > 1))
        self.ui.approveButton.setEnabled(bool(idle and plan is not None and self.panel.planFits()))
        if self._shown[:1] != (plan,):
            self._fillClearances(plan)
        if self._shown != (plan, runner.finalists):
            self._shown = (plan, runner.finalists)
            fillTable(self.ui.pathTable, self._pathRows(), stretch=2)

    def _fillClearances(self, plan: Any) -> None:
        clear = []
        for c in plan.clearances if plan is not None else ():
            name = c.structure.replace("_", " ")
            if c.unknown:
                clear.append([MARKS["unknown"], name, "", ""])
                continue
            mark = "stop" if c.slack_mm < 0 else "warning" if c.clearance_mm < c.warning_mm else "ok"
            clear.append([MARKS[mark], name, _clear(c.clearance_mm), f"{c.slack_mm:+.1f} mm"])
        fillTable(self.ui.clearanceTable, clear)
        self.ui.whyLabel.setText(_("Press Plan.") if plan is None else self.panel.runner().consoleText())

    def _pathRows(self) -> list[list[str]]:
        """The finalists; the plan alone where it came back without them."""
        runner = self.panel.runner()
        rows = []
        for number, finalist in enumerate(runner.finalists, start=1):
            path = finalist.plan.probes[0].trajectory
            near = f"{finalist.neighbor.replace('_', ' ')} {finalist.neighbor_c:.0f} C"
            mark = "\u25cf" if runner.isChosen(finalist) else ""
            ice = [f"{finalist.treated_mm:.1f} mm", near, f"{finalist.cost:.2f}"]
            rows.append([f"{mark}{number}", f"{path.length_mm:.0f} mm", _tightest(finalist.plan), *ice])
        plan = runner.case.plan if runner.case is not None else None
        if not rows and plan is not None:
            length = plan.probes[0].trajectory.length_mm
            rows.append(["\u25cf", f"{length:.0f} mm", _tightest(plan), "", "", ""])
        return rows


def _clear(clearance_mm: float) -> str:
    from cryoneuro.planning import clearance_words

    return str(clearance_words(clearance_mm))


def _tightest(plan: Any) -> str:
    """Where least room is left, and how much."""
    worst = next((c for c in plan.clearances if not c.unknown), None)
    return "" if worst is None else f"{worst.structure.replace('_', ' ')} {_clear(worst.clearance_mm)}"
