"""Accepted paths on real CTs, checked by rays against the surfaces of what they must avoid: a method of another kind."""

from __future__ import annotations

import numpy as np
import pytest
from cryoneuro.anatomy import for_target, propose_nerve
from cryoneuro.knowledge import nerve, probe
from cryoneuro.model import VolumeGeometry
from cryoneuro.planning import tried_paths
from cryoneuro.planning.clearance import avoided
from real_cts import RealCts

pytestmark = pytest.mark.slow
vtk = pytest.importorskip("vtk")
RAYS = 10_000


def surface(mask_kji: np.ndarray, geometry: VolumeGeometry):
    from CryoNeurolysisLib.scene.convert import isosurface

    edges = isosurface(mask_kji, geometry, 0.5)
    locator = vtk.vtkStaticCellLocator()
    locator.SetDataSet(edges)
    locator.BuildLocator()
    return edges, locator


def crossings(locator, entry_ras_mm: np.ndarray, tip_ras_mm: np.ndarray) -> int:
    place, inner = [0.0] * 3, [0.0] * 3
    t, part, cell = vtk.mutable(0.0), vtk.mutable(0), vtk.mutable(0)
    return sum(
        locator.IntersectWithLine(a, b, 1e-6, t, place, inner, part, cell)
        for a, b in zip(entry_ras_mm, tip_ras_mm, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("thorabd-arterial-lidc", (("intercostal", "left"), ("celiac_plexus", "left"))),
        ("abdpelvis-native-ts", (("pudendal", "left"), ("sciatic", "right"), ("ganglion_impar", "left"))),
        ("hemipelvis-native-sts007", (("sciatic", "right"), ("pudendal", "right"))),
    ],
)
def test_no_accepted_path_crosses_what_it_must_avoid(real_cts: RealCts, name: str, targets: tuple) -> None:
    whole = real_cts.anatomy(name)
    for target, side in targets:
        course = propose_nerve(whole, target, side)
        anatomy, record = for_target(whole, course), nerve(target)
        found = tried_paths(anatomy, course, probe(record.default_probe))
        assert len(found.order) > 100
        rows = found.order[np.unique(np.linspace(0, len(found.order) - 1, RAYS).astype(int))]
        rejected = np.flatnonzero((found.slack < -5.0).any(axis=1))[::50]
        blocked = 0
        for structure in avoided(anatomy, record.passable):
            poly, locator = surface(structure.mask_kji, anatomy.geometry)
            assert poly.GetNumberOfCells() > 0
            hits = crossings(locator, found.entry_ras_mm[rows], found.tip_ras_mm[rows])
            assert hits == 0, (target, structure.name, hits)
            blocked += crossings(locator, found.entry_ras_mm[rejected], found.tip_ras_mm[rejected])
        assert blocked > 0, "rays that cannot hit would prove nothing"
