"""Step 4: how to get there: the best paths, why they are best, why not elsewhere, and a person's approval."""

from __future__ import annotations

from typing import Any

from cryoneuro.finalists import usual_weights
from cryoneuro.planning import clearance_words
from slicer.i18n import tr as _

from ..tables import MARKS, fillTable
from .base import Step

_SHARE = 100.0


class PathStep(Step):
    """Table of paths, weights, clearances, skin map, own path, approval."""

    name = "path"
    uiName = "PathStep"

    def setup(self) -> None:
        """Fill the list of counts and connect."""
        self._filling = False
        self._shown: tuple[Any, ...] = ()
        self.sliders = {name: getattr(self.ui, f"{name}Slider") for name in usual_weights()}
        self.ui.countSelector.addItems([_("as needed"), "1", "2", "3", "4"])
        self.on(self.ui.countSelector.activated, self.onCount)
        self.on(self.ui.planButton.clicked, lambda *_unused: self.panel.plan())
        self.on(self.ui.pathTable.cellClicked, self.onPath)
        self.on(self.ui.skinBox.clicked, self.onSkin)
        self.on(self.ui.whyButton.clicked, lambda *_unused: self.ui.whyLabel.setText(self.panel.whyNot()))
        self.on(self.ui.manualButton.clicked, lambda *_unused: self.panel.drawPath())
        self.on(self.ui.alongButton.clicked, lambda *_unused: self.panel.lookAt("plane"))
        self.on(self.ui.eyeButton.clicked, lambda *_unused: self.panel.lookAt("eye"))
        self.on(self.ui.targetButton.clicked, lambda *_unused: self.panel.lookAt("target"))
        self.on(self.ui.approveButton.clicked, self.onApprove)
        for name, slider in self.sliders.items():
            self.on(slider.valueChanged, lambda value, name=name: self.onWeight(name, value))

    def onCount(self, index: int) -> None:
        """How many probes."""
        self.panel.parameters().probeCount = index

    def onWeight(self, name: str, value: int) -> None:
        """A weight was moved: the paths are ranked again at once."""
        if self._filling:
            return
        node = self.panel.parameters()
        node.weights = {**dict(node.weights), name: value / _SHARE}
        self.panel.rankAgain()

    def onPath(self, row: int, column: int = 0) -> None:
        """Take another one of the best paths."""
        self.panel.takePath(row)

    def onSkin(self, checked: bool = False) -> None:
        """Show or hide the skin map."""
        self.panel.showSkinMap(bool(self.value(self.ui.skinBox, "checked")))

    def onApprove(self, *_unused: Any) -> None:
        """A person approves the plan as it is."""
        self.panel.approve(self.value(self.ui.approverEdit, "text"))

    def snaps(self) -> bool:
        """Whether a dragged entry stays on the skin."""
        return bool(self.value(self.ui.snapBox, "checked"))

    def refresh(self) -> None:
        """Everything that the plan says."""
        node, runner = self.panel.parameters(), self.panel.runner()
        plan = runner.case.plan if runner.case is not None else None
        idle = not self.panel.isRunning() and node.inputVolume is not None
        self._filling = True
        for name, slider in self.sliders.items():
            weight = dict(node.weights).get(name, usual_weights()[name])
            slider.setValue(round(_SHARE * weight))
        self.ui.countSelector.setCurrentIndex(node.probeCount)
        self._filling = False
        self.ui.planButton.setEnabled(idle)
        for widget in (
            self.ui.alongButton,
            self.ui.eyeButton,
            self.ui.targetButton,
            self.ui.manualButton,
            self.ui.snapBox,
        ):
            widget.setEnabled(bool(idle and plan is not None))
        for widget in (self.ui.whyButton, self.ui.skinBox):
            widget.setEnabled(bool(idle and runner.found is not None))
        self.ui.approveButton.setEnabled(bool(idle and plan is not None and self.panel.planFits()))
        if self._shown != (plan, runner.finalists):
            self._shown = (plan, runner.finalists)
            self._fillTables()

    def _fillTables(self) -> None:
        runner = self.panel.runner()
        plan = runner.case.plan if runner.case is not None else None
        rows = []
        for finalist in runner.finalists:
            path = finalist.plan.probes[0].trajectory
            worst = next((c for c in finalist.plan.clearances if not c.unknown), None)
            tight = (
                "" if worst is None else f"{worst.structure.replace('_', ' ')} {clearance_words(worst.clearance_mm)}"
            )
            near = f"{finalist.neighbor.replace('_', ' ')} {finalist.neighbor_c:.0f} C"
            mark = "\u25cf" if runner.isChosen(finalist) else ""
            rows.append(
                [mark, f"{path.length_mm:.0f} mm", tight, f"{finalist.treated_mm:.1f} mm", near, f"{finalist.cost:.2f}"]
            )
        fillTable(self.ui.pathTable, rows, stretch=2)
        clear = []
        for c in plan.clearances if plan is not None else ():
            name = c.structure.replace("_", " ")
            if c.unknown:
                clear.append([MARKS["unknown"], name, "", ""])
                continue
            mark = "stop" if c.slack_mm < 0 else "warning" if c.clearance_mm < c.warning_mm else "ok"
            clear.append([MARKS[mark], name, clearance_words(c.clearance_mm), f"{c.slack_mm:+.1f} mm"])
        fillTable(self.ui.clearanceTable, clear)
        if plan is None:
            self.ui.whyLabel.setText(_("Press Plan."))
        else:
            self.ui.whyLabel.setText(runner.consoleText())
