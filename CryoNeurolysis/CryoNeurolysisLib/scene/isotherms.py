"""Isotherm surfaces as models, and the band of doubt round them."""

from __future__ import annotations

from typing import Any

import numpy as np
from cryoneuro.assessment import neighbor_band_mm
from cryoneuro.knowledge import color
from cryoneuro.model import Doubt, ThermalRun, VolumeGeometry
from scipy import ndimage

from .convert import isosurface
from .nodes import modelNode

SHOWN_C = (0.0, -20.0, -40.0)
_OPACITY = {0.0: 0.25, -20.0: 0.4, -40.0: 0.6}


def isothermColor(isotherm_c: float) -> tuple[float, float, float]:
    """Color of an isotherm, from the data."""
    return color(f"isotherm_{isotherm_c:g}")


def isothermNodes(scene: Any, field_kji: np.ndarray, geometry: VolumeGeometry) -> dict[float, Any]:
    """A model for each shown isotherm of a temperature field; its surface is empty where it is not reached."""
    nodes = {}
    for isotherm in SHOWN_C:
        surface = isosurface(field_kji, geometry, isotherm)
        nodes[isotherm] = modelNode(
            scene, f"Isotherm {isotherm:g} C", surface, isothermColor(isotherm), _OPACITY[isotherm], 3
        )
    return nodes


def updateIsotherms(nodes: dict[float, Any], field_kji: np.ndarray, geometry: VolumeGeometry) -> None:
    """Give existing isotherm models the surfaces of another time."""
    for isotherm, node in nodes.items():
        node.SetAndObservePolyData(isosurface(field_kji, geometry, isotherm))


def bandNodes(scene: Any, run: ThermalRun, isotherm_c: float = -20.0, doubt: Doubt | None = None) -> list[Any]:
    """Where the isotherm may lie as well: two thin outlines.

    From a sample of runs they enclose what is that cold in 84 and in 16 of a hundred; without one they lie one sigma of
    model and targeting nearer and farther.
    """
    if doubt is not None and doubt.probability is not None and doubt.geometry is not None:
        nodes = []
        chance = doubt.probability[doubt.isotherms_c.index(isotherm_c)]
        for level, word in ((0.84, "at least"), (0.16, "at most")):
            surface = isosurface(1.0 - chance, doubt.geometry, 1.0 - level)
            if surface.GetNumberOfPoints():
                name = f"Isotherm {isotherm_c:g} C, {word}"
                nodes.append(modelNode(scene, name, surface, isothermColor(isotherm_c), 0.15, 1, in_3d=False))
        return nodes
    cold = run.coldest_c <= isotherm_c
    if not cold.any():
        return []
    spacing = run.geometry.spacing_mm[0]
    distance = ndimage.distance_transform_edt(~cold) - ndimage.distance_transform_edt(cold)
    distance = (distance - np.sign(distance) * 0.5) * spacing
    band = neighbor_band_mm()
    nodes = []
    for sign, word in ((-1.0, "at least"), (1.0, "at most")):
        surface = isosurface(distance.astype(np.float32), run.geometry, sign * band)
        if not surface.GetNumberOfPoints():
            continue  # thinner than the band: at least nowhere
        name = f"Isotherm {isotherm_c:g} C, {word}"
        nodes.append(modelNode(scene, name, surface, isothermColor(isotherm_c), 0.15, 1, in_3d=False))
    return nodes
