"""Gas inside the body: lungs on both sides, airway, gas in bowel; and fluid beside the lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging import WorkingCt
from ..knowledge import constant
from .axes import axis_mm
from .bone_beside import bone_beside
from .morphology import Mask, closed, components, dilate, erode, opened, touching

_LUNG_MIN_ML = 40.0
_CUT_LUNG_MIN_ML = 3.0
"""Of a lung that the first or last slice cuts, less may be left."""
_THICKER_HU = 20.0
_TOP_MM = 9.0
_WHOLE_LUNG_ML = 350.0
_WALL_MM = 3.0
_AIRWAY_HU = -900.0
"""Free gas with its partial volume; parenchyma of all but a very emphysematous lung is above."""
_AIRWAY_ML = (1.5, 90.0)
_AIRWAY_HEIGHT_MM = 25.0
_AIRWAY_OFF_MIDDLE_MM = 40.0
_FLUID_HU = (-8.0, 28.0)
"""Below muscle, blood and liver, above fat."""
_FLUID_RIM_HU = (-300.0, 35.0)
_FLUID_MIN_ML = 25.0
_FLUID_REACH_MM = 12.0
"""The average across the lung wall takes the first millimeters of a fluid away."""
_FLUID_AT_LUNG = 0.2
_TOUCHING_MM = 3.0
_TOUCHING_SHARE = 0.15


@dataclass(frozen=True, eq=False)
class Gas:
    """Masks on the working grid; fluid_kji is fluid that lies against the lung, in the pleura or the pericardium."""

    lung_left_kji: Mask
    lung_right_kji: Mask
    airway_kji: Mask
    other_kji: Mask
    fluid_kji: Mask


def find_gas(ct: WorkingCt, body_kji: Mask) -> Gas:
    """Tell lung from other gas by how much of it is free of blood, then the airway by its place, then left from right."""
    spacing = ct.geometry.spacing_mm[0]
    inside = body_kji & ct.measured_kji & (ct.array_kji < constant("hu_air_below"))
    labels, sizes = components(inside)
    milliliter = ct.geometry.voxel_volume_mm3 / 1000.0
    pure_below = constant("hu_pure_gas_below")
    lung = np.zeros_like(inside)
    top = int(np.flatnonzero(body_kji.any(axis=(1, 2)))[-1]) + 1
    boxes = ndimage.find_objects(labels, max_label=60)
    for number, (size, box) in enumerate(zip(sizes[:60], boxes, strict=False), start=1):
        volume = size * milliliter
        cut = box[0].start == 0 or box[0].stop == labels.shape[0]
        # A lung ends where the body in view ends above, or is whole and large; stool mixed with gas does neither.
        if box[0].stop < top - round(_TOP_MM / spacing) and volume < _WHOLE_LUNG_ML:
            continue
        if volume < (_CUT_LUNG_MIN_ML if cut else _LUNG_MIN_ML):
            continue
        part = labels[box] == number
        # Judged by its inside: at the wall gas and lung alike are mixed with tissue.
        inner = erode(np.pad(part, 3), max(1, round(_WALL_MM / spacing)))[3:-3, 3:-3, 3:-3]
        if volume < _LUNG_MIN_ML and not (inner.any() and bone_beside(ct.array_kji, part, box, spacing)):
            continue
        values = ct.array_kji[box][inner if inner.any() else part]
        few, half = np.percentile(values, (25, 50))
        # Bowel in thick slices holds much that is nearly free of everything and much that is not; only a whole lung may
        # be so thin.
        if half > pure_below and (volume >= _WHOLE_LUNG_ML or few > pure_below + _THICKER_HU):
            lung[box] |= part
    middle = _midline_ras_mm(ct, body_kji, lung)
    r = axis_mm(ct.geometry, 0)
    airway = _airway(ct, inside & (lung | _central(inside, r, middle)), r, middle, lung)
    other = inside & ~lung & ~airway
    lung &= ~airway
    lung = closed(lung, max(1, round(4.5 / spacing))) & body_kji & ~other & ~airway
    left = np.broadcast_to(r < middle, lung.shape)
    return Gas(lung & left, lung & ~left, airway, other, _fluid(ct, body_kji, lung))


def _central(mask: Mask, r: npt.NDArray[np.float64], middle: float) -> Mask:
    near: Mask = mask & (np.abs(r - middle) < _AIRWAY_OFF_MIDDLE_MM)
    return near


def _airway(ct: WorkingCt, gas: Mask, r: npt.NDArray[np.float64], middle: float, lung: Mask) -> Mask:
    """Trachea and main bronchi: free gas near the middle that runs along the body above or between the lungs."""
    if not lung.any():
        return np.zeros_like(gas)
    spacing = ct.geometry.spacing_mm[0]
    milliliter = ct.geometry.voxel_volume_mm3 / 1000.0
    k = np.flatnonzero(lung.any(axis=(1, 2)))
    tube = opened(gas & (ct.array_kji < _AIRWAY_HU), 1)
    tube[: k[0] + (k[-1] - k[0]) // 3] = False
    labels, sizes = components(tube)
    found = np.zeros_like(gas)
    for number, box in enumerate(ndimage.find_objects(labels, max_label=min(30, len(sizes))), start=1):
        if box is None or not _AIRWAY_ML[0] <= sizes[number - 1] * milliliter <= _AIRWAY_ML[1]:
            continue
        part = labels[box] == number
        center_r = float(r[box[2]][np.nonzero(part)[2]].mean())
        high = part.shape[0] * spacing
        if high >= _AIRWAY_HEIGHT_MM and abs(center_r - middle) < _AIRWAY_OFF_MIDDLE_MM:
            found[box] |= part
    return dilate(found, 1) & gas


def _fluid(ct: WorkingCt, body: Mask, lung: Mask) -> Mask:
    """Even parts of the density of water that lie against the lung with much of their surface."""
    none = np.zeros_like(lung)
    if not lung.any():
        return none
    spacing = ct.geometry.spacing_mm[0]
    used = np.flatnonzero(lung.any(axis=(1, 2)))
    k = slice(int(used[0]), int(used[-1]) + 1)
    none[k] = _fluid_beside(ct.array_kji[k], body[k] & ct.measured_kji[k], lung[k], spacing)
    return none


def _fluid_beside(hu: npt.NDArray[np.int16], inside: Mask, lung: Mask, spacing: float) -> Mask:
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), 3.0 / spacing)
    water = inside & (smooth > _FLUID_HU[0]) & (smooth < _FLUID_HU[1])
    # Where lung and tissue mix the average passes through water's; the core of a fluid is thicker than that.
    core = opened(water, max(1, round(4.5 / spacing)))
    beside = dilate(lung, max(1, round(_FLUID_REACH_MM / spacing)))
    core = touching(core, beside)
    labels, sizes = components(core)
    found = np.zeros_like(lung)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or sizes[number - 1] * spacing**3 / 1000.0 < _FLUID_MIN_ML:
            continue
        part = np.pad(labels[box] == number, 1)
        shell = part & ~erode(part, 1)
        share = float(np.pad(beside[box], 1)[shell].mean())
        if share > _FLUID_AT_LUNG:
            found[box] |= part[1:-1, 1:-1, 1:-1]
    # Back out to the walls, where the average is half something else; then it must touch the lung itself.
    rim = inside & ~lung & (smooth > _FLUID_RIM_HU[0]) & (smooth < _FLUID_RIM_HU[1])
    whole = found | (dilate(found, max(1, round(4.5 / spacing))) & rim)
    near = dilate(lung, max(1, round(_TOUCHING_MM / spacing)))
    labels, _ = components(whole)
    result = np.zeros_like(lung)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        part = np.pad(labels[box] == number, 1)
        shell = part & ~erode(part, 1)
        if float(np.pad(near[box], 1)[shell].mean()) > _TOUCHING_SHARE:
            result[box] |= part[1:-1, 1:-1, 1:-1]
    return result


def _midline_ras_mm(ct: WorkingCt, body_kji: Mask, lung_kji: Mask) -> float:
    """R of the plane between the lungs: the emptiest sagittal plane near the body's middle."""
    r = axis_mm(ct.geometry, 0)
    body_profile = body_kji.sum(axis=(0, 1)).astype(float)
    center = float(np.average(r, weights=body_profile))
    profile = lung_kji.sum(axis=(0, 1)).astype(float)
    near = np.abs(r - center) < 40.0
    if not lung_kji.any() or not near.any():
        return center
    width = max(1, round(10.0 / ct.geometry.spacing_mm[0]))
    smooth = np.convolve(profile, np.ones(width) / width, mode="same")
    return float(r[near][np.argmin(smooth[near] + 1e-3 * np.abs(r[near] - center))])
