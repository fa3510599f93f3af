"""The fast ways of morphology against SimpleITK's own."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from cryoneuro.anatomy.morphology import closed, dilate, erode, opened


def itk(mask: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(mask.astype(np.uint8))


def as_mask(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image).astype(bool)


@pytest.mark.parametrize("voxels", [1, 2, 3])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("shape", [(9, 11, 13), (2, 7, 5), (1, 6, 4)])
def test_balls_are_those_of_simpleitk(share: float, shape: tuple[int, int, int], voxels: int) -> None:
    mask = np.random.default_rng(7).random(shape) < share
    ball = [voxels] * 3, sitk.sitkBall
    assert np.array_equal(dilate(mask, voxels), as_mask(sitk.BinaryDilate(itk(mask), *ball)))
    eroded = as_mask(sitk.BinaryErode(itk(mask), *ball, 0.0, 1.0, True))
    assert np.array_equal(erode(mask, voxels), eroded)
    assert np.array_equal(opened(mask, voxels), as_mask(sitk.BinaryDilate(itk(eroded), *ball)) & mask)
    safe = as_mask(sitk.BinaryMorphologicalClosing(itk(mask), *ball, 1.0, True))
    assert np.array_equal(closed(mask, voxels), safe | mask)


def test_an_empty_mask_stays_empty() -> None:
    nothing = np.zeros((4, 5, 6), bool)
    for change in (dilate, erode, opened, closed):
        assert not change(nothing, 1).any()
