"""The steady field round a probe where tissues meet near it, on the grid of half voxels.

A layer of fat a millimeter thick beside a probe decides what the probe can do to all that lies behind it, and is thinner
than a voxel. The near field of one tissue is put on the half voxels as near_field says, with each half voxel's own
conductivity, and solved outward to where it is held at that field again. What is handed on is how it differs from the
field in one tissue, which is smooth where the field itself is steep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import cg

from .medium import Medium
from .near_field import near_field

if TYPE_CHECKING:
    from .links import ColdSurface
    from .patch import Box

DEPTH_K = 70.0
"""How far below its solidus tissue beside a probe is taken to be where its conductivity grows with cold."""

Array = npt.NDArray[np.float64]


def layered_shares(
    medium: Medium, surface: ColdSurface, box: Box, reach_mm: float
) -> tuple[Array, Array] | None:
    """How the field round a probe differs from that in one tissue, at the voxels of a box and one layer round it.

    Args:
        reach_mm: distance from the probe's surface from which on the field is that of one tissue.

    Returns:
        Factors, unfrozen and frozen, shaped like the box with its layer; None where there is only one tissue.
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
    if len(values) < 2:
        return None
    plain = near_field(surface.diameter_mm, surface.length_mm)(across.ravel(), along.ravel()).reshape(across.shape)
    palette = medium.palette
    shares = []
    for k in (palette.conductivity, palette.conductivity_at(DEPTH_K)):
        conductivity = k[substances].astype(np.float64) * conducts
        field = _solved(conductivity, plain, inside & conducts & (beyond > 0))
        ratio = np.where(plain > 0, field / np.maximum(plain, 1e-12), np.nan)
        eight = ratio.reshape(ratio.shape[0] // 2, 2, ratio.shape[1] // 2, 2, ratio.shape[2] // 2, 2)
        known = np.isfinite(eight) & conducts.reshape(eight.shape)
        total = np.where(known, eight, 0.0).sum(axis=(1, 3, 5))
        count = known.sum(axis=(1, 3, 5))
        shares.append(np.where(count > 0, total / np.maximum(count, 1), 1.0))
    return shares[0], shares[1]


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
    diagonal, right = np.zeros(free.shape), np.zeros(free.shape)
    gained = np.zeros(free.shape)
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
    scale = sparse.diags(1.0 / np.maximum(diagonal, 1e-12))
    solution, failed = cg(matrix, right[free], x0=plain[free], rtol=1e-5, maxiter=400, M=scale)
    field = plain.copy()
    if not failed:
        field[free] = np.maximum(solution, 0.0)
    return field
