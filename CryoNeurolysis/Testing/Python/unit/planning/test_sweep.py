"""What the sweep accepts keeps clear of random bodies by an exact reckoning."""

from __future__ import annotations

import numpy as np
import pytest
from cryoneuro.imaging import KeptByContent, KeptForArrays
from cryoneuro.knowledge import limits, nerve, probe
from cryoneuro.model import (
    Anatomy,
    Nerve,
    Structure,
    StructureRole,
    TissueMap,
    VolumeGeometry,
    never_cancelled,
    no_progress,
)
from cryoneuro.planning.candidates import Candidates
from cryoneuro.planning.clearance import signed_distance_mm
from cryoneuro.planning.distance_maps import distance_map_mm
from cryoneuro.planning.sweep import sweep
from hypothesis import given, settings
from hypothesis import strategies as st

SPACING = 1.5
GRID = VolumeGeometry((50, 50, 50), np.diag([SPACING, SPACING, SPACING, 1.0]))
places = st.tuples(*[st.floats(8, 65)] * 3)
balls = st.lists(
    st.tuples(places, st.floats(3, 9), st.sampled_from(["bone", "kidney", "bowel"])), min_size=1, max_size=4
)


@settings(max_examples=40, deadline=None)
@given(balls, st.integers(0, 2**31 - 1))
def test_no_accepted_path_comes_nearer_than_its_limit(drawn, seed: int) -> None:
    k, j, i = np.indices(GRID.shape_kji) * SPACING
    structures = [Structure("body", "body", StructureRole.BODY, np.ones(GRID.shape_kji, bool), "drawn", "all", "high")]
    for number, (place, radius_mm, group) in enumerate(drawn):
        mask = (i - place[0]) ** 2 + (j - place[1]) ** 2 + (k - place[2]) ** 2 <= radius_mm**2
        structures.append(Structure(f"ball_{number}", group, StructureRole.AVOID, mask, "drawn", "ball", "high"))
    anatomy = Anatomy(GRID, TissueMap(np.ones(GRID.shape_kji, np.uint8)), tuple(structures))
    course = Nerve("course", "intercostal", np.array([[20.0, 36, 36], [52.0, 36, 36]]), 1.0, 1.0, "drawn", True)
    entry, tip = np.random.default_rng(seed).uniform(3, 70, (2, 400, 3))
    toward = (tip - entry) / np.linalg.norm(tip - entry, axis=1, keepdims=True)
    across = np.tile([1.0, 0.0, 0.0], (400, 1))
    needle = probe("argon_17g_short")
    paths = Candidates(entry, tip, -toward, across, np.zeros(400))
    found = sweep(anatomy, course, nerve("intercostal"), needle, limits(), paths, no_progress, never_cancelled)
    t = np.linspace(0.0, 1.0, 400)[:, None]
    for place, radius_mm, group in drawn:
        stop = limits().get(f"clearance.{group}", "clearance.default").stop
        column = found.slack[:, found.limit_ids.index(f"clearance.{group}")]
        for row in np.flatnonzero(column >= 0):
            if found.slack[row].min() < 0 and column[row] < 3.0:
                # Where another limit decides, the quick look-up is enough.
                continue
            nearest = np.linalg.norm(entry[row] + t * (tip[row] - entry[row]) - place, axis=1).min()
            # Half a voxel is what a drawn ball may differ from the true one.
            assert nearest - radius_mm - 0.5 * needle.diameter_mm >= stop - 0.6 * SPACING


def test_a_distance_map_is_made_once_and_belongs_to_its_mask() -> None:
    mask = np.zeros((20, 21, 22), bool)
    mask[5:9, 6:10, 7:11] = True
    first = distance_map_mm(mask, 1.5, 30.0)
    assert distance_map_mm(mask.copy(), 1.5, 30.0) is first and not first.flags.writeable
    assert np.array_equal(first, np.minimum(signed_distance_mm(mask, 1.5), 30.0))
    assert not np.array_equal(distance_map_mm(mask, 3.0, 30.0), first)
    mask[5, 6, 7] = False
    assert distance_map_mm(mask, 1.5, 30.0) is not first
    mask[5, 6, 7] = True
    assert distance_map_mm(mask, 1.5, 30.0) is first


def test_old_maps_are_dropped_when_they_take_too_much_room() -> None:
    kept, mask = KeptByContent(most_bytes=1000), np.zeros((4, 5, 6), bool)
    first = kept.get(mask, 0, lambda: np.zeros(mask.shape, np.float32))
    assert kept.get(mask, 0, lambda: np.ones(mask.shape, np.float32)) is first
    kept.get(mask, 1, lambda: np.ones(mask.shape, np.float32))
    assert kept.get(mask, 0, lambda: np.zeros(mask.shape, np.float32)) is first
    kept.get(mask, 2, lambda: np.ones(mask.shape, np.float32))
    assert kept.get(mask, 0, lambda: np.zeros(mask.shape, np.float32)) is first
    again = kept.get(mask, 1, lambda: np.full(mask.shape, 5, np.float32))
    assert again[0, 0, 0] == 5


def test_what_is_kept_for_an_array_goes_with_it_and_never_belongs_to_another() -> None:
    kept: KeptForArrays[int] = KeptForArrays(2)
    made = []

    def make() -> int:
        made.append(1)
        return len(made)

    array = np.zeros(3)
    assert kept.get((array,), "a", make) == 1 and kept.get((array,), "a", make) == 2
    array.setflags(write=False)
    assert kept.get((array,), "a", make) == 3 and kept.get((array,), "a", make) == 3
    assert kept.get((array,), "b", make) == 4
    del array
    for _ in range(20):
        other = np.zeros(3)
        other.setflags(write=False)
        count = len(made)
        assert kept.get((other,), "a", make) == count + 1
        del other


def test_each_criterion_is_what_its_name_says() -> None:
    """Two paths in empty muscle that differ in one thing at a time: length, tilt, alignment with the nerve, place along it."""
    body = Structure("body", "body", StructureRole.BODY, np.ones(GRID.shape_kji, bool), "drawn", "all", "high")
    anatomy = Anatomy(GRID, TissueMap(np.ones(GRID.shape_kji, np.uint8)), (body,))
    course = Nerve("course", "intercostal", np.array([[20.0, 36, 36], [52.0, 36, 36]]), 1.0, 1.0, "drawn", True)
    tip = np.array([36.0, 36.0, 36.0])
    entries = {
        "base": tip + np.array([0.0, -30.0, 0.0]),
        "length": tip + np.array([0.0, -15.0, 0.0]),
        "tilt": tip + np.array([0.0, -30.0 * np.cos(0.3), 30.0 * np.sin(0.3)]),
        "alignment": tip + np.array([30.0 * np.sin(0.3), -30.0 * np.cos(0.3), 0.0]),
        "centering": tip + np.array([0.0, -30.0, 0.0]),
        "skin_angle": tip + np.array([0.0, -30.0, 0.0]),
    }
    entry, tips = np.stack(list(entries.values())), np.tile(tip, (len(entries), 1))
    toward = (tips - entry) / np.linalg.norm(tips - entry, axis=1, keepdims=True)
    normals = -toward
    turn = list(entries).index("skin_angle")
    normals[turn] = np.array([np.sin(0.4), -np.cos(0.4), 0.0])
    off = np.array([4.0 if name == "centering" else 0.0 for name in entries])
    needle = probe("argon_17g_short")
    paths = Candidates(entry, tips, normals, np.tile([1.0, 0.0, 0.0], (len(entry), 1)), off)
    found = sweep(anatomy, course, nerve("intercostal"), needle, limits(), paths, no_progress, never_cancelled)
    by_name = {name: found.criteria[n] for n, name in enumerate(entries)}
    base = by_name["base"]
    column = {name: n for n, name in enumerate(found.criterion_ids)}
    for name, own, along in (
        ("length", "length", set()),
        ("tilt", "tilt", set()),
        ("alignment", "nerve_angle", set()),
        ("centering", "centering", set()),
        ("skin_angle", "obliquity", set()),
    ):
        changed = {c for c, n in column.items() if abs(by_name[name][n] - base[n]) > 1e-3}
        assert own in changed and changed <= {own} | along, (name, changed)
    assert by_name["length"][column["length"]] == pytest.approx(15.0 / needle.usable_shaft_mm)
    assert by_name["centering"][column["centering"]] == pytest.approx(4.0 / (0.5 * needle.active_length_mm))
