"""The working grid: RAS-aligned, isotropic, its voxel centers at fixed places of the world.

Because the lattice is anchored at the world's origin and not at the image's corner, a CT that is stored in another
axis order, flipped or oblique gives the same voxels at the same places, and so the same plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..model import CtVolume, ImageError, VolumeGeometry
from .read import NO_DATA_HU
from .sitk_bridge import to_sitk

AIR_HU = -1024
_MAX_VOXELS = 120_000_000


@dataclass(frozen=True, eq=False)
class WorkingCt:
    """A CT on the working grid.

    Attributes:
        array_kji: int16 HU (k, j, i).
        measured_kji: bool; False where the scanner measured nothing (outside the volume or its field of view).
    """

    array_kji: npt.NDArray[np.int16]
    measured_kji: npt.NDArray[np.bool_]
    geometry: VolumeGeometry


def working_geometry(
    low_ras_mm: npt.ArrayLike, high_ras_mm: npt.ArrayLike, grid_mm: float, name: str = "image"
) -> VolumeGeometry:
    """The part of the world lattice of spacing grid_mm whose centers lie between two corners (3,) in RAS mm.

    Raises:
        ImageError: the grid would hold too many voxels.
    """
    low = np.ceil(np.asarray(low_ras_mm, dtype=float) / grid_mm - 1e-6)
    high = np.floor(np.asarray(high_ras_mm, dtype=float) / grid_mm + 1e-6)
    count = np.maximum((high - low + 1).astype(int), 1)
    if float(np.prod(count.astype(float))) > _MAX_VOXELS:
        raise ImageError(
            f"At {grid_mm:g} mm the {name} would have {count[0]} x {count[1]} x {count[2]} voxels, more than fit "
            f"in memory; use a coarser grid (--grid-mm {2 * grid_mm:g})."
        )
    matrix = np.diag([grid_mm, grid_mm, grid_mm, 1.0])
    matrix[:3, 3] = low * grid_mm
    return VolumeGeometry((int(count[2]), int(count[1]), int(count[0])), matrix)


def _resample(image: sitk.Image, geometry: VolumeGeometry, interpolator: int, default: float) -> npt.NDArray[Any]:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.ijk_to_ras
    spacing = np.array(geometry.spacing_mm)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in geometry.shape_kji[::-1]])
    resampler.SetOutputSpacing([float(s) for s in spacing])
    resampler.SetOutputOrigin([float(v) for v in lps[:3, 3]])
    resampler.SetOutputDirection([float(v) for v in (lps[:3, :3] / spacing).ravel()])
    resampler.SetInterpolator(interpolator)
    resampler.SetDefaultPixelValue(default)
    result: npt.NDArray[Any] = sitk.GetArrayFromImage(resampler.Execute(image))
    return result


def working_ct(ct: CtVolume, grid_mm: float) -> WorkingCt:
    """Resample a CT to the working grid; voxels finer than the grid are averaged, not skipped.

    Args:
        grid_mm: edge of the working voxels, 0.5 to 5 mm.

    Raises:
        ImageError: a grid outside that range, or too large.
    """
    if not 0.5 <= grid_mm <= 5.0:
        raise ImageError(f"The working grid must be 0.5 to 5 mm, but is {grid_mm:g} mm.")
    corners = ct.geometry.corners_ras_mm
    geometry = working_geometry(corners.min(axis=0), corners.max(axis=0), grid_mm, ct.name)
    no_data = ct.array_kji == NO_DATA_HU
    has_padding = bool(no_data.any())
    image = to_sitk(np.maximum(ct.array_kji, AIR_HU), ct.geometry)
    factors = [max(1, int(grid_mm / s)) for s in ct.geometry.spacing_mm]
    if max(factors) > 1:
        image = sitk.BinShrink(image, factors)
    hu = _resample(image, geometry, sitk.sitkLinear, AIR_HU).astype(np.int16)
    valid = to_sitk((~no_data).astype(np.uint8), ct.geometry) if has_padding else None
    if valid is None:
        valid = to_sitk(np.ones(ct.geometry.shape_kji, np.uint8), ct.geometry)
    measured = _resample(valid, geometry, sitk.sitkNearestNeighbor, 0).astype(bool)
    return WorkingCt(hu, measured, geometry)


def on_grid(ct: CtVolume, geometry: VolumeGeometry) -> WorkingCt:
    """A CT on a grid that is a part of its working lattice; beyond the CT nothing is measured."""
    working = working_ct(ct, geometry.spacing_mm[0])
    start = np.rint(working.geometry.ras_to_ijk(geometry.ijk_to_ras_mm([[0, 0, 0]]))[0][::-1]).astype(int)
    sizes = zip(start, geometry.shape_kji, working.array_kji.shape, strict=True)
    index = [np.arange(first, first + count) for first, count, _ in sizes]
    inside = [(n >= 0) & (n < size) for n, size in zip(index, working.array_kji.shape, strict=True)]
    clipped = [np.clip(n, 0, size - 1) for n, size in zip(index, working.array_kji.shape, strict=True)]
    within = inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]
    box = np.ix_(*clipped)
    return WorkingCt(working.array_kji[box], working.measured_kji[box] & within, geometry)


def on_volume(
    array_kji: npt.NDArray[Any], source: VolumeGeometry, target: VolumeGeometry, default: float
) -> npt.NDArray[np.float32]:
    """Linear resampling of values (k, j, i) to any other grid, float32; `default` outside."""
    values = array_kji if array_kji.dtype == np.float32 else array_kji.astype(np.float32)
    return _resample(to_sitk(values, source), target, sitk.sitkLinear, default)


def label_on_grid(labels_kji: npt.NDArray[Any], source: VolumeGeometry, target: VolumeGeometry) -> npt.NDArray[Any]:
    """Nearest-neighbor resampling of labels (k, j, i) to another grid; 0 outside."""
    return _resample(to_sitk(labels_kji, source), target, sitk.sitkNearestNeighbor, 0)


def sample(
    array_kji: npt.NDArray[Any],
    geometry: VolumeGeometry,
    points_ras_mm: npt.NDArray[np.float64],
    order: int = 1,
    outside: float = np.nan,
) -> npt.NDArray[np.float64]:
    """Values (N,) of an array at points (N, 3) in RAS mm; order 1 is trilinear, 0 nearest."""
    ijk = geometry.ras_to_ijk(points_ras_mm)
    values: npt.NDArray[np.float64] = ndimage.map_coordinates(
        array_kji, ijk[:, ::-1].T, output=np.float64, order=order, mode="nearest"
    )
    values[~geometry.contains(points_ras_mm)] = outside
    return values
