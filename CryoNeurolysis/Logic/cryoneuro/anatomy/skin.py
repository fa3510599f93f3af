"""Where a probe may enter: skin that meets air, and is no edge of the field of view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from ..imaging import KeptForArrays
from ..model import Anatomy, frozen_array
from .morphology import dilate, erode


@dataclass(frozen=True, eq=False)
class SkinEntries:
    """Skin points (N, 3) in RAS mm with outward unit normals (N, 3)."""

    points_ras_mm: npt.NDArray[np.float64]
    normals_ras: npt.NDArray[np.float64]

    def nearest(self, place_ras_mm: npt.ArrayLike) -> tuple[int, float]:
        """Index of the skin point that is nearest to a place (3,), and how far it is, mm."""
        tree = _trees.get((self.points_ras_mm,), None, lambda: cKDTree(self.points_ras_mm))
        distance_mm, index = tree.query(place_ras_mm)
        return int(index), float(distance_mm)


_skins: KeptForArrays[SkinEntries] = KeptForArrays(4)
_trees: KeptForArrays[cKDTree] = KeptForArrays(4)


def skin_entries(anatomy: Anatomy) -> SkinEntries:
    """Every surface voxel of the body that touches measured air outside the body.

    The surface where the body leaves the field of view, and the first and last slices, are no skin.
    """
    no_skin = tuple(s.mask_kji for s in anatomy.structures if s.group in ("unmeasured", "arm"))
    made_from = (anatomy.body_kji, anatomy.tissue.labels_kji, *no_skin)
    return _skins.get(made_from, anatomy.geometry.ijk_to_ras.tobytes(), lambda: _skin_entries(anatomy))


def _skin_entries(anatomy: Anatomy) -> SkinEntries:
    body = anatomy.body_kji
    geometry = anatomy.geometry
    air = anatomy.tissue.labels_kji == 0
    outside = air & ~body
    surface = body & dilate(outside, 1) & ~erode(body, 1)
    # Near the edge of what was measured nobody knows whether the surface is skin.
    edge = np.zeros_like(body)
    edge[:2] = edge[-2:] = True
    edge[:, :2] = edge[:, -2:] = True
    edge[:, :, :2] = edge[:, :, -2:] = True
    for structure in anatomy.structures:
        if structure.group in ("unmeasured", "arm"):
            # Where an arm lies against the trunk no needle comes in.
            edge |= dilate(structure.mask_kji, 2)
    surface &= ~edge
    kji = np.argwhere(surface)
    # Normals of a binary surface are steps; the gradient of a smoothed mask (6 mm) is the skin's.
    smooth = ndimage.gaussian_filter(body.astype(np.float32), 6.0 / geometry.spacing_mm[0], truncate=2.5)
    gradient = np.stack([np.gradient(smooth, axis=axis)[surface] for axis in (2, 1, 0)], axis=1)
    normals = -gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-9)
    points = geometry.ijk_to_ras_mm(kji[:, ::-1])
    return SkinEntries(frozen_array(points, np.float64, 2, "skin"), frozen_array(normals, np.float64, 2, "normals"))
