"""Vertebral bodies by their discs, chains through the slices, and growth that races."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from cryoneuro.anatomy import segment
from cryoneuro.anatomy.chain import best_chain
from cryoneuro.anatomy.morphology import closed, closed_in_slices, dilate, erode, grown, race, touching
from cryoneuro.anatomy.vertebrae import NAMES, Spine, names_from
from cryoneuro.imaging import Phantom
from cryoneuro.model import Anatomy, AnatomyError
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage


def test_the_phantoms_bodies_are_told_apart(phantom_anatomy: Anatomy) -> None:
    """Bodies of 24 mm with discs of 6 mm between them, every 30 mm."""
    bodies = [s for s in phantom_anatomy.structures if s.group == "vertebra"]
    assert len(bodies) >= 3
    s_of = phantom_anatomy.geometry.ijk_to_ras[2, 3] + 2.0 * np.arange(phantom_anatomy.geometry.shape_kji[0])
    middles = sorted(float(s_of[np.nonzero(b.mask_kji)[0]].mean()) for b in bodies)
    # The phantom's discs lie at S = -13 + 30 n, its bodies' middles at 2 + 30 n.
    assert all(abs((m - 2.0) / 30.0 - round((m - 2.0) / 30.0)) < 0.15 for m in middles)
    assert np.allclose(np.diff(middles), 30.0, atol=3.0)
    for one in bodies:
        assert one.role.value == "pass" and not one.confirmed and "not numbered" in one.method


def test_numbers_come_from_the_one_a_person_names(phantom: Phantom) -> None:
    anatomy = segment(phantom.ct, grid_mm=2.0, level=("T12", 2.0))
    s_of = anatomy.geometry.ijk_to_ras[2, 3] + 2.0 * np.arange(anatomy.geometry.shape_kji[0])
    middle = {s.name: s_of[np.nonzero(s.mask_kji)[0]].mean() for s in anatomy.structures if s.group == "vertebra"}
    assert middle["vertebrae_T12"] == pytest.approx(2.0, abs=4.0)
    assert middle["vertebrae_T11"] > middle["vertebrae_T12"] > middle.get("vertebrae_L1", -99.0)


def spine(*discs: int) -> Spine:
    line = np.column_stack([np.zeros(300), np.zeros(300), np.arange(300.0)])
    return Spine(line, np.tile([0.0, 0.0, 1.0], (300, 1)), np.array(discs))


def test_names_go_down_from_the_head() -> None:
    assert names_from(spine(10, 45, 80, 112), "L3", 60.0) == ["L4", "L3", "L2"]
    assert names_from(spine(10, 45, 80, 112), " t12 ", 100.0) == ["L2", "L1", "T12"]
    assert NAMES[0] == "C1" and NAMES[-1] == "L5" and len(NAMES) == 24


@pytest.mark.parametrize(
    ("level", "s_mm", "words"),
    [
        ("L6", 60.0, "no vertebra"),
        ("L3", 200.0, "No vertebral body"),
        ("L3", 5.0, "No vertebral body"),
        ("L5", 100.0, "below L5"),
    ],
)
def test_impossible_names_are_refused(level: str, s_mm: float, words: str) -> None:
    with pytest.raises(AnatomyError, match=words):
        names_from(spine(10, 45, 80, 112), level, s_mm)


def test_a_chain_leaps_no_gap_and_takes_no_detour() -> None:
    k = np.arange(40)
    line = np.column_stack([0.5 * k, np.zeros(40)])
    stray = np.array([[60.0, 60.0]] * 5)
    slices = np.concatenate([k, [10, 11, 12, 13, 14]])
    chain = best_chain(slices, np.concatenate([line, stray]), np.ones(45), 1.0, 5.0, 0.7)
    assert list(chain) == list(range(40))
    gap = np.concatenate([k[:15], k[25:]])
    chain = best_chain(gap, line[gap], np.ones(30), 1.0, 5.0, 0.7)
    assert len(chain) == 15
    aside = np.array([60.0, 0.0])
    leap = np.concatenate([line[:20], line[20:] + aside])
    assert len(best_chain(k, leap, np.ones(40), 1.0, 5.0, 0.7)) == 20
    assert len(best_chain(np.array([], dtype=np.int64), np.empty((0, 2)), np.array([]), 1.0, 5.0, 0.7)) == 0


MASKS = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).random((7, 8, 9)) < 0.3)


@given(MASKS, st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_morphology_in_its_box_is_that_of_the_whole(mask: np.ndarray, voxels: int) -> None:
    """Against the same filter on the whole grid; the border counts as going on for an erosion, as empty for a dilation."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    radius = [voxels] * 3
    wide = sitk.GetArrayFromImage(sitk.BinaryDilate(image, radius, sitk.sitkBall))
    assert np.array_equal(dilate(mask, voxels), wide > 0)
    narrow = sitk.GetArrayFromImage(sitk.BinaryErode(image, radius, sitk.sitkBall, 0.0, 1.0, True))
    assert np.array_equal(erode(mask, voxels), narrow > 0)
    assert (closed(mask, voxels) >= mask).all()
    for k in range(len(mask)):
        alone = np.zeros_like(mask)
        alone[k] = mask[k]
        assert np.array_equal(closed_in_slices(mask, voxels)[k], closed_in_slices(alone, voxels)[k])


@given(MASKS, st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_growth_is_scipys_and_a_race_shares_what_both_reach(within: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.random(within.shape) < 0.02, rng.random(within.shape) < 0.02
    second &= ~first
    wanted = ndimage.binary_propagation(first, mask=within | first)
    assert np.array_equal(grown(first, within, 200), wanted)
    one = ndimage.binary_dilation(first, mask=within | first)
    assert np.array_equal(grown(first, within, 1), one)
    a, b = race(first, second, within, within, 200)
    assert not (a & b).any()
    assert np.array_equal(a | b, ndimage.binary_propagation(first | second, mask=within | first | second))
    labels, _ = ndimage.label(within)
    own = np.unique(labels[first & within])
    assert np.array_equal(touching(within, first), np.isin(labels, own[own > 0]))


def test_what_touches_the_border_goes_on_beyond_it() -> None:
    """Otherwise the first and last slice of every patient would be a layer of skin to the solver."""
    whole = np.ones((4, 5, 6), bool)
    assert erode(whole, 1).all()
    part = whole.copy()
    part[:, :, 0] = False
    assert np.array_equal(np.argwhere(~erode(part, 1))[:, 2] <= 1, np.ones(40, bool))
