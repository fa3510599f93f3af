"""How cold every neighbor became, and how far it lies from the ice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..anatomy import skin_entries
from ..imaging import sample
from ..knowledge import constant
from ..model import Anatomy, NeighborDose, Structure, StructureRole, ThermalRun, VolumeGeometry

DOSE_ISOTHERMS_C = (10.0, 0.0, -20.0, -40.0)
_CURVE_C = tuple(float(c) for c in range(-140, 40, 5))
_SKIPPED = ("body", "unmeasured", "muscle", "gas")


@dataclass(frozen=True)
class Guard:
    """One neighbor.

    Attributes:
        coldest_c: coldest point of the structure.
        worst_c, best_c: the same if everything lay off by the band, to the bad and to the good side.
        ice_mm: from the structure to the edge of the ice (0 C) at its largest; negative inside the ice.
        frozen_ml: part of it that froze.
        in_box: the structure reaches into the simulated box; outside it stays at body temperature.
        dose: volumes, margins and the temperature-volume curve; None outside the box.
    """

    name: str
    group: str
    coldest_c: float
    worst_c: float
    best_c: float
    ice_mm: float
    frozen_ml: float
    in_box: bool
    dose: NeighborDose | None = None


def guarded(anatomy: Anatomy) -> list[Structure]:
    """Structures that must stay warm."""
    return [s for s in anatomy.structures if s.role is StructureRole.AVOID and s.group not in _SKIPPED]


def neighbor_points(anatomy: Anatomy, geometry: VolumeGeometry) -> list[tuple[str, str, npt.NDArray[np.float64]]]:
    """Name, group and points (N, 3) in RAS of the wall of every neighbor, the skin included, inside a thermal grid."""
    found = []
    for structure in guarded(anatomy):
        mask = structure.mask_kji
        inner = ndimage.binary_erosion(mask) if mask.any() else mask
        found.append((structure.name, structure.group, _points_in_box(mask & ~inner, anatomy, geometry)))
    skin = skin_entries(anatomy).points_ras_mm
    found.append(("skin", "skin", skin[geometry.contains(skin)] if len(skin) else skin))
    return found


def guards(anatomy: Anatomy, run: ThermalRun, band_mm: float) -> tuple[Guard, ...]:
    """Every segmented neighbor and the skin, coldest first."""
    spacing = run.geometry.spacing_mm[0]
    ball = [max(1, round(band_mm / spacing))] * 3
    image = sitk.GetImageFromArray(run.coldest_c)
    worst = sitk.GetArrayFromImage(sitk.GrayscaleErode(image, ball, sitk.sitkBall))
    best = sitk.GetArrayFromImage(sitk.GrayscaleDilate(image, ball, sitk.sitkBall))
    distances = {c: distance_mm(run.coldest_c <= c, spacing) for c in DOSE_ISOTHERMS_C}
    rows = []
    grid_mm = anatomy.geometry.spacing_mm[0]
    voxel_ml = anatomy.geometry.voxel_volume_mm3 / 1000.0
    for structure in guarded(anatomy):
        points = _points_in_box(structure.mask_kji, anatomy, run.geometry)
        rows.append(_guard(structure.name, structure.group, points, run, worst, best, distances, grid_mm, voxel_ml))
    skin = skin_entries(anatomy).points_ras_mm
    skin = skin[run.geometry.contains(skin)] if len(skin) else skin
    rows.append(_guard("skin", "skin", skin, run, worst, best, distances, grid_mm, voxel_ml))
    return tuple(sorted(rows, key=lambda row: row.coldest_c))


def _points_in_box(
    mask_kji: npt.NDArray[np.bool_], anatomy: Anatomy, geometry: VolumeGeometry
) -> npt.NDArray[np.float64]:
    corners = anatomy.geometry.ras_to_ijk(geometry.corners_ras_mm)
    n = np.array(anatomy.geometry.shape_kji[::-1])
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, n)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, n)
    kji = np.argwhere(mask_kji[low[2] : high[2], low[1] : high[1], low[0] : high[0]])
    points = anatomy.geometry.ijk_to_ras_mm(kji[:, ::-1] + low) if len(kji) else np.empty((0, 3))
    result: npt.NDArray[np.float64] = points[geometry.contains(points)] if len(points) else points
    return result


def _with_faces(points: npt.NDArray[np.float64], spacing_mm: float) -> npt.NDArray[np.float64]:
    """Voxel centers and the middles of their six faces: the wall of a structure lies half a voxel outside."""
    steps = 0.5 * spacing_mm * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    result: npt.NDArray[np.float64] = (points[:, None, :] + steps[None]).reshape(-1, 3)
    return result


def _guard(
    name: str,
    group: str,
    points: npt.NDArray[np.float64],
    run: ThermalRun,
    worst: npt.NDArray[np.float32],
    best: npt.NDArray[np.float32],
    distances: dict[float, npt.NDArray[np.float32] | None],
    spacing_mm: float,
    voxel_ml: float,
) -> Guard:
    body = constant("body_temperature_c")
    if not len(points):
        return Guard(name, group, body, body, body, float("inf"), 0.0, False)
    centers = sample(run.coldest_c, run.geometry, points, 1, outside=body)
    frozen = float(np.count_nonzero(centers <= 0.0)) * voxel_ml
    # Only what is coldest at its center can be coldest at its wall; the rest need not be looked at closely.
    close = points[centers <= centers.min() + 40.0]
    wall = _with_faces(close, spacing_mm)
    cold, low, high = (sample(field, run.geometry, wall, 1, outside=body) for field in (run.coldest_c, worst, best))
    margins: list[float | None] = []
    for field in distances.values():
        margins.append(None if field is None else float(sample(field, run.geometry, wall, 1, outside=1e3).min()))
    ordered = np.sort(centers)
    dose = NeighborDose(
        name,
        group,
        float(cold.min()),
        tuple(distances),
        tuple(float(np.searchsorted(ordered, c, side="right")) * voxel_ml for c in distances),
        tuple(margins),
        _CURVE_C,
        tuple(round(float(np.searchsorted(ordered, c, side="right")) * voxel_ml, 4) for c in _CURVE_C),
    )
    ice = margins[DOSE_ISOTHERMS_C.index(0.0)]
    gap = float("inf") if ice is None else ice
    return Guard(name, group, float(cold.min()), float(low.min()), float(high.min()), gap, frozen, True, dose)


def distance_mm(cold: npt.NDArray[np.bool_], spacing_mm: float) -> npt.NDArray[np.float32] | None:
    """Signed distance to the edge of what was so cold, negative inside it; None when nothing was."""
    if not cold.any():
        return None
    image = sitk.SignedMaurerDistanceMap(
        sitk.GetImageFromArray(cold.astype(np.uint8)),
        insideIsPositive=False,
        squaredDistance=False,
        useImageSpacing=False,
    )
    result: npt.NDArray[np.float32] = sitk.GetArrayFromImage(image) * np.float32(spacing_mm)
    return result - np.float32(0.5 * spacing_mm)
