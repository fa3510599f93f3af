"""Step 2: which nerve, what it does, and where it runs."""

from __future__ import annotations

from cryoneuro.knowledge import nerve, nerves
from cryoneuro.report import nerve_card
from slicer.i18n import tr as _

from .base import Step


class TargetStep(Step):
    """Search, card, course."""

    name = "target"
    uiName = "TargetStep"

    def setup(self) -> None:
        """Fill the list of nerves."""
        self.shown: list[str] = []
        self._filling = False
        self.on(self.ui.searchEdit.textChanged, self.onSearch)
        self.on(self.ui.targetList.currentRowChanged, self.onTarget)
        self.on(self.ui.levelSpin.editingFinished, self.onLevel)
        self.on(self.ui.proposeButton.clicked, lambda *_unused: self.panel.propose())
        self.on(self.ui.drawButton.clicked, lambda *_unused: self.panel.drawCourse())
        self.on(self.ui.acceptButton.clicked, lambda *_unused: self.panel.acceptCourse())
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

    def onLevel(self) -> None:
        """Number of the rib or vertebra."""
        self.panel.parameters().level = int(self.value(self.ui.levelSpin, "value"))

    def refresh(self) -> None:
        """List, card and course."""
        node, runner = self.panel.parameters(), self.panel.runner()
        record = nerve(node.target)
        self._filling = True
        self.ui.targetList.setCurrentRow(self.shown.index(record.id) if record.id in self.shown else -1)
        self._filling = False
        self.ui.levelSpin.setValue(node.level)
        self.ui.cardText.setHtml(nerve_card(record))
        course = runner.course()
        idle = not self.panel.isRunning() and node.inputVolume is not None
        self.ui.proposeButton.setEnabled(idle)
        self.ui.drawButton.setEnabled(idle)
        fits = course is not None and self.panel.courseFits()
        self.ui.acceptButton.setEnabled(bool(idle and fits and not course.confirmed))
        if course is None:
            self.ui.courseLabel.setText(_("No course yet: propose one from landmarks, or draw one."))
            self.ui.sigmaLabel.setText("")
            return
        state = _("agreed") if course.confirmed else _("not agreed yet: look at it in the slices, drag its points")
        self.ui.courseLabel.setText(f"{course.name}, {state}. {course.rule}.")
        self.ui.sigmaLabel.setText(_("may lie {sigma} mm off").format(sigma=f"{course.sigma_mm:g}"))
