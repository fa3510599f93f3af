"""A scene with its logics where there is no Slicer application (PyPI slicer-core): command line, tests, web.

Desktop Slicer has all of this already; nothing here is used there.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import slicer
import vtk

_MODULE_LOGICS = {
    "Volumes": "vtkSlicerVolumesLogic",
    "Models": "vtkSlicerModelsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
}
_SCENE_VERSION = "Slicer 5.8.1 33241"
"""Desktop Slicer warns about scenes of another application or of a newer version than its own."""


class HeadlessHost:
    """Owns a scene, the application logic and the module logics; use as a context manager."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cryoneuro-scene-"))
        # VTK's chatter (every file of a bundle, the missing screen) goes to a file; failures are raised as errors.
        window = vtk.vtkFileOutputWindow()
        window.SetFileName(str(self.folder / "vtk.log"))
        vtk.vtkOutputWindow.SetInstance(window)
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
        (self.folder / "share" / "ColorFiles").mkdir(parents=True)
        self.scene = slicer.vtkMRMLScene()
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        self.application = slicer.vtkSlicerApplicationLogic()
        self.application.SetMRMLScene(self.scene)
        self.application.SetTemporaryPath(str(self.folder))
        self.application.SetHomeDirectory(str(self.folder))
        self.application.SetShareDirectory("share")
        # Logics live as long as this object: a discarded color logic takes the color tables with it.
        self.slice_logics, self.view_logics = vtk.vtkCollection(), vtk.vtkCollection()
        self.application.SetSliceLogics(self.slice_logics)
        self.application.SetViewLogics(self.view_logics)
        self._connect_storage()
        self.colors = self._logic("vtkSlicerColorLogic", "Colors")
        self.application.SetColorLogic(self.colors)
        self.colors.AddDefaultColorNodes()
        self.modules = {name: self._logic(kind, name) for name, kind in _MODULE_LOGICS.items()}
        self.layout = slicer.vtkMRMLLayoutLogic()
        self.layout.SetMRMLApplicationLogic(self.application)
        self.layout.SetMRMLScene(self.scene)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        for factory in (
            slicer.vtkMRMLSliceViewDisplayableManagerFactory,
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory,
        ):
            factory.GetInstance().SetMRMLApplicationLogic(self.application)

    def _connect_storage(self) -> None:
        """Reading scene bundles and sequences asks for a data manager and a cache."""
        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._remote.SetMRMLApplicationLogic(self.application)
        self._remote.SetMRMLScene(self.scene)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(str(self.folder / "cache"))
        self._data = slicer.vtkDataIOManagerLogic()
        self._data.SetMRMLApplicationLogic(self.application)
        self._data.SetMRMLScene(self.scene)
        self._data.SetAndObserveDataIOManager(self._remote.GetDataIOManager())
        self._remote.AddDataIOToScene()

    def _logic(self, kind: str, name: str) -> Any:
        logic = getattr(slicer, kind)()
        logic.SetMRMLApplicationLogic(self.application)
        logic.SetMRMLScene(self.scene)
        self.application.SetModuleLogic(name, logic)
        return logic

    def save(self, path: Path) -> None:
        """Write the scene as .mrb, by way of a temporary name.

        Raises:
            OSError: the scene could not be written.
        """
        self.scene.SetVersion(_SCENE_VERSION)
        layout = self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        # The bundle's inner names come from this name, so only its folder is temporary.
        scratch = self.folder / path.name
        self.scene.SetURL(str(scratch))
        self.scene.SetRootDirectory(str(scratch.parent))
        self._packFast()
        messages = slicer.vtkMRMLMessageCollection()
        if not self.scene.WriteToMRB(str(scratch), None, messages):
            raise OSError(f"the scene could not be written: {messages.GetAllMessagesAsString()}")
        beside = path.with_name(f".{path.name}.writing")
        shutil.copyfile(scratch, beside)
        beside.replace(path)
        scratch.unlink()

    def _packFast(self) -> None:
        """Leave packing to the bundle itself: packed twice, a CT takes half a minute instead of seconds."""
        for kind in ("vtkMRMLScalarVolumeNode", "vtkMRMLModelNode"):
            for node in self.scene.GetNodesByClass(kind):
                node.AddDefaultStorageNode()
                node.GetStorageNode().SetUseCompression(False)
        for node in self.scene.GetNodesByClass("vtkMRMLSegmentationNode"):
            node.AddDefaultStorageNode()
            node.GetStorageNode().SetCropToMinimumExtent(True)

    def load(self, path: Path) -> None:
        """Read a .mrb into the scene, replacing what is there.

        Raises:
            OSError: it could not be read.
        """
        messages = slicer.vtkMRMLMessageCollection()
        if not self.scene.ReadFromMRB(str(path), True, messages):
            raise OSError(f"the scene {path} could not be read: {messages.GetAllMessagesAsString()}")

    def close(self) -> None:
        """Remove the temporary files; the scene goes with the last reference to it.

        Clearing the scene here would crash: closed views still observe its singleton nodes.
        """
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> HeadlessHost:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
