"""What the application offers beside scene and views: DICOM database, Segment Editor, other extensions, installer, pictures.

Each is looked for when it is needed; a function whose name begins with `has` says whether it is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _


def acquisition(volume: Any, position: str = "") -> Any:
    """What is known of a scan beside its voxels: from the DICOM database, and how the patient lies from the user.

    Args:
        position: as DICOM says it; empty takes what the file says.
    """
    from cryoneuro.imaging import patient_key
    from cryoneuro.model import Acquisition

    uids = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    said = {}
    if uids and hasDicomDatabase():
        file = slicer.dicomDatabase.fileForInstance(uids[0])
        tags = {
            "patient_position": "0018,5100",
            "study_uid": "0020,000d",
            "series_uid": "0020,000e",
            "frame_of_reference_uid": "0020,0052",
        }
        said = {name: slicer.dicomDatabase.fileValue(file, tag) for name, tag in tags.items()} if file else {}
        if file:
            who = (slicer.dicomDatabase.fileValue(file, tag) or "" for tag in ("0010,0020", "0010,0030"))
            said["patient_key"] = patient_key(*who)
    if position:
        said["patient_position"] = position
    return Acquisition(modality="CT" if uids else "", description=volume.GetName(), **said)


def checkIsClear(check: Any, target: str) -> bool:
    """Whether nothing is unknown and nothing speaks against it before the procedure."""
    from cryoneuro.assessment import check_findings
    from cryoneuro.model import Status

    return all(f.status is Status.OK for f in check_findings(check, target))


def hasDicomDatabase() -> bool:
    """Whether a DICOM database is open."""
    database = getattr(slicer, "dicomDatabase", None)
    return database is not None and bool(database.isOpen)


def loadNewestCt() -> Any:
    """The CT series that was added to the DICOM database last.

    Raises:
        ValueError: there is none, or it cannot be loaded.
    """
    if not hasDicomDatabase():
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


def ctFilesOfDatabase() -> dict[str, list[str]]:
    """Files of every CT series in the DICOM database by series UID; empty where none is open."""
    if not hasDicomDatabase():
        return {}
    database = slicer.dicomDatabase
    return {
        series: [str(path) for path in database.filesForSeries(series)]
        for patient in database.patients()
        for study in database.studiesForPatient(patient)
        for series in database.seriesForStudy(study)
        if database.fieldForSeries("Modality", series) == "CT"
    }


def showInSlices(volume: Any, place_ras_mm: Any) -> None:
    """Show a volume in the slice views, at a place."""
    util = slicer.util
    if hasattr(util, "setSliceViewerLayers"):
        util.setSliceViewerLayers(background=volume)
    for name in ("Red", "Yellow", "Green"):
        node = slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{name}")
        if node is not None:
            node.JumpSliceByCentering(*[float(v) for v in place_ras_mm])


def hasSegmentEditor() -> bool:
    """Whether the Segment Editor is there."""
    return hasattr(slicer.modules, "segmenteditor")


def openEditor(segmentation: Any, volume: Any) -> None:
    """Show a segmentation in the Segment Editor."""
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(segmentation)
    editor.setSourceVolumeNode(volume)


def copySegmentation(source: Any, target: Any) -> Any:
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


def hasTotalSegmentator() -> bool:
    """Whether the extension TotalSegmentator is installed; it is never required."""
    return hasattr(slicer.modules, "totalsegmentator")


def segmentOrgans(volumeNode: Any) -> Any:
    """A segmentation of the organs by TotalSegmentator, with the names that the landmark rules know.

    Raises:
        ValueError: the extension is not installed, or no CT is chosen.
    """
    if not hasTotalSegmentator():
        raise ValueError(_("TotalSegmentator is not installed; install it with the Extensions Manager."))
    if volumeNode is None:
        raise ValueError(_("Choose a CT first."))
    from TotalSegmentator import TotalSegmentatorLogic

    logic = TotalSegmentatorLogic()
    logic.setupPythonRequirements()
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Organs of {volumeNode.GetName()}")
    try:
        logic.process(volumeNode, segmentation, fast=False, task="total")
    except Exception:
        slicer.mrmlScene.RemoveNode(segmentation)
        raise
    return segmentation


def hasFastSolver() -> bool:
    """Whether the compiled solver can be used; told without loading the engine."""
    import importlib.util

    return importlib.util.find_spec("numba") is not None


def installFastSolver() -> None:
    """Install numba through Slicer's own installer, when the user agrees; without it everything works, only slower."""
    import importlib

    from cryoneuro.thermal import compiled_available

    question = _("Install the Python package numba? Freezing then runs several times faster. It needs the internet.")
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Cryoneurolysis")):
        return
    installer = getattr(slicer, "packaging", slicer.util)
    installer.pip_install("numba>=0.60")
    importlib.invalidate_caches()
    compiled_available.cache_clear()


def offerPackage(name: str, requirement: str, why: str) -> None:
    """Install a Python package through Slicer's own installer where it is missing and the user agrees.

    Args:
        name: as it is imported; requirement: as pip knows it; why: what it is for.
    """
    import importlib
    import importlib.util

    if importlib.util.find_spec(name) is not None:
        return
    question = _("{why} needs the Python package {name}. Install it? It needs the internet.").format(why=why, name=name)
    if slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Cryoneurolysis")):
        installer = getattr(slicer, "packaging", slicer.util)
        installer.pip_install(requirement)
        importlib.invalidate_caches()


def viewPictures(folder: Path) -> tuple[Any, ...]:
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
        "Thick lines: the isotherms as shown; CT itself shows the 0 C edge only. Thin: where the one that treats may lie as well."
    )
    found = []
    for number, (words, view) in enumerate(views):
        path = folder / f"view{number}.png"
        capture.captureImageFromView(view, str(path))
        if path.is_file():
            found.append(Picture(path, f"{words}. {band}"))
    return tuple(found)
