"""Ribs that only their place tells from vessels with contrast."""

from __future__ import annotations

import numpy as np
import pytest
from cryoneuro.anatomy.faint_ribs import faint_ribs
from cryoneuro.model import VolumeGeometry

SHAPE = (60, 120, 160)
MATRIX = np.diag([1.5, 1.5, 1.5, 1.0])
MATRIX[:3, 3] = [-120.0, -90.0, 0.0]
GEOMETRY = VolumeGeometry(SHAPE, MATRIX)
MIDDLE = np.tile([0.0, -40.0], (SHAPE[0], 1))
K, J, COLUMN = np.indices(SHAPE)
R, A, S = (MATRIX[n, 3] + 1.5 * v for n, v in ((0, COLUMN), (1, J), (2, K)))
LUNG = (np.hypot(R - 55.0, A) < 40.0) & (S > 30.0)


def bar(r: float, a: float, low: float, high: float, radius: float = 3.5) -> np.ndarray:
    """An upright bar."""
    return (np.hypot(R - r, A - a) < radius) & (np.abs(S - 0.5 * (low + high)) <= 0.5 * (high - low))


@pytest.mark.parametrize(
    ("what", "mask", "rib"),
    [
        ("on the outer side of the lung", bar(101.0, 0.0, 40.0, 80.0), True),
        ("between lung and middle, as a vessel", bar(9.0, -30.0, 40.0, 80.0), False),
        ("within the lung, as its vessels", bar(55.0, 0.0, 40.0, 80.0), False),
        ("below the lung behind the canal", bar(50.0, -60.0, 0.0, 28.0), True),
        ("below the lung in front of the canal, as a ureter", bar(30.0, -10.0, 0.0, 28.0), False),
        ("too short", bar(101.0, 0.0, 50.0, 62.0), False),
        ("too thick", bar(105.0, 0.0, 40.0, 80.0, 9.0), False),
    ],
)
def test_a_bar_is_a_rib_by_its_place(what: str, mask: np.ndarray, rib: bool) -> None:
    found = faint_ribs(mask, LUNG, MIDDLE, GEOMETRY)
    assert found.any() == rib, what
    assert not rib or np.array_equal(found, mask)


def test_without_a_canal_nothing_is_said() -> None:
    assert not faint_ribs(bar(101.0, 0.0, 40.0, 80.0), LUNG, np.full_like(MIDDLE, np.nan), GEOMETRY).any()
