"""Step 1: which CT, how the patient lies in it, and what speaks against planning on it."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from .. import services
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
        # A page hands its scene on by a connection that other Qt bindings do not know.
        for selector in (self.ui.inputSelector, self.ui.organsSelector):
            selector.setMRMLScene(slicer.mrmlScene)
        self.on(self.ui.positionSelector.activated, self.onPosition)
        self.on(self.ui.sideSelector.activated, self.onSide)
        self.on(self.ui.newestButton.clicked, self.onNewest)
        self.on(self.ui.organsButton.clicked, self.onOrgans)
        self.on(self.ui.fasterButton.clicked, self.onFaster)

    def onPosition(self, index: int) -> None:
        """The user says how the patient lies."""
        self.panel.parameters().position = POSITIONS[index][0]

    def onSide(self, index: int) -> None:
        """The user chooses the side."""
        self.panel.parameters().side = SIDES[index][0]

    def onNewest(self, *_unused: Any) -> None:
        """The CT series that came last into the DICOM database."""
        self.panel.parameters().inputVolume = services.loadNewestCt()
        self.panel.refresh(_("Newest series loaded."))

    def onOrgans(self, *_unused: Any) -> None:
        """Let TotalSegmentator find the organs; it shows its own progress and may take minutes."""
        self.panel.parameters().organs = services.segmentOrgans(self.panel.volume())
        self.panel.refresh(_("Organs found; look at them, then press Segment."))

    def onFaster(self, *_unused: Any) -> None:
        """Install the optional compiler, when the user agrees; without it everything works, only slower."""
        services.installFastSolver()
        self.panel.refresh()

    def refresh(self) -> None:
        """Lists, buttons and facts."""
        node = self.panel.parameters()
        self.ui.positionSelector.setCurrentIndex([p for p, _w in POSITIONS].index(node.position))
        self.ui.sideSelector.setCurrentIndex([s for s, _w in SIDES].index(node.side))
        idle = not self.panel.isRunning()
        self.ui.newestButton.setVisible(services.hasDicomDatabase())
        self.ui.organsButton.setVisible(services.hasTotalSegmentator())
        self.ui.fasterButton.setVisible(not services.hasFastSolver())
        for button in (self.ui.newestButton, self.ui.organsButton, self.ui.fasterButton):
            button.setEnabled(idle)
        self.ui.factsText.setHtml("".join(f"<p>{line}</p>" for line in self.facts()))

    def facts(self) -> list[str]:
        """What the scan is, or why it cannot be used."""
        node, look = self.panel.parameters(), self.panel.look
        if self.panel.volume() is None:
            return [_("Choose a CT. Sample Data has a phantom and a public CT.")]
        if look.error:
            return [f"! {look.error}"]
        position = services.acquisition(self.panel.volume(), node.position).patient_position
        words = dict(POSITIONS).get(position, position) or ""
        said = _(words) if position else _("not said: entries from the table's side cannot be told")
        lines = [look.size, f"{_('Patient lies')}: {said}"]
        if not look.isKnown:
            return [*lines, _("Looking at the CT ...")]
        return [
            *lines,
            *(f"! {text}" for text in look.warnings),
            *([] if look.warnings else [_("Nothing to be warned of.")]),
        ]
