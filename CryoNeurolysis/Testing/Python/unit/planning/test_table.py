"""Entries from the table's side in the position of the scan."""

from __future__ import annotations

import numpy as np
import pytest
from cryoneuro.knowledge import limits
from cryoneuro.model import Trajectory
from cryoneuro.planning import table_side_ras, table_words

BEHIND = Trajectory(np.array([0.0, -100.0, 0.0]), np.array([0.0, -40.0, 0.0]))
FRONT = Trajectory(np.array([0.0, 100.0, 0.0]), np.array([0.0, 40.0, 0.0]))
RIGHT = Trajectory(np.array([100.0, 0.0, 0.0]), np.array([40.0, 0.0, 0.0]))
LEFT = Trajectory(np.array([-100.0, 0.0, 0.0]), np.array([-40.0, 0.0, 0.0]))


@pytest.mark.parametrize("feet", ["HF", "FF"])
@pytest.mark.parametrize(
    ("posture", "under", "words"),
    [("S", BEHIND, "on the back"), ("P", FRONT, "prone"), ("DR", RIGHT, "right side"), ("DL", LEFT, "left side")],
)
def test_only_what_comes_from_below_is_said(feet: str, posture: str, under: Trajectory, words: str) -> None:
    for path in (BEHIND, FRONT, RIGHT, LEFT):
        text = table_words(path, feet + posture, limits())
        assert (words in text and "turn the patient" in text) if path is under else text == ""


def test_an_oblique_path_counts_by_where_it_comes_from() -> None:
    steep = Trajectory(np.array([60.0, -80.0, 0.0]), np.array([0.0, 0.0, 0.0]))
    flat = Trajectory(np.array([90.0, -30.0, 0.0]), np.array([0.0, 0.0, 0.0]))
    assert table_words(steep, "HFS", limits()) and not table_words(flat, "HFS", limits())


def test_a_position_that_is_not_said_says_nothing() -> None:
    for text in ("", "  ", "XX", "HF"):
        assert table_side_ras(text) is None and table_words(BEHIND, text, limits()) == ""
