"""Arms that lie beside the trunk, touching it or not: no skin to enter, and in the way of what comes from there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..imaging import WorkingCt
from .morphology import Mask, components, dilate

_COARSE_MM = 3.0
_AREA_CM2 = (12.0, 130.0)
"""From a wrist to a strong upper arm."""
_TRUNK_CM2 = 280.0
"""A cross-section that arms can lie beside; smaller ones are legs or the neck."""
_OF_TRUNK = 0.3
_NECK = 0.8
"""What joins an arm to the trunk is narrower than so much of the arm's own width."""
_DEPTHS_MM = (4.5, 7.5, 10.5, 13.5, 16.5, 19.5, 22.5, 25.5, 28.5)
_BONE_HU = 200.0
_BONE_CM2 = 0.4
_BONE_OFF = 0.5
"""The bones of an arm lie about its middle: nearer than half of its mean radius."""
_BESIDE = 0.55
"""An arm's middle lies farther aside than so much of the trunk's half width."""
_HEIGHT_MM = 12.0
_LEAST_ML = 40.0

Slice = npt.NDArray[np.bool_]


def find_arms(ct: WorkingCt, body_kji: Mask, apart_kji: Mask) -> Mask:
    """Arms (k, j, i), whether the body's mask holds them or what lies apart does; empty where there are none.

    In each slice, what a narrow neck joins to a trunk, beside it, with bone in its middle; over some height.
    """
    spacing = ct.geometry.spacing_mm[0]
    step = max(1, round(_COARSE_MM / spacing))
    solid = (body_kji | apart_kji)[::step, ::step, ::step]
    bone = (ct.array_kji[::step, ::step, ::step] > _BONE_HU) & ct.measured_kji[::step, ::step, ::step]
    found = np.zeros_like(solid)
    for k in range(len(solid)):
        if float(solid[k].sum()) * (step * spacing) ** 2 / 100.0 > _TRUNK_CM2:
            found[k] = _arms_of_slice(solid[k], bone[k], step * spacing)
    # A slice in which noise closes the gap does not end an arm.
    found = solid & ndimage.binary_closing(np.pad(found, ((2, 2), (0, 0), (0, 0))), np.ones((3, 1, 1)))[2:-2]
    labels, sizes = components(found)
    kept = np.zeros_like(found)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        high = (box[0].stop - box[0].start) * step * spacing
        if high >= _HEIGHT_MM and sizes[number - 1] * (step * spacing) ** 3 / 1000.0 >= _LEAST_ML:
            kept[box] |= labels[box] == number
    if not kept.any():
        return np.zeros_like(body_kji)
    fine = (
        kept.repeat(step, 0)
        .repeat(step, 1)
        .repeat(step, 2)[: body_kji.shape[0], : body_kji.shape[1], : body_kji.shape[2]]
    )
    # The coarse grid's steps at the air are filled; toward the trunk they are all that is known.
    result: Mask = dilate(fine, 1) & (body_kji | apart_kji)
    return result


def _arms_of_slice(solid: Slice, bone: Slice, spacing: float) -> Slice:
    """Arms in one slice (j, i)."""
    result = np.zeros_like(solid)
    depth = ndimage.distance_transform_edt(np.pad(solid, 1))[1:-1, 1:-1] * spacing
    for least in _DEPTHS_MM:
        labels, count = ndimage.label(depth > least)
        if count < 2:
            continue
        areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        trunk = int(np.argmax(areas)) + 1
        # Parts that were judged at a smaller depth are done.
        seeds = [n for n in range(1, count + 1) if n != trunk and not result[labels == n].any()]
        if not seeds or (result & (labels == trunk)).any():
            continue
        regions = _regions(depth, labels, solid & ~result)
        for number in seeds:
            if _is_arm(regions == number, regions == trunk, bone, spacing):
                result |= regions == number
    return result


def _regions(depth: npt.NDArray[np.float64], labels: npt.NDArray[np.int32], solid: Slice) -> npt.NDArray[np.int32]:
    """Every place of a slice given to one of the labeled deep parts: split where the neck is narrowest."""
    level = sitk.GetImageFromArray((-depth).astype(np.float32))
    markers = sitk.GetImageFromArray(labels.astype(np.uint16))
    flooded = sitk.MorphologicalWatershedFromMarkers(level, markers, markWatershedLine=False, fullyConnected=False)
    result: npt.NDArray[np.int32] = np.where(solid, sitk.GetArrayFromImage(flooded), 0).astype(np.int32)
    return result


def _is_arm(part: Slice, trunk: Slice, bone: Slice, spacing: float) -> bool:
    """Whether a part of a slice beside a trunk is an arm, by its size, its place, its neck and its bones."""
    pixel_cm2 = spacing**2 / 100.0
    area, trunk_area = float(part.sum()) * pixel_cm2, float(trunk.sum()) * pixel_cm2
    if not (_AREA_CM2[0] <= area <= min(_AREA_CM2[1], _OF_TRUNK * trunk_area) and trunk_area >= _TRUNK_CM2):
        return False
    radius_mm = 10.0 * np.sqrt(area / np.pi)
    neck_mm = float((ndimage.binary_dilation(part) & trunk).sum()) * spacing
    if neck_mm > _NECK * 2.0 * radius_mm:
        return False
    j, i = (float(v.mean()) for v in np.nonzero(part))
    columns = np.flatnonzero(trunk.any(axis=0))
    if abs(i - 0.5 * (columns[0] + columns[-1])) < _BESIDE * 0.5 * (columns[-1] - columns[0]):
        return False
    own = np.argwhere(bone & part)
    if len(own) * pixel_cm2 < _BONE_CM2:
        return False
    return bool(np.linalg.norm(own.mean(axis=0) - [j, i]) * spacing < _BONE_OFF * radius_mm)
