"""The solver: energy, symmetry, turned probes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.knowledge import probe, protocol, tissue, tissues
from cryoneuro.model import Case, PlannedProbe, Protocol, ProtocolStep, StepKind, ThermalError, Trajectory
from cryoneuro.thermal import near_field, probe_drive, properties_from_labels, simulate, simulation_grid, solve
from cryoneuro.thermal.near_field import link_strengths
from cryoneuro.thermal.schedule import timeline
from cryoneuro.thermal.solver import ProbeLink, _Step
from scipy import ndimage


def gel(shape=(30, 30, 30), grid_mm: float = 2.0):
    return properties_from_labels(np.full(shape, tissue("gel").label, np.uint8), grid_mm)


def a_link(properties, axis, offset=(0.0, 0.0, 0.0), diameter=1.5, length=20.0) -> ProbeLink:
    shape, h = properties.conductivity.shape, properties.grid_mm
    kji = np.indices(shape).reshape(3, -1).T
    centers = (kji[:, ::-1] - (np.array(shape[::-1]) - 1) / 2) * h
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    start = np.asarray(offset) * h
    delta = centers - start
    along = delta @ axis
    across = np.linalg.norm(delta - along[:, None] * axis, axis=1)
    near = np.flatnonzero((across < diameter / 2 + 4 * h) & (np.abs(along) < length / 2 + 4 * h))
    strength = link_strengths(near_field(diameter, length), centers[near], start, axis, h)
    return ProbeLink(near, strength.astype(np.float32))


def run(properties, links, end_s: float, cold=-100.0, dt=4.0):
    *_, last = solve(properties, links, lambda n, t: cold, [end_s], {end_s}, dt)
    return last.temperature.copy()


def test_without_a_probe_nothing_happens() -> None:
    assert np.abs(run(gel(), [], 300.0) - 37.0).max() < 1e-3


def test_enthalpy_and_temperature_are_inverse() -> None:
    labels = np.arange(15, dtype=np.uint8).reshape(1, 3, 5)
    step = _Step(properties_from_labels(labels, 1.0))
    for value in (-150.0, -20.0, -8.0, -4.5, -1.0, 5.0, 37.0):
        t = np.full(labels.shape, value, np.float32)
        assert np.allclose(step.temperature(step.enthalpy(t)), t, atol=2e-3)


def test_latent_heat_is_in_the_enthalpy() -> None:
    properties = gel((1, 1, 3))
    step = _Step(properties)
    warm, cold = (step.enthalpy(np.full((1, 1, 3), t, np.float32))[0, 0, 0] for t in (-1.0, -8.0))
    record = tissue("gel")
    sensible = (
        0.5 * 7.0 * (record.density_kg_m3 * record.specific_heat_j_kgk + record.frozen_volumetric_heat_mj_m3k * 1e6)
    )
    assert warm - cold == pytest.approx(record.latent_heat_mj_m3 * 1e6 + sensible, rel=1e-4)


def test_conduction_keeps_the_heat() -> None:
    """What one voxel loses its neighbors gain: the fluxes of a random field add up to nothing."""
    rng = np.random.default_rng(0)
    labels = rng.choice([1, 2, 4, 9, 12], (12, 12, 12)).astype(np.uint8)
    step = _Step(properties_from_labels(labels, 1.0))
    t = rng.uniform(-80, 37, labels.shape).astype(np.float32)
    rate = step.conduction(t, step.frozen_integral(t))
    assert abs(float(rate.sum())) < 1e-3 * float(np.abs(rate).sum())
    filtered = step.filtered(rate.copy(), 4.0)
    assert abs(float(filtered.sum() - rate.sum())) < 1e-3 * float(np.abs(rate).sum())


def test_gas_lets_no_heat_through() -> None:
    labels = np.full((20, 20, 20), tissue("gel").label, np.uint8)
    labels[:, :, 12:14] = tissue("gas").label
    properties = properties_from_labels(labels, 2.0)
    t = run(properties, [a_link(properties, (0, 0, 1), (-2, 0, 0))], 600.0)
    assert t[10, 10, 10] < 0
    open_field = gel((20, 20, 20))
    through = run(open_field, [a_link(open_field, (0, 0, 1), (-2, 0, 0))], 600.0)
    # The time filter smears a little over the gap; conduction would carry twenty times as much.
    behind = (slice(2, -2), slice(2, -2), slice(15, -2))
    assert np.abs(t[behind] - 37).max() < 0.05 * np.abs(through[behind] - 37).max()


def ice_radius(t: np.ndarray, h: float, isotherm: float = 0.0) -> float:
    """Radius of the ball that holds as much ice, counted on a grid three times finer."""
    fine = ndimage.zoom(t, 3, order=1)
    return float((3 * (fine <= isotherm).sum() * (h / 3) ** 3 / (4 * np.pi)) ** (1 / 3))


def test_the_probe_may_lie_at_any_angle_and_offset() -> None:
    properties = gel((40, 40, 40))
    radii = [
        ice_radius(run(properties, [a_link(properties, axis, offset)], 300.0), 2.0)
        for axis, offset in (
            ((0, 0, 1), (0, 0, 0)),
            ((0, 0, 1), (0.5, 0.5, 0.5)),
            ((1, 0, 1), (0.2, 0.4, 0.1)),
            ((1, 1, 1), (0.3, 0.1, 0.45)),
            ((1, 2, 3), (0, 0.25, 0)),
        )
    ]
    assert max(radii) - min(radii) < 0.25
    assert min(radii) > 6


def test_two_probes_are_symmetric() -> None:
    properties = gel((40, 40, 40))
    links = [a_link(properties, (0, 0, 1), (side * 3.0, 0, 0)) for side in (-1, 1)]
    t = run(properties, links, 300.0)
    assert np.abs(t - t[:, :, ::-1]).max() < 0.5
    assert t[20, 20, 20] < run(properties, links[:1], 300.0)[20, 20, 20]


def test_nothing_is_colder_than_the_probe() -> None:
    properties = gel((30, 30, 30))
    coldest = min(
        float(s.temperature.min())
        for s in solve(properties, [a_link(properties, (1, 1, 0))], lambda n, t: -140.0, [120.0], {120.0}, 4.0)
    )
    assert -140.01 < coldest < -120


def test_fat_halves_the_ice() -> None:
    """Published 1-D table, 600 s at -140 C: 15.8 mm in gel, 7.7 mm in fat; a finite probe stays below both."""
    shape = (40, 40, 40)
    radii = {}
    for name in ("gel", "fat"):
        properties = properties_from_labels(np.full(shape, tissue(name).label, np.uint8), 2.0)
        t = run(properties, [a_link(properties, (0, 0, 1), length=40.0)], 600.0, -140.0)
        line = t[20, 20, 20:]
        radii[name] = float(np.interp(0.0, line, np.arange(len(line)) * 2.0 + 1.0))
    assert radii["gel"] == pytest.approx(14.5, abs=1.5)
    assert 0.4 < radii["fat"] / radii["gel"] < 0.6


def test_perfused_tissue_freezes_less() -> None:
    shape = (30, 30, 30)
    results = []
    for name in ("gel", "kidney"):
        properties = properties_from_labels(np.full(shape, tissue(name).label, np.uint8), 2.0)
        results.append(ice_radius(run(properties, [a_link(properties, (0, 0, 1))], 600.0), 2.0))
    assert results[1] < 0.75 * results[0]


def test_near_field_is_the_exact_one_for_a_long_cylinder() -> None:
    """Far from the ends the field between two cylinders is ln(r/a), whatever its scale."""
    field = near_field(1.5, 60.0)
    r = np.array([1.0, 1.5, 2.5, 4.0])
    value = field(r, np.zeros(4)) / np.log(r / 0.75)
    assert np.ptp(value) / value.mean() < 0.01
    assert field(np.array([0.3]), np.array([0.0]))[0] == 0.0


def test_surface_temperature_follows_its_schedule() -> None:
    tool = probe("argon_17g_long")
    drives = timeline(protocol("3-1-3"))
    assert [d.start_s for d in drives] == [0, 180, 240, 420]
    assert probe_drive(tool, drives[0], 0.0, 37.0) == pytest.approx(37.0)
    assert probe_drive(tool, drives[0], tool.cool_down_s, 37.0) == pytest.approx(-140 + 177 / np.e)
    assert probe_drive(tool, drives[1], 200.0, -140.0) is None
    assert probe_drive(tool, drives[3], 480.0, -140.0) == pytest.approx(20.0, abs=0.1)
    half = replace(drives[0], step=ProtocolStep(StepKind.FREEZE, 180, 50.0))
    assert probe_drive(tool, half, 1e4, 37.0) == pytest.approx(37 - 0.5 * 177)
    assert probe_drive(probe("n2o_20g"), drives[3], 480.0, -80.0) is None


def test_unknown_labels_are_refused() -> None:
    with pytest.raises(ThermalError, match="label"):
        properties_from_labels(np.full((2, 2, 2), len(tissues()), np.uint8), 1.0)


def test_a_run_of_the_phantom(assessed_case: Case) -> None:
    run_, plan = assessed_case.thermal, assessed_case.plan
    assert run_ is not None and plan is not None
    assert run_.complete and run_.snapshot_times_s[-1] == plan.protocol.duration_s
    assert {180.0, 240.0, 420.0, 480.0} <= set(run_.snapshot_times_s.tolist())
    assert np.allclose(run_.coldest_c, np.minimum(run_.coldest_c, run_.temperature_c.min(axis=0)))
    below = run_.time_below_s
    assert (below[0] >= below[1]).all() and (below[1] >= below[2]).all()
    assert below.max() <= plan.protocol.duration_s + 1e-3
    frozen = run_.coldest_c <= -20
    assert (below[run_.isotherm_index(-20.0)][frozen] > 0).mean() > 0.99
    assert run_.geometry.is_ras_aligned


def moved(case: Case, tip) -> PlannedProbe:
    assert case.plan is not None
    return PlannedProbe(case.plan.probes[0].probe, Trajectory(np.array([0.0, -104.0, 0.0]), np.asarray(tip, float)))


def test_impossible_runs_are_sentences(planned_case: Case) -> None:
    anatomy, plan = planned_case.anatomy, planned_case.plan
    assert anatomy is not None and plan is not None
    with pytest.raises(ThermalError, match="inside the body"):
        simulate(anatomy, replace(plan, probes=(moved(planned_case, [0, -160.0, 0]),)), grid_mm=2.0)
    with pytest.raises(ThermalError, match="through each other"):
        simulate(anatomy, replace(plan, probes=plan.probes * 2), grid_mm=2.0)
    with pytest.raises(ThermalError, match="up to 8"):
        simulate(anatomy, replace(plan, probes=plan.probes * 9), grid_mm=2.0)
    with pytest.raises(ThermalError, match="positive"):
        simulate(anatomy, plan, grid_mm=0.0)
    with pytest.raises(ThermalError, match="3 mm or finer"):
        simulate(anatomy, plan, grid_mm=10.0)
    with pytest.raises(ThermalError, match="GB"):
        simulation_grid(anatomy, plan.probes, 0.1)
    ten_hours = Protocol("x", "x", (ProtocolStep(StepKind.FREEZE, 36000.0),), "s", "low", False)
    with pytest.raises(ThermalError, match="Shorten"):
        simulate(anatomy, replace(plan, protocol=ten_hours), grid_mm=2.0)


def test_cancel_returns_what_there_is(planned_case: Case) -> None:
    anatomy, plan = planned_case.anatomy, planned_case.plan
    assert anatomy is not None and plan is not None
    calls = iter(range(1000))
    part = simulate(anatomy, plan, grid_mm=3.0, cancelled=lambda: next(calls) >= 20)
    assert not part.complete
    assert 0 < part.snapshot_times_s[-1] < plan.protocol.duration_s
