"""Structures grown from clicks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.anatomy import grow_structure, segment
from cryoneuro.imaging import Phantom
from cryoneuro.model import Anatomy, AnatomyError, CtVolume


@pytest.fixture(scope="module")
def with_organs(phantom: Phantom) -> tuple[CtVolume, Anatomy, np.ndarray, np.ndarray]:
    """The phantom with two organs of 45 and 75 HU that touch, noise of 8 HU, and the middles of both."""
    ct = phantom.ct
    rng = np.random.default_rng(0)
    kji = np.indices(ct.geometry.shape_kji).reshape(3, -1).T
    points = ct.geometry.ijk_to_ras_mm(kji[:, ::-1])
    array = ct.array_kji.astype(np.float32).copy()
    one, other = np.array([-30.0, 25.0, 0.0]), np.array([4.0, 25.0, 0.0])
    for middle, hu in ((one, 45.0), (other, 75.0)):
        ball = (np.linalg.norm(points - middle, axis=1) < 17.5).reshape(array.shape)
        array[ball] = hu
    array += rng.normal(0.0, 8.0, array.shape)
    noisy = replace(ct, array_kji=array.astype(np.int16))
    return noisy, segment(noisy, grid_mm=2.0), one, other


def ball(anatomy: Anatomy, middle: np.ndarray, radius: float) -> np.ndarray:
    kji = np.indices(anatomy.geometry.shape_kji).reshape(3, -1).T
    near = np.linalg.norm(anatomy.geometry.ijk_to_ras_mm(kji[:, ::-1]) - middle, axis=1) < radius
    return near.reshape(anatomy.geometry.shape_kji)


def clicks(middle: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inside = np.stack([middle, middle + np.array([6, 4, 4]), middle - np.array([5, 6, 4])])
    around = 24.0 * np.array([[0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [-1, 0, 0]])
    return inside, np.concatenate([middle + around, other[None]])


def test_a_few_clicks_give_the_organ(with_organs) -> None:
    ct, anatomy, one, other = with_organs
    inside, outside = clicks(one, other)
    found = grow_structure(ct, anatomy, "kidney_grown", "kidney", inside, outside)
    truth = ball(anatomy, one, 17.5)
    dice = 2 * (found.mask_kji & truth).sum() / (found.mask_kji.sum() + truth.sum())
    assert dice > 0.85
    kji = np.rint(anatomy.geometry.ras_to_ijk(inside)).astype(int)[:, ::-1]
    assert found.mask_kji[tuple(kji.T)].all()
    kji = np.rint(anatomy.geometry.ras_to_ijk(outside)).astype(int)[:, ::-1]
    assert not found.mask_kji[tuple(kji.T)].any()
    assert found.origin == "drawn" and not found.confirmed and "3 clicks inside" in found.method


def test_a_click_more_moves_the_border(with_organs) -> None:
    """What was called outside is given back when it is clicked inside: the seeds compete, nothing else decides."""
    ct, anatomy, one, other = with_organs
    inside, outside = clicks(one, other)
    both = grow_structure(ct, anatomy, "both", "kidney", np.concatenate([inside, other[None]]), outside[:-1])
    alone = grow_structure(ct, anatomy, "alone", "kidney", inside, outside)
    overlap = ball(anatomy, other, 12.0)
    assert both.mask_kji[overlap].mean() > 0.8 > 0.2 > alone.mask_kji[overlap].mean()


def test_impossible_clicks_are_sentences(with_organs) -> None:
    ct, anatomy, one, other = with_organs
    with pytest.raises(AnatomyError, match="at least once outside"):
        grow_structure(ct, anatomy, "x", "kidney", [one], np.empty((0, 3)))
    with pytest.raises(AnatomyError, match="outside the image"):
        grow_structure(ct, anatomy, "x", "kidney", [one], [[9000.0, 0.0, 0.0]])
    with pytest.raises(AnatomyError, match="No structure group"):
        grow_structure(ct, anatomy, "x", "gizzard", [one], [other])
    with pytest.raises(AnatomyError, match="is there already"):
        grow_structure(ct, anatomy, "body", "kidney", [one], [other])
