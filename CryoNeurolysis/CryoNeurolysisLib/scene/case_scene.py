"""A whole case as nodes of a scene, in one subject-hierarchy folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryoneuro.knowledge import color
from cryoneuro.model import Anatomy, Case
from scipy import ndimage

from .convert import isosurface, tube
from .isotherms import bandNodes, isothermNodes
from .nodes import ctNode, modelNode, nerveNode, segmentationNode, trajectoryNode, volumeNode

OWNER = "CryoNeurolysis.Case"
"""Attribute of every node that belongs to a case; the case that is saved with a scene makes them anew."""
_CONTEXT_MM = 80.0
_CONTEXT_GROUPS = ("bone", "aorta", "vessel", "kidney", "lung")
_CONTEXT_OPACITY = {"lung": 0.1, "kidney": 0.35, "bone": 0.55, "aorta": 0.6, "vessel": 0.6}


@dataclass
class CaseNodes:
    """The nodes of a case; None or empty for what the case does not have yet."""

    ct: Any
    segmentation: Any = None
    nerves: list[Any] = field(default_factory=list)
    trajectories: list[Any] = field(default_factory=list)
    shafts: list[Any] = field(default_factory=list)
    isotherms: dict[float, Any] = field(default_factory=dict)
    bands: list[Any] = field(default_factory=list)
    context: list[Any] = field(default_factory=list)
    coldest: Any = None
    skin: Any = None
    owns_ct: bool = True
    folder_item: int = 0

    def everything(self) -> list[Any]:
        """All nodes that exist."""
        found = [self.ct, self.segmentation, *self.nerves, *self.trajectories, *self.shafts]
        found += [*self.isotherms.values(), *self.bands, *self.context, self.coldest, self.skin]
        return [node for node in found if node is not None]


def buildCase(scene: Any, case: Case, ct: Any = None) -> CaseNodes:
    """Make the nodes of a case.

    Args:
        ct: the volume node that holds the CT already, as in desktop Slicer; made here when None.
    """
    nodes = CaseNodes(ct if ct is not None else ctNode(scene, case.ct), owns_ct=ct is None)
    if case.anatomy is not None:
        nodes.segmentation = segmentationNode(scene, case.anatomy, nodes.ct)
        nodes.nerves = [nerveNode(scene, nerve) for nerve in case.anatomy.nerves]
    if case.plan is not None:
        _addPlan(scene, case, nodes)
    if case.thermal is not None:
        nodes.isotherms = isothermNodes(scene, case.thermal.coldest_c, case.thermal.geometry)
        ensemble = case.assessment.ensemble if case.assessment is not None else None
        nodes.bands = bandNodes(scene, case.thermal, doubt=ensemble)
        nodes.coldest = volumeNode(scene, "Coldest temperature, C", case.thermal.coldest_c, case.thermal.geometry)
        nodes.coldest.GetDisplayNode().SetAutoWindowLevel(False)
        nodes.coldest.GetDisplayNode().SetWindowLevelMinMax(-80.0, 37.0)
    _file(scene, case, nodes)
    return nodes


def _addPlan(scene: Any, case: Case, nodes: CaseNodes) -> None:
    assert case.plan is not None
    for number, planned in enumerate(case.plan.probes, start=1):
        path = planned.trajectory
        nodes.trajectories.append(trajectoryNode(scene, f"Probe {number} path", path))
        radius = 0.5 * planned.probe.diameter_mm
        shaft = tube(np.stack([path.entry_ras_mm, path.tip_ras_mm]), radius)
        nodes.shafts.append(modelNode(scene, f"Probe {number} shaft", shaft, color("trajectory"), 1.0, 2))
        # A shaft rarely lies in a slice; its shadow on every slice shows where the path goes.
        nodes.shafts[-1].GetDisplayNode().SetSliceDisplayModeToProjection()
        cold = tube(planned.cold_ends_ras_mm, 1.15 * radius)
        nodes.shafts.append(modelNode(scene, f"Probe {number} cold part", cold, color("probe_active"), 1.0, 2))
    nerve = tube(case.plan.nerve.points_ras_mm, case.plan.nerve.radius_mm)
    nodes.shafts.append(modelNode(scene, "Nerve, assumed thickness", nerve, color("nerve"), 1.0, 2))
    if case.anatomy is not None:
        nodes.context = _context(scene, case.anatomy, case.plan.nerve.points_ras_mm.mean(axis=0))


def _context(scene: Any, anatomy: Anatomy, center_ras_mm: np.ndarray) -> list[Any]:
    """Surfaces of what lies round the target, for the 3D view: cut to a box, lightly smoothed."""
    geometry = anatomy.geometry
    n = np.array(geometry.shape_kji[::-1])
    reach = _CONTEXT_MM / geometry.spacing_mm[0]
    center = geometry.ras_to_ijk(center_ras_mm)[0]
    low = np.clip(np.floor(center - reach).astype(int), 0, n - 1)
    high = np.clip(np.ceil(center + reach).astype(int) + 1, 1, n)
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, 3] = geometry.ijk_to_ras_mm(low - 1)[0]
    made = []
    for group in _CONTEXT_GROUPS:
        masks = [
            s.mask_kji[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
            for s in anatomy.structures
            if s.group == group
        ]
        if not masks or not any(m.any() for m in masks):
            continue
        solid = np.pad(np.logical_or.reduce(masks).astype(np.float32), 1)
        smooth = ndimage.gaussian_filter(solid, 0.7)
        box = type(geometry)((solid.shape[0], solid.shape[1], solid.shape[2]), matrix)
        surface = isosurface(smooth, box, 0.5)
        opacity = _CONTEXT_OPACITY.get(group, 1.0)
        name = f"{group.replace('_', ' ').capitalize()} near the target"
        made.append(modelNode(scene, name, surface, color(group), opacity, in_slices=False))
    return made


def _file(scene: Any, case: Case, nodes: CaseNodes) -> None:
    """Put every node under one folder of the subject hierarchy."""
    hierarchy = scene.GetSubjectHierarchyNode()
    if hierarchy is not None:
        nodes.folder_item = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), f"CryoNeurolysis {case.pseudonym}")
    for node in nodes.everything():
        if node is nodes.ct and not nodes.owns_ct:
            continue  # it belongs to its patient and study
        fileNode(scene, nodes, node, case.pseudonym)


def removeCase(scene: Any, nodes: CaseNodes) -> None:
    """Take a case's nodes out of the scene, with their display and storage nodes and their folder; a CT that was there stays."""
    for node in nodes.everything():
        if (node is nodes.ct and not nodes.owns_ct) or node.GetScene() is None:
            continue
        removeNode(scene, node)
    hierarchy = scene.GetSubjectHierarchyNode()
    if hierarchy is not None and nodes.folder_item:
        hierarchy.RemoveItem(nodes.folder_item, False, False)


def removeNode(scene: Any, node: Any) -> None:
    """Take a node out of the scene, with its display and storage nodes."""
    companions: list[Any] = []
    if node.IsA("vtkMRMLDisplayableNode"):
        companions += [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        companions += [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]
    scene.RemoveNode(node)
    for companion in companions:
        if companion is not None and companion.GetScene() is not None:
            scene.RemoveNode(companion)


def fileNode(scene: Any, nodes: CaseNodes, node: Any, owner: str) -> None:
    """Mark one more node as the case's and put it into its folder."""
    node.SetAttribute(OWNER, owner)
    hierarchy = scene.GetSubjectHierarchyNode()
    if hierarchy is None or not nodes.folder_item:
        return
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, nodes.folder_item)
    else:
        hierarchy.CreateItem(nodes.folder_item, node)


def removeLeftovers(scene: Any, ct: Any) -> None:
    """Take out what an earlier session of the program has left in a scene that was saved and opened; the CT stays."""
    marked = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    marked = [node for node in marked if node.GetAttribute(OWNER) and node is not ct]
    found = CaseNodes(ct, context=marked, owns_ct=False)
    hierarchy = scene.GetSubjectHierarchyNode()
    if hierarchy is not None and marked:
        item = hierarchy.GetItemByDataNode(marked[0])
        found.folder_item = hierarchy.GetItemParent(item) if item else 0
        if found.folder_item == hierarchy.GetSceneItemID():
            found.folder_item = 0
    removeCase(scene, found)
