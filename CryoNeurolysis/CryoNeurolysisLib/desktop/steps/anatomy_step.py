"""Step 3: what is around the nerve, how sure that is, and what nobody knows."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ..tables import checkCell, fillTable, isChecked
from .base import Step

_SEEN, _NAME, _AGREE = 0, 1, 4


class AnatomyStep(Step):
    """Structures with eye, confidence and yes; unknown ones first."""

    name = "anatomy"
    uiName = "AnatomyStep"

    def setup(self) -> None:
        """Connect the buttons."""
        self.rows: list[tuple[str, str]] = []
        self._made: Any = None
        self.on(self.ui.segmentButton.clicked, lambda *_unused: self.panel.segment())
        self.on(self.ui.editorButton.clicked, lambda *_unused: self.panel.openEditor())
        self.on(self.ui.takeOverButton.clicked, lambda *_unused: self.panel.takeOver())
        self.on(self.ui.structureTable.cellChanged, self.onCell)

    def onCell(self, row: int, column: int) -> None:
        """A box was checked: eye, yes, or not in the field."""
        if row >= len(self.rows):
            return
        kind, name = self.rows[row]
        checked = isChecked(self.ui.structureTable, row, column)
        if kind == "unknown" and column == _AGREE:
            self.panel.setCleared(name, checked)
        elif kind == "structure" and column == _AGREE and checked:
            self.panel.agreeTo(name)
        elif kind == "structure" and column == _SEEN:
            self.panel.runner().setSeen(name, checked)

    def refresh(self) -> None:
        """The table."""
        runner = self.panel.runner()
        anatomy = runner.case.anatomy if runner.case is not None else None
        idle = not self.panel.isRunning() and self.panel.parameters().inputVolume is not None
        self.ui.segmentButton.setEnabled(idle)
        self.ui.editorButton.setEnabled(bool(idle and anatomy is not None and self.panel.logic.hasSegmentEditor()))
        self.ui.takeOverButton.setEnabled(bool(idle and anatomy is not None))
        if anatomy is self._made:
            return
        self._made = anatomy
        if anatomy is None:
            fillTable(self.ui.structureTable, [])
            self.rows = []
            self.ui.anatomyLabel.setText(_("Not segmented yet."))
            return
        shown = [s for s in anatomy.structures if s.group not in ("body", "unmeasured")]
        words = [
            ["", g.replace("_", " "), _("? unknown"), _("nobody yet"), ""] for g in (*anatomy.unknown, *anatomy.cleared)
        ]
        words += [["", s.name.replace("_", " "), s.confidence, s.method, ""] for s in shown]
        self.rows = [("unknown", g) for g in (*anatomy.unknown, *anatomy.cleared)]
        self.rows += [("structure", s.name) for s in shown]
        table = self.ui.structureTable
        fillTable(table, words, stretch=3)
        for row, (kind, name) in enumerate(self.rows):
            if kind == "unknown":
                checkCell(table, row, _AGREE, _("Not in the field"), name in anatomy.cleared)
            else:
                structure = anatomy.structure(name)
                checkCell(table, row, _SEEN, "", runner.isSeen(name))
                checkCell(table, row, _AGREE, "", structure.confirmed)
        table.resizeColumnsToContents()
        unknown = ", ".join(g.replace("_", " ") for g in anatomy.unknown)
        text = _(
            "Unknown, therefore not safe: {names}. Draw them, import them in step Case, or check Not in the field."
        )
        self.ui.anatomyLabel.setText(
            text.format(names=unknown) if unknown else _("Everything this nerve asks for is known.")
        )
