"""Labels that were read from a file as a segmentation of the scene, so that they are saved with it and can be edited."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from cryoneuro.imaging import LabelMap

from .convert import imageData, vtkMatrix


def labelsNode(scene: Any, labels: LabelMap, node: Any = None) -> Any:
    """A segmentation node with a segment for each label (main thread).

    Args:
        node: the user's segmentation from before, which takes the labels; one of the same name is replaced. A new one is made
            when None.
    """
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"Imported from {labels.source}")
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetVisibility(False)
    segmentation = node.GetSegmentation()
    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation.SetSourceRepresentationName(representation)
    for layer in (labels, *labels.further):
        image = slicer.vtkOrientedImageData()
        image.DeepCopy(imageData(layer.labels_kji.astype(np.int16)))
        image.SetImageToWorldMatrix(vtkMatrix(layer.geometry.ijk_to_ras))
        for value, name in layer.names.items():
            segment = slicer.vtkSegment()
            segment.SetName(name)
            segment.SetLabelValue(int(value))
            segment.AddRepresentation(representation, image)
            if segmentation.GetSegment(name) is not None:
                segmentation.RemoveSegment(name)
            segmentation.AddSegment(segment, name)
    return node
