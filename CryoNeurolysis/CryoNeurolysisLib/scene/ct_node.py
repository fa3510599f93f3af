"""A volume node of the scene as the engine's CT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import vtk
from cryoneuro.model import Acquisition, CtVolume, ImageError, VolumeGeometry

from .convert import arrayOf


@dataclass(frozen=True, eq=False)
class CtSource:
    """What a volume node holds at one moment: cheap to take on the main thread, read in any.

    Attributes:
        image: the voxels; they are not copied before read().
    """

    image: Any
    ijk_to_ras: np.ndarray
    name: str
    acquisition: Acquisition

    @property
    def geometry(self) -> VolumeGeometry:
        """Grid of the voxels."""
        i, j, k = self.image.GetDimensions()
        return VolumeGeometry((k, j, i), self.ijk_to_ras)

    def read(self) -> CtVolume:
        """The CT; the voxels are copied (any thread).

        Raises:
            ImageError: values that are no CT numbers.
        """
        from cryoneuro.imaging import ct_from_array

        return ct_from_array(arrayOf(self.image).copy(), self.geometry, self.acquisition, self.name)


def ctSource(node: Any, acquisition: Acquisition | None = None) -> CtSource:
    """What a scalar volume node holds now (main thread).

    Args:
        acquisition: what is known of the scan beside its voxels; None takes what the node itself says.

    Raises:
        ImageError: no volume, an empty one, one under a transform, or one with several values per voxel.
    """
    image = None if node is None else node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        raise ImageError("No CT is chosen, or the chosen volume is empty; load a CT and choose it.")
    if image.GetNumberOfScalarComponents() != 1:
        raise ImageError(f"{node.GetName()} has several values per voxel; a CT has one (is this a color image?).")
    if node.GetParentTransformNode() is not None:
        raise ImageError(
            f"{node.GetName()} lies under a transform; harden the transform (Transforms module) or take it off, "
            "so that planning and pictures use the same place."
        )
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ijk_to_ras = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    if acquisition is None:
        acquisition = Acquisition("CT" if node.GetAttribute("DICOM.instanceUIDs") else "", description=node.GetName())
    return CtSource(image, ijk_to_ras, node.GetName(), acquisition)


def ctFromNode(node: Any) -> CtVolume:
    """The CT that a scalar volume node holds; the voxels are copied.

    Raises:
        ImageError: see ctSource and CtSource.read.
    """
    return ctSource(node).read()
