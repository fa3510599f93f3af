"""Heat between tissues: none where there is no difference, none made or lost, nothing colder or warmer than what was there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.knowledge import tissue, tissues
from cryoneuro.thermal import ColdSurface, Freezing, compiled_available, tissue_grid
from cryoneuro.thermal.conductance import conductance
from hypothesis import given, settings
from hypothesis import strategies as st

PATHS = [False, pytest.param(True, marks=pytest.mark.skipif(not compiled_available(), reason="numba is not installed"))]
STILL = tuple(replace(t, perfusion_w_m3k=0.0, metabolic_w_m3=0.0, perfusion_stops=True) for t in tissues())
"""The shipped tissues without what blood brings, so that nothing but conduction is left."""
GAS = tissue("gas").label
COUNT = (12, 14, 16)


def patchwork(seed: int, pure: bool):
    """A closed box of shipped tissues at random, whole voxels or halves, in a wall of gas."""
    rng = np.random.default_rng(seed)
    shape = COUNT if pure else tuple(2 * n for n in COUNT)
    labels = rng.integers(0, len(STILL), shape).astype(np.uint8)
    halves = labels.repeat(2, 0).repeat(2, 1).repeat(2, 2) if pure else labels
    for axis in range(3):
        edge = np.moveaxis(halves, axis, 0)
        edge[:2] = edge[-2:] = GAS
    medium = tissue_grid(halves, 1.0, len(STILL)).medium(STILL, 37.0)
    return replace(medium, exchange_w_m3k=None, exchange_c=None), rng


def filled(freezing: Freezing, temperature_c) -> None:
    p = freezing.patch
    p.set_temperature(p.active, np.broadcast_to(np.asarray(temperature_c, np.float32), p.temperature.shape)[p.active])
    # The stepper looks at everything anew.
    freezing.box_number += 1


@pytest.mark.parametrize("compiled", PATHS)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    pure=st.booleans(),
    temperature_c=st.sampled_from([-150.0, -60.0, -8.0, -7.9, -4.0, -1.2, -0.7, -0.3, 5.0, 36.0]),
)
def test_no_heat_flows_without_a_difference(compiled: bool, seed: int, pure: bool, temperature_c: float) -> None:
    """All shipped tissues at once, whole voxels and mixtures, frozen, freezing and thawed."""
    medium, _ = patchwork(seed, pure)
    freezing = Freezing(medium, [], [0.0], compiled=compiled, composite=False)
    filled(freezing, temperature_c)
    freezing.advance(30.0, lambda t: np.zeros((len(t), 0)))
    active = freezing.patch.active[freezing.patch.inner]
    assert active.any()
    assert np.abs(freezing.temperature_c()[active[:, :, : COUNT[2]]] - temperature_c).max() < 0.01


@pytest.mark.parametrize("compiled", PATHS)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    pure=st.booleans(),
    low_c=st.sampled_from([-150.0, -60.0, -9.0, -2.0]),
    high_c=st.sampled_from([-1.0, 5.0, 37.0]),
)
def test_nothing_leaves_its_range_and_no_heat_is_lost(
    compiled: bool, seed: int, pure: bool, low_c: float, high_c: float
) -> None:
    """0.05 % of what moved, which is what float32 sums allow; a hundredth of a degree."""
    medium, rng = patchwork(seed, pure)
    freezing = Freezing(medium, [], [0.0], compiled=compiled, composite=False)
    filled(freezing, rng.uniform(low_c, high_c, freezing.patch.temperature.shape))
    start = freezing.patch.enthalpy.copy()
    before = freezing.heat_j()
    freezing.advance(20.0, lambda t: np.zeros((len(t), 0)))
    p = freezing.patch
    inside = p.temperature[p.inner][p.active[p.inner]]
    assert inside.min() > low_c - 0.01 and inside.max() < high_c + 0.01
    moved = float(np.abs((p.enthalpy - start)[p.active]).sum(dtype=np.float64)) * 1e-9
    assert abs(freezing.heat_j() - before) < 5e-4 * moved


def test_conductance_is_the_mean_over_temperature() -> None:
    """Against a sum over fine steps of temperature, frozen, freezing and thawed."""
    record = tissue("muscle")
    added = record.frozen_conductivity_w_mk - record.conductivity_w_mk
    span = record.liquidus_c - record.solidus_c

    def k(c):
        deep = np.maximum(record.solidus_c - c, 0.0)
        frozen = np.clip((record.liquidus_c - c) / span, 0.0, 1.0)
        return record.conductivity_w_mk + added * frozen + record.frozen_conductivity_slope_w_mk2 * deep

    for one, other in ((-60.0, 5.0), (-4.0, -3.0), (-4.0, -4.0), (-0.5, 30.0), (-150.0, -20.0), (37.0, -140.0)):
        found = conductance(
            *(np.float32(v) for v in (record.conductivity_w_mk, added, record.frozen_conductivity_slope_w_mk2)),
            record.liquidus_c, span, one, other,
        )  # fmt: skip
        fine = np.linspace(one, other, 20001)
        assert float(found) == pytest.approx(float(k(0.5 * (fine[1:] + fine[:-1])).mean()), rel=2e-3), (one, other)


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize(
    "names", [("muscle", "nerve"), ("muscle", "csf"), ("fat", "liver"), ("saline", "bone_cortical")]
)
def test_the_near_field_adds_no_heat(compiled: bool, names: tuple[str, str]) -> None:
    """A probe as cold as all that lies round it takes nothing and gives nothing: layers round it, its links and the seam."""
    labels = [tissue(n).label for n in names]
    n = 40
    _, j, i = np.indices((2 * n,) * 3)
    halves = np.where(np.hypot(j - n + 0.5, i - n + 0.5) < 5.0, labels[0], labels[1]).astype(np.uint8)
    halves[:4] = halves[-4:] = GAS
    for axis in (1, 2):
        edge = np.moveaxis(halves, axis, 0)
        edge[:4] = edge[-4:] = GAS
    medium = tissue_grid(halves, 1.0, len(STILL)).medium(STILL, 37.0)
    medium = replace(medium, exchange_w_m3k=None, exchange_c=None)
    probe = ColdSurface(np.full(3, (n - 1) / 2), np.array([0.6, 0.0, 0.8]), 1.5, 10.0)
    freezing = Freezing(medium, [probe], [0.0], compiled=compiled)
    assert freezing.far is not None
    everywhere = np.ones(medium.classes_kji.shape, bool)
    freezing.set_temperature(everywhere, -60.0)
    freezing.advance(60.0, lambda t: np.full((len(t), 1), -60.0))
    live = medium.palette.conducts[medium.classes_kji]
    assert np.abs(freezing.temperature_c()[live[:, :, : freezing.shape_kji[2]]] + 60.0).max() < 0.05
