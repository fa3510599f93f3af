"""The Slicer module CryoNeurolysis: a thin shell round the engine in Logic/cryoneuro."""

import logging
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

PHANTOM_NAME = "CryoNeurolysisPhantom"


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
            "Plans, simulates and assesses the freezing of a nerve under CT: choose a CT and a nerve, press Plan, "
            "press Freeze, and move the time slider. The ice seen on CT is the 0 C edge; the nerve is treated at -20 C. "
            "Research software, not a medical device. "
            '<a href="https://github.com/CryoNeurolysis/SlicerCryoNeurolysis">Documentation</a>'
        )
        self.parent.acknowledgementText = _(
            "After the review Percutaneous Image-guided Cryoneurolysis, RadioGraphics 2022;42:1776."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer the synthetic phantom, which is made on this machine, in the Sample Data module."""
    import SampleData

    icon = Path(__file__).resolve().parent / "Resources" / "Icons" / "CryoNeurolysisPhantom.png"
    if hasattr(SampleData.SampleDataLogic, "registerCustomSampleDataCategory"):  # Slicer 5.11 and later
        SampleData.SampleDataLogic.registerCustomSampleDataCategory("CryoNeurolysis", title=_("Cryoneurolysis"))
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="CryoNeurolysis",
        sampleName=PHANTOM_NAME,
        thumbnailFileName=str(icon),
        uris=[],
        fileNames=[],
        nodeNames=[],
        loadFiles=[],
        customDownloader=loadPhantom,
    )


def loadPhantom(source=None) -> vtkMRMLScalarVolumeNode:
    """Make the phantom and show it, as Sample Data does with what it downloads."""
    node = CryoNeurolysisLogic().makePhantom()
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


#
# CryoNeurolysisParameterNode
#


@parameterNodeWrapper
class CryoNeurolysisParameterNode:
    """What the user has chosen; saved with the scene.

    inputVolume - the planning CT.
    target - id of the nerve target.
    side - left or right.
    probe - id of the probe, empty for the target's default.
    protocol - id of the protocol, empty for the target's default.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    organs: vtkMRMLSegmentationNode
    target: str = "celiac_plexus"
    side: str = "left"
    probe: str = ""
    protocol: str = ""


#
# CryoNeurolysisWidget
#


class CryoNeurolysisWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: CT, target, probe, protocol, Plan, Freeze, time."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.job = None
        self._parameterNode = None
        self._guiTag = None
        self._choices: dict = {}
        self._updating = False
        self._jobVolumeId = ""
        self._jobRequest = None
        self._plannedRequest = None
        self._summary = ""

    def setup(self) -> None:
        """Build the panel when it is opened for the first time."""
        import qt

        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/CryoNeurolysis.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = CryoNeurolysisLogic()
        self._fillChoices()
        from CryoNeurolysisLib.desktop.worker import BackgroundJob

        self._timer = qt.QTimer()
        self.job = BackgroundJob(self._timer)
        self.ui.planButton.clicked.connect(self.onPlan)
        self.ui.freezeButton.clicked.connect(self.onFreeze)
        self.ui.fasterButton.clicked.connect(self.onFaster)
        self.ui.organsButton.clicked.connect(self.onOrgans)
        self.ui.confirmButton.clicked.connect(self.onConfirm)
        self.ui.cancelButton.clicked.connect(self.onCancel)
        self.ui.timeSlider.valueChanged.connect(self.onTime)
        for name in self._choices:
            getattr(self.ui, name).activated.connect(self.onChoice)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.initializeParameterNode()

    def _fillChoices(self) -> None:
        """Fill the lists from the knowledge; the first probe and protocol stand for the target's default."""
        default = ("", _("Default of the target"))
        targets, probes, protocols = self.logic.choices()
        self._choices = {
            "targetSelector": ("target", targets),
            "sideSelector": ("side", [("left", _("Left")), ("right", _("Right"))]),
            "probeSelector": ("probe", [default, *probes]),
            "protocolSelector": ("protocol", [default, *protocols]),
        }
        for name, (_parameter, rows) in self._choices.items():
            getattr(self.ui, name).addItems([text for _id, text in rows])

    def cleanup(self) -> None:
        """The application closes."""
        if self.job is not None:
            self.job.close()
        self.removeObservers()

    def enter(self) -> None:
        """The module is opened."""
        self.initializeParameterNode()

    def exit(self) -> None:
        """Another module is opened."""
        self.setParameterNode(None)

    def onSceneStartClose(self, caller=None, event=None) -> None:
        """The scene is about to close: a running job must not put nodes into the next one."""
        if self.job is not None:
            self.job.abandon()
        self.setParameterNode(None)
        self.logic.forget()

    def onSceneEndClose(self, caller=None, event=None) -> None:
        """The scene is empty."""
        if self.parent.isEntered:
            self.initializeParameterNode()
        self._updateState(_("Choose a CT and a target, then press Plan."))

    def initializeParameterNode(self) -> None:
        """Take the scene's parameter node, and the first volume when none is chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            for number in range(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
                node = slicer.mrmlScene.GetNthNodeByClass(number, "vtkMRMLScalarVolumeNode")
                # Label maps and color images are scalar volumes as well, but no CTs.
                if node.GetClassName() == "vtkMRMLScalarVolumeNode":
                    self._parameterNode.inputVolume = node
                    break

    def setParameterNode(self, parameterNode: CryoNeurolysisParameterNode | None) -> None:
        """Observe a parameter node, or none."""
        if self._parameterNode:
            if self._guiTag is not None:
                self._parameterNode.disconnectGui(self._guiTag)
                self._guiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameters)
        self._parameterNode = parameterNode
        if self._parameterNode:
            self._guiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameters)
            self.onParameters()

    def onParameters(self, caller=None, event=None) -> None:
        """Bring the lists to what the parameter node says."""
        if self._parameterNode is None:
            return
        self._updating = True
        for name, (parameter, rows) in self._choices.items():
            ids = [identifier for identifier, _text in rows]
            value = getattr(self._parameterNode, parameter)
            getattr(self.ui, name).setCurrentIndex(ids.index(value) if value in ids else 0)
        self._updating = False
        self._updateState()

    def onChoice(self, index: int = 0) -> None:
        """A list was changed by the user."""
        if self._updating or self._parameterNode is None:
            return
        for name, (parameter, rows) in self._choices.items():
            widget = getattr(self.ui, name)
            current = widget.currentIndex
            current = current() if callable(current) else current
            setattr(self._parameterNode, parameter, rows[current][0])
        self._updateState()

    def onPlan(self, checked: bool = False) -> None:
        """Segment and plan in the background."""
        try:
            work = self.logic.planWork(self._parameterNode)
        except ValueError as error:
            self._updateState(str(error))
            return
        self._jobRequest = self._request()
        self._start(work, self._planned)

    def onOrgans(self, checked: bool = False) -> None:
        """Let TotalSegmentator find the organs; it shows its own progress and may take minutes."""
        try:
            self._parameterNode.organs = self.logic.segmentOrgans(self._parameterNode.inputVolume)
            self._updateState(_("Organs found; look at them, then press Plan."))
        except Exception as error:
            self._failed(error)

    def onConfirm(self, checked: bool = False) -> None:
        """The user has looked at the proposed course and agrees."""
        try:
            self.logic.confirmCourse()
            self._updateState(_("Course confirmed."))
        except Exception as error:
            self._failed(error)

    def onFreeze(self, checked: bool = False) -> None:
        """Simulate and assess in the background."""
        try:
            work = self.logic.freezeWork()
        except ValueError as error:
            self._updateState(str(error))
            return
        self._start(work, self._frozen)

    def onFaster(self, checked: bool = False) -> None:
        """Install the optional compiler, when the user agrees; without it everything works, only slower."""
        question = _(
            "Install the Python package numba? Freezing then runs several times faster. It needs the internet."
        )
        if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Cryoneurolysis")):
            return
        with slicer.util.tryWithErrorDisplay(_("The package numba could not be installed."), waitCursor=True):
            self.logic.installFastSolver()
        self._updateState()

    def onCancel(self, checked: bool = False) -> None:
        """Stop the job; what was shown before stays."""
        self.job.cancel()

    def _request(self) -> tuple:
        """What the choices ask for now; a plan that was made for something else is not frozen."""
        node = self._parameterNode
        if node is None or node.inputVolume is None:
            return ()
        organs = node.organs.GetID() if node.organs is not None else ""
        return (node.inputVolume.GetID(), organs, node.target, node.side, node.probe, node.protocol)

    def _start(self, work, onDone) -> None:
        # The result is shown on the CT it was made from, whatever is chosen or opened in the meantime.
        self._jobVolumeId = self._parameterNode.inputVolume.GetID()
        if self.job.start(work, self._progress, lambda result: self._guarded(onDone, result), self._failed):
            self._updateState(_("Working"))

    def _guarded(self, onDone, result) -> None:
        """Qt only prints what a slot raises; the user shall read it in the panel."""
        try:
            onDone(result)
        except Exception as error:
            self._failed(error)

    def _progress(self, fraction: float, text: str) -> None:
        self.ui.progressBar.setValue(int(100 * fraction))
        self.ui.statusLabel.setText(text)

    def _planned(self, case) -> None:
        self.logic.show(case, slicer.mrmlScene.GetNodeByID(self._jobVolumeId))
        self._plannedRequest = self._jobRequest
        self._updateState(_("Path planned. Press Freeze to simulate."))

    def _frozen(self, case) -> None:
        self.logic.show(case, slicer.mrmlScene.GetNodeByID(self._jobVolumeId))
        last = max(0, len(self.logic.runner().timesS()) - 1)
        self.ui.timeSlider.setMaximum(last)
        self.ui.timeSlider.setValue(last)
        # A slider that stands there already says nothing, but the isotherms are new.
        self.onTime(last)
        self._updateState(case.assessment.sentence if case.assessment else "")

    def _failed(self, error: BaseException) -> None:
        from cryoneuro.model import CryoNeuroError

        if not isinstance(error, CryoNeuroError):
            logging.error("CryoNeurolysis failed", exc_info=error)
        self._updateState(str(error) or type(error).__name__)

    def onTime(self, index: int) -> None:
        """Show another moment of the freeze."""
        self.ui.timeLabel.setText(self.logic.runner().showTime(index))

    def _updateState(self, sentence: str = "") -> None:
        """Buttons, status line and summary as they should be now."""
        running = self.job is not None and self.job.isRunning()
        ready = self._parameterNode is not None and self._parameterNode.inputVolume is not None
        self.ui.planButton.setEnabled(bool(ready and not running))
        fits = self.logic.hasPlan() and self._plannedRequest == self._request()
        self.ui.freezeButton.setEnabled(bool(ready and fits and not running))
        self.ui.fasterButton.setVisible(not self.logic.hasFastSolver())
        self.ui.fasterButton.setEnabled(not running)
        self.ui.cancelButton.setEnabled(running)
        self.ui.organsButton.setVisible(self.logic.hasTotalSegmentator())
        self.ui.organsButton.setEnabled(bool(ready and not running))
        self.ui.confirmButton.setEnabled(bool(fits and not running and not self.logic.courseIsConfirmed()))
        times = self.logic.runner().timesS()
        self.ui.timeSlider.setEnabled(bool(times) and not running)
        if not times:
            self.ui.timeSlider.setMaximum(0)
            self.ui.timeLabel.setText("")
        if not running:
            self.ui.progressBar.setValue(0)
        if sentence:
            self.ui.statusLabel.setText(sentence)
        elif self.logic.hasPlan() and ready and not fits and not running:
            self.ui.statusLabel.setText(_("The choices have changed; press Plan."))
        elif ready and not running and not self.logic.hasPlan():
            self.ui.statusLabel.setText(_("Press Plan."))
        summary = self.logic.runner().text()
        if summary != self._summary:
            self._summary = summary
            self.ui.summaryText.setPlainText(summary)


#
# CryoNeurolysisLogic
#


class CryoNeurolysisLogic(ScriptedLoadableModuleLogic):
    """Facade for the panel, for tests and for scripts; the work is done by the engine."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        ensureEnginePath()
        self._runner = None

    def getParameterNode(self) -> CryoNeurolysisParameterNode:
        """The scene's parameter node, typed."""
        return CryoNeurolysisParameterNode(super().getParameterNode())

    def runner(self):
        """The case runner of the scene."""
        if self._runner is None:
            from CryoNeurolysisLib.desktop.case_runner import CaseRunner

            self._runner = CaseRunner(slicer.mrmlScene)
        return self._runner

    def choices(self) -> tuple:
        """Targets, probes and protocols, each as a list of (id, text)."""
        from cryoneuro.knowledge import nerves, probes, protocols

        return tuple([(item.id, item.name) for item in items()] for items in (nerves, probes, protocols))

    def hasPlan(self) -> bool:
        """Whether there is something to freeze."""
        case = self.runner().case
        return case is not None and case.plan is not None

    def planWork(self, parameters: CryoNeurolysisParameterNode):
        """A job that plans, to be run by a worker.

        Raises:
            ValueError: the chosen volume cannot be planned on; the message is a sentence for the user.
        """
        from cryoneuro.pipeline import Request

        runner = self.runner()
        ct = runner.readCt(parameters.inputVolume)
        labels = runner.readLabels(parameters.organs)
        request = Request(
            target=parameters.target,
            side=parameters.side,
            probe=parameters.probe or None,
            protocol=parameters.protocol or None,
        )
        return lambda progress, cancelled: runner.plan(ct, request, progress, cancelled, labels)

    def courseIsConfirmed(self) -> bool:
        """Whether the planned course has a person's yes."""
        case = self.runner().case
        return case is not None and case.plan is not None and case.plan.nerve.confirmed

    def confirmCourse(self) -> None:
        """Keep the user's yes to the course; an assessment is made anew."""
        runner = self.runner()
        runner.case = runner.confirm()

    def hasTotalSegmentator(self) -> bool:
        """Whether the extension TotalSegmentator is installed; it is never required."""
        return hasattr(slicer.modules, "totalsegmentator")

    def segmentOrgans(self, volumeNode: vtkMRMLScalarVolumeNode) -> vtkMRMLSegmentationNode:
        """A segmentation of the organs by TotalSegmentator, with the names that the landmark rules know.

        Raises:
            ValueError: the extension is not installed, or no CT is chosen.
        """
        if not self.hasTotalSegmentator():
            raise ValueError(_("TotalSegmentator is not installed; install it with the Extensions Manager."))
        if volumeNode is None:
            raise ValueError(_("Choose a CT first."))
        from TotalSegmentator import TotalSegmentatorLogic

        logic = TotalSegmentatorLogic()
        logic.setupPythonRequirements()
        segmentation = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLSegmentationNode", f"Organs of {volumeNode.GetName()}"
        )
        try:
            logic.process(volumeNode, segmentation, fast=False, task="total")
        except Exception:
            slicer.mrmlScene.RemoveNode(segmentation)
            raise
        return segmentation

    def hasFastSolver(self) -> bool:
        """Whether the compiled solver can be used."""
        from cryoneuro.thermal import compiled_available

        return compiled_available()

    def installFastSolver(self) -> None:
        """Install numba through Slicer's own installer."""
        import importlib

        from cryoneuro.thermal import compiled_available

        installer = getattr(slicer, "packaging", slicer.util)
        installer.pip_install("numba>=0.60")
        importlib.invalidate_caches()
        compiled_available.cache_clear()

    def freezeWork(self):
        """A job that simulates and assesses, to be run by a worker.

        Raises:
            ValueError: nothing has been planned yet.
        """
        runner = self.runner()
        case = runner.case
        if case is None or case.plan is None:
            raise ValueError(_("Nothing has been planned yet; press Plan first."))
        return lambda progress, cancelled: runner.freeze(case, progress, cancelled)

    def show(self, case, volumeNode: vtkMRMLScalarVolumeNode) -> None:
        """Show a case on its CT and go to its target in the slice views.

        Raises:
            ValueError: the CT is no longer in the scene.
        """
        self.runner().show(case, volumeNode)
        if case.plan is not None:
            r, a, s = case.plan.nerve.points_ras_mm.mean(axis=0)
            slicer.modules.markups.logic().JumpSlicesToLocation(float(r), float(a), float(s), True)

    def forget(self) -> None:
        """The scene is gone."""
        self._runner = None

    def makePhantom(self) -> vtkMRMLScalarVolumeNode:
        """The synthetic phantom as a volume node."""
        from cryoneuro.imaging import make_phantom
        from CryoNeurolysisLib.scene.nodes import ctNode

        node = ctNode(slicer.mrmlScene, make_phantom().ct)
        node.SetName(PHANTOM_NAME)
        return node


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
        logic = CryoNeurolysisLogic()
        parameters = logic.getParameterNode()
        parameters.inputVolume = logic.makePhantom()
        parameters.target = "intercostal"
        logic.show(logic.planWork(parameters)(lambda f, t: None, lambda: False), parameters.inputVolume)
        self.assertTrue(logic.hasPlan())
        logic.show(logic.freezeWork()(lambda f, t: None, lambda: False), parameters.inputVolume)
        runner = logic.runner()
        self.assertGreater(len(runner.timesS()), 2)
        self.assertGreater(runner.nodes.isotherms[0.0].GetPolyData().GetNumberOfPoints(), 100)
        self.assertTrue(runner.showTime(1))
        self.delayDisplay("Test passed")

    def test_NoVolumeIsASentence(self) -> None:
        """Without a CT the user gets a sentence."""
        logic = CryoNeurolysisLogic()
        with self.assertRaises(ValueError):
            logic.planWork(logic.getParameterNode())
