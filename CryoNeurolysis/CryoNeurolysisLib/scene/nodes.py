"""Single objects as MRML nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from cryoneuro.knowledge import color
from cryoneuro.model import Anatomy, CtVolume, Nerve, Structure, StructureRole, Trajectory, VolumeGeometry
from cryoneuro.session.segmentation import Place, layers_of

from .convert import imageData, vtkMatrix

WINDOW_HU, LEVEL_HU = 400.0, 40.0
"""The usual soft-tissue window."""


def volumeNode(scene: Any, name: str, array_kji: np.ndarray, geometry: VolumeGeometry) -> Any:
    """A scalar volume."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetAndObserveImageData(imageData(array_kji))
    node.SetIJKToRASMatrix(vtkMatrix(geometry.ijk_to_ras))
    node.CreateDefaultDisplayNodes()
    return node


def ctNode(scene: Any, ct: CtVolume) -> Any:
    """The CT with a soft-tissue window."""
    node = volumeNode(scene, ct.name or "CT", ct.array_kji, ct.geometry)
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(WINDOW_HU, LEVEL_HU)
    return node


@dataclass(frozen=True, eq=False)
class SegmentLayers:
    """Structures as few label images that hold them all, ready to be put into a segmentation."""

    structures: tuple[Structure, ...]
    images: tuple[Any, ...]
    places: tuple[Place, ...]


def segmentLayers(anatomy: Anatomy) -> SegmentLayers:
    """The images of a segmentation (any thread); what was not measured is left out."""
    structures = tuple(s for s in anatomy.structures if s.group != "unmeasured")
    layers, places = layers_of(structures)
    images = []
    for layer in layers:
        image = slicer.vtkOrientedImageData()
        image.DeepCopy(imageData(layer))
        image.SetImageToWorldMatrix(vtkMatrix(anatomy.geometry.ijk_to_ras))
        images.append(image)
    return SegmentLayers(structures, tuple(images), tuple(places))


def segmentationNode(scene: Any, anatomy: Anatomy, reference: Any, layers: SegmentLayers | None = None) -> Any:
    """Every structure as a segment, outlined in the slices; what was not measured is left out.

    Args:
        reference: the volume that the structures were found in; None where the scene does not hold it.
        layers: made already by segmentLayers; made here when None.
    """
    layers = layers or segmentLayers(anatomy)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Anatomy")
    node.CreateDefaultDisplayNodes()
    # The CT is named as the reference, but the segments keep the anatomy's own grid: saving would otherwise bring every
    # one of them to the finer grid of the CT, a third of a second each.
    if reference is not None:
        node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), reference.GetID())
    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(representation)
    for structure, place in zip(layers.structures, layers.places, strict=True):
        segment = slicer.vtkSegment()
        segment.SetName(structure.name.replace("_", " "))
        segment.SetColor(*color(structure.group))
        segment.SetLabelValue(place.label)
        segment.AddRepresentation(representation, layers.images[place.layer])
        segmentation.AddSegment(segment, structure.name)
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(1)
    display.SetVisibility3D(False)
    # What a path may pass needs no outline; it would only cover what matters.
    for structure in layers.structures:
        if structure.role is StructureRole.PASS:
            display.SetSegmentVisibility(structure.name, False)
    return node


def modelNode(
    scene: Any,
    name: str,
    surface: vtk.vtkPolyData,
    rgb: tuple[float, float, float],
    opacity: float = 1.0,
    thickness: int = 2,
    in_slices: bool = True,
    in_3d: bool = True,
) -> Any:
    """A surface in RAS as a model, with its intersection in the slices."""
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAndObservePolyData(surface)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*rgb)
    display.SetOpacity(opacity)
    display.SetSliceDisplayModeToIntersection()
    display.SetSliceIntersectionThickness(thickness)
    display.SetVisibility2D(in_slices)
    display.SetVisibility3D(in_3d)
    display.BackfaceCullingOff()
    return node


def _markup(scene: Any, kind: str, name: str, points_ras_mm: np.ndarray, rgb: tuple[float, float, float]) -> Any:
    node = scene.AddNewNodeByClass(kind, name)
    node.CreateDefaultDisplayNodes()
    for point in points_ras_mm:
        node.AddControlPoint(vtk.vtkVector3d(*[float(v) for v in point]))
    display = node.GetDisplayNode()
    display.SetColor(*rgb)
    display.SetSelectedColor(*rgb)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(1.5)
    display.SetCurveLineSizeMode(display.UseLineDiameter)
    display.SetLineDiameter(0.8)
    display.SetSliceProjection(True)
    display.SetSliceProjectionUseFiducialColor(True)
    display.SetSliceProjectionOpacity(0.7)
    # Otherwise the line fades to black a few millimeters off the slice.
    display.SetLineColorFadingStart(1e3)
    display.SetLineColorFadingEnd(2e3)
    node.SetLocked(True)
    return node


def nerveNode(scene: Any, nerve: Nerve) -> Any:
    """The course as a curve."""
    node = _markup(scene, "vtkMRMLMarkupsCurveNode", nerve.name, nerve.points_ras_mm, color("nerve"))
    node.SetCurveTypeToLinear()
    return node


def trajectoryNode(scene: Any, name: str, trajectory: Trajectory) -> Any:
    """A path as a line from entry to tip."""
    ends = np.stack([trajectory.entry_ras_mm, trajectory.tip_ras_mm])
    return _markup(scene, "vtkMRMLMarkupsLineNode", name, ends, color("trajectory"))


def otherPathNode(scene: Any, number: int, trajectory: Trajectory) -> Any:
    """A path that could be taken instead, with its number at the entry."""
    ends = np.stack([trajectory.entry_ras_mm, trajectory.tip_ras_mm])
    node = _markup(scene, "vtkMRMLMarkupsLineNode", f"Path {number}", ends, color("other"))
    display = node.GetDisplayNode()
    display.SetLineDiameter(0.5)
    node.SetNthControlPointLabel(0, f"{number}")
    node.SetNthControlPointLabel(1, "")
    display.SetPointLabelsVisibility(True)
    display.SetTextScale(3.0)
    return node
