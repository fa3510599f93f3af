"""What takes time before a case is shown: surfaces and label images, made in any thread and put into the scene later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from cryoneuro.model import Anatomy, Case, Nerve
from scipy import ndimage

from .convert import imageData, isosurface
from .isotherms import SHOWN_C, Band, bands, isothermSurfaces
from .nodes import SegmentLayers, segmentLayers

CONTEXT_GROUPS = ("bone", "aorta", "vessel", "kidney", "lung")
_CONTEXT_MM = 80.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """Parts of a case that are ready to become nodes; None or empty for what the case does not have.

    Attributes:
        case: what it was made from.
        context: (group, surface) of what lies round the target, for the 3D view.
    """

    case: Case
    layers: SegmentLayers | None = None
    context: tuple[tuple[str, Any], ...] = ()
    isotherms: dict[float, Any] | None = None
    bands: tuple[Band, ...] = ()
    coldest: Any = None


def prepareCase(case: Case, before: Prepared | None = None) -> Prepared:
    """Make what takes time (any thread).

    Args:
        before: prepared for an earlier state of the case; what has not changed is taken from it.
    """
    layers = context = None
    old = None if before is None else before.case
    if before is not None and old is not None and _sameStructures(old.anatomy, case.anatomy):
        layers = before.layers
        if old.plan is not None and case.plan is not None and _sameCourse(old.plan.nerve, case.plan.nerve):
            context = before.context
    if case.anatomy is not None and layers is None:
        layers = segmentLayers(case.anatomy)
    if case.anatomy is not None and case.plan is not None and context is None:
        context = _context(case.anatomy, case.plan.nerve.points_ras_mm.mean(axis=0))
    if case.thermal is None:
        return Prepared(case, layers, context or ())
    if before is not None and old is not None and old.thermal is case.thermal and old.assessment is case.assessment:
        return Prepared(case, layers, context or (), before.isotherms, before.bands, before.coldest)
    ensemble = case.assessment.ensemble if case.assessment is not None else None
    treat_c = SHOWN_C[1] if case.plan is None else case.plan.treat_c
    return Prepared(
        case,
        layers,
        context or (),
        isothermSurfaces(case.thermal.coldest_c, case.thermal.geometry, treat_c),
        bands(case.thermal, treat_c, ensemble),
        imageData(case.thermal.coldest_c),
    )


def _sameCourse(one: Nerve, other: Nerve) -> bool:
    return bool(np.array_equal(one.points_ras_mm, other.points_ras_mm))


def _sameStructures(one: Anatomy | None, other: Anatomy | None) -> bool:
    """Whether two anatomies show the same voxels under the same names, whatever a person has agreed to since."""
    if one is None or other is None or len(one.structures) != len(other.structures):
        return False
    return all(
        a.name == b.name and a.mask_kji is b.mask_kji for a, b in zip(one.structures, other.structures, strict=True)
    )


def _context(anatomy: Anatomy, center_ras_mm: np.ndarray) -> tuple[tuple[str, Any], ...]:
    """Surfaces of what lies round the target: cut to a box, lightly smoothed."""
    geometry = anatomy.geometry
    n = np.array(geometry.shape_kji[::-1])
    reach = _CONTEXT_MM / geometry.spacing_mm[0]
    center = geometry.ras_to_ijk(center_ras_mm)[0]
    low = np.clip(np.floor(center - reach).astype(int), 0, n - 1)
    high = np.clip(np.ceil(center + reach).astype(int) + 1, 1, n)
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, 3] = geometry.ijk_to_ras_mm(low - 1)[0]
    made = []
    for group in CONTEXT_GROUPS:
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
        made.append((group, isosurface(smooth, box, 0.5)))
    return tuple(made)
