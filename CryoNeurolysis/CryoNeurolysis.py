"""The Slicer module CryoNeurolysis: a thin shell round the engine in Logic/cryoneuro."""

import sys
from pathlib import Path

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


def ensureEnginePath() -> None:
    """Put the module's folder and its source root Logic on the path, once, when the engine is first needed."""
    here = Path(__file__).resolve().parent
    for folder in (str(here), str(here / "Logic")):
        if folder not in sys.path:
            sys.path.append(folder)


#
# CryoNeurolysis
#


class CryoNeurolysis(ScriptedLoadableModule):
    """Title, category and help of the module."""

    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Cryoneurolysis")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "IGT")]
        self.parent.dependencies = []
        self.parent.contributors = ["CryoNeurolysis founders (CryoNeurolysis project)"]
        self.parent.helpText = _(
            "Plans, simulates and assesses the freezing of a nerve under CT, step by step: case, target, anatomy, path, "
            "freeze, check, live, report. The ice seen on CT is the 0 C edge; the nerve is treated at -20 C. "
            "Research software, not a medical device. "
            '<a href="https://github.com/CryoNeurolysis/SlicerCryoNeurolysis">Documentation</a>'
        )
        self.parent.acknowledgementText = _(
            "After the review Percutaneous Image-guided Cryoneurolysis, RadioGraphics 2022;42:1776."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer a phantom and a public CT in the Sample Data module."""
    ensureEnginePath()
    from CryoNeurolysisLib.desktop.sample_data import registerSampleData as register

    register(Path(__file__).resolve().parent / "Resources" / "Icons")


#
# CryoNeurolysisParameterNode
#


@parameterNodeWrapper
class CryoNeurolysisParameterNode:
    """What the user has chosen; saved with the scene.

    inputVolume - the planning CT.
    organs - a segmentation with organs by name.
    edits - how often a person has changed the anatomy, so that what was planned before is known to be older.
    position - how the patient lies, as DICOM says it; empty for what the file says.
    target - id of the nerve target.
    side - left or right.
    level - number of the rib or vertebra, 0 for none.
    coursePoints - course of the nerve by the user, JSON points in RAS mm; empty for a proposed one.
    followFat - between clicked points the course follows the fat.
    courseAccepted - the user has looked at the proposed course and agrees.
    cleared - groups of structures that the user says are not in the field.
    probe - id of the probe, empty for the target's default.
    protocol - id of the protocol, empty for the target's default.
    probeCount - how many probes, 0 for as few as treat the nerve.
    weights - of the planner's criteria, where the user moved them.
    pathPoints - entry and tip by the user, JSON points in RAS mm; empty for a planned path.
    step - the step that is shown.
    segmentedFor, courseFor, plannedFor - what anatomy, course and plan were made for.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    organs: vtkMRMLSegmentationNode
    edits: int = 0
    position: str = ""
    target: str = "celiac_plexus"
    side: str = "left"
    level: int = 0
    coursePoints: str = ""
    followFat: bool = False
    courseAccepted: bool = False
    cleared: list[str]
    probe: str = ""
    protocol: str = ""
    probeCount: int = 0
    weights: dict[str, float]
    pathPoints: str = ""
    step: int = 0
    segmentedFor: str = ""
    courseFor: str = ""
    plannedFor: str = ""


#
# CryoNeurolysisWidget
#


class CryoNeurolysisWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Life cycle of the panel: scene, parameter node, module; what happens in it is desktop/panel.py's."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self._parameterNode = None
        self._guiTags: list = []

    def setup(self) -> None:
        """Build the panel when it is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = CryoNeurolysisLogic()
        shell, self.ui = self.loadPage("CryoNeurolysis")
        self.layout.addWidget(shell)
        from CryoNeurolysisLib.desktop.panel import Panel

        self.panel = Panel(self.ui, self.logic, self.loadPage)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.StartSaveEvent, self.onSceneStartSave)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAdded)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)
        self.initializeParameterNode()

    def loadPage(self, name: str) -> tuple:
        """A page of Resources/UI and its widgets by name."""
        page = slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))
        page.setMRMLScene(slicer.mrmlScene)
        return page, slicer.util.childWidgetVariables(page)

    def cleanup(self) -> None:
        """The application closes."""
        if self.panel is not None:
            self.panel.close()
        self.removeObservers()

    def enter(self) -> None:
        """The module is opened."""
        self.initializeParameterNode()

    def exit(self) -> None:
        """Another module is opened; a job goes on."""
        self.setParameterNode(None)

    def onSceneStartClose(self, caller=None, event=None) -> None:
        """The scene is about to close: a running job must not put nodes into the next one."""
        if self.panel is not None:
            self.panel.abandon()
        self.setParameterNode(None)
        self.logic.forget()

    def onSceneEndClose(self, caller=None, event=None) -> None:
        """The scene is empty."""
        self.initializeParameterNode()
        self.panel.refresh(_("Choose a CT and a target, then go on step by step."))

    def onSceneStartSave(self, caller=None, event=None) -> None:
        """Saving the scene saves its cases."""
        self.panel.guarded(self.panel.archive)

    def onSceneEndImport(self, caller=None, event=None) -> None:
        """A scene was opened or added: the case of its CT comes back."""
        self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAdded(self, caller, event, node) -> None:
        """The first volume of an empty scene is taken, when the scene has done with adding it."""
        if self._parameterNode and node is not None and node.GetClassName() == "vtkMRMLScalarVolumeNode":
            import qt

            qt.QTimer.singleShot(0, self.takeFirstVolume)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller, event, node) -> None:
        """A volume or a node of the case was removed by hand: say what is missing, keep the rest."""
        if self.panel is not None and self._parameterNode and node is not None:
            self.panel.removed(node)

    def initializeParameterNode(self) -> None:
        """Take the scene's parameter node, and the first volume when none is chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        self.takeFirstVolume()

    def takeFirstVolume(self) -> None:
        """Choose the first CT of the scene where none is chosen."""
        if not self._parameterNode or self._parameterNode.inputVolume:
            return
        for number in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
            node = slicer.mrmlScene.GetNthNodeByClass(number, "vtkMRMLScalarVolumeNode")
            # Label maps and color images are scalar volumes as well, but no CTs; nor are our own results.
            if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not node.GetAttribute("CryoNeurolysis.Case"):
                self._parameterNode.inputVolume = node
                return

    def setParameterNode(self, parameterNode: CryoNeurolysisParameterNode | None) -> None:
        """Observe a parameter node, or none."""
        if self._parameterNode:
            for tag in self._guiTags:
                self._parameterNode.disconnectGui(tag)
            self._guiTags = []
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameters)
        self._parameterNode = parameterNode
        self.panel.setNode(parameterNode)
        if self._parameterNode:
            self._guiTags = [self._parameterNode.connectGui(step.ui) for step in self.panel.steps]
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameters)
            self.onParameters()

    def onParameters(self, caller=None, event=None) -> None:
        """Bring the panel to what the parameter node says."""
        if self._parameterNode:
            self.panel.guarded(self.panel.parametersChanged)


#
# CryoNeurolysisLogic
#


class CryoNeurolysisLogic(ScriptedLoadableModuleLogic):
    """Facade for the panel, for tests and for scripts; the work is done by the engine."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        ensureEnginePath()
        self._book = None

    def getParameterNode(self) -> CryoNeurolysisParameterNode:
        """The scene's parameter node, typed."""
        return CryoNeurolysisParameterNode(super().getParameterNode())

    def book(self):
        """The cases of the scene, one for each CT."""
        if self._book is None:
            from CryoNeurolysisLib.desktop.case_book import CaseBook

            self._book = CaseBook(slicer.mrmlScene)
        return self._book

    def runner(self, volume=None):
        """The case runner of a CT; of the chosen one when None."""
        return self.book().of(volume if volume is not None else self.getParameterNode().inputVolume)

    def forget(self) -> None:
        """The scene is gone."""
        self._book = None

    def makePhantom(self) -> vtkMRMLScalarVolumeNode:
        """The synthetic phantom as a volume node."""
        from CryoNeurolysisLib.desktop.sample_data import makePhantom

        return makePhantom()


#
# CryoNeurolysisTest
#


class CryoNeurolysisTest(ScriptedLoadableModuleTest):
    """The straight line in Slicer itself."""

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run every test."""
        self.setUp()
        self.test_StraightLineOnPhantom()
        self.setUp()
        self.test_NoVolumeIsASentence()

    def test_StraightLineOnPhantom(self) -> None:
        """Phantom, intercostal nerve, plan, freeze, isotherms in the scene."""
        self.delayDisplay("Planning on the phantom")
        from cryoneuro.pipeline import Request

        logic = CryoNeurolysisLogic()
        volume = logic.makePhantom()
        runner = logic.runner(volume)
        quiet = (lambda f, t: None, lambda: False)
        planned = runner.plan(runner.readCt(volume), Request("intercostal"), *quiet)
        runner.show(planned.case, volume)
        self.assertGreater(len(planned.finalists), 1)
        runner.show(runner.freeze(planned.case, *quiet), volume)
        self.assertGreater(len(runner.timesS()), 2)
        self.assertGreater(runner.nodes.isotherms[0.0].GetPolyData().GetNumberOfPoints(), 100)
        self.assertTrue(runner.showTime(1))
        runner.archive(volume)
        self.assertIsNotNone(slicer.mrmlScene.GetFirstNodeByName("CryoNeurolysis case archive"))
        self.delayDisplay("Test passed")

    def test_NoVolumeIsASentence(self) -> None:
        """Without a CT the user gets a sentence."""
        from cryoneuro.model import ImageError

        with self.assertRaises(ImageError):
            CryoNeurolysisLogic().runner().readCt(None)
