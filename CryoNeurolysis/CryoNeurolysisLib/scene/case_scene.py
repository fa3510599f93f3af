"""A whole case as nodes of a scene, in one subject-hierarchy folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryoneuro.knowledge import color
from cryoneuro.model import Case

from .convert import tube, vtkMatrix
from .isotherms import bandNodes, isothermNodes
from .nodes import ctNode, modelNode, nerveNode, segmentationNode, trajectoryNode
from .prepared import Prepared, prepareCase

OWNER = "CryoNeurolysis.Case"
"""Attribute of every node that belongs to a case; the case that is saved with a scene makes them anew."""
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
    shown: Prepared | None = None

    def everything(self) -> list[Any]:
        """All nodes that exist."""
        found = [self.ct, self.segmentation, *self.nerves, *self.trajectories, *self.shafts]
        found += [*self.isotherms.values(), *self.bands, *self.context, self.coldest, self.skin]
        return [node for node in found if node is not None]


def buildCase(scene: Any, case: Case, ct: Any = None, prepared: Prepared | None = None) -> CaseNodes:
    """Make the nodes of a case (main thread).

    Args:
        ct: the volume node that holds the CT already, as in desktop Slicer; made here when None.
        prepared: what takes time, made already by prepareCase; made here when None.
    """
    nodes = CaseNodes(ct if ct is not None else ctNode(scene, case.ct), owns_ct=ct is None)
    hierarchy = scene.GetSubjectHierarchyNode()
    if hierarchy is not None:
        nodes.folder_item = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), f"CryoNeurolysis {case.pseudonym}")
    if nodes.owns_ct:
        # A CT that was there belongs to its patient and study.
        fileNode(scene, nodes, nodes.ct, case.pseudonym)
    updateCase(scene, nodes, case, prepared or prepareCase(case))
    return nodes


def updateCase(scene: Any, nodes: CaseNodes, case: Case, prepared: Prepared) -> None:
    """Bring the nodes to another state of the case (main thread); what has not changed stays, with how it is shown.

    Args:
        prepared: made by prepareCase from this case.
    """
    old = nodes.shown
    before = [node for node in nodes.everything() if node.GetScene() is not None]
    if old is None or old.layers is not prepared.layers or _isGone(nodes.segmentation):
        _drop(scene, [nodes.segmentation])
        nodes.segmentation = None
        if case.anatomy is not None:
            nodes.segmentation = segmentationNode(scene, case.anatomy, nodes.ct, prepared.layers)
    _drop(scene, [*nodes.nerves, *nodes.trajectories, *nodes.shafts])
    nerves = case.anatomy.nerves if case.anatomy is not None else ()
    nodes.nerves = [nerveNode(scene, nerve) for nerve in nerves]
    nodes.trajectories, nodes.shafts = _planNodes(scene, case)
    if old is None or old.context is not prepared.context or any(_isGone(n) for n in nodes.context):
        _drop(scene, nodes.context)
        nodes.context = [
            modelNode(
                scene,
                f"{group.replace('_', ' ').capitalize()} near the target",
                surface,
                color(group),
                _CONTEXT_OPACITY.get(group, 1.0),
                in_slices=False,
            )
            for group, surface in prepared.context
        ]
    ice = [*nodes.isotherms.values(), *nodes.bands, *([nodes.coldest] if nodes.coldest is not None else [])]
    if old is None or old.isotherms is not prepared.isotherms or any(_isGone(n) for n in ice):
        _drop(scene, ice)
        _addIce(scene, nodes, case, prepared)
    nodes.shown = prepared
    for node in nodes.everything():
        if node not in before and not (node is nodes.ct and not nodes.owns_ct):
            fileNode(scene, nodes, node, case.pseudonym)


def _isGone(node: Any) -> bool:
    """Whether somebody has taken the node out of the scene."""
    return node is None or node.GetScene() is None


def _drop(scene: Any, found: list[Any]) -> None:
    for node in found:
        if not _isGone(node):
            removeNode(scene, node)


def _planNodes(scene: Any, case: Case) -> tuple[list[Any], list[Any]]:
    """Lines of the paths, and shafts, cold parts and the nerve as models."""
    trajectories: list[Any] = []
    shafts: list[Any] = []
    if case.plan is None:
        return trajectories, shafts
    for number, planned in enumerate(case.plan.probes, start=1):
        path = planned.trajectory
        trajectories.append(trajectoryNode(scene, f"Probe {number} path", path))
        radius = 0.5 * planned.probe.diameter_mm
        shaft = tube(np.stack([path.entry_ras_mm, path.tip_ras_mm]), radius)
        shafts.append(modelNode(scene, f"Probe {number} shaft", shaft, color("trajectory"), 1.0, 2))
        # A shaft rarely lies in a slice; its shadow on every slice shows where the path goes.
        shafts[-1].GetDisplayNode().SetSliceDisplayModeToProjection()
        cold = tube(planned.cold_ends_ras_mm, 1.15 * radius)
        shafts.append(modelNode(scene, f"Probe {number} cold part", cold, color("probe_active"), 1.0, 2))
    nerve = tube(case.plan.nerve.points_ras_mm, case.plan.nerve.radius_mm)
    shafts.append(modelNode(scene, "Nerve, assumed thickness", nerve, color("nerve"), 1.0, 2))
    return trajectories, shafts


def movePath(nodes: CaseNodes, case: Case) -> None:
    """Let shaft and cold part of the first probe follow a path that is being dragged (main thread)."""
    if case.plan is None or len(nodes.shafts) < 2:
        return
    planned = case.plan.probes[0]
    path, radius = planned.trajectory, 0.5 * planned.probe.diameter_mm
    nodes.shafts[0].SetAndObservePolyData(tube(np.stack([path.entry_ras_mm, path.tip_ras_mm]), radius))
    nodes.shafts[1].SetAndObservePolyData(tube(planned.cold_ends_ras_mm, 1.15 * radius))


def _addIce(scene: Any, nodes: CaseNodes, case: Case, prepared: Prepared) -> None:
    nodes.isotherms, nodes.bands, nodes.coldest = {}, [], None
    if case.thermal is None or prepared.isotherms is None:
        return
    nodes.isotherms = isothermNodes(scene, prepared.isotherms)
    nodes.bands = bandNodes(scene, prepared.bands)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Coldest temperature, C")
    node.SetAndObserveImageData(prepared.coldest)
    node.SetIJKToRASMatrix(vtkMatrix(case.thermal.geometry.ijk_to_ras))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(-80.0, 37.0)
    nodes.coldest = node


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
    # Where no application does it, the hierarchy would go on pointing at a node that is gone.
    hierarchy = scene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    if item:
        hierarchy.RemoveItem(item, False, False)
    scene.RemoveNode(node)
    if node.IsA("vtkMRMLSegmentationNode"):
        # A segment that goes erases itself from the label image that it shares with others: slow, and the image is used again.
        segmentation = node.GetSegmentation()
        for number in range(segmentation.GetNumberOfSegments()):
            segmentation.GetNthSegment(number).RemoveAllRepresentations()
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


def removeLeftovers(scene: Any, ct: Any, owner: str = "") -> None:
    """Take out what an earlier session of the program has left in a scene that was saved and opened; the CT stays.

    Args:
        owner: only what belongs to this case; empty for every case.
    """
    marked = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    marked = [
        n for n in marked if n.GetAttribute(OWNER) and n is not ct and (not owner or n.GetAttribute(OWNER) == owner)
    ]
    found = CaseNodes(ct, context=marked, owns_ct=False)
    hierarchy = scene.GetSubjectHierarchyNode()
    if hierarchy is not None and marked:
        item = hierarchy.GetItemByDataNode(marked[0])
        found.folder_item = hierarchy.GetItemParent(item) if item else 0
        if found.folder_item == hierarchy.GetSceneItemID():
            found.folder_item = 0
    removeCase(scene, found)
