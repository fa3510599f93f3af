"""A segmentation node of the scene as labels for the engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import slicer
import vtk
from cryoneuro.imaging import LabelMap
from cryoneuro.model import ImageError, VolumeGeometry

from .convert import arrayOf


@dataclass(frozen=True, eq=False)
class LabelSource:
    """Segments of a segmentation node at one moment: cheap to take on the main thread, read in any.

    Attributes:
        segments: image, label value and name of each.
    """

    name: str
    segments: tuple[tuple[Any, int, str], ...]

    def read(self) -> LabelMap:
        """Every segment under its name, on the grid it is stored on; segments that overlap each keep all their voxels.

        Raises:
            ImageError: no segment has any voxel.
        """
        maps = []
        for image, value, name in self.segments:
            array = arrayOf(image) == value
            if array.any():
                maps.append(LabelMap(array.astype(np.uint8), _geometry(image), {1: name}, self.name))
        if not maps:
            raise ImageError(
                f"{self.name} has no voxels in any segment; create its binary labelmap (Segmentations module) or draw in it."
            )
        return replace(maps[0], further=tuple(maps[1:]))


def labelSource(node: Any) -> LabelSource | None:
    """What a segmentation node holds now (main thread); None for no node or one without segments.

    Raises:
        ImageError: the segmentation lies under a transform, or has no voxels (surfaces only).
    """
    segmentation = None if node is None else node.GetSegmentation()
    if segmentation is None or segmentation.GetNumberOfSegments() == 0:
        return None
    if node.GetParentTransformNode() is not None:
        raise ImageError(
            f"{node.GetName()} lies under a transform; harden the transform (Transforms module) or take it off, "
            "so that it lies where the CT lies."
        )
    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    found = []
    for number in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(number)
        image = segment.GetRepresentation(representation)
        if image is not None and image.GetPointData().GetScalars() is not None:
            found.append((image, segment.GetLabelValue(), segment.GetName() or f"segment {number + 1}"))
    if not found:
        raise ImageError(
            f"{node.GetName()} has no voxels in any segment; create its binary labelmap (Segmentations module) or draw in it."
        )
    return LabelSource(node.GetName(), tuple(found))


def labelsFromSegmentation(node: Any) -> LabelMap | None:
    """Every segment of a segmentation node under its name; None for no node or one without segments.

    Raises:
        ImageError: see labelSource and LabelSource.read.
    """
    source = labelSource(node)
    return None if source is None else source.read()


def _geometry(image: Any) -> VolumeGeometry:
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    to_ras = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    extent = image.GetExtent()
    # The array begins where the extent begins, not at the image's origin.
    to_ras[:3, 3] += to_ras[:3, :3] @ [extent[0], extent[2], extent[4]]
    i, j, k = (extent[2 * n + 1] - extent[2 * n] + 1 for n in range(3))
    return VolumeGeometry((k, j, i), to_ras)
