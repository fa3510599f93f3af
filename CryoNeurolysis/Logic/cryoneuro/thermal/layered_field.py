"""The steady field round a probe where tissues meet near it, on the grid of half voxels.

A layer of fat a millimeter thick beside a probe decides what the probe can do to all that lies behind it, and is thinner
than a voxel. The near field of one tissue is put on the half voxels as near_field says, with each half voxel's own
conductivity, and solved outward to where it is held at that field again. From it come the field's values in the middles of
the voxels and the heat through their faces, so that faces and links of the coarser grid can be made to carry just that
(upscaling, as near wells in reservoir simulation: Durlofsky, Milliken and Bernath, SPE J 2000;5:110).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .medium import Medium
from .near_field import near_field

if TYPE_CHECKING:
    from .links import ColdSurface
    from .patch import Box

DEPTH_K = 70.0
"""How far below its solidus tissue beside a probe is taken to be where its conductivity grows with cold."""

_PRECISE, _MOST_ITERATIONS = 1e-4, 400

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayeredField:
    """A field round a probe at the voxels of a box and one layer round it.

    Attributes:
        value: 0 at the probe, towards 1 far away.
        flux: for each axis what goes through the face between a voxel and the next one, W/m3 per unit of the field.
    """

    value: Array
    flux: tuple[Array, Array, Array]


def layered_fields(
    medium: Medium, surface: ColdSurface, box: Box, reach_mm: float
) -> tuple[LayeredField, LayeredField] | None:
    """The fields round a probe, unfrozen and frozen; None where there is only one tissue and no gas.

    Args:
        box: voxels of the medium's grid.
        reach_mm: distance from the probe's surface from which on the field is that of one tissue.
    """
    substances = _halves(medium, box)
    corner = np.array([2 * (a - 1) for a, _ in box])
    # The middle of voxel v lies between halves 2 v and 2 v + 1.
    kji = [(np.arange(n) + c - 0.5) / 2.0 for n, c in zip(substances.shape, corner, strict=True)]
    along, across = surface.along_across_mm(np.stack(np.meshgrid(*kji, indexing="ij"), -1), medium.grid_mm)
    beyond = np.hypot(
        np.maximum(across - 0.5 * surface.diameter_mm, 0.0),
        np.maximum(np.abs(along) - 0.5 * surface.length_mm, 0.0),
    )
    inside = beyond < reach_mm
    conducts = medium.palette.conducts[substances]
    values = np.unique(substances[inside & conducts])
    if len(values) < 2 and conducts[inside].all():
        return None
    plain = near_field(surface.diameter_mm, surface.length_mm)(across.ravel(), along.ravel()).reshape(across.shape)
    palette = medium.palette
    found = []
    for k in (palette.conductivity, palette.conductivity_at(DEPTH_K)):
        conductivity = k[substances].astype(np.float64) * conducts
        field = _solved(conductivity, plain, inside & conducts & (beyond > 0))
        # In a voxel that a boundary goes through the field has a kink; heat is the same on both sides of it, so the value in
        # the middle is the mean weighted by conductivity.
        total, weight = (_eighths(a) for a in (conductivity * field, conductivity))
        value = np.where(weight > 0, total / np.maximum(weight, 1e-12), 1.0)
        found.append(LayeredField(value, _coarse_flux(conductivity, field, medium.grid_mm * 1e-3)))
    return found[0], found[1]


def _eighths(field: Array) -> Array:
    """Sum over the eight halves of every voxel."""
    k, j, i = (n // 2 for n in field.shape)
    result: Array = field.reshape(k, 2, j, 2, i, 2).sum(axis=(1, 3, 5))
    return result


def _coarse_flux(conductivity: Array, field: Array, h_m: float) -> tuple[Array, Array, Array]:
    """What goes through each voxel's face, from the four half voxels at it, per volume of a voxel."""
    found = []
    for axis in range(3):
        k, t = np.moveaxis(conductivity, axis, 0), np.moveaxis(field, axis, 0)
        a, b = k[1:-1:2], k[2::2]
        flux = 2.0 * a * b / np.maximum(a + b, 1e-12) * (t[2::2] - t[1:-1:2])
        n, p, q = flux.shape
        # Each of the four is k dT / (h/2) over an area of (h/2)^2.
        summed = flux.reshape(n, p // 2, 2, q // 2, 2).sum(axis=(2, 4)) * 0.5 / h_m**2
        found.append(np.moveaxis(summed, 0, axis))
    return found[0], found[1], found[2]


def _halves(medium: Medium, box: Box) -> npt.NDArray[np.integer]:
    """Substances of the half voxels of a box and one layer of voxels round it; beyond the grid the outermost goes on."""
    source: npt.NDArray[np.integer]
    if medium.halves_kji is None:
        index = [
            np.clip(np.arange(2 * a - 2, 2 * b + 2) // 2, 0, n - 1)
            for (a, b), n in zip(box, medium.classes_kji.shape, strict=True)
        ]
        source = medium.classes_kji
    else:
        index = [
            np.clip(np.arange(2 * a - 2, 2 * b + 2), 0, n - 1)
            for (a, b), n in zip(box, medium.halves_kji.shape, strict=True)
        ]
        source = medium.halves_kji
    return source[np.ix_(*index)]


def _solved(conductivity: Array, plain: Array, free: npt.NDArray[np.bool_]) -> Array:
    """The field with each half voxel's conductivity, where it is free; elsewhere it is the plain one.

    The probe takes from every half voxel what it takes in the plain field, times the half voxel's own conductivity.
    """
    number = np.full(free.shape, -1, np.int64)
    count = int(free.sum())
    number[free] = np.arange(count)
    diagonal, right, gained = (np.zeros(free.shape) for _ in range(3))
    rows, columns, values = [], [], []
    for axis in range(3):
        low: list[slice] = [slice(None)] * 3
        high: list[slice] = [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        one, other = tuple(low), tuple(high)
        a, b = conductivity[one], conductivity[other]
        face = 2.0 * a * b / np.maximum(a + b, 1e-12)
        step = plain[other] - plain[one]
        for here, there, sign in ((one, other, 1.0), (other, one, -1.0)):
            diagonal[here] += face
            gained[here] += sign * step
            fixed = free[here] & ~free[there]
            right[here] += np.where(fixed, face * plain[there], 0.0)
        both = free[one] & free[other]
        rows.append(number[one][both])
        columns.append(number[other][both])
        values.append(face[both])
    link = gained * conductivity / np.maximum(plain, 1e-9)
    diagonal = (diagonal + link)[free]
    upper = sparse.coo_matrix(
        (-np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count)
    )
    matrix = (upper + upper.T + sparse.diags(diagonal)).tocsr()
    field = plain.copy()
    solution = _conjugate_gradients(matrix, right[free], plain[free], diagonal)
    if solution is not None:
        field[free] = np.maximum(solution, 0.0)
    return field


def _conjugate_gradients(matrix: sparse.csr_matrix, right: Array, start: Array, diagonal: Array) -> Array | None:
    """The solution of a symmetric system, scaled by its diagonal; None where it is not found.

    In place, for a vector of 50,000 is made anew ten times an iteration otherwise; and without the threads of a matrix
    library, which for such vectors wait for each other longer than they work.
    """

    def dot(a: Array, b: Array) -> float:
        return float(np.einsum("i,i->", a, b))

    scale = 1.0 / np.maximum(diagonal, 1e-12)
    x = start.copy()
    residual = right - matrix @ x
    z = scale * residual
    direction = z.copy()
    product = dot(residual, z)
    goal = _PRECISE**2 * dot(right, scale * right)
    for _ in range(_MOST_ITERATIONS):
        if product <= goal:
            return x
        image = matrix @ direction
        step = product / dot(direction, image)
        np.multiply(direction, step, out=z)
        x += z
        image *= step
        residual -= image
        np.multiply(scale, residual, out=z)
        before, product = product, dot(residual, z)
        direction *= product / before
        direction += z
    return None
