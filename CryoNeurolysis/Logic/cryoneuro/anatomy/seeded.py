"""A structure from a few clicks: seeds inside and outside compete for the CT."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..imaging import on_grid
from ..knowledge import load_records
from ..model import Anatomy, AnatomyError, CtVolume, Structure, StructureRole, VolumeGeometry
from .window import window_round

_SEED_MM = 2.0
_AROUND_MM = 25.0
_LEAST_SPREAD_HU = 12.0
_EDGE_HU_PER_MM = 12.0


def grow_structure(
    ct: CtVolume,
    anatomy: Anatomy,
    name: str,
    group: str,
    inside_ras_mm: npt.ArrayLike,
    outside_ras_mm: npt.ArrayLike,
) -> Structure:
    """A structure round some clicks, on the anatomy's grid, for a person to look at and edit.

    A front starts at every seed at once. It runs fast where the CT looks as it does at its own seeds and slowly across
    edges; a voxel belongs to whose front comes first. Air and the picture's rim are outside.

    Args:
        name: unique name, e.g. "kidney_left".
        group: the kind that limits and nerve records speak of, e.g. "kidney".
        inside_ras_mm, outside_ras_mm: clicks (N, 3) and (M, 3); at least one each.

    Raises:
        AnatomyError: no clicks inside or outside, a click outside the image, an unknown group, or a name that is taken.
    """
    inside, outside = (np.atleast_2d(np.asarray(p, dtype=float)) for p in (inside_ras_mm, outside_ras_mm))
    for points, word in ((inside, "inside"), (outside, "outside")):
        if points.size == 0 or points.shape[1] != 3:
            raise AnatomyError(f"Click at least once {word} the structure; each click is R,A,S in mm.")
        if not np.isfinite(points).all() or not anatomy.geometry.contains(points).all():
            raise AnatomyError(f"A click {word} the structure lies outside the image; check its coordinates.")
    groups = {str(r["group"]) for r in load_records("label_groups")}
    if group not in groups:
        raise AnatomyError(f"No structure group is called '{group}'; there are {', '.join(sorted(groups))}.")
    if any(s.name == name for s in anatomy.structures):
        raise AnatomyError(f"A structure called '{name}' is there already; choose another name.")
    geometry = anatomy.geometry
    grid_mm = geometry.spacing_mm[0]
    kji = [np.rint(geometry.ras_to_ijk(p)[:, ::-1]).astype(int) for p in (inside, outside)]
    both = np.concatenate(kji)
    low, high = window_round(both, int(np.ceil(_AROUND_MM / grid_mm)), geometry.shape_kji)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    hu = ndimage.gaussian_filter(_hu_in(ct, anatomy, low, high), 0.7)
    body = anatomy.body_kji[window]
    edges = ndimage.gaussian_gradient_magnitude(hu, 0.7) / np.float32(grid_mm)
    arrivals = []
    clicked = [_balls(hu.shape, seeds - low, grid_mm) for seeds in kji]
    for seeds, near in zip(kji, clicked, strict=True):
        center = float(np.median(hu[near]))
        spread = max(_LEAST_SPREAD_HU, 1.5 * float(np.median(np.abs(hu[near] - center))) + _LEAST_SPREAD_HU)
        alike = np.exp(-0.5 * ((hu - np.float32(center)) / np.float32(2.0 * spread)) ** 2)
        speed = (0.02 + alike) / (1.0 + (edges / np.float32(_EDGE_HU_PER_MM)) ** 2) * body + 1e-4
        arrivals.append(_arrival(speed.astype(np.float32), (seeds - low), grid_mm))
    won = (arrivals[0] < arrivals[1]) & body
    won = ndimage.binary_opening(won, iterations=1) | clicked[0]
    won &= ~clicked[1]
    marks, _ = ndimage.label(won)
    own = {int(n) for n in marks[tuple((kji[0] - low).T)]} - {0}
    won = ndimage.binary_fill_holes(np.isin(marks, list(own))) & ~clicked[1]
    mask = np.zeros(geometry.shape_kji, bool)
    mask[window] = won
    return Structure(
        name,
        group,
        StructureRole.AVOID,
        mask,
        "drawn",
        f"grown from {len(inside)} clicks inside and {len(outside)} outside, not edited",
        "medium",
    )


def _hu_in(
    ct: CtVolume, anatomy: Anatomy, low: npt.NDArray[np.intp], high: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    """CT numbers of a window of the anatomy's grid."""
    matrix = anatomy.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = anatomy.geometry.ijk_to_ras_mm(low[None, ::-1])[0]
    shape = high - low
    window = VolumeGeometry((int(shape[0]), int(shape[1]), int(shape[2])), matrix)
    result: npt.NDArray[np.float32] = on_grid(ct, window).array_kji.astype(np.float32)
    return result


def _balls(shape: tuple[int, ...], seeds: npt.NDArray[np.intp], grid_mm: float) -> npt.NDArray[np.bool_]:
    mask = np.ones(shape, bool)
    mask[tuple(seeds.T)] = False
    result: npt.NDArray[np.bool_] = ndimage.distance_transform_edt(mask) * grid_mm <= _SEED_MM
    return result


def _arrival(speed: npt.NDArray[np.float32], seeds: npt.NDArray[np.intp], grid_mm: float) -> npt.NDArray[np.float32]:
    image = sitk.GetImageFromArray(speed)
    image.SetSpacing([grid_mm] * 3)
    marching = sitk.FastMarchingImageFilter()
    marching.SetTrialPoints([[int(i), int(j), int(k)] for k, j, i in seeds])
    marching.SetStoppingValue(1e8)
    result: npt.NDArray[np.float32] = sitk.GetArrayFromImage(marching.Execute(image))
    return result
