"""Offscreen slice and 3D views of a scene, drawn to PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

_SLICE_MANAGERS = ("ModelSlice", "Markups")
_SEGMENTATIONS_2D = "vtkMRMLSegmentationsDisplayableManager2D"
_THREED_MANAGERS = ("Camera", "View", "Model", "Markups")
_LINE_PX = 22


class _View:
    """A render window without a screen, fed by MRML displayable managers."""

    def __init__(self, host: Any, size: tuple[int, int], factory: Any, managers: list[str], samples: int) -> None:
        self.size = size
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.ShowWindowOff()
        self.window.SetMultiSamples(samples)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        # The markups manager asks for an interactor even if nobody interacts.
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self.interactor.Initialize()
        self._notes: list[Any] = []
        self._beforeManagers()
        instance = factory.GetInstance()
        instance.SetMRMLApplicationLogic(host.application)
        for name in managers:
            if not instance.IsDisplayableManagerRegistered(name):
                instance.RegisterDisplayableManager(name)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.Initialize(instance, self.renderer)

    def _beforeManagers(self) -> None:
        """For props that must come first in the renderer."""

    def clearNotes(self) -> None:
        """Take texts, letters and scale bar away, to write others."""
        for prop in self._notes:
            self.renderer.RemoveViewProp(prop)
        self._notes.clear()

    def write(self, path: Path, compression: int = 5) -> Path:
        """Render and write a PNG.

        Args:
            compression: 0 to 9; 1 is quick, for pictures that somebody waits for.

        Raises:
            OSError: the file could not be written.
        """
        self.window.Render()
        # A name of its own: the writer does not keep the filter that it reads from alive.
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.SetInputBufferTypeToRGB()
        grab.ShouldRerenderOff()
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetCompressionLevel(compression)
        writer.SetInputConnection(grab.GetOutputPort())
        writer.Write()
        if not path.is_file():
            raise OSError(f"the picture {path} could not be written")
        return path

    def rows(self, lines: list[tuple[str, tuple[float, float, float]]], top: bool) -> None:
        """Colored lines of text with a dark ground, in the lower or upper left corner, first line on top."""
        for number, (words, rgb) in enumerate(lines):
            y = self.size[1] - _LINE_PX * (number + 1) - 4 if top else 8 + _LINE_PX * (len(lines) - 1 - number)
            self._text(words, 8, y, 15).SetColor(*rgb)

    def letters(self, left: str, right: str, top: str, bottom: str) -> None:
        """Directions of the patient at the four edges."""
        width, height = self.size
        for words, x, y in (
            (left, 10, height / 2), (right, width - 22, height / 2),
            (top, width / 2, height - 24), (bottom, width / 2, 8),
        ):  # fmt: skip
            style = self._text(words, x, y, 18)
            style.BoldOn()
            style.SetColor(1.0, 0.85, 0.3)

    def _text(self, words: str, x: float, y: float, size: int) -> Any:
        """Words on a dark ground at pixel (x, y), legible over any picture; returns their text property."""
        actor = vtk.vtkTextActor()
        actor.SetInput(words)
        actor.SetPosition(x, y)
        style = actor.GetTextProperty()
        style.SetFontSize(size)
        style.SetBackgroundColor(0, 0, 0)
        style.SetBackgroundOpacity(0.65)
        self.renderer.AddViewProp(actor)
        self._notes.append(actor)
        return style

    def close(self) -> None:
        """Let go of the scene and the window."""
        self.group.SetMRMLDisplayableNode(None)
        self.window.Finalize()


class SliceView(_View):
    """One of the slice views; `name` is a layout name such as Red."""

    def __init__(self, host: Any, name: str, orientation: str, size: tuple[int, int]) -> None:
        managers = [f"vtkMRML{m}DisplayableManager" for m in _SLICE_MANAGERS] + [_SEGMENTATIONS_2D]
        super().__init__(host, size, slicer.vtkMRMLSliceViewDisplayableManagerFactory, managers, 8)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(host.application)
        host.slice_logics.AddItem(self.logic)
        self.logic.SetMRMLScene(host.scene)
        # The layout logic has made the usual nodes; asking for another of the name gives one outside the scene.
        self.node = host.scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        if self.node:
            self.logic.SetSliceNode(self.node)
        else:
            self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        self.node.SetMappedInLayout(True)
        self.composite = self.logic.GetSliceCompositeNode()
        self.group.SetMRMLDisplayableNode(self.node)
        self.logic.ResizeSliceNode(*size)

    def _beforeManagers(self) -> None:
        # The CT must be the first prop: added later it would cover, or be covered by, translucent fills.
        self.mapper = vtk.vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        self.picture = vtk.vtkActor2D()
        self.picture.SetMapper(self.mapper)
        self.picture.VisibilityOff()
        self.picture.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(self.picture)

    def look(self, point_ras_mm: np.ndarray, across_mm: float, volume: Any) -> None:
        """Show a volume, centered on a point, with across_mm on the shorter side."""
        self.composite.SetBackgroundVolumeID(volume.GetID())
        width, height = self.size
        scale = across_mm / min(width, height)
        self.node.SetFieldOfView(width * scale, height * scale, self.node.GetFieldOfView()[2])
        self.node.JumpSliceByCentering(*[float(v) for v in point_ras_mm])

    def lookAlong(self, point_ras_mm: np.ndarray, direction_ras: np.ndarray, across_mm: float, volume: Any) -> None:
        """The plane that holds a direction and is as near to axial as it can be."""
        up = np.array([0.0, 0.0, 1.0])
        normal = up - direction_ras * float(direction_ras @ up)
        if np.linalg.norm(normal) < 1e-3:
            normal = np.array([0.0, 1.0, 0.0])
        normal /= np.linalg.norm(normal)
        side = np.cross(np.array([0.0, 1.0, 0.0]), normal)
        if np.linalg.norm(side) < 1e-3:
            side = np.array([1.0, 0.0, 0.0])
        side *= -np.sign(side[0] or 1.0) / np.linalg.norm(side)
        self.node.SetSliceToRASByNTP(*normal, *side, *[float(v) for v in point_ras_mm], 0)
        self.look(point_ras_mm, across_mm, volume)

    def write(self, path: Path, compression: int = 5) -> Path:
        self.logic.UpdatePipeline()
        connection = self.logic.GetImageDataConnection()
        if connection is not None:
            self.mapper.SetInputConnection(connection)
        self.picture.SetVisibility(connection is not None)
        return super().write(path, compression)

    def edgeLetters(self) -> None:
        """Letters of the patient's directions as this slice lies now."""
        matrix = self.node.GetSliceToRAS()
        words = []
        for column in (0, 1):
            direction = np.array([matrix.GetElement(row, column) for row in range(3)])
            axis = int(np.argmax(np.abs(direction)))
            positive, negative = ("R", "L") if axis == 0 else ("A", "P") if axis == 1 else ("S", "I")
            words.append((positive, negative) if direction[axis] > 0 else (negative, positive))
        (right, left), (top, bottom) = words
        self.letters(left, right, top, bottom)

    def scaleBar(self, length_mm: float) -> None:
        """A bar of that length in the lower right corner."""
        pixels = length_mm * self.size[0] / self.node.GetFieldOfView()[0]
        right = self.size[0] - 20
        points = vtk.vtkPoints()
        points.InsertNextPoint(right - pixels, 20, 0)
        points.InsertNextPoint(right, 20, 0)
        cells = vtk.vtkCellArray()
        cells.InsertNextCell(2)
        cells.InsertCellPoint(0)
        cells.InsertCellPoint(1)
        line = vtk.vtkPolyData()
        line.SetPoints(points)
        line.SetLines(cells)
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(line)
        bar = vtk.vtkActor2D()
        bar.SetMapper(mapper)
        bar.GetProperty().SetLineWidth(3)
        self.renderer.AddViewProp(bar)
        self._notes.append(bar)
        self._text(f"{length_mm:g} mm", right, 26, 14).SetJustificationToRight()


class ThreeDView(_View):
    """The 3D view."""

    def __init__(self, host: Any, size: tuple[int, int], background: tuple[float, float, float]) -> None:
        managers = [f"vtkMRML{m}DisplayableManager" for m in _THREED_MANAGERS]
        # Multisampling makes translucent shells vanish under depth peeling.
        super().__init__(host, size, slicer.vtkMRMLThreeDViewDisplayableManagerFactory, managers, 0)
        self.node = host.scene.GetSingletonNode("1", "vtkMRMLViewNode")
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)
        self.node.SetBackgroundColor(*background)
        self.node.SetBackgroundColor2(*background)
        self.node.SetMappedInLayout(True)
        self.renderer.SetUseDepthPeeling(True)
        self.renderer.SetMaximumNumberOfPeels(20)
        self.renderer.SetOcclusionRatio(0)
        self.group.SetMRMLDisplayableNode(self.node)
        self.camera = self.group.GetDisplayableManagerByClassName("vtkMRMLCameraDisplayableManager").GetCameraNode()
        self.renderer.SetBackground(*background)

    def look(self, focus_ras_mm: np.ndarray, from_ras_mm: np.ndarray, up_ras: np.ndarray) -> None:
        """Look at a point from a place."""
        self.camera.SetFocalPoint(*[float(v) for v in focus_ras_mm])
        self.camera.SetPosition(*[float(v) for v in from_ras_mm])
        self.camera.SetViewUp(*[float(v) for v in up_ras])
        self.camera.SetViewAngle(30)
        self.camera.ResetClippingRange()
        self.renderer.ResetCameraClippingRange()
