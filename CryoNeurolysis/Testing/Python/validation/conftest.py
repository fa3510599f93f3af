"""A laboratory for the physics: tissue without patient, thin slices that stand for infinite ones, isotherms measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryoneuro.knowledge import TissueRecord, tissue
from cryoneuro.thermal import ColdSurface, Freezing, Medium, compiled_available, tissue_grid
from cryoneuro.thermal.medium import with_samples
from scipy.ndimage import map_coordinates

HERE = Path(__file__).parent


def record(
    name: str, ku: float, cu: float, kf: float, cf: float, latent: float, perfusion: float = 0.0,
    metabolic: float = 0.0, liquidus: float = -1.0, solidus: float = -8.0, conducts: bool = True,
) -> TissueRecord:  # fmt: skip
    """A substance; heats per volume, J/m3/K and J/m3."""
    return replace(
        tissue("gel"), id=name, density_kg_m3=1000.0, specific_heat_j_kgk=cu / 1000.0, conductivity_w_mk=ku,
        frozen_conductivity_w_mk=kf, frozen_volumetric_heat_mj_m3k=cf * 1e-6, latent_heat_mj_m3=latent * 1e-6,
        perfusion_w_m3k=perfusion, metabolic_w_m3=metabolic, liquidus_c=liquidus, solidus_c=solidus, conducts=conducts,
    )  # fmt: skip


GAS = record("gas", 0.03, 1e3, 0.03, 1e3, 0.0, conducts=False)
LAYERS = 8
"""Of a slice that stands for an infinite length, capped with gas at both ends."""


class Lab:
    """What the validation tests work with."""

    record = staticmethod(record)

    @staticmethod
    def reference(name: str) -> dict[str, Any]:
        """A file of reference numbers."""
        return json.loads((HERE / "references" / f"{name}.json").read_text(encoding="utf-8"))

    @staticmethod
    def slice_medium(
        records: Sequence[TissueRecord],
        labels: Callable[[np.ndarray, np.ndarray], np.ndarray],
        half_mm: float,
        grid_mm: float,
        offset: Sequence[float] = (0.0, 0.0),
        body_c: float = 37.0,
        fine: bool = False,
    ) -> tuple[Medium, np.ndarray]:
        """A slice in (x, y) and the voxel coordinates (k, j, i) of its origin; x runs along i, y along j.

        Args:
            labels: function of x and y (mm) giving indices into records.
            offset: of the origin against the middle of the grid, in voxels (j, i).
            fine: where a boundary goes through a half voxel, its quarters in the plane count as well.
        """
        n = int(2 * half_mm / grid_mm / 2) * 2
        origin = np.array([(LAYERS - 1) / 2, (n - 1) / 2 + offset[0], (n - 1) / 2 + offset[1]])
        gas, fractions = len(records), None
        if fine:
            y, x = (((np.arange(4 * n) / 2 - 0.75) / 2 - c) * grid_mm for c in origin[1:])
            points = np.asarray(labels(*np.meshgrid(x, y)))
            quarters = np.stack([points[a::2, b::2] for a in (0, 1) for b in (0, 1)], axis=-1)
            halves = np.broadcast_to(quarters[..., 0], (2 * LAYERS, 2 * n, 2 * n)).copy()
            halves[:2] = halves[-2:] = gas
            mixed = np.argwhere((quarters != quarters[..., :1]).any(axis=-1))
            where = np.array([(k, j, i) for k in range(2, 2 * LAYERS - 2) for j, i in mixed]).reshape(-1, 3)
            kinds = np.tile(quarters[tuple(mixed.T)].repeat(2, axis=-1), (2 * LAYERS - 4, 1))
            halves, fractions = with_samples(halves, where, kinds, gas + 1)
        else:
            y, x = (((np.arange(2 * n) - 0.5) / 2 - c) * grid_mm for c in origin[1:])
            plane = labels(*np.meshgrid(x, y))
            halves = np.broadcast_to(plane, (2 * LAYERS, *plane.shape)).copy()
            halves[:2] = halves[-2:] = gas
        medium = tissue_grid(halves, grid_mm, gas + 1, fractions).medium((*records, GAS), body_c)
        return replace(medium, exchange_w_m3k=None, exchange_c=None), origin

    @staticmethod
    def endless(origin: np.ndarray, diameter_mm: float = 1.5) -> ColdSurface:
        """A probe through the slice that is as good as endless."""
        return ColdSurface(origin, np.array([1.0, 0.0, 0.0]), diameter_mm, 400.0)

    @staticmethod
    def crossing_mm(
        field: np.ndarray,
        origin: np.ndarray,
        direction: Sequence[float],
        grid_mm: float,
        isotherm: float,
        bend: float = 1.0,
    ) -> float | None:
        """Outermost crossing of an isotherm from the origin along a direction in (k, j, i), mm.

        Args:
            bend: how many times better ice conducts than what is not frozen, where the isotherm is the melting point:
                between voxels not temperature runs straight then, but heat does.
        """
        field = isotherm + (field - isotherm) * np.where(field < isotherm, bend, 1.0)
        r = np.arange(0.0, 0.45 * max(field.shape) * grid_mm, 0.01)
        points = origin[:, None] + np.outer(np.asarray(direction, float), r) / grid_mm
        t = map_coordinates(field, points, order=1, mode="nearest")
        hits = np.flatnonzero((t[1:] > isotherm) & (t[:-1] <= isotherm))
        if not len(hits):
            return None
        n = hits[-1]
        return float(r[n] + 0.01 * (isotherm - t[n]) / (t[n + 1] - t[n]))

    @staticmethod
    def at_c(field: np.ndarray, origin: np.ndarray, direction: Sequence[float], r_mm: float, grid_mm: float) -> float:
        """Temperature at a distance from the origin."""
        point = origin + np.asarray(direction, float) * r_mm / grid_mm
        return float(map_coordinates(field, point[:, None], order=1)[0])

    @staticmethod
    def set_field(freezing: Freezing, temperature: np.ndarray) -> None:
        """Give every voxel of a calculation without coarse grid a temperature (k, j, i)."""
        p = freezing.patch
        field = np.full(p.temperature.shape, np.float32(freezing.medium.body_c))
        k, j, i = temperature.shape
        field[1 : k + 1, 1 : j + 1, 1 : i + 1] = temperature
        p.set_temperature(p.active, field[p.active].astype(np.float32))


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The laboratory."""
    return Lab()


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def compiled(request: pytest.FixtureRequest) -> bool:
    """Both ways of stepping."""
    if request.param and not compiled_available():
        pytest.skip("numba is not installed")
    return bool(request.param)
