"""Where tissues meet: layers of the shipped tissues round and across a probe, small boxes, limited power.

The references are solvers of their own (references/layered.py), converged to 0.01 mm round the probe and 0.025 mm across it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from cryoneuro.knowledge import tissue, tissues
from cryoneuro.thermal import ColdSurface, Freezing, compiled_available, tissue_grid
from cryoneuro.thermal.medium import with_samples

PATHS = [False, pytest.param(True, marks=pytest.mark.skipif(not compiled_available(), reason="numba is not installed"))]
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def layered():
    """The reference solvers."""
    spec = importlib.util.spec_from_file_location("layered_reference", HERE / "references" / "layered.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["layered_reference"] = module
    spec.loader.exec_module(module)
    return module


RAYS = [(0.0, np.sin(a), np.cos(a)) for a in np.arange(12) * np.pi / 6 + 0.1]
SLOW = tuple(t for t in tissues() if t.conducts and t.perfusion_stops and t.perfusion_w_m3k < 2e4)
"""Tissues that blood does not warm within less than two voxels; the others have a test of their own."""


def rings(lab, kinds, edges, offset):
    """A slice of layers, and the voxel coordinates of its axis."""

    def labels(x, y):
        r = np.hypot(x, y)
        found = np.full(r.shape, kinds[-1].label)
        for kind, edge in reversed(list(zip(kinds[:-1], edges, strict=True))):
            found[r < edge] = kind.label
        return found

    return lab.slice_medium(tissues(), labels, 44.0, 1.0, offset, fine=True)


def held_against(layered, lab, kinds, edges, diameter, cold, offset, compiled, until=(180.0, 600.0)):
    """(time, isotherm, found, exact, nearest boundary) of every isotherm that is a voxel away from the probe."""
    layers = list(zip(kinds, [*edges, np.inf], strict=True))
    exact = layered.radial(layers, cold, diameter, until[-1], times_s=until, fine_mm=0.03, widest_mm=0.1)
    medium, origin = rings(lab, kinds, edges, offset)
    freezing = Freezing(medium, [lab.endless(origin, diameter)], [0.0], compiled=compiled, composite=False)
    rows = []
    for until_s in until:
        freezing.advance(until_s, lambda t: np.full((len(t), 1), cold))
        field = freezing.temperature_c()
        for isotherm in (0.0, -20.0, -40.0):
            radius = exact.radius_mm(isotherm, until_s)
            if radius is None or radius < 0.5 * diameter + 1.0:
                continue
            found = [lab.crossing_mm(field, origin, ray, 1.0, isotherm) for ray in RAYS]
            assert None not in found, (until_s, isotherm)
            nearest = min((abs(radius - e) for e in edges), default=np.inf)
            rows.append((until_s, isotherm, float(np.mean(found)), radius, nearest))
    return rows, field, origin, exact


def drawn(seed: int, kinds_from=SLOW):
    """Two or three layers, a probe and where it lies, at random."""
    rng = np.random.default_rng(seed)
    kinds = []
    while len(kinds) < 2 + seed % 2:
        kind = kinds_from[rng.integers(len(kinds_from))]
        if not kinds or kind.id != kinds[-1].id:
            kinds.append(kind)
    diameter = float(rng.choice([1.2, 1.5, 2.1, 2.4]))
    edges = np.cumsum(rng.uniform(1.0, 4.0, len(kinds) - 1)) + 0.5 * diameter
    return kinds, edges, diameter, float(rng.uniform(-150.0, -80.0)), rng.uniform(-0.5, 0.5, 2)


@pytest.mark.parametrize(("seed", "compiled"), [*((s, True) for s in range(14)), *((s, False) for s in range(3))])
def test_random_layers_of_shipped_tissues(layered, lab, compiled: bool, seed: int) -> None:
    """0.1 mm on 1 mm. An isotherm that lies within a voxel of a boundary is read off a profile with a kink: 0.3 mm."""
    if compiled and not compiled_available():
        pytest.skip("numba is not installed")
    kinds, edges, diameter, cold, offset = drawn(seed)
    rows, *_ = held_against(layered, lab, kinds, edges, diameter, cold, offset, compiled)
    assert rows
    for until_s, isotherm, found, exact, nearest in rows:
        assert found == pytest.approx(exact, abs=0.1 if nearest > 1.0 else 0.3), (
            until_s,
            isotherm,
            [k.id for k in kinds],
        )


SEEN = {
    "muscle, bone": (("muscle", "bone_cortical"), (3.9,)),
    "muscle, nerve, muscle": (("muscle", "nerve", "muscle"), (3.0, 6.0)),
    "liver, fat": (("liver", "fat"), (3.9,)),
    "cerebrospinal fluid, muscle": (("csf", "muscle"), (4.0,)),
    "saline, fat, muscle": (("saline", "fat", "muscle"), (3.0, 6.0)),
    "muscle": (("muscle",), ()),
}


@pytest.mark.parametrize("case", SEEN)
def test_layers_that_were_wrong(layered, lab, case: str) -> None:
    """-140 C round 1.5 mm, at 60, 180 and 600 s: radii to 0.1 mm, and what lies in a nerve of 1.5 mm round 4.5 mm to 1 K."""
    names, edges = SEEN[case]
    rows, field, origin, exact = held_against(
        layered, lab, [tissue(n) for n in names], edges, 1.5, -140.0, (0.3, 0.1), None, (60.0, 180.0, 600.0)
    )
    for until_s, isotherm, found, radius, nearest in rows:
        assert found == pytest.approx(radius, abs=0.1 if nearest > 1.0 else 0.2), (until_s, isotherm)
    if case == "muscle, nerve, muscle":
        for r_mm in (3.75, 4.5, 5.25):
            mean = np.mean([lab.at_c(field, origin, ray, r_mm, 1.0) for ray in RAYS])
            assert mean == pytest.approx(float(exact.at(r_mm, 600.0)), abs=1.0), r_mm


def test_a_layer_of_fat_thinner_than_a_voxel(layered, lab) -> None:
    """0.75 mm of fat round the probe, then nerve, then muscle. 0.15 mm was wanted; 0.25 mm is reached, for the half voxel that
    the layer begins in knows only how much fat it holds. Before, it was 0.5 to 0.7 mm."""
    for offset in ((0.0, 0.0), (0.3, 0.1), (0.5, 0.5)):
        kinds = [tissue(n) for n in ("fat", "nerve", "muscle")]
        rows, *_ = held_against(layered, lab, kinds, (1.5, 4.5), 1.5, -140.0, offset, None)
        for until_s, isotherm, found, radius, _ in rows:
            assert found == pytest.approx(radius, abs=0.25), (offset, until_s, isotherm)


def test_where_blood_warms_within_a_voxel_or_two(layered, lab) -> None:
    """Kidney, lung and bowel: blood acts over 1.4 to 2.7 mm, which voxels of 1 mm see coarsely. 0.3 mm, and never too much
    ice."""
    for names, edges in (
        (("fat", "bowel_wall"), (3.0,)),
        (("bone_cancellous", "kidney"), (3.5,)),
        (("liver", "lung"), (2.5,)),
    ):
        rows, *_ = held_against(layered, lab, [tissue(n) for n in names], edges, 1.5, -110.0, (0.2, 0.4), None)
        for until_s, isotherm, found, radius, _ in rows:
            assert radius - 0.3 < found < radius + 0.1, (names, until_s, isotherm)


@pytest.mark.parametrize("axis", [(0.0, 0.0, 1.0), (0.36, 0.48, 0.8)])
def test_layers_across_the_probe(lab, axis) -> None:
    """Muscle on one side of a plane through the middle of a probe of 22 mm, fat on the other: converged numbers of
    references/layered.py (axisymmetric). 0.1 mm."""
    axis = np.asarray(axis)
    n = 84
    middle = np.full(3, (n - 1) / 2) + np.array([0.2, 0.4, 0.1])
    kji = (np.stack(np.indices((2 * n,) * 3), -1) - 0.5) / 2.0
    along = (kji - middle) @ axis
    halves = np.where(along < 0, tissue("muscle").label, tissue("fat").label).astype(np.uint16)
    where = np.argwhere(np.abs(along) < 0.45)
    eighths = np.stack(np.meshgrid(*[[-0.125, 0.125]] * 3, indexing="ij"), -1).reshape(8, 3)
    kinds = np.where(
        (kji[tuple(where.T)][:, None] + eighths - middle) @ axis < 0, tissue("muscle").label, tissue("fat").label
    )
    halves, fractions = with_samples(halves, where, kinds, len(tissues()))
    medium = tissue_grid(halves, 1.0, len(tissues()), fractions).medium()
    freezing = Freezing(medium, [ColdSurface(middle, axis, 1.5, 22.0)], [0.0])
    freezing.advance(600.0, lambda t: np.full((len(t), 1), -140.0))
    field = freezing.temperature_c()
    one = np.cross(axis, (0.3, 1.0, 0.1))
    one /= np.linalg.norm(one)
    other = np.cross(axis, one)
    for z_mm, radii in ((-6.0, (12.220, 8.426, 5.738)), (6.0, (8.424, 5.808, 4.057))):
        center = middle + z_mm * axis
        for isotherm, exact in zip((0.0, -20.0, -40.0), radii, strict=True):
            found = [lab.crossing_mm(field, center, d, 1.0, isotherm) for d in (one, -one, other, -other)]
            assert np.mean(found) == pytest.approx(exact, abs=0.1), (z_mm, isotherm)
    for sign, reach in ((-1.0, (19.022, 15.678)), (1.0, (14.840, 13.382))):
        for isotherm, exact in zip((0.0, -20.0), reach, strict=True):
            assert lab.crossing_mm(field, middle, sign * axis, 1.0, isotherm) == pytest.approx(exact, abs=0.12), (
                sign,
                isotherm,
            )


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize(
    ("power_w", "radius_mm", "surface_c"), [(5.0, 4.827, -40.8), (10.0, 7.600, -86.6), (2.0, None, None)]
)
def test_power_is_power(lab, compiled: bool, power_w: float, radius_mm: float | None, surface_c: float | None) -> None:
    """Muscle, 300 s: never more than the power takes, by 1 %, and the ice of an axisymmetric solver, 0.1 mm."""
    n = 72
    medium = tissue_grid(np.full((2 * n,) * 3, tissue("muscle").label, np.uint8), 1.0).medium()
    axis = np.array([0.36, 0.48, 0.8])
    middle = np.full(3, (n - 1) / 2) + np.array([0.1, 0.3, 0.2])
    freezing = Freezing(medium, [ColdSurface(middle, axis, 1.5, 22.0)], [0.0], [power_w], compiled=compiled)
    for until_s in (60.0, 180.0, 300.0):
        freezing.advance(until_s, lambda t: np.full((len(t), 1), -170.0))
        # What blood has given back since is not in the tissue's lack, so that this is the less.
        assert -freezing.heat_j() < 1.01 * power_w * until_s
    if radius_mm is None:
        return
    one = np.cross(axis, (0.0, 0.0, 1.0))
    one /= np.linalg.norm(one)
    other = np.cross(axis, one)
    found = [lab.crossing_mm(freezing.temperature_c(), middle, d, 1.0, 0.0) for d in (one, -one, other, -other)]
    assert np.mean(found) == pytest.approx(radius_mm, abs=0.1)
    assert freezing.surfaces_c[0] == pytest.approx(surface_c, abs=1.5)
