"""The solver against exact solutions; each tolerance with its reason. h is the voxel's edge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.thermal import Freezing, Link, tissue_grid
from scipy.optimize import brentq
from scipy.special import erf, erfc, exp1, k0, k1


def column(lab, record, n: int, h: float, body_c: float):
    """A rod along i, n voxels long, walled with gas on its four sides: one-dimensional."""
    halves = np.zeros((16, 16, 2 * n), np.uint8)
    halves[:2] = halves[-2:] = 1
    halves[:, :2] = halves[:, -2:] = 1
    medium = tissue_grid(halves, h, 2).medium(
        (record, lab.record("gas", 0.03, 1e3, 0.03, 1e3, 0.0, conducts=False)), body_c
    )
    return replace(medium, exchange_w_m3k=None, exchange_c=None)


def wall(medium, plane: int) -> Link:
    """Voxels of one plane tied so strongly to the probe that they take its temperature."""
    where = np.argwhere(medium.palette.conducts[medium.classes_kji])
    where = where[where[:, 2] == plane]
    strong = np.full(len(where), 1e10, np.float32)
    return Link(where, strong, strong * 3)


def neumann_root(k_f, k_u, c_f, c_u, latent, wall_c, melt_c, start_c) -> float:
    """Lambda of the planar two-phase Neumann problem, equal densities."""
    a_f, a_u = k_f / c_f, k_u / c_u

    def balance(x: float) -> float:
        frozen = np.exp(-(x**2)) / erf(x)
        if start_c == melt_c:
            return frozen - x * latent * np.sqrt(np.pi) / (c_f * (melt_c - wall_c))
        ratio = np.sqrt(a_f / a_u)
        thawed = (
            k_u / k_f * ratio * (start_c - melt_c) / (melt_c - wall_c) * np.exp(-((x * ratio) ** 2)) / erfc(x * ratio)
        )
        return frozen - thawed - x * latent * np.sqrt(np.pi) / (c_f * (melt_c - wall_c))

    return float(brentq(balance, 1e-4, 3.0))


CASES = {
    "N1": (2.22, 0.60, 2.09e6, 4.18e6, 334e6, -100.0, 0.0, 37.0, 0.41884),
    "N2": (2.22, 0.60, 2.09e6, 4.18e6, 334e6, -40.0, 0.0, 20.0, 0.29458),
    "N3": (2.0, 0.5, 1.8e6, 3.6e6, 250e6, -140.0, -0.5, 37.0, 0.50738),
}


@pytest.mark.parametrize("case", CASES)
def test_planar_front_follows_neumann(lab, compiled: bool, case: str) -> None:
    """Ice grown from a cold plane at 60, 180, 300 and 600 s; freezing over 0.1 C.

    An enthalpy front moves from voxel to voxel: half of one is what it can promise, and 2 % with it.
    """
    k_f, k_u, c_f, c_u, latent, wall_c, melt, start, root = CASES[case]
    assert neumann_root(*CASES[case][:8]) == pytest.approx(root, abs=2e-5)
    h = 1.0
    record = lab.record(
        "rod", k_u, c_u, k_f, c_f, latent, liquidus=min(melt + 0.05, 0.0), solidus=min(melt + 0.05, 0.0) - 0.1
    )
    medium = column(lab, record, 112, h, start)
    freezing = Freezing(
        medium, [], [0.0], links=[wall(medium, 0)], power_w=[np.inf], compiled=compiled, composite=False
    )
    freezing.surfaces_c = np.array([np.nan])
    until = (60.0, 180.0, 300.0, 600.0)
    for until_s in until:
        freezing.advance(until_s, lambda t: np.full((len(t), 1), wall_c))
        field = freezing.temperature_c()
        line = field[len(field) // 2, field.shape[1] // 2]
        n = int(np.flatnonzero(line < melt)[-1])
        front = (n + (melt - line[n]) / (line[n + 1] - line[n])) * h
        exact = 2 * root * np.sqrt(k_f / c_f * until_s) * 1e3
        assert front == pytest.approx(exact, abs=0.5 * h), until_s
        assert until_s < 300 or front == pytest.approx(exact, rel=0.02)
    x = np.array([5.0, 10.0, 20.0])
    a_f, a_u = k_f / c_f, k_u / c_u
    eta = x * 1e-3 / (2 * np.sqrt(until[-1]))
    frozen = wall_c + (melt - wall_c) * erf(eta / np.sqrt(a_f)) / erf(root)
    thawed = start - (start - melt) * erfc(eta / np.sqrt(a_u)) / erfc(root * np.sqrt(a_f / a_u))
    exact_c = np.where(eta / np.sqrt(a_f) < root, frozen, thawed)
    found = np.interp(x, np.arange(len(line)) * h, line)
    assert np.abs(found - exact_c).max() < 0.02 * (start - wall_c)


@pytest.mark.parametrize(("stefan", "root"), [(0.1, 0.220016), (0.5, 0.464786), (1.0, 0.620063)])
def test_one_phase_stefan(lab, stefan: float, root: float) -> None:
    """Everything at the melting point at first; half a voxel."""
    wall_c, latent = -40.0, 250e6
    c_f = stefan * latent / 40.0
    assert neumann_root(2.0, 0.5, c_f, c_f, latent, wall_c, 0.0, 0.0) == pytest.approx(root, abs=2e-5)
    record = lab.record("rod", 0.5, c_f, 2.0, c_f, latent, liquidus=0.0, solidus=-0.1)
    medium = column(lab, record, 96, 1.0, 0.0)
    freezing = Freezing(medium, [], [0.0], links=[wall(medium, 0)], power_w=[np.inf], composite=False)
    for until_s in (100.0, 400.0):
        freezing.advance(until_s, lambda t: np.full((len(t), 1), wall_c))
        line = freezing.temperature_c()[3, 3]
        n = int(np.flatnonzero(line < -0.05)[-1])
        front = n + (-0.05 - line[n]) / (line[n + 1] - line[n])
        exact = 2 * root * np.sqrt(2.0 / c_f * until_s) * 1e3
        if exact < 80:
            assert front == pytest.approx(exact, abs=0.5), until_s


@pytest.mark.parametrize(("q", "front_mm"), [(200.0, 6.86), (300.0, 9.26), (500.0, 12.8486)])
def test_line_sink(lab, compiled: bool, q: float, front_mm: float) -> None:
    """Two-phase line sink: from the exact field at 10 s, driven at r = 0.75 mm with the exact temperature, to 600 s.

    Freezing over 0.1 C moves the front from voxel to voxel: a quarter of one.
    """
    k_f, k_u, c_f, c_u, latent, melt, start = 2.0, 0.5, 1.8e6, 3.6e6, 250e6, -0.5, 37.0
    a_f, a_u = k_f / c_f, k_u / c_u

    def balance(x: float) -> float:
        return float(
            q * np.exp(-(x**2)) / (4 * np.pi)
            - k_u * (start - melt) * np.exp(-(x**2) * a_f / a_u) / exp1(x**2 * a_f / a_u)
            - latent * a_f * x**2
        )

    root = brentq(balance, 1e-3, 2.0)

    def exact(r_m, t_s):
        front = 2 * root * np.sqrt(a_f * t_s)
        frozen = melt - q / (4 * np.pi * k_f) * (exp1(r_m**2 / (4 * a_f * t_s)) - exp1(root**2))
        thawed = start - (start - melt) * exp1(r_m**2 / (4 * a_u * t_s)) / exp1(root**2 * a_f / a_u)
        return np.where(r_m < front, frozen, thawed)

    assert 2 * root * np.sqrt(a_f * 600) * 1e3 == pytest.approx(front_mm, abs=0.01)
    record = lab.record("tissue", k_u, c_u, k_f, c_f, latent, liquidus=-0.45, solidus=-0.55)
    medium, origin = lab.slice_medium([record], lambda x, y: np.zeros(x.shape, np.uint8), 45.0, 1.0, (0.3, 0.1))
    freezing = Freezing(medium, [lab.endless(origin)], [0.0], compiled=compiled, composite=False, step_s=0.5)
    shape = medium.classes_kji.shape
    j, i = np.indices(shape[1:])
    r = np.maximum(np.hypot(j - origin[1], i - origin[2]), 0.75) * 1e-3
    lab.set_field(freezing, np.broadcast_to(exact(r, 10.0), shape))
    freezing.time_s = 10.0
    freezing.advance(600.0, lambda t: exact(np.full((len(t), 1), 0.75e-3), t[:, None]))
    field = freezing.temperature_c()
    found = [lab.crossing_mm(field, origin, d, 1.0, melt) for d in ((0, 0, 1), (0, 1, 0), (0, 0.6, -0.8), (0, -1, 0))]
    assert np.mean(found) == pytest.approx(front_mm, abs=0.25)
    near = lab.at_c(field, origin, (0, 0.6, 0.8), 4.0, 1.0)
    assert near == pytest.approx(float(exact(4e-3, 600.0)), abs=1.0)


STEADY = {
    "nerve": (0.49, 10907.0, 2669.0, -70.0, 14.1, 9000.0),
    "fat": (0.2114, 1886.0, 461.0, -100.0, 8.9, 9000.0),
    "liver": (0.5191, 58740.0, 10713.0, -140.0, 13.3, 5000.0),
    "kidney cortex": (0.528, 257188.0, 19332.0, -140.0, 7.9, 2000.0),
}


@pytest.mark.parametrize("tissue_name", STEADY)
def test_perfused_steady_cylinder(lab, tissue_name: str) -> None:
    """Ice stops growing where blood brings what conduction takes: 2 % of the radius, or a quarter of a voxel.

    Perfusion comes back in whatever thaws, so that the state is steady; heat capacities are small, to be there sooner.
    """
    k_u, flow, metabolic, cold, radius_mm, until_s = STEADY[tissue_name]
    k_f, melt = (0.25 if tissue_name == "fat" else 2.0), -0.5
    body = 37.0 + metabolic / flow
    m = np.sqrt(flow / k_u)

    def balance(r: float) -> float:
        return float(k_f * (melt - cold) / np.log(r / 0.75e-3) - k_u * (body - melt) * m * r * k1(m * r) / k0(m * r))

    # What blood brings within 1/m, 1.4 mm in kidney, takes voxels of half of it to see.
    h = 1.0 if m < 500 else 0.5
    exact = brentq(balance, 1e-3, 0.2) * 1e3
    assert exact == pytest.approx(radius_mm, abs=0.06)
    record = lab.record(
        "tissue", k_u, 0.4e6, k_f, 0.4e6, 20e6, flow, metabolic, liquidus=-0.4, solidus=-0.6,
    )  # fmt: skip
    record = replace(record, perfusion_returns=True)
    medium, origin = lab.slice_medium(
        [record], lambda x, y: np.zeros(x.shape, np.uint8), 60.0 if m < 200 else 30.0, h, (0.2, 0.4)
    )
    freezing = Freezing(medium, [lab.endless(origin)], [0.0], composite=False)
    freezing.advance(until_s / 8.0, lambda t: np.full((len(t), 1), cold))
    rays = ((0, 0.8, 0.6), (0, 0, 1), (0, 0.7071, -0.7071), (0, -0.98, 0.2))
    found = np.mean([lab.crossing_mm(freezing.temperature_c(), origin, d, h, melt, k_f / k_u) for d in rays])
    assert found == pytest.approx(exact, abs=max(0.25 * h, 0.02 * exact))


def test_perfused_steady_sphere(lab) -> None:
    """A ball of 10 mm held at -70 C in liver tissue, cut out of voxels: their stairs are good to a third of one."""
    k_u, k_f, flow, melt, cold, body, r0 = 0.5191, 2.0, 58740.0, -0.5, -70.0, 37.0, 10.0
    m = np.sqrt(flow / k_u) * 1e-3

    def balance(r: float) -> float:
        return k_f * (melt - cold) / (1 / r0 - 1 / r) / r**2 - k_u * (body - melt) * (1 / r + m)

    exact = brentq(balance, r0 + 1e-3, 100.0)
    record = replace(
        lab.record("liver", k_u, 0.4e6, k_f, 0.4e6, 20e6, flow, liquidus=-0.4, solidus=-0.6), perfusion_returns=True
    )
    n = 64
    medium = tissue_grid(np.zeros((2 * n,) * 3, np.uint8), 1.0, 1).medium((record,), body)
    where = np.argwhere(r0 > np.linalg.norm(np.indices((n,) * 3).T - (n - 1) / 2, axis=-1).T)
    strong = np.full(len(where), 1e10, np.float32)
    ball = Link(where, strong, strong * 3)
    freezing = Freezing(medium, [], [0.0], links=[ball], power_w=[np.inf], composite=False)
    freezing.advance(400.0, lambda t: np.full((len(t), 1), cold))
    field = freezing.temperature_c()
    middle = np.full(3, (n - 1) / 2)
    rng = np.random.default_rng(0)
    rays = rng.normal(size=(20, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    found = np.mean([lab.crossing_mm(field, middle, d, 1.0, melt, k_f / k_u) for d in rays])
    assert found == pytest.approx(exact, abs=0.35)


TIMES_S = (60, 180, 600)
TABLE = {
    # tissue, start C, probe C, perfusion, metabolism, then radii of 0, -20 and -40 C at each time
    "gel 37 C, -140 C": ("gel", 37.0, -140.0, 0.0, 0.0, (6.33, 4.73, 3.46), (9.70, 6.86, 4.72), (15.77, 10.50, 6.73)),
    "muscle": ("gel", 37.0, -140.0, 2535.0, 988.0, (6.31, 4.72, 3.45), (9.63, 6.83, 4.70), (15.38, 10.32, 6.63)),
    "gel 37 C, -100 C": ("gel", 37.0, -100.0, 0.0, 0.0, (5.51, 3.79, 2.52), (8.35, 5.34, 3.26), (13.44, 7.90, 4.37)),
    "gel 37 C, -70 C": ("gel", 37.0, -70.0, 0.0, 0.0, (4.74, 2.91, 1.69), (7.08, 3.92, 2.02), (11.22, 5.54, 2.49)),
    "gel 22 C, -140 C": ("gel", 22.0, -140.0, 0.0, 0.0, (6.97, 5.07, 3.66), (10.80, 7.42, 5.03), (17.78, 11.45, 7.22)),
    "fat, -140 C": ("fat", 37.0, -140.0, 1886.0, 461.0, (3.64, 2.84, 2.25), (5.23, 3.89, 2.93), (7.70, 5.46, 3.90)),
}


@pytest.mark.parametrize("case", TABLE)
def test_one_dimensional_tables(lab, compiled: bool, case: str) -> None:
    """Converged radii from the axis of an endless probe of 1.5 mm, on 1 mm: 2 % or 0.12 mm."""
    kind, start, cold, flow, metabolic, *rows = TABLE[case]
    values = (0.5, 3.6e6, 2.0, 1.8e6, 250e6) if kind == "gel" else (0.21, 911 * 2348.0, 0.25, 911 * 1900.0, 55e6)
    record = lab.record(kind, *values, flow, metabolic)
    medium, origin = lab.slice_medium([record], lambda x, y: np.zeros(x.shape, np.uint8), 44.0, 1.0, (0.2, 0.35), start)
    freezing = Freezing(medium, [lab.endless(origin)], [0.0], compiled=compiled, composite=False)
    for until_s, radii in zip(TIMES_S, rows, strict=True):
        freezing.advance(float(until_s), lambda t: np.full((len(t), 1), cold))
        field = freezing.temperature_c()
        for isotherm, exact in zip((0.0, -20.0, -40.0), radii, strict=True):
            if exact < 2.2:
                continue
            rays = ((0, 0, 1), (0, 1, 0), (0, 0.6, -0.8), (0, -0.7, -0.714))
            found = np.mean([lab.crossing_mm(field, origin, d, 1.0, isotherm) for d in rays])
            assert found == pytest.approx(exact, abs=max(0.12, 0.02 * exact)), (until_s, isotherm)


def closed_rod(lab, record, n: int, h: float):
    """Medium of a rod of n voxels of h mm along i, in gas on all sides; it begins at voxel 8."""
    halves = np.zeros((16, 16, 2 * (n + 16)), np.uint8)
    halves[:2] = halves[-2:] = 1
    halves[:, :2] = halves[:, -2:] = 1
    halves[..., :16] = halves[..., 16 + 2 * n :] = 1
    gas = lab.record("gas", 0.03, 1e3, 0.03, 1e3, 0.0, conducts=False)
    return replace(tissue_grid(halves, h, 2).medium((record, gas), 20.0), exchange_w_m3k=None, exchange_c=None)


def decay_error(lab, h: float, compiled: bool) -> float:
    """Largest error of a cosine that decays in a closed rod of 40 mm, unfrozen, at 120 s."""
    n = int(40 / h)
    record = lab.record("rod", 0.5, 3.6e6, 2.0, 1.8e6, 250e6)
    medium = closed_rod(lab, record, n, h)
    freezing = Freezing(medium, [], [0.0], compiled=compiled, composite=False, step_s=0.4 * h**2)
    x = (np.arange(n + 16) - 7.5) * h
    start = 20.0 + 10.0 * np.cos(np.pi * x / 40.0)
    lab.set_field(freezing, np.broadcast_to(start, medium.classes_kji.shape))
    freezing.advance(120.0, lambda t: np.zeros((len(t), 0)))
    exact = 20.0 + 10.0 * np.cos(np.pi * x / 40.0) * np.exp(-0.5 / 3.6e6 * (np.pi / 0.04) ** 2 * 120.0)
    line = freezing.temperature_c()[3, 3]
    return float(np.abs(line - exact)[8 : 8 + n].max())


def test_second_order_in_space_unfrozen(lab) -> None:
    """Half the voxel, a quarter of the error; time steps shrink with the square of it."""
    errors = [decay_error(lab, h, True) if h else 0.0 for h in (4.0, 2.0)]
    assert errors[0] / errors[1] > 3.3


def manufactured_error(lab, h: float, compiled: bool) -> float:
    """Mean error of a manufactured field that swings through the whole freezing range, driven by its own source.

    T = -5 + 12 cos(pi x / L) exp(-b t): enthalpy and conductivity change with T all along, and the source that makes it a
    solution is H'(T) T_t - (k(T) T_x)_x.
    """
    length, b, seconds = 40.0, 1.0 / 400.0, 60.0
    n = int(length / h)
    ku, kf, cu, cf, latent = 0.5, 2.0, 3.6e6, 1.8e6, 250e6
    record = lab.record("rod", ku, cu, kf, cf, latent)
    medium = closed_rod(lab, record, n, h)
    step = 0.1 * h**2
    freezing = Freezing(medium, [], [0.0], compiled=compiled, composite=False, step_s=step)
    x = (np.arange(n + 16) - 7.5) * h
    inside = slice(8, 8 + n)

    def field(at_s):
        return -5.0 + 12.0 * np.cos(np.pi * x / length) * np.exp(-b * at_s)

    def source(at_s):
        # The mean over each voxel, from points inside it: the kinks of k and H are not second order for one point.
        total = np.zeros_like(x)
        for shift in (np.arange(16) - 7.5) / 16:
            y = (x + shift * h) * np.pi / length
            swing = 12.0 * np.exp(-b * at_s)
            t = -5.0 + swing * np.cos(y)
            frozen = np.clip((-1.0 - t) / 7.0, 0.0, 1.0)
            k = ku + (kf - ku) * frozen
            slope = np.where((t < -1) & (t > -8), -(kf - ku) / 7.0, 0.0)
            heat = np.where(t > -1, cu, np.where(t < -8, cf, 0.5 * (cu + cf) + latent / 7.0))
            wave = np.pi / length * 1e3
            total += heat * -b * swing * np.cos(y) + k * swing * np.cos(y) * wave**2
            total -= slope * (swing * np.sin(y) * wave) ** 2
        return total / 16

    lab.set_field(freezing, np.broadcast_to(field(0.0), medium.classes_kji.shape))
    supply = freezing.patch.exchange_supply
    while freezing.time_s < seconds - 1e-6:
        now = freezing.time_s
        supply[1:-1, 1:-1, 1 : len(x) + 1] = np.where(
            freezing.patch.active[1:-1, 1:-1, 1 : len(x) + 1], source(now + 0.5 * step), 0.0
        )
        freezing.advance(min(now + step, seconds), lambda t: np.zeros((len(t), 0)))
    line = freezing.temperature_c()[3, 3]
    return float(np.abs(line - field(seconds))[inside].mean())


def test_second_order_in_space_with_phase_change(lab) -> None:
    """Manufactured solution for the whole non-linear operator, on 4, 2 and 1 mm."""
    errors = [manufactured_error(lab, h, True) for h in (4.0, 2.0, 1.0)]
    assert errors[0] / errors[1] > 3.0 and errors[1] / errors[2] > 3.0
    assert errors[2] < 0.05


def test_unfrozen_conduction_spreads_like_erf(lab, compiled: bool) -> None:
    """A step of temperature: T = erf(x / 2 sqrt(a t)). 0.05 C of a 17 C step."""
    record = lab.record("rod", 0.5, 3.6e6, 2.0, 1.8e6, 250e6)
    medium = column(lab, record, 64, 1.0, 20.0)
    freezing = Freezing(medium, [], [0.0], compiled=compiled, composite=False, step_s=1.0)
    start = np.where(np.arange(64) < 32, 20.0, 37.0)
    lab.set_field(freezing, np.broadcast_to(start, medium.classes_kji.shape))
    freezing.advance(200.0, lambda t: np.zeros((len(t), 0)))
    x = (np.arange(64) - 31.5) * 1e-3
    exact = 28.5 + 8.5 * erf(x / (2 * np.sqrt(0.5 / 3.6e6 * 200.0)))
    error = np.abs(freezing.temperature_c()[3, 3] - exact)[np.abs(x) < 10e-3].max()
    assert error < 0.05
