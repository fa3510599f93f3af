"""A live scan with the plan laid under it: one transform carries everything of the planning CT into the scan's frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from cryoneuro.assessment import neighbor_band_mm
from cryoneuro.guidance import LivePicture, temperature_at
from cryoneuro.knowledge import color, constant
from cryoneuro.model import Case

from .case_scene import OWNER, removeNode
from .convert import isosurface, tube, vtkMatrix
from .isotherms import SHOWN_C, bandNodes, bands, isothermNodes, isothermSurfaces
from .nodes import LEVEL_HU, WINDOW_HU, modelNode, nerveNode, segmentationNode, volumeNode

_PLANNED_RGB = (0.75, 0.75, 0.75)
_SEEN_RGB = (1.0, 1.0, 1.0)


class LiveScene:
    """Nodes of a procedure; a bad scan leaves the last good ones as they are (main thread).

    Attributes:
        ct: volume node of the last good scan; None before it.
        transform: linear transform node, planning CT to live scan.
    """

    def __init__(self, scene: Any, case: Case) -> None:
        self.scene, self.case = scene, case
        self.ct: Any = None
        self.transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Planning CT to live scan")
        self.transform.SetAttribute(OWNER, case.pseudonym)
        self._still: list[Any] = self._planned()
        self._moving: list[Any] = []
        self.shown: LivePicture | None = None

    def show(self, picture: LivePicture) -> bool:
        """Bring the nodes to a live picture; False when it is not good, then nothing changes."""
        if not picture.good or picture.alignment is None:
            return False
        self._showScan(picture)
        self.transform.SetMatrixTransformToParent(vtkMatrix(picture.alignment.plan_to_live))
        for node in self._moving:
            if node.GetScene() is not None:
                removeNode(self.scene, node)
        self._moving = self._asItIs(picture)
        for node in (*self._still, *self._moving):
            node.SetAndObserveTransformNodeID(self.transform.GetID())
            node.SetAttribute(OWNER, self.case.pseudonym)
        self.shown = picture
        return True

    def clear(self) -> None:
        """Take everything out of the scene again."""
        for node in (*self._moving, *self._still, self.ct, self.transform):
            if node is not None and node.GetScene() is not None:
                removeNode(self.scene, node)
        self._moving, self._still, self.ct, self.shown = [], [], None, None

    def _showScan(self, picture: LivePicture) -> None:
        ct = picture.ct
        fresh = volumeNode(self.scene, f"Live scan {picture.number}", ct.array_kji, ct.geometry)
        display = fresh.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(WINDOW_HU, LEVEL_HU)
        fresh.SetAttribute(OWNER, self.case.pseudonym)
        if self.ct is not None and self.ct.GetScene() is not None:
            removeNode(self.scene, self.ct)
        self.ct = fresh

    def _planned(self) -> list[Any]:
        """What does not change from scan to scan: structures, nerve, planned paths."""
        assert self.case.plan is not None and self.case.anatomy is not None
        nodes = [segmentationNode(self.scene, self.case.anatomy, None)]
        nerve = self.case.plan.nerve
        nodes.append(nerveNode(self.scene, nerve))
        course = tube(nerve.points_ras_mm, nerve.radius_mm)
        nodes.append(modelNode(self.scene, "Nerve, assumed thickness", course, color("nerve"), 1.0, 2))
        for number, planned in enumerate(self.case.plan.probes, start=1):
            path = planned.trajectory
            shaft = tube(np.stack([path.entry_ras_mm, path.tip_ras_mm]), 0.5 * planned.probe.diameter_mm)
            nodes.append(modelNode(self.scene, f"Probe {number} as planned", shaft, _PLANNED_RGB, 0.6, 1))
            nodes[-1].GetDisplayNode().SetSliceDisplayModeToProjection()
        return nodes

    def _asItIs(self, picture: LivePicture) -> list[Any]:
        """Probes, isotherms with their doubt, and seen ice of one scan, in the planning CT's frame."""
        nodes: list[Any] = []
        if picture.plan is not None:
            for number, placed in enumerate(picture.plan.probes, start=1):
                path, radius = placed.trajectory, 0.5 * placed.probe.diameter_mm
                shaft = tube(np.stack([path.entry_ras_mm, path.tip_ras_mm]), radius)
                nodes.append(modelNode(self.scene, f"Probe {number} as it lies", shaft, color("trajectory"), 1.0, 2))
                nodes[-1].GetDisplayNode().SetSliceDisplayModeToProjection()
                cold = tube(placed.cold_ends_ras_mm, 1.15 * radius)
                nodes.append(modelNode(self.scene, f"Probe {number} cold part", cold, color("probe_active"), 1.0, 2))
        if picture.run is not None:
            treat_c = SHOWN_C[1] if picture.plan is None else picture.plan.treat_c
            field = picture.run.coldest_c
            if picture.frozen_s is not None:
                field = temperature_at(picture.run, picture.now_s)
            nodes += isothermNodes(self.scene, isothermSurfaces(field, picture.run.geometry, treat_c)).values()
            nodes += bandNodes(self.scene, bands(picture.run, treat_c, None, field, bandOf(picture)))
        ice = picture.ice
        if ice is not None and ice.seen_kji.any():
            edge = isosurface(-ice.inside_mm_kji, ice.geometry, 0.0)
            nodes.append(modelNode(self.scene, "Ice that is seen", edge, _SEEN_RGB, 0.2, 2))
            for mask, word in ((ice.sure_kji, "at least"), (ice.perhaps_kji, "at most")):
                if mask.any():
                    outline = isosurface(1.0 - mask.astype(np.float32), ice.geometry, 0.5)
                    nodes.append(
                        modelNode(self.scene, f"Ice that is seen, {word}", outline, _SEEN_RGB, 0.1, 1, in_3d=False)
                    )
        return nodes


def bandOf(picture: LivePicture) -> float:
    """One sigma of where an isotherm lies in the live scan: model, real tip and alignment; the usual one without them, mm."""
    if picture.alignment is None or not picture.targeting:
        return neighbor_band_mm()
    # The probe has been seen, so that its own place is known better than before it was placed.
    tip = max(t.sigma_mm for t in picture.targeting)
    return math.hypot(constant("model_isotherm_error_mm"), math.hypot(tip, picture.alignment.sigma_mm))
