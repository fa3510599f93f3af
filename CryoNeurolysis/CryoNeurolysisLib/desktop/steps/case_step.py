"""Step 1: which CT, how the patient lies in it, and what speaks against planning on it."""

from __future__ import annotations

from slicer.i18n import tr as _

from .base import Step

POSITIONS = (
    ("", "as the file says"),
    ("HFS", "on the back, head first"),
    ("FFS", "on the back, feet first"),
    ("HFP", "prone, head first"),
    ("FFP", "prone, feet first"),
    ("HFDR", "on the right side, head first"),
    ("FFDR", "on the right side, feet first"),
    ("HFDL", "on the left side, head first"),
    ("FFDL", "on the left side, feet first"),
)
SIDES = (("left", "Left"), ("right", "Right"))


class CaseStep(Step):
    """CT, organs, position, side, facts."""

    name = "case"
    uiName = "CaseStep"

    def setup(self) -> None:
        """Fill the lists."""
        self.ui.positionSelector.addItems([_(words) for _id, words in POSITIONS])
        self.ui.sideSelector.addItems([_(words) for _id, words in SIDES])
        self.on(self.ui.positionSelector.activated, self.onPosition)
        self.on(self.ui.sideSelector.activated, self.onSide)
        self.on(self.ui.newestButton.clicked, lambda *_unused: self.panel.loadNewest())
        self.on(self.ui.organsButton.clicked, lambda *_unused: self.panel.findOrgans())
        self.on(self.ui.fasterButton.clicked, lambda *_unused: self.panel.installFaster())

    def onPosition(self, index: int) -> None:
        """The user says how the patient lies."""
        self.panel.parameters().position = POSITIONS[index][0]

    def onSide(self, index: int) -> None:
        """The user chooses the side."""
        self.panel.parameters().side = SIDES[index][0]

    def refresh(self) -> None:
        """Lists, buttons and facts."""
        node = self.panel.parameters()
        self.ui.positionSelector.setCurrentIndex([p for p, _w in POSITIONS].index(node.position))
        self.ui.sideSelector.setCurrentIndex([s for s, _w in SIDES].index(node.side))
        idle = not self.panel.isRunning()
        self.ui.newestButton.setVisible(self.panel.logic.hasDicomDatabase())
        self.ui.organsButton.setVisible(self.panel.logic.hasTotalSegmentator())
        self.ui.fasterButton.setVisible(not self.panel.logic.hasFastSolver())
        for button in (self.ui.newestButton, self.ui.organsButton, self.ui.fasterButton):
            button.setEnabled(idle)
        self.ui.factsText.setHtml(self.panel.factsHtml())
