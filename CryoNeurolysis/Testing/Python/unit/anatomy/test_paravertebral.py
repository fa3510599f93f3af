"""Splanchnic nerves and lumbar sympathetic chain from numbered vertebrae."""

from __future__ import annotations

import numpy as np
import pytest
from cryoneuro.anatomy import propose_nerve
from cryoneuro.knowledge import tissue
from cryoneuro.model import Anatomy, AnatomyError, Structure, StructureRole, TissueMap, VolumeGeometry

GRID_MM = 1.5
SHAPE = (70, 80, 80)
LEVELS = ("L2", "L3", "L4")


def spine(levels=LEVELS, aorta_ra=(-12.0, 30.0), turn: bool = False, aorta_mm: float = 9.0) -> Anatomy:
    """Bodies of 22 by 17 mm half axes with arch and processes, discs between them, an aorta in front on the left."""
    matrix = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    matrix[:3, 3] = [-60.0, -60.0, 0.0]
    geometry = VolumeGeometry(SHAPE, matrix)
    s, a, r = np.meshgrid(*[matrix[n, 3] + GRID_MM * np.arange(SHAPE[2 - n]) for n in (2, 1, 0)], indexing="ij")
    if turn:
        r, a = 0.966 * r + 0.259 * a, -0.259 * r + 0.966 * a
    body = (r / 22.0) ** 2 + (a / 17.0) ** 2 < 1
    arch = (np.hypot(r, a + 25.0) < 14.0) & (np.hypot(r, a + 25.0) > 9.0)
    process = (np.abs(a + 26.0) < 4.0) & (np.abs(r) < 40.0)
    structures = [Structure("body", "body", StructureRole.BODY, np.ones(SHAPE, bool), "computed", "all", "high")]
    for number, name in enumerate(levels):
        low = 30.0 * number + 2.0
        slab = (s >= low) & (s < low + 25.0)
        mask = slab & (body | arch | (process & (np.abs(s - low - 12.0) < 6.0)))
        structures.append(
            Structure(f"vertebrae_{name}", "bone", StructureRole.AVOID, mask, "imported", "label", "high")
        )
    vessel = np.hypot(r - aorta_ra[0], a - aorta_ra[1]) < aorta_mm
    structures.append(Structure("aorta", "aorta", StructureRole.AVOID, vessel, "imported", "label", "high"))
    labels = np.full(SHAPE, tissue("muscle").label, np.uint8)
    return Anatomy(geometry, TissueMap(labels), tuple(structures))


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_chain_lies_at_the_front_edge_of_the_bodies(side: str) -> None:
    nerve = propose_nerve(spine(), "lumbar_sympathetic", side)
    points = nerve.points_ras_mm
    sign = -1.0 if side == "left" else 1.0
    assert (sign * points[:, 0] > 5.0).all() and (points[:, 1] > 5.0).all()
    # The ellipse's edge is where the form is one; four millimeters off it, smoothing and voxels allowed for.
    form = np.hypot(points[:, 0] / 22.0, points[:, 1] / 17.0)
    assert (form > 1.05).all() and (form < 1.45).all()
    assert points[0, 2] > points[-1, 2], "from head to feet"
    assert np.ptp(points[:, 2]) > 50
    assert not nerve.confirmed and "L2, L3, L4" in nerve.rule and nerve.sigma_mm > 0
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert steps.max() < 12.0


def test_it_gives_way_to_the_aorta() -> None:
    """With the aorta lying on the edge itself the course goes farther to the side, out of the vessel."""
    near = propose_nerve(spine(aorta_ra=(-13.0, 22.0)), "lumbar_sympathetic", "left").points_ras_mm
    free = propose_nerve(spine(aorta_ra=(30.0, 45.0)), "lumbar_sympathetic", "left").points_ras_mm
    assert near[:, 0].mean() < free[:, 0].mean() - 2.0
    assert (np.hypot(near[:, 0] + 13.0, near[:, 1] - 22.0) > 9.0).all()


def test_a_turned_patient_has_a_turned_chain() -> None:
    """15 degrees on the table: front and side are the patient's own; two voxels."""
    straight = propose_nerve(spine(aorta_ra=(30.0, 50.0)), "lumbar_sympathetic", "left").points_ras_mm.mean(axis=0)
    turned = propose_nerve(spine(aorta_ra=(30.0, 50.0), turn=True), "lumbar_sympathetic", "left").points_ras_mm.mean(
        axis=0
    )
    back = np.array([0.966 * turned[0] + 0.259 * turned[1], -0.259 * turned[0] + 0.966 * turned[1]])
    assert np.linalg.norm(back - straight[:2]) < 2 * GRID_MM


def test_silent_where_the_levels_are_not_known() -> None:
    with pytest.raises(AnatomyError, match="by number"):
        propose_nerve(spine(), "splanchnic", "left")
    with pytest.raises(AnatomyError, match="Too little"):
        propose_nerve(spine(aorta_mm=200.0), "lumbar_sympathetic", "left")
    with pytest.raises(AnatomyError, match="has no levels"):
        propose_nerve(spine(), "lumbar_sympathetic", "left", 3)
