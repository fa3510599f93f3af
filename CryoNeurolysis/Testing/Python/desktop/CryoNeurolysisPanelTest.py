"""The panel in Slicer itself, clicked through on the phantom from the first step to the last.

Run by CTest, or in Slicer's Python console: import CryoNeurolysisPanelTest and call its test. The same way is clicked
by test_panel.py in a window without Slicer.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest


class CryoNeurolysisPanelTest(ScriptedLoadableModuleTest):
    """One case by clicks."""

    def setUp(self) -> None:
        """Start from an empty scene with the module open."""
        slicer.mrmlScene.Clear()
        self.widget = self.openModule()
        self.panel = self.widget.panel
        self.steps = {step.name: step for step in self.panel.steps}

    def runTest(self) -> None:
        """Every test."""
        for test in (self.test_WholeCase, self.test_SceneComesBack):
            self.setUp()
            test()

    def openModule(self):
        """The module's widget."""
        slicer.util.selectModule("CryoNeurolysis")
        return slicer.modules.cryoneurolysis.widgetRepresentation().self()

    def until(self, done, seconds: float = 180.0) -> None:
        """Let the application run until something is so."""
        end = time.time() + seconds
        while not done():
            self.assertLess(time.time(), end, f"still waiting; the panel says: {self.panel.ui.statusLabel.text}")
            slicer.app.processEvents()
            time.sleep(0.01)

    def idle(self) -> None:
        """Until no job runs."""
        self.until(lambda: not self.panel.isRunning())
        slicer.app.processEvents()

    def click(self, step: str, button: str) -> None:
        """Press a button of a step."""
        widget = getattr(self.steps[step].ui, button)
        self.assertTrue(widget.enabled, f"{button} cannot be pressed; {self.panel.ui.statusLabel.text}")
        widget.click()
        self.idle()

    def loadPhantom(self):
        """The phantom, as Sample Data makes it."""
        node = self.widget.logic.makePhantom()
        self.until(lambda: self.panel.volume() is node and self.panel.look.isKnown)
        return node

    def test_WholeCase(self) -> None:
        """Course, path, own path, freeze, report."""
        self.delayDisplay("A whole case on the phantom")
        self.loadPhantom()
        self.panel.go(1)
        target = self.steps["target"].ui
        target.searchEdit.setText("intercostal")
        target.targetList.setCurrentRow(0)
        self.click("target", "proposeButton")
        self.click("target", "acceptButton")
        self.assertTrue(self.panel.runner().course().confirmed)
        self.panel.go(3)
        self.click("path", "planButton")
        self.assertGreater(self.steps["path"].ui.pathTable.rowCount, 3)
        self.click("path", "manualButton")
        line = self.panel.runner().nodes.trajectories[0]
        tip = np.array(line.GetNthControlPointPositionWorld(1))
        line.SetNthControlPointPositionWorld(1, *(tip + np.array([0.0, 0.0, 2.0])))
        self.until(lambda: self.panel.node.pathPoints != "" and not self.panel.isRunning())
        self.panel.undo()
        self.assertEqual(self.panel.node.pathPoints, "")
        self.steps["path"].ui.approverEdit.setText("Dr. A")
        self.click("path", "approveButton")
        self.panel.go(4)
        self.click("freeze", "freezeButton")
        self.assertGreater(self.steps["freeze"].ui.neighborTable.rowCount, 2)
        surface = self.panel.runner().nodes.isotherms[0.0]
        many = surface.GetPolyData().GetNumberOfPoints()
        self.steps["freeze"].ui.timeSlider.setValue(0)
        self.until(lambda: surface.GetPolyData().GetNumberOfPoints() < many)
        self.panel.go(6)
        with tempfile.TemporaryDirectory() as folder:
            self.steps["report"].save(folder)
            self.idle()
            self.assertTrue(list(Path(folder).glob("*/report/report.html")))
        self.delayDisplay("Test passed")

    def test_SceneComesBack(self) -> None:
        """Saving and opening the scene brings the case back, in the middle of the work."""
        self.delayDisplay("Save and open in the middle of a case")
        self.loadPhantom()
        self.panel.node.target = "intercostal"
        self.panel.go(3)
        self.click("path", "planButton")
        self.until(self.panel.keeper.isCurrent)
        tip = self.panel.runner().case.plan.probes[0].trajectory.tip_ras_mm
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "case.mrb")
            self.assertTrue(slicer.util.saveScene(path))
            slicer.mrmlScene.Clear()
            slicer.util.loadScene(path)
            self.until(lambda: self.panel.runner().case is not None)
        self.assertTrue(np.array_equal(self.panel.runner().case.plan.probes[0].trajectory.tip_ras_mm, tip))
        self.assertEqual(self.panel.current, 3)
        self.delayDisplay("Test passed")
