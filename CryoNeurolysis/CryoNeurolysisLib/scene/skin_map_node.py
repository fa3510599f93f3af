"""The skin colored by what a path from there would be."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from cryoneuro.knowledge import color
from cryoneuro.model import Anatomy, CandidateSet
from cryoneuro.planning import skin_map
from scipy.spatial import cKDTree
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from .convert import isosurface
from .nodes import modelNode

_REACH_MM = 6.0
"""Entries are thinned to 3 mm; skin farther away from the nearest one was not tried and is left out."""
_SHADES = 10


def skinMapSurface(anatomy: Anatomy, found: CandidateSet) -> Any:
    """The skin where paths were tried, colored (any thread): light where a good path begins, dark a poor one, gray none."""
    places = skin_map(found)
    surface = isosurface(anatomy.body_kji, anatomy.geometry, 0.5)
    tree = cKDTree(places.entry_ras_mm)
    distance, nearest = tree.query(vtk_to_numpy(surface.GetPoints().GetData()), distance_upper_bound=_REACH_MM)
    seen = np.isfinite(distance)
    cost = places.cost[np.where(seen, nearest, 0)]
    open_to = np.isfinite(cost) & seen
    shade = np.zeros(len(cost), np.float32)
    if open_to.any():
        low, high = np.nanmin(places.cost), np.nanmax(places.cost)
        shade[open_to] = 1.0 + (_SHADES - 1) * (cost[open_to] - low) / max(high - low, 1e-9)
    shade[~seen] = -1.0
    scalars = numpy_to_vtk(shade, deep=True)
    scalars.SetName("Path")
    surface.GetPointData().SetScalars(scalars)
    tried = vtk.vtkThreshold()
    tried.SetInputData(surface)
    tried.SetThresholdFunction(vtk.vtkThreshold.THRESHOLD_UPPER)
    tried.SetUpperThreshold(-0.5)
    outside = vtk.vtkGeometryFilter()
    outside.SetInputConnection(tried.GetOutputPort())
    outside.Update()
    return outside.GetOutput()


def skinMapNode(scene: Any, surface: Any) -> Any:
    """A model of a surface that skinMapSurface has made (main thread)."""
    node = modelNode(scene, "Skin map", surface, color("skin"), 0.85, in_slices=False)
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(_colors(scene).GetID())
    display.SetActiveScalarName("Path")
    display.SetScalarVisibility(True)
    display.SetScalarRangeFlag(display.UseManualScalarRange)
    display.SetScalarRange(0.0, float(_SHADES))
    node.SetDescription(
        "Light: best path from there; dark: poorest that holds every limit; gray: none holds every limit."
    )
    return node


def _colors(scene: Any) -> Any:
    """Gray for no path, then light yellow to dark violet, which can be told apart without seeing color."""
    existing = scene.GetFirstNodeByName("CryoNeurolysis skin map colors")
    if existing is not None:
        return existing
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "CryoNeurolysis skin map colors")
    node.SetTypeToUser()
    node.SetNumberOfColors(_SHADES + 1)
    node.SetColor(0, "no path holds every limit", 0.45, 0.45, 0.45, 1.0)
    best, poorest = np.array([1.0, 0.93, 0.45]), np.array([0.25, 0.05, 0.45])
    for n in range(_SHADES):
        share = n / (_SHADES - 1)
        node.SetColor(n + 1, f"path {n + 1}", *((1 - share) * best + share * poorest), 1.0)
    node.SetHideFromEditors(True)
    return node
