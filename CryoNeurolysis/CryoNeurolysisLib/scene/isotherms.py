"""Isotherm surfaces as models, and the band of doubt round them."""

from __future__ import annotations

from dataclasses import dataclass
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
_OPACITY_ELSE = 0.4


@dataclass(frozen=True, eq=False)
class Band:
    """One outline of where an isotherm may lie as well."""

    name: str
    isotherm_c: float
    surface: Any


def isothermColor(isotherm_c: float) -> tuple[float, float, float]:
    """Color of an isotherm, from the data; one that a plan treats at and the data does not know has a color of its own."""
    return color(f"isotherm_{isotherm_c:g}" if isotherm_c in SHOWN_C else "isotherm_else")


def shownC(treat_c: float | None) -> tuple[float, ...]:
    """Isotherms that are drawn, warmest first: the usual ones, and that which treats the nerve."""
    return tuple(sorted({*SHOWN_C, *([] if treat_c is None else [float(treat_c)])}, reverse=True))


def isothermWords(treat_c: float, edge: str, treated: str) -> list[tuple[str, float]]:
    """What each drawn isotherm is: words for the edge of the ice and for that which treats, the number for the others."""
    words = {0.0: edge} | {float(treat_c): treated}
    return [(words.get(c, f"{c:g} C"), c) for c in shownC(treat_c)]


def isothermSurfaces(field_kji: np.ndarray, geometry: VolumeGeometry, treat_c: float | None = None) -> dict[float, Any]:
    """The surface of each shown isotherm of a temperature field (any thread); empty where it is not reached."""
    return {isotherm: isosurface(field_kji, geometry, isotherm) for isotherm in shownC(treat_c)}


def isothermNodes(scene: Any, surfaces: dict[float, Any]) -> dict[float, Any]:
    """A model for each isotherm."""
    return {
        c: modelNode(scene, f"Isotherm {c:g} C", surface, isothermColor(c), _OPACITY.get(c, _OPACITY_ELSE), 3)
        for c, surface in surfaces.items()
    }


def updateIsotherms(nodes: dict[float, Any], field_kji: np.ndarray, geometry: VolumeGeometry) -> None:
    """Give existing isotherm models the surfaces of another time; one that was removed by hand is left out."""
    for isotherm, node in nodes.items():
        if node.GetScene() is not None:
            node.SetAndObservePolyData(isosurface(field_kji, geometry, isotherm))


def bands(
    run: ThermalRun,
    isotherm_c: float = -20.0,
    doubt: Doubt | None = None,
    field_kji: np.ndarray | None = None,
    band_mm: float | None = None,
) -> tuple[Band, ...]:
    """Where the isotherm may lie as well: two thin outlines (any thread).

    Args:
        field_kji: temperatures of a moment instead of the coldest ones.
        band_mm: one sigma, when it is not the usual one of model and targeting.

    From a sample of runs they enclose what is that cold in 84 and in 16 of a hundred; without one they lie one sigma of
    model and targeting nearer and farther.
    """
    if doubt is not None and doubt.probability is not None and doubt.geometry is not None:
        chance = doubt.probability[doubt.isotherms_c.index(isotherm_c)]
        found = [
            (isosurface(1.0 - chance, doubt.geometry, 1.0 - level), word)
            for level, word in ((0.84, "at least"), (0.16, "at most"))
        ]
    else:
        cold = (run.coldest_c if field_kji is None else field_kji) <= isotherm_c
        if not cold.any():
            return ()
        spacing = run.geometry.spacing_mm[0]
        distance = ndimage.distance_transform_edt(~cold) - ndimage.distance_transform_edt(cold)
        distance = ((distance - np.sign(distance) * 0.5) * spacing).astype(np.float32)
        band = neighbor_band_mm() if band_mm is None else band_mm
        # Thinner than the band: at least nowhere.
        found = [
            (isosurface(distance, run.geometry, sign * band), word)
            for sign, word in ((-1.0, "at least"), (1.0, "at most"))
        ]
    return tuple(
        Band(f"Isotherm {isotherm_c:g} C, {word}", isotherm_c, surface)
        for surface, word in found
        if surface.GetNumberOfPoints()
    )


def bandNodes(scene: Any, found: tuple[Band, ...]) -> list[Any]:
    """A model for each outline, in the slices only."""
    return [modelNode(scene, b.name, b.surface, isothermColor(b.isotherm_c), 0.15, 1, in_3d=False) for b in found]
