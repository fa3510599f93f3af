"""The grid of twice the spacing outside the fine box: tissue that never freezes, stepped explicitly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .medium import Field, Medium, pair
from .patch import Box, Patch, face_sum


@dataclass(eq=False)
class Far:
    """State and coefficients, arrays (nk + 2, nj + 2, ni + 2); the ghosts stay at body temperature.

    Attributes:
        face: for each axis the weight of the face between a cell and the next one; zero round and inside the fine box.
        all_faces: the same as if there were no fine box.
        inverse_heat: m3 K/J of the cell, gas in it counted as nothing.
        loss, supply: W/m3/K and W/m3 of perfusion and exchange.
        inflow: J/m3 that came through the seam since the last step.
        active: cells with tissue; known: those and the ghosts round the grid, which are at body temperature.
    """

    temperature: Field
    face: tuple[Field, Field, Field]
    all_faces: tuple[Field, Field, Field]
    inverse_heat: Field
    loss: Field
    supply: Field
    inflow: Field
    active: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    free: npt.NDArray[np.bool_]
    step_s: float
    coldest_c: Field

    def cover(self, box: Box) -> None:
        """Take the cells under the fine box out of the calculation."""
        low = [a // 2 + 1 for a, _ in box]
        high = [b // 2 + 1 for _, b in box]
        inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        self.free = self.active.copy()
        for axis in range(3):
            edge: list[int | slice] = [slice(None)] * 3
            edge[axis] = 0
            self.free[tuple(edge)] = False
            edge[axis] = -1
            self.free[tuple(edge)] = False
        self.free[inside] = False
        faces = []
        for axis in range(3):
            face = self.all_faces[axis].copy()
            touched = list(inside)
            touched[axis] = slice(low[axis] - 1, high[axis])
            face[tuple(touched)] = 0.0
            faces.append(face)
        self.face = (faces[0], faces[1], faces[2])


def make_far(medium: Medium) -> Far:
    """The coarse grid of a whole medium, at body temperature.

    Each face carries the mean of its four columns, a column the series conductance from center to center, so that a
    sheet of gas or fat thinner than a cell still counts.
    """
    palette = medium.palette
    h_m = 2e-3 * medium.grid_mm
    classes = medium.classes_kji
    shape = tuple(n // 2 + 2 for n in classes.shape)
    k = (palette.conductivity * palette.conducts)[classes]

    def series(one: Field, other: Field) -> Field:
        field: Field = np.float32(2.0) * one * other / np.maximum(one + other, np.float32(1e-12))
        return field

    faces = []
    for axis in range(3):
        face = np.zeros(shape, np.float32)
        moved = np.moveaxis(k, axis, 0)
        column = series(moved[1:-1:2], moved[2::2])
        n, p, q = column.shape
        inner = column.reshape(n, p // 2, 2, q // 2, 2).mean(axis=(2, 4))
        edge = [side.reshape(p // 2, 2, q // 2, 2).mean((1, 3)) for side in (moved[0], moved[-1])]
        target = np.moveaxis(face, axis, 0)
        target[1 : n + 1, 1:-1, 1:-1] = inner
        target[0, 1:-1, 1:-1], target[n + 1, 1:-1, 1:-1] = edge
        faces.append((face / np.float32(h_m**2)).astype(np.float32))

    def mean(values: npt.ArrayLike) -> Field:
        table = np.asarray(values, np.float32)
        field = np.zeros(shape, np.float32)
        field[1:-1, 1:-1, 1:-1] = _mean8(table[classes])
        return field

    body = np.float32(medium.body_c)
    live = palette.conducts
    heat = mean(np.where(live, palette.heat, 0.0))
    loss = mean(np.where(live, palette.perfusion, 0.0))
    supply = loss * body + mean(np.where(live & ~palette.always_flows, palette.metabolic, 0.0))
    if medium.exchange_w_m3k is not None and medium.exchange_c is not None:
        own = medium.exchange_w_m3k * live[classes]
        loss[1:-1, 1:-1, 1:-1] += _mean8(own)
        supply[1:-1, 1:-1, 1:-1] += _mean8(own * medium.exchange_c)
    active = heat > 0
    known = np.ones(shape, bool)
    known[1:-1, 1:-1, 1:-1] = active[1:-1, 1:-1, 1:-1]
    inverse = np.zeros(shape, np.float32)
    inverse[active] = 1.0 / heat[active]
    all_faces = (faces[0], faces[1], faces[2])
    rate = float((face_sum(all_faces) * inverse)[1:-1, 1:-1, 1:-1].max(initial=1e-9))
    return Far(
        temperature=np.full(shape, body, np.float32),
        face=all_faces,
        all_faces=all_faces,
        inverse_heat=inverse,
        loss=loss,
        supply=supply,
        inflow=np.zeros(shape, np.float32),
        active=active,
        known=known,
        free=active,
        step_s=0.95 / rate,
        coldest_c=np.full(shape, body, np.float32),
    )


def _mean8(fine: Field) -> Field:
    k, j, i = fine.shape
    result: Field = fine.reshape(k // 2, 2, j // 2, 2, i // 2, 2).mean(axis=(1, 3, 5), dtype=np.float32)
    return result


def upsampled(field: Field, box: Box) -> Field:
    """Trilinear values of a coarse field at the fine voxels of a box and one layer round it.

    Args:
        field: coarse with ghosts; box: fine range, even bounds.
    """
    result = field[tuple(slice(a // 2, b // 2 + 2) for a, b in box)]
    for axis in range(3):
        moved = np.moveaxis(result, axis, 0)
        n = len(moved) - 2
        fine = np.empty((2 * n + 2, *moved.shape[1:]), np.float32)
        # Cell c of the box has fine voxels at a quarter of a cell to both sides; a ghost is the half of the next cell.
        fine[1:-1:2] = np.float32(0.75) * moved[1:-1] + np.float32(0.25) * moved[:-2]
        fine[2:-1:2] = np.float32(0.75) * moved[1:-1] + np.float32(0.25) * moved[2:]
        fine[0] = np.float32(0.75) * moved[0] + np.float32(0.25) * moved[1]
        fine[-1] = np.float32(0.75) * moved[-1] + np.float32(0.25) * moved[-2]
        result = np.moveaxis(fine, 0, axis)
    return np.ascontiguousarray(result)


def seam_inflow(far: Far, patch: Patch, dt_s: float) -> None:
    """Book the heat that the fine box took through its sides in dt_s as lost by the coarse cells outside."""
    t = patch.temperature
    low = [a // 2 + 1 for a, _ in patch.box]
    high = [b // 2 + 1 for _, b in patch.box]
    for axis in range(3):
        others = [n for n in range(3) if n != axis]
        for side in (0, 1):
            ghost: list[int | slice] = [slice(1, -1)] * 3
            edge: list[int | slice] = [slice(1, -1)] * 3
            ghost[axis], edge[axis] = (0, 1) if side == 0 else (-1, -2)
            face = tuple(ghost) if side == 0 else tuple(edge)
            flux = patch.face[axis][face] * (t[tuple(ghost)] - t[tuple(edge)])
            p, q = flux.shape
            outer: list[int | slice] = [slice(0)] * 3
            outer[axis] = low[axis] - 1 if side == 0 else high[axis]
            for n in others:
                outer[n] = slice(low[n], high[n])
            # Four fine voxels lie at a coarse face, each an eighth of the coarse cell.
            far.inflow[tuple(outer)] -= flux.reshape(p // 2, 2, q // 2, 2).sum(axis=(1, 3)) * np.float32(dt_s / 8.0)


def far_step(far: Far, dt_s: float) -> None:
    """One explicit step of all free cells; dt_s is at most far.step_s."""
    t = far.temperature
    rate = np.zeros_like(t)
    for axis in range(3):
        low, high = pair(t, axis)
        flux = (high - low) * pair(far.face[axis], axis)[0]
        rate_low, rate_high = pair(rate, axis)
        rate_low += flux
        rate_high -= flux
    rate += far.supply - far.loss * t
    change = (rate * np.float32(dt_s) + far.inflow) * far.inverse_heat
    change /= np.float32(1.0) + np.float32(dt_s) * far.loss * far.inverse_heat
    change *= far.free
    t += change
    far.inflow[:] = 0.0
    np.minimum(far.coldest_c, t, out=far.coldest_c)


def far_edge_w(far: Far, body_c: float) -> float:
    """What comes in from the ghosts round the grid, W/m3 summed over the cells at its outside."""
    total = 0.0
    for axis in range(3):
        for face, edge in ((0, 1), (-2, -2)):
            weight = np.take(far.face[axis], face, axis)[1:-1, 1:-1] * np.take(far.free, edge, axis)[1:-1, 1:-1]
            below = np.float32(body_c) - np.take(far.temperature, edge, axis)[1:-1, 1:-1]
            total += float((weight * below).sum())
    return total


def update_ghosts(far: Far, patch: Patch) -> None:
    """Give the coarse cells just inside the seam the mean of their voxels, and the ghosts what lies outside.

    Values at the ghosts are trilinear between coarse centers; gas takes no part.
    """
    hollow = not far.known.all()
    low = [a // 2 + 1 for a, _ in patch.box]
    high = [b // 2 + 1 for _, b in patch.box]
    for axis in range(3):
        for side in (0, 1):
            layer: list[int | slice] = [slice(1, -1)] * 3
            layer[axis] = slice(1, 3) if side == 0 else slice(-3, -1)
            cell: list[int | slice] = [slice(a, b) for a, b in zip(low, high, strict=True)]
            cell[axis] = slice(low[axis], low[axis] + 1) if side == 0 else slice(high[axis] - 1, high[axis])
            live = patch.active[tuple(layer)].astype(np.float32)
            weight = _mean8(live)
            total = _mean8(patch.temperature[tuple(layer)] * live)
            mean = far.temperature[tuple(cell)]
            far.temperature[tuple(cell)] = np.where(weight > 0, total / np.maximum(weight, np.float32(1e-9)), mean)
    for axis in range(3):
        for side in (0, 1):
            plane: list[int | slice] = [slice(a - 1, b + 1) for a, b in zip(low, high, strict=True)]
            within = list(plane)
            plane[axis], within[axis] = (low[axis] - 1, low[axis]) if side == 0 else (high[axis], high[axis] - 1)
            outside, inside = far.temperature[tuple(plane)], far.temperature[tuple(within)]
            if hollow:
                solid, solid_in = (far.known[tuple(p)].astype(np.float32) for p in (plane, within))
                value = _refined(0.75 * outside * solid + 0.25 * inside * solid_in)
                share = _refined(0.75 * solid + 0.25 * solid_in)
                value = np.where(share > 1e-6, value / np.maximum(share, np.float32(1e-6)), far.temperature[0, 0, 0])
            else:
                value = _refined(0.75 * outside + 0.25 * inside)
            ghost: list[int | slice] = [slice(1, -1)] * 3
            ghost[axis] = 0 if side == 0 else -1
            patch.temperature[tuple(ghost)] = value


def _refined(plane: Field) -> Field:
    """Bilinear values at twice the density; the outermost ring of the plane only helps."""
    for axis in range(2):
        moved = np.moveaxis(plane, axis, 0)
        n = len(moved) - 2
        fine = np.empty((2 * n, moved.shape[1]), np.float32)
        middle = np.float32(0.75) * moved[1:-1]
        fine[0::2] = middle + np.float32(0.25) * moved[:-2]
        fine[1::2] = middle + np.float32(0.25) * moved[2:]
        plane = np.moveaxis(fine, 0, axis)
    return plane


def whole_field(far: Far, field: Field) -> Field:
    """A coarse field at every fine voxel of the medium, without ghosts; gas takes no part."""
    box = tuple((0, 2 * (n - 2)) for n in field.shape)
    if far.known.all():
        return upsampled(field, box)[1:-1, 1:-1, 1:-1]  # type: ignore[arg-type]
    solid = far.known.astype(np.float32)
    value, share = (upsampled(f, box)[1:-1, 1:-1, 1:-1] for f in (field * solid, solid))  # type: ignore[arg-type]
    body = field[0, 0, 0]
    result: Field = np.where(share > 1e-3, value / np.maximum(share, np.float32(1e-3)), body)
    return result
