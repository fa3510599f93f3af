"""The steady field round a cold cylinder, which ties a thin probe to a coarse grid.

A probe of 1.5 mm in a grid of 1 mm cannot be drawn with voxels. Instead Laplace's equation is solved once round the
true finite cylinder; the grid's voxels near the probe are then linked to it just so strongly that this true field is
a steady state of the discrete equations, whatever the angle and offset ("harmonic fit").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.interpolate import RectBivariateSpline
from scipy.sparse.linalg import spsolve

_OUTER_MM = 40.0
_GROWTH = 1.12


@dataclass(frozen=True, eq=False)
class NearField:
    """Harmonic function round a cylinder along z, centered at the origin: 0 on its surface, 1 far away."""

    radius_mm: float
    length_mm: float
    spline: RectBivariateSpline

    def __call__(self, r_mm: npt.NDArray[np.float64], z_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Value at cylindrical coordinates (N,), 0 inside the probe."""
        z = np.abs(z_mm)
        value = self.spline.ev(np.log(np.maximum(r_mm, 1e-3) + 0.1 * self.radius_mm), z)
        inside = (r_mm <= self.radius_mm) & (z <= 0.5 * self.length_mm)
        result: npt.NDArray[np.float64] = np.where(inside, 0.0, np.maximum(value, 0.0))
        return result


def _graded(start: float, end: float, first: float) -> npt.NDArray[np.float64]:
    """Cell edges from start to end, the first cell `first` long, each next one larger by the growth factor."""
    edges = [start]
    step = first
    while edges[-1] + step < end:
        edges.append(edges[-1] + step)
        step *= _GROWTH
    edges.append(end)
    return np.array(edges)


@lru_cache(maxsize=32)
def near_field(diameter_mm: float, length_mm: float) -> NearField:
    """Solve Laplace's equation round a cylinder, finite volumes in (r, z), z symmetric.

    Args:
        diameter_mm, length_mm: of the cold surface.
    """
    a, half = 0.5 * diameter_mm, 0.5 * length_mm
    outer = half + _OUTER_MM
    first = a / 14.0
    r_edges = np.concatenate([np.linspace(0.0, a, 9)[:-1], _graded(a, outer, first)])
    inward = half - _graded(0.0, half, first)[::-1]
    outward = _graded(half, outer, first)[1:]
    z_edges = np.concatenate([inward, outward])
    r, z = 0.5 * (r_edges[1:] + r_edges[:-1]), 0.5 * (z_edges[1:] + z_edges[:-1])
    nr, nz = len(r), len(z)
    area_r = 2 * np.pi * r_edges[1:-1, None] * np.diff(z_edges)[None, :]
    area_z = np.pi * np.diff(r_edges**2)[:, None]
    conduct_r = area_r / np.diff(r)[:, None]
    conduct_z = area_z / np.diff(z)[None, :]
    number = np.arange(nr * nz).reshape(nr, nz)
    fixed = (r[:, None] <= a) & (z[None, :] <= half)
    far = np.zeros((nr, nz), bool)
    far[-1, :] = far[:, -1] = True
    rows, columns, values = [], [], []
    for left, right, conduct in (
        (number[:-1], number[1:], conduct_r),
        (number[:, :-1], number[:, 1:], np.broadcast_to(conduct_z, (nr, nz - 1))),
    ):
        for one, other in ((left, right), (right, left)):
            rows += [one.ravel(), one.ravel()]
            columns += [other.ravel(), one.ravel()]
            values += [conduct.ravel(), -conduct.ravel()]
    matrix = sparse.coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(nr * nz, nr * nz)
    ).tocsr()
    # The wall lies half a cell beyond the last fixed center; correct those links by fixing values there: the surface
    # cells carry the small negative value that makes the wall itself zero.
    known = (fixed | far).ravel()
    values_known = np.where(far, 1.0, 0.0).ravel()
    free = ~known
    rhs = -(matrix[free][:, known] @ values_known[known])
    wall = _wall_correction(fixed, r, z, r_edges, z_edges, a, half, conduct_r, conduct_z)
    system = matrix[free][:, free] - sparse.diags(wall.ravel()[free])
    solution = values_known.copy()
    solution[free] = spsolve(system.tocsc(), rhs)
    phi = solution.reshape(nr, nz)
    # Mirrored ghost rows keep the spline smooth at the symmetry planes.
    z_all = np.concatenate([-z[1::-1], z])
    phi_all = np.concatenate([phi[:, 1::-1], phi], axis=1)
    return NearField(a, length_mm, RectBivariateSpline(np.log(r + 0.1 * a), z_all, phi_all, kx=1, ky=1))


def _wall_correction(
    fixed: npt.NDArray[np.bool_],
    r: npt.NDArray[np.float64],
    z: npt.NDArray[np.float64],
    r_edges: npt.NDArray[np.float64],
    z_edges: npt.NDArray[np.float64],
    a: float,
    half: float,
    conduct_r: npt.NDArray[np.float64],
    conduct_z: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Extra conductance to zero for cells that touch the probe: the wall is nearer than the fixed cell's center."""
    extra = np.zeros_like(fixed, dtype=np.float64)
    side = fixed[:-1] & ~fixed[1:]
    to_wall = 2 * np.pi * r_edges[1:-1, None] * np.diff(z_edges)[None, :] / (r[1:, None] - a).clip(1e-9)
    extra[1:][side] += (to_wall - conduct_r)[side]
    end = fixed[:, :-1] & ~fixed[:, 1:]
    to_end = np.pi * np.diff(r_edges**2)[:, None] / (z[None, 1:] - half).clip(1e-9)
    extra[:, 1:][end] += (to_end - conduct_z)[end]
    return extra
