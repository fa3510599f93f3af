"""A volume node of the scene as the engine's CT."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from cryoneuro.imaging import ct_from_array
from cryoneuro.model import Acquisition, CtVolume, ImageError, VolumeGeometry

from .convert import arrayOf


def ctFromNode(node: Any) -> CtVolume:
    """The CT that a scalar volume node holds; the voxels are copied.

    Raises:
        ImageError: no volume, an empty one, one under a transform, or values that are no CT numbers.
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
    array = arrayOf(image)
    k, j, i = array.shape
    uids = node.GetAttribute("DICOM.instanceUIDs") or ""
    acquisition = Acquisition(modality="CT" if uids else "", description=node.GetName())
    return ct_from_array(array.copy(), VolumeGeometry((k, j, i), ijk_to_ras), acquisition, node.GetName())
