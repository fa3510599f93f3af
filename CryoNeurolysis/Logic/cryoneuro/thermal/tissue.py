"""Thermal properties of every voxel from its tissue label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..knowledge import TissueRecord, constant, tissues
from ..model import ThermalError
from .solver import Properties


def properties_from_labels(
    labels_kji: npt.NDArray[np.uint8],
    grid_mm: float,
    table: tuple[TissueRecord, ...] | None = None,
) -> Properties:
    """Properties on an isotropic grid.

    Args:
        labels_kji: tissue labels (k, j, i); 0 is air outside the body.
        grid_mm: voxel edge.
        table: the data's tissues when None.

    Raises:
        ThermalError: a label that no tissue has.
    """
    table = tissues() if table is None else table
    highest = int(labels_kji.max())
    if highest >= len(table):
        raise ThermalError(f"The tissue map holds label {highest}, but the tissues go up to {len(table) - 1}.")

    def column(values: list[float]) -> npt.NDArray[np.float32]:
        result: npt.NDArray[np.float32] = np.array(values, np.float32)[labels_kji]
        return result

    unfrozen_heat = [t.density_kg_m3 * t.specific_heat_j_kgk for t in table]
    conducts = np.array([t.conducts for t in table])[labels_kji]
    h = grid_mm * 1e-3
    # Heat through bare skin: one share for every face of a body voxel that looks at outside air.
    air = labels_kji == 0
    faces = np.zeros(labels_kji.shape, np.float32)
    for axis in range(3):
        for shift in (-1, 1):
            neighbor = np.roll(air, shift, axis=axis)
            edge: list[slice | int] = [slice(None)] * 3
            edge[axis] = 0 if shift == 1 else -1
            neighbor[tuple(edge)] = False
            faces += neighbor
    surface = faces * np.float32(constant("skin_heat_transfer_w_m2k") / h)
    surface[air | ~conducts] = 0.0
    return Properties(
        grid_mm=grid_mm,
        conductivity=column([t.conductivity_w_mk for t in table]),
        frozen_conductivity=column([t.frozen_conductivity_w_mk for t in table]),
        heat=column(unfrozen_heat),
        frozen_heat=column([t.frozen_volumetric_heat_mj_m3k * 1e6 for t in table]),
        latent=column([t.latent_heat_mj_m3 * 1e6 for t in table]),
        perfusion=column([t.perfusion_w_m3k for t in table]),
        perfusion_stops=np.array([t.perfusion_stops for t in table])[labels_kji],
        perfusion_returns=np.array([t.perfusion_returns for t in table])[labels_kji],
        metabolic=column([t.metabolic_w_m3 for t in table]),
        surface=surface,
        conducts=conducts,
        solidus_c=constant("phase_change_solidus_c"),
        liquidus_c=constant("phase_change_liquidus_c"),
        body_c=constant("body_temperature_c"),
        room_c=constant("room_temperature_c"),
    )
