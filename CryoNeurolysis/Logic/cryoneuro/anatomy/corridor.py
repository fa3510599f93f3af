"""What lies round a nerve along its course: fat, neighbors, and where the picture ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging import sample
from ..knowledge import tissue
from ..model import Anatomy, AnatomyError, Nerve, StructureRole
from .window import window_round

_STEP_MM = 1.0


@dataclass(frozen=True, eq=False)
class Corridor:
    """Profiles (N,) along a course.

    Attributes:
        distance_mm: along the course.
        fat_fraction: share of fat in a ball of radius_mm round each point; fat halves the radius of ice. NaN where less
            than half of the ball is in view.
        in_view: False where the course has left the image.
        neighbors: (structure, distances (N,)): from the centerline to the nearest wall of it, mm; negative inside it.
    """

    radius_mm: float
    distance_mm: npt.NDArray[np.float64]
    fat_fraction: npt.NDArray[np.float64]
    in_view: npt.NDArray[np.bool_]
    neighbors: tuple[tuple[str, npt.NDArray[np.float64]], ...]

    @property
    def leaves_view_at_mm(self) -> float | None:
        """Distance along the course where it first leaves the image; None when it stays in view."""
        out = np.flatnonzero(~self.in_view)
        return float(self.distance_mm[out[0]]) if len(out) else None


def corridor(anatomy: Anatomy, nerve: Nerve, radius_mm: float = 10.0) -> Corridor:
    """The tissue within radius_mm of a course; neighbors nearest first, those beyond twice the radius left out.

    Raises:
        AnatomyError: a radius that is not between 1 and 50 mm.
    """
    if not 1.0 <= radius_mm <= 50.0:
        raise AnatomyError(f"The corridor's radius must be 1 to 50 mm, but is {radius_mm} mm.")
    total = float(nerve.arc_length_mm[-1])
    distance = np.linspace(0.0, total, max(2, int(np.ceil(total / _STEP_MM)) + 1))
    points = nerve.at(distance)
    geometry = anatomy.geometry
    grid_mm = geometry.spacing_mm[0]
    in_view = geometry.contains(points)
    reach = int(np.ceil(radius_mm / grid_mm))
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    ball = grid_mm * steps[np.linalg.norm(steps, axis=1) * grid_mm <= radius_mm]
    around = (points[:, None, :] + ball[None]).reshape(-1, 3)
    labels = sample(anatomy.tissue.labels_kji.astype(np.float32), geometry, around, 0).reshape(len(points), -1)
    known = np.isfinite(labels) & (labels != 0)
    fat = (labels == tissue("fat").label).sum(axis=1)
    share = np.where(known.mean(axis=1) >= 0.5, fat / np.maximum(known.sum(axis=1), 1), np.nan)
    rows = []
    kji = geometry.ras_to_ijk(points)[:, ::-1]
    low, high = window_round(kji, 2.0 * radius_mm / grid_mm + 2.0, geometry.shape_kji)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    local = kji - low
    for structure in anatomy.structures:
        mask = structure.mask_kji[window]
        if structure.role is not StructureRole.AVOID or not mask.any():
            continue
        signed = ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)
        signed = (signed - np.sign(signed) * 0.5) * grid_mm
        values = ndimage.map_coordinates(signed, local.T, order=1, mode="nearest")
        values[~in_view] = np.nan
        if np.nanmin(values, initial=np.inf) <= 2.0 * radius_mm:
            rows.append((structure.name, values))
    rows.sort(key=lambda row: float(np.nanmin(row[1])))
    return Corridor(radius_mm, distance, share, in_view, tuple(rows))
