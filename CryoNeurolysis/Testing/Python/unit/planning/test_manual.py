"""A path drawn by a person: undo, redo, snapping."""

from __future__ import annotations

import numpy as np
import pytest
from cryoneuro.anatomy import skin_entries
from cryoneuro.model import Anatomy, AnatomyError, PlanningError, Trajectory
from cryoneuro.planning import PathEdits, snapped
from hypothesis import given
from hypothesis import strategies as st

START = Trajectory(np.zeros(3), np.array([0.0, 50.0, 0.0]))
places = st.tuples(*[st.floats(-100, 100)] * 3).map(np.array)


@given(st.lists(st.tuples(st.booleans(), places), min_size=1, max_size=8), st.integers(0, 10))
def test_undo_goes_back_step_by_step_and_redo_returns(moves, back: int) -> None:
    edits, seen = PathEdits(START), [START]
    for entry, place in moves:
        other = edits.now.tip_ras_mm if entry else edits.now.entry_ras_mm
        if np.linalg.norm(place - other) < 1.0:
            continue
        edits = edits.moved(entry_ras_mm=place) if entry else edits.moved(tip_ras_mm=place)
        seen.append(edits.now)
    steps = min(back, len(seen) - 1)
    for n in range(steps):
        edits = edits.undone()
        assert edits.now is seen[-2 - n]
    for n in range(steps):
        edits = edits.redone()
        assert edits.now is seen[len(seen) - steps + n]
    assert edits.redone() is edits


def test_a_drag_is_one_step_and_a_new_move_forgets_what_was_undone() -> None:
    edits = PathEdits(START).moved(tip_ras_mm=[0, 60, 0])
    for y in (61.0, 62.0, 63.0):
        edits = edits.moved(tip_ras_mm=[0, y, 0], final=False)
    assert edits.undone().now is START
    other = edits.undone().moved(entry_ras_mm=[5, 0, 0])
    assert other.redone() is other and PathEdits(START).undone().now is START


def test_snapping_finds_the_nearest_point(phantom_anatomy: Anatomy) -> None:
    place = np.array([-120.0, -70.0, 40.0])
    skin = skin_entries(phantom_anatomy).points_ras_mm
    on_skin = snapped(phantom_anatomy, place, "skin")
    assert np.linalg.norm(on_skin - place) == pytest.approx(np.linalg.norm(skin - place, axis=1).min())
    on_bone = snapped(phantom_anatomy, place, "bone")
    mask = phantom_anatomy.structure("bone").mask_kji
    every = phantom_anatomy.geometry.ijk_to_ras_mm(np.argwhere(mask)[:, ::-1])
    assert np.linalg.norm(on_bone - place) == pytest.approx(np.linalg.norm(every - place, axis=1).min())


def test_what_cannot_be_snapped_is_a_sentence(phantom_anatomy: Anatomy) -> None:
    with pytest.raises(AnatomyError):
        snapped(phantom_anatomy, [0, 0, 0], "no such thing")
    with pytest.raises(PlanningError, match="three numbers"):
        snapped(phantom_anatomy, [0, np.nan, 0], "skin")
