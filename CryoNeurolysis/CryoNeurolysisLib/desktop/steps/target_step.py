"""Step 2: which nerve, what it does, and where it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryoneuro.knowledge import color, nerve, nerves
from slicer.i18n import tr as _

from ..request_text import courseKey, pointsText, requestOf, segmentationKey
from .base import Step


class TargetStep(Step):
    """Search, card, course."""

    name = "target"
    uiName = "TargetStep"

    def setup(self) -> None:
        """Fill the list of nerves."""
        self.shown: list[str] = []
        self._card = ""
        self._filling = False
        self.on(self.ui.searchEdit.textChanged, self.onSearch)
        self.on(self.ui.targetList.currentRowChanged, self.onTarget)
        self.on(self.ui.levelSpin.editingFinished, self.onLevel)
        self.on(self.ui.proposeButton.clicked, self.onPropose)
        self.on(self.ui.drawButton.clicked, self.onDraw)
        self.on(self.ui.followBox.clicked, self.onFollow)
        self.on(self.ui.acceptButton.clicked, self.onAccept)
        self._fill("")

    def _fill(self, words: str) -> None:
        self._filling = True
        wanted = words.lower().split()
        rows = []
        for record in nerves():
            text = " ".join(
                (record.name, record.territory, *record.aliases, *record.indications_pain, *record.indications_other)
            )
            if all(word in text.lower() for word in wanted):
                rows.append(record)
        self.shown = [record.id for record in rows]
        self.ui.targetList.clear()
        self.ui.targetList.addItems([record.name for record in rows])
        self._filling = False

    def onSearch(self, text: str) -> None:
        """Narrow the list; the chosen nerve stays chosen, listed or not."""
        self._fill(text)
        self.refresh()

    def onTarget(self, row: int) -> None:
        """Another nerve."""
        if not self._filling and 0 <= row < len(self.shown):
            self.panel.parameters().target = self.shown[row]

    def onLevel(self, *_unused: Any) -> None:
        """Number of the rib or vertebra."""
        self.panel.parameters().level = int(self.value(self.ui.levelSpin, "value"))

    def onFollow(self, *_unused: Any) -> None:
        """Between clicks along fat, or straight."""
        self.panel.parameters().followFat = bool(self.ui.followBox.isChecked())

    def onPropose(self, *_unused: Any) -> None:
        """Find the course from landmarks; segments first where that has not been done."""
        node = self.panel.parameters()
        node.coursePoints = ""
        node.courseAccepted = False
        self._find(_("Course proposed. Look at it in the slices, then agree or drag its points."))

    def onDraw(self, *_unused: Any) -> None:
        """A course of the user's own: clicks in any view, a right click ends; pressed again it ends as well."""
        placing = self.panel.placing
        if placing.isPlacing():
            placing.end()
            return
        placing.start("vtkMRMLMarkupsCurveNode", _("Course"), color("nerve"), self._drawn)
        self.panel.refresh(_("Click along the nerve in any view; right click, or press the button again, to end."))

    def _drawn(self, points_ras_mm: Any) -> None:
        if len(points_ras_mm) < 2:
            self.panel.refresh(_("A course needs two points or more; nothing was changed."))
            return
        node = self.panel.parameters()
        node.coursePoints = pointsText(points_ras_mm)
        node.courseAccepted = False
        self._find(_("Course taken. Drag its points where they do not fit."))

    def _find(self, sentence: str) -> None:
        node = self.panel.parameters()
        ct, labels = self.panel.inputs()
        request, keys = requestOf(node), (segmentationKey(node), courseKey(node))
        finder = self.panel.runner()

        def work(progress: Any, cancelled: Any) -> Any:
            return finder.propose(ct.read(), request, progress, cancelled, None if labels is None else labels.read())

        def done(made: Any, runner: Any) -> None:
            if runner is self.panel.runner():
                node.segmentedFor, node.courseFor = keys
            runner.put(made.case)
            self.panel.present(runner, made.case, made.prepared)
            self.panel.step("path").look("target")
            course = runner.course()
            self.panel.refresh(f"{sentence} {course.rule}." if course is not None else sentence)

        self.panel.start("target", work, done, _("Looking for the nerve"))

    def dragged(self, points_ras_mm: Any) -> None:
        """The user has moved points of the course: what comes later was made for the course before."""
        from cryoneuro.pipeline import course_step

        node, runner = self.panel.parameters(), self.panel.runner()
        node.coursePoints = pointsText(points_ras_mm)
        node.courseAccepted = False
        request = replace(requestOf(node), accepted=False, follow=False)
        aimed = course_step(runner.case, request)
        if aimed.anatomy is not None and aimed.anatomy.nerves:
            moved = replace(aimed.anatomy.nerves[0], confirmed=False)
            aimed = replace(aimed, anatomy=replace(aimed.anatomy, nerves=(moved,)))
        node.courseFor = courseKey(node)
        runner.put(
            replace(aimed, plan=runner.case.plan, thermal=runner.case.thermal, assessment=runner.case.assessment)
        )
        self.panel.refresh(_("Course changed; what comes later was made for the course before."))

    def onAccept(self, *_unused: Any) -> None:
        """The user has looked at the course and agrees."""
        runner = self.panel.runner()
        self.panel.parameters().courseAccepted = True
        runner.put(runner.confirm())
        self.panel.refresh(_("You agreed to the course."))

    def refresh(self) -> None:
        """List, card and course."""
        from cryoneuro.report import nerve_card

        node, runner = self.panel.parameters(), self.panel.runner()
        record = nerve(node.target)
        self._filling = True
        self.ui.targetList.setCurrentRow(self.shown.index(record.id) if record.id in self.shown else -1)
        self._filling = False
        self.ui.levelSpin.setValue(node.level)
        self.ui.followBox.setChecked(node.followFat)
        if self._card != record.id:
            self._card = record.id
            self.ui.cardText.setHtml(nerve_card(record))
        course = runner.course()
        idle = self.panel.isIdle()
        placing = self.panel.placing.isPlacing()
        self.ui.proposeButton.setEnabled(idle and not placing)
        self.ui.drawButton.setEnabled(idle)
        self.ui.drawButton.setText(_("End course") if placing else _("Click course"))
        fits = course is not None and self.panel.courseFits()
        self.ui.acceptButton.setEnabled(bool(idle and fits and not course.confirmed))
        if course is None:
            self.ui.courseLabel.setText(_("No course yet: propose one from landmarks, or click one."))
            self.ui.sigmaLabel.setText("")
            return
        state = _("agreed") if course.confirmed else _("not agreed yet: look at it in the slices, drag its points")
        self.ui.courseLabel.setText(f"{course.name}, {state}. {course.rule}.")
        self.ui.sigmaLabel.setText(_("may lie {sigma} mm off").format(sigma=f"{course.sigma_mm:.1f}"))
