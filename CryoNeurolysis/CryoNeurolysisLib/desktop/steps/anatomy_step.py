"""Step 3: what is around the nerve, how sure that is, and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import qt
import slicer
from cryoneuro.knowledge import color, nerve
from slicer.i18n import tr as _

from .. import services
from ..case_runner import for_course
from ..request_text import courseKey, planKey, segmentationKey
from ..tables import checkCell, fillTable, isChecked
from .base import Step

_SEEN, _NAME, _AGREE = 0, 1, 4


class AnatomyStep(Step):
    """Structures with eye, confidence and yes; unknown ones first, with the ways to make them known."""

    name = "anatomy"
    uiName = "AnatomyStep"

    def setup(self) -> None:
        """Connect the buttons."""
        self.rows: list[tuple[str, str]] = []
        self.groups: list[str] = []
        self._made: Any = None
        self._inside: Any = ()
        self._outside: Any = ()
        self.on(self.ui.segmentButton.clicked, self.onSegment)
        self.on(self.ui.editorButton.clicked, self.onEditor)
        self.on(self.ui.takeOverButton.clicked, self.onTakeOver)
        self.on(self.ui.importButton.clicked, self.onImport)
        self.on(self.ui.insideButton.clicked, lambda *_unused: self.onSeeds(True))
        self.on(self.ui.outsideButton.clicked, lambda *_unused: self.onSeeds(False))
        self.on(self.ui.growButton.clicked, self.onGrow)
        self.on(self.ui.structureTable.cellChanged, self.onCell)

    # Segment, edit, import

    def onSegment(self, *_unused: Any) -> None:
        """Segment the CT."""
        node = self.panel.parameters()
        ct, labels = self.panel.inputs()
        finder, key = self.panel.runner(), segmentationKey(node)

        def work(progress: Any, cancelled: Any) -> Any:
            return finder.again(ct.read(), progress, cancelled, None if labels is None else labels.read())

        def done(made: Any, runner: Any) -> None:
            if runner is self.panel.runner():
                node.segmentedFor = key
            runner.put(made.case)
            self.panel.present(runner, made.case, made.prepared)
            self.panel.refresh(_("Segmented. Look at the structures; what is unknown stands first."))

        self.panel.start("anatomy", work, done, _("Segmenting"))

    def onEditor(self, *_unused: Any) -> None:
        """The anatomy in the Segment Editor."""
        services.openEditor(self.panel.runner().nodes.segmentation, self.panel.volume())

    def onTakeOver(self, *_unused: Any) -> None:
        """Use what was drawn or changed in the Segment Editor."""
        node = self.panel.parameters()
        node.organs = services.copySegmentation(self.panel.runner().nodes.segmentation, node.organs)
        node.edits += 1
        self.onSegment()

    def onImport(self, *_unused: Any) -> None:
        """A label map, Slicer segmentation, DICOM SEG or RTSTRUCT from a file."""
        found = qt.QFileDialog.getOpenFileName(None, _("Label map, segmentation, DICOM SEG or RTSTRUCT"))
        # PySide6 gives the filter as well.
        path = found[0] if isinstance(found, tuple) else found
        if path:
            self.importFile(str(path))

    def importFile(self, path: str) -> None:
        """Read structures from a file and segment with them."""
        ct, _labels = self.panel.inputs()

        def work(progress: Any, cancelled: Any) -> Any:
            from cryoneuro.imaging import read_label_map

            progress(0.1, _("Reading the structures"))
            return read_label_map(path, geometry=ct.geometry)

        def done(labels: Any) -> None:
            from ...scene.label_node import labelsNode

            node = self.panel.parameters()
            node.organs = labelsNode(slicer.mrmlScene, labels, node.organs)
            node.edits += 1
            self.onSegment()

        self.panel.startAny("anatomy", work, done, _("Reading the structures"))

    # Seeds

    def onSeeds(self, inside: bool) -> None:
        """Click places inside the structure, or outside; pressed again it ends."""
        placing = self.panel.placing
        if placing.isPlacing():
            placing.end()
            return

        def taken(points_ras_mm: Any) -> None:
            if inside:
                self._inside = points_ras_mm
            else:
                self._outside = points_ras_mm
            self.panel.refresh(_("{i} clicks inside, {o} outside.").format(i=len(self._inside), o=len(self._outside)))

        name = _("Inside") if inside else _("Outside")
        placing.start("vtkMRMLMarkupsFiducialNode", name, color("nerve" if inside else "other"), taken)
        self.panel.refresh(_("Click in any view; right click, or press the button again, to end."))

    def onGrow(self, *_unused: Any) -> None:
        """Grow the chosen structure from the clicks."""
        node, grower = self.panel.parameters(), self.panel.runner()
        group = self.groups[int(self.value(self.ui.growSelector, "currentIndex"))]
        side, inside, outside = node.side, self._inside, self._outside

        def work(progress: Any, cancelled: Any) -> Any:
            progress(0.2, _("Growing"))
            return grower.grow(group, side, inside, outside)

        def done(made: Any, runner: Any) -> None:
            self._inside = self._outside = ()
            if runner is self.panel.runner():
                node.edits += 1
                node.segmentedFor = segmentationKey(node)
                node.courseFor = courseKey(node) if runner.course() is not None else ""
            runner.put(made.case)
            self.panel.present(runner, made.case, made.prepared)
            words = _("{name} grown. Look at it; correct it in the Segment Editor.")
            self.panel.refresh(words.format(name=group.replace("_", " ")))

        self.panel.start("anatomy", work, done, _("Growing"))

    # Yes, not in the field, eye

    def onCell(self, row: int, column: int) -> None:
        """A box was checked: eye, yes, or not in the field."""
        if row >= len(self.rows):
            return
        kind, name = self.rows[row]
        checked = isChecked(self.ui.structureTable, row, column)
        if kind == "unknown" and column == _AGREE:
            self.setCleared(name, checked)
        elif kind == "structure" and column == _AGREE and checked:
            self.agreeTo(name)
        elif kind == "structure" and column == _SEEN:
            self.panel.runner().setSeen(name, checked)

    def setCleared(self, group: str, cleared: bool) -> None:
        """The user says that a structure is not in the field, or takes that back."""
        from cryoneuro.pipeline import confirm_step

        node, runner = self.panel.parameters(), self.panel.runner()
        rest = [g for g in node.cleared if g != group]
        fits = self.panel.planFits()
        node.cleared = [*rest, group] if cleared else rest
        case, course = runner.case, runner.course()
        if course is not None and case.anatomy is not None:
            anatomy = for_course(case.anatomy, course, tuple(node.cleared))
            plan = None if case.plan is None else replace(case.plan, unknown=anatomy.unknown)
            if fits:
                node.plannedFor = planKey(node)
            runner.put(confirm_step(replace(case, anatomy=anatomy, plan=plan)))
        self.panel.refresh()

    def agreeTo(self, name: str) -> None:
        """The user has looked at a structure and agrees."""
        from cryoneuro.pipeline import confirm_step

        runner = self.panel.runner()
        runner.put(confirm_step(runner.case, (name,)))
        self.panel.refresh(_("You agreed to {name}.").format(name=name.replace("_", " ")))

    # Show

    def refresh(self) -> None:
        """The table and the tools."""
        runner, idle = self.panel.runner(), self.panel.isIdle()
        anatomy = runner.case.anatomy if runner.case is not None else None
        placing = self.panel.placing.isPlacing()
        has = bool(idle and anatomy is not None)
        shown = runner.nodes is not None and runner.nodes.segmentation is not None
        self.ui.segmentButton.setEnabled(idle)
        self.ui.importButton.setEnabled(idle)
        self.ui.editorButton.setEnabled(bool(has and shown and services.hasSegmentEditor()))
        self.ui.takeOverButton.setEnabled(bool(has and shown))
        for button in (self.ui.insideButton, self.ui.outsideButton, self.ui.growSelector):
            button.setEnabled(has)
        self.ui.insideButton.setText(_("End clicks") if placing else _("Click inside"))
        self.ui.growButton.setEnabled(bool(has and len(self._inside) and len(self._outside) and not placing))
        if anatomy is self._made:
            return
        self._made = anatomy
        self._fillGroups(anatomy)
        if anatomy is None:
            fillTable(self.ui.structureTable, [])
            self.rows = []
            self.ui.anatomyLabel.setText(_("Not segmented yet."))
            return
        self._fillTable(anatomy)
        unknown = ", ".join(g.replace("_", " ") for g in anatomy.unknown)
        text = _(
            "Unknown, therefore not safe: {names}. Click them in, import them, draw them in the Segment Editor, or check Not "
            "in the field."
        )
        self.ui.anatomyLabel.setText(
            text.format(names=unknown) if unknown else _("Everything this nerve asks for is known.")
        )

    def _fillTable(self, anatomy: Any) -> None:
        runner = self.panel.runner()
        shown = [s for s in anatomy.structures if s.group not in ("body", "unmeasured")]
        open_ = (*anatomy.unknown, *anatomy.cleared)
        words = [["", g.replace("_", " "), _("? unknown"), _("nobody yet"), ""] for g in open_]
        words += [["", s.name.replace("_", " "), s.confidence, s.method, ""] for s in shown]
        self.rows = [("unknown", g) for g in open_] + [("structure", s.name) for s in shown]
        table = self.ui.structureTable
        fillTable(table, words, stretch=3)
        for row, (kind, name) in enumerate(self.rows):
            if kind == "unknown":
                checkCell(table, row, _AGREE, _("Not in the field"), name in anatomy.cleared)
            else:
                checkCell(table, row, _SEEN, "", runner.isSeen(name))
                checkCell(table, row, _AGREE, "", anatomy.structure(name).confirmed)

    def _fillGroups(self, anatomy: Any) -> None:
        """What can be grown from clicks: first what is unknown, then what the nerve asks for."""
        needed = [n.structure for n in nerve(self.panel.parameters().target).neighbors]
        unknown = [] if anatomy is None else list(anatomy.unknown)
        self.groups = list(dict.fromkeys([*unknown, *needed, "bowel", "ureter", "vessel", "other"]))
        self.ui.growSelector.clear()
        self.ui.growSelector.addItems([g.replace("_", " ") for g in self.groups])
