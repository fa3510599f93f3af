"""Where a live scan roughly lies in the planning CT: every shift is tried at once, on coarse voxels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import fft, ndimage

from ..imaging import on_volume, to_sitk, working_geometry
from ..model import CtVolume, VolumeGeometry

Array = npt.NDArray[np.float64]
COARSE_MM = 6.0
_LEAST_OVERLAP = 0.6


def coarse(ct: CtVolume) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], VolumeGeometry]:
    """A CT on coarse voxels, where it was measured, and the grid."""
    factors = [max(1, round(COARSE_MM / 2.0 / s)) for s in ct.geometry.spacing_mm]
    image = sitk.BinShrink(to_sitk(np.clip(ct.array_kji, -1024, 600).astype(np.int16), ct.geometry), factors)
    corners = ct.geometry.corners_ras_mm
    grid = working_geometry(corners.min(axis=0), corners.max(axis=0), COARSE_MM, ct.name)
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    matrix = np.asarray(ct.geometry.ijk_to_ras).copy()
    matrix[:3, 3] += matrix[:3, :3] @ (0.5 * (np.array(factors) - 1))
    matrix[:3, :3] *= factors
    source = VolumeGeometry(array.shape, matrix)
    values = on_volume(array, source, grid, -2000.0)
    measured = values > -1500.0
    return np.clip(values, -300.0, 400.0), measured, grid


def rough_shifts(
    plan: tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], VolumeGeometry],
    live: tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], VolumeGeometry],
    reach_mm: float | None = None,
    most: int = 3,
    apart_mm: float = 18.0,
) -> list[tuple[Array, float]]:
    """The best shifts (3,) from live to plan in RAS mm, each with its correlation, best first.

    Correlation over the voxels that both have measured, for all shifts at once by Fourier transform (D. Padfield, Masked
    object registration in the Fourier domain, IEEE Trans. Image Process. 2012;21:2706).

    Args:
        reach_mm: longest shift that is tried; None tries all that leave most of the smaller of the two within the other.
    """
    fixed, fixed_mask, fixed_grid = plan
    moving, moving_mask, moving_grid = live
    shape = [fft.next_fast_len(a + b - 1, real=True) for a, b in zip(fixed.shape, moving.shape, strict=True)]

    def forward(values: npt.NDArray[np.generic], flip: bool) -> npt.NDArray[np.complex64]:
        array = values.astype(np.float32)
        return fft.rfftn(array[::-1, ::-1, ::-1] if flip else array, shape)  # type: ignore[no-any-return]

    mean = float(moving[moving_mask].mean()) if moving_mask.any() else 0.0
    f1 = np.where(fixed_mask, fixed - mean, 0.0) / 300.0
    f2 = np.where(moving_mask, moving - mean, 0.0) / 300.0
    m1, m2 = forward(fixed_mask, False), forward(moving_mask, True)
    one, two = forward(f1, False), forward(f2, True)

    def back(spectrum: npt.NDArray[np.complex64]) -> npt.NDArray[np.float32]:
        return fft.irfftn(spectrum, shape)  # type: ignore[no-any-return]

    count = np.maximum(back(m1 * m2), 1e-3)
    sum1, sum2 = back(one * m2), back(m1 * two)
    above = back(one * two) - sum1 * sum2 / count
    var1 = back(forward(f1 * f1, False) * m2) - sum1**2 / count
    var2 = back(m1 * forward(f2 * f2, True)) - sum2**2 / count
    below = np.sqrt(np.maximum(var1, 0.0) * np.maximum(var2, 0.0))
    score = np.where(below > 1e-3 * below.max(), above / np.maximum(below, 1e-6), -1.0)
    # A scan may show more than the planning CT, or the other way round: what the smaller of both holds counts.
    score[count < _LEAST_OVERLAP * float(count.max())] = -1.0
    # Voxel (0, 0, 0) of the flipped scan lies at its far end.
    zero = np.array(moving.shape) - 1
    origin = (fixed_grid.ijk_to_ras[:3, 3] - moving_grid.ijk_to_ras[:3, 3])[::-1]
    axes = [(np.arange(n) - z) * COARSE_MM + o for n, z, o in zip(shape, zero, origin, strict=True)]
    valid = [np.arange(n) < a + b - 1 for n, a, b in zip(shape, fixed.shape, moving.shape, strict=True)]
    score[~(valid[0][:, None, None] & valid[1][None, :, None] & valid[2][None, None, :])] = -1.0
    if reach_mm is not None:
        far = axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None, :] ** 2
        score[far > reach_mm**2] = -1.0
    peaks = score == ndimage.maximum_filter(score, size=3)
    where = np.argwhere(peaks & (score > 0.0))
    order = np.argsort(-score[tuple(where.T)])
    found: list[tuple[Array, float]] = []
    for k, j, i in where[order]:
        shift = np.array([axes[2][i], axes[1][j], axes[0][k]])
        if all(np.linalg.norm(shift - other) >= apart_mm for other, _ in found):
            found.append((shift, float(score[k, j, i])))
        if len(found) == most:
            break
    return found
