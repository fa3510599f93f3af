"""What is bright on CT: bone, vessels with contrast, metal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..imaging import WorkingCt
from ..knowledge import constant
from .morphology import Mask, closed, components, dilate, fill_axial_holes, opened, percentile_by_label

_VESSEL_HEIGHT_MM = 35.0
"""A large vessel runs through several vertebrae; a vertebral body is bounded by its discs at about 30 mm."""
_VESSEL_SPREAD_HU = 45.0
"""Blood with contrast is even; cancellous bone is a mesh."""
_SHELL_SHARE = 0.25
"""An aorta touches the spine with a fifth of its wall at most; marrow is bone all round."""
_BONE_SIZE_MM3 = 150.0
_CORTICAL_SHARE = 0.02
_BRANCH_MM = 15.0
"""How far branches are followed from the even core of a vessel."""
_MARROW_HU = 75.0
"""Marrow is brighter than the contents of the spinal canal, in all but very fatty bone."""
_PINHOLE_MM2 = 40.0


@dataclass(frozen=True, eq=False)
class Dense:
    """Masks on the working grid; vessel is None where no contrast was seen.

    bright_bone_kji: bone by its brightness alone, before holes were filled as marrow.
    """

    bone_kji: Mask
    bright_bone_kji: Mask
    vessel_kji: Mask | None
    metal_kji: Mask


def find_dense(ct: WorkingCt, body_kji: Mask) -> Dense:
    """Tell contrast vessels from bone by evenness and height, then bone from other bright parts by its cortex."""
    spacing = ct.geometry.spacing_mm[0]
    hu = ct.array_kji
    inside = body_kji & ct.measured_kji
    metal = inside & (hu > constant("hu_metal_above"))
    cores, core_hu = _vessel_cores(ct, inside)
    bright = inside & (hu > constant("hu_bone_above"))
    cortex_hu = constant("hu_bone_cortical_above")
    if cores is not None:
        cortex_hu = max(cortex_hu, 1.3 * core_hu)
        bright &= ~dilate(cores, 1) | (hu > cortex_hu)
    bone = _with_cortex(bright, hu > cortex_hu, ct.geometry.voxel_volume_mm3)
    vessel = None
    if cores is not None:
        lumen = inside & (hu > constant("hu_contrast_above")) & ~bone
        vessel = cores
        for _ in range(round(_BRANCH_MM / spacing)):
            grown = dilate(vessel, 1) & lumen
            if (grown == vessel).all():
                break
            vessel = grown | vessel
    bone = closed(bone, max(1, round(1.5 / spacing)))
    bright_bone = bone
    bone = _fill_marrow(bone, ct) & inside
    if vessel is not None:
        bone &= ~vessel
    return Dense(bone, bright_bone, vessel, metal)


def _with_cortex(bright: Mask, cortex: Mask, voxel_mm3: float) -> Mask:
    """Bright components that hold cortex: kidneys and spleen with contrast are bright too, but hold none."""
    labels, sizes = components(bright)
    count = len(sizes)
    cortical = np.bincount(labels[cortex & (labels > 0)], minlength=count + 1)[: count + 1]
    all_sizes = np.concatenate([[1], sizes])
    keep = (all_sizes * voxel_mm3 >= _BONE_SIZE_MM3) & (cortical / all_sizes >= _CORTICAL_SHARE)
    keep[0] = False
    result: Mask = keep[labels]
    return result


def _fill_marrow(bone: Mask, ct: WorkingCt) -> Mask:
    """Fill the holes of each axial slice that are marrow by their CT number, and pinholes; never the spinal canal."""
    holes = fill_axial_holes(bone) & ~bone
    structure = np.zeros((3, 3, 3), bool)
    structure[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    labels, count = ndimage.label(holes, structure=structure)
    if not count:
        return bone
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    # The rim of a hole is half bone, more so in a coarse CT; judge it by its darker part.
    dark = percentile_by_label(ct.array_kji, labels, count, 30.0)
    marrow = np.nan_to_num(dark, nan=-1000.0) > _MARROW_HU
    fill = (sizes * ct.geometry.spacing_mm[0] ** 2 < _PINHOLE_MM2) | marrow
    fill[0] = False
    result: Mask = bone | fill[labels]
    return result


def _in_a_shell(ct: WorkingCt, box: tuple[slice, slice, slice], part: Mask) -> bool:
    """Whether a part lies in a brighter shell: marrow lies in cortex, blood in a softer wall."""
    reach = round(4.5 / ct.geometry.spacing_mm[0])
    wide = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
    solid = np.zeros(ct.array_kji[wide].shape, bool)
    inner = tuple(
        slice(s.start - w.start, s.start - w.start + s.stop - s.start) for s, w in zip(box, wide, strict=True)
    )
    solid[inner] = part
    ring = dilate(solid, reach) & ~dilate(solid, 1)
    brighter = ct.array_kji[wide][ring] > float(ct.array_kji[box][part].mean())
    return bool(brighter.mean() > _SHELL_SHARE)


def _vessel_cores(ct: WorkingCt, inside: Mask) -> tuple[Mask | None, float]:
    """Even, bright and tall parts, and their mean CT number; None where there are none."""
    spacing = ct.geometry.spacing_mm[0]
    threshold = constant("hu_contrast_above")
    candidate = inside & (ct.array_kji > threshold) & (ct.array_kji < 1000)
    if not candidate.any():
        return None, 0.0
    size = max(3, 2 * round(2.25 / spacing) + 1)
    hu = ct.array_kji.astype(np.float32)
    mean = ndimage.uniform_filter(hu, size)
    hu *= hu
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(hu, size) - mean * mean, 0.0))
    even = opened(candidate & (spread < _VESSEL_SPREAD_HU) & (mean > threshold), 1)
    labels, sizes = components(even)
    found = []
    for number, box in enumerate(ndimage.find_objects(labels, max_label=min(len(sizes), 200)), start=1):
        if box is None or sizes[number - 1] * ct.geometry.voxel_volume_mm3 < 3000.0:
            continue
        part = labels[box] == number
        values = ct.array_kji[box][part]
        tall = part.shape[0] * spacing >= _VESSEL_HEIGHT_MM
        if tall and float(values.std()) < 0.22 * float(values.mean()) and not _in_a_shell(ct, box, part):
            found.append((float(values.mean()), box, part))
    if not found:
        return None, 0.0
    # A spleen with contrast is even and tall as well, but never as bright as the arteries.
    brightest = max(mean_hu for mean_hu, _, _ in found)
    cores = np.zeros_like(candidate)
    for mean_hu, box, part in found:
        if mean_hu > 0.7 * brightest:
            cores[box] |= part
    # The even cores stop short of the wall, and thin out where branches leave: grow to the wall, and not further,
    # because the spongy inside of a vertebra next to it is as bright as blood.
    for _ in range(max(1, round(3.0 / spacing))):
        cores = dilate(cores, 1) & candidate & (mean > 0.6 * threshold)
    return cores, brightest
