"""Where the voxels of a volume lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .content import frozen_array
from .errors import CryoNeuroError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VolumeGeometry:
    """Grid of a volume: shape (k, j, i) and the 4 x 4 matrix from (i, j, k, 1) to RAS in mm.

    Raises:
        CryoNeuroError: an axis shorter than one voxel, a matrix that is singular, sheared or not affine.
    """

    shape_kji: tuple[int, int, int]
    ijk_to_ras: FloatArray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape_kji)
        if len(shape) != 3 or min(shape) < 1:
            raise CryoNeuroError(f"A volume needs three axes of at least one voxel, but its shape is {shape}.")
        object.__setattr__(self, "shape_kji", shape)
        matrix = frozen_array(self.ijk_to_ras, np.float64, 2, "ijk_to_ras")
        if matrix.shape != (4, 4) or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise CryoNeuroError("ijk_to_ras must be a 4 x 4 affine matrix.")
        axes = matrix[:3, :3]
        lengths = np.linalg.norm(axes, axis=0)
        if lengths.min() <= 0 or not np.isfinite(lengths).all():
            raise CryoNeuroError(f"Voxel spacing must be positive, but is {' x '.join(f'{v:g}' for v in lengths)} mm.")
        unit = axes / lengths
        if not np.allclose(unit.T @ unit, np.eye(3), atol=1e-3):
            raise CryoNeuroError("The image axes are not at right angles; resample the image to a regular grid first.")
        object.__setattr__(self, "ijk_to_ras", matrix)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, VolumeGeometry)
            and self.shape_kji == other.shape_kji
            and np.allclose(self.ijk_to_ras, other.ijk_to_ras, rtol=0, atol=1e-4)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge along i, j, k in mm."""
        lengths = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm3."""
        return float(np.prod(self.spacing_mm))

    @property
    def is_ras_aligned(self) -> bool:
        """True when i, j, k run along +R, +A, +S."""
        axes = self.ijk_to_ras[:3, :3]
        return bool(np.allclose(axes, np.diag(np.diag(axes)), atol=1e-6) and (np.diag(axes) > 0).all())

    def ijk_to_ras_mm(self, points_ijk: npt.ArrayLike) -> FloatArray:
        """Points (N, 3) from voxel indices (i, j, k) to RAS in mm."""
        points = np.atleast_2d(np.asarray(points_ijk, dtype=np.float64))
        result: FloatArray = points @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]
        return result

    def ras_to_ijk(self, points_ras_mm: npt.ArrayLike) -> FloatArray:
        """Points (N, 3) from RAS in mm to continuous voxel indices (i, j, k)."""
        points = np.atleast_2d(np.asarray(points_ras_mm, dtype=np.float64))
        inverse = np.linalg.inv(self.ijk_to_ras)
        result: FloatArray = points @ inverse[:3, :3].T + inverse[:3, 3]
        return result

    def contains(self, points_ras_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """For points (N, 3) in RAS: whether each lies inside the outer faces of the volume."""
        ijk = self.ras_to_ijk(points_ras_mm)
        upper = np.array(self.shape_kji[::-1]) - 0.5
        return np.asarray(((ijk >= -0.5) & (ijk <= upper)).all(axis=1))

    @property
    def center_ras_mm(self) -> FloatArray:
        """Center of the volume in RAS, mm."""
        result: FloatArray = self.ijk_to_ras_mm((np.array(self.shape_kji[::-1]) - 1) / 2.0)[0]
        return result

    @property
    def corners_ras_mm(self) -> FloatArray:
        """The eight outer corners (8, 3) in RAS, mm."""
        n = np.array(self.shape_kji[::-1])
        steps = np.array([[i, j, k] for k in (0, 1) for j in (0, 1) for i in (0, 1)])
        return self.ijk_to_ras_mm(steps * n - 0.5)


def across(axis: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two unit vectors (3,) across an axis and across each other."""
    one = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    one /= np.linalg.norm(one)
    return one, np.cross(axis, one)


def moved(matrix: npt.NDArray[np.float64], points_ras_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Points (N, 3) or (3,) through a rigid (4, 4) matrix, RAS mm."""
    points = np.asarray(points_ras_mm, dtype=np.float64)
    result: npt.NDArray[np.float64] = points @ matrix[:3, :3].T + matrix[:3, 3]
    return result


def inverse_of(matrix: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The inverse (4, 4) of a matrix (4, 4)."""
    result: npt.NDArray[np.float64] = np.linalg.inv(np.asarray(matrix, dtype=np.float64))
    return result
