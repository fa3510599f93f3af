"""What is bright on CT: bone by its cortex, soft parts by their evenness, metal, and lone calcifications."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging import WorkingCt
from ..knowledge import constant
from .morphology import Mask, at_least, components, dilate, grown, opened, race, touching

_SPREAD = (1.3, 0.02)
"""Contrast is even up to the image's noise, in parts of that noise, and a little mixing, in parts of the CT number."""
_LEAST_NOISE_HU = 8.0
_CORE_MM3 = 700.0
_DARKER_HU = 80.0
_DARKER_SHARE = 0.12
"""Soft tissue and fat lie round blood and organs; round an even part of marrow lies more marrow."""
_DARKER_CUT_SHARE = 0.3
_TUBE_MM = 25.0
_TUBE_MM3 = 3000.0
_SMOOTH_SHARE = 0.6
_SOME_SHELL = 0.05
_SHELL_HU = 280.0
_SHELL_OVER_HU = 50.0
_SHELL_SHARE = 0.15
"""Marrow lies in cortex all round; an aorta touches the spine, or holds plaque, with a part of its wall at most."""
_OVER_BLOOD = 1.15
_BLOOD_MM3 = 3000.0
_LUMEN_SHARE = 0.5
_THICK_HU = 300.0
_THICK_MM = 4.5
_PLAQUE_MM = 4.5
"""Plaque lies in the wall of its vessel."""
_WALL_MM = 4.5
"""Even cores stop short of the wall by the width of the window that judges them."""
_BRANCH_MM = 60.0
_MARKER_MM3 = 250.0
_BONE_MM3 = 150.0
_CORTICAL_SHARE = 0.03
_LONE_MM3 = 2000.0
_LONE_GAP_MM = 6.0
_LONE_LONG_MM = 18.0
_METAL_EDGE_HU = 1500.0


@dataclass(frozen=True, eq=False)
class Dense:
    """Masks on the working grid.

    Attributes:
        bone_kji: bone by its brightness alone, not filled.
        contrast_kji: bright soft parts: blood, kidneys, spleen, bowel or bladder with contrast.
        cores_kji: labels of their even insides; `cores` says what is known of each, label 1 first.
        metal_kji: metal, and contrast as dense as metal.
        calcified_kji: small bright parts away from all bone: stones, plaques, calcified nodes.
        faint_kji: bright parts without enough cortex to be bone by that alone, and away from contrast.
    """

    bone_kji: Mask
    contrast_kji: Mask
    cores_kji: npt.NDArray[np.int32]
    cores: tuple[Core, ...]
    metal_kji: Mask
    calcified_kji: Mask
    faint_kji: Mask


@dataclass(frozen=True)
class Core:
    """An even, bright part that lies in no shell of bone."""

    label: int
    mean_hu: float
    volume_mm3: float
    height_mm: float


def find_dense(ct: WorkingCt, body_kji: Mask) -> Dense:
    """Tell bone from bright soft parts.

    Soft parts start at even, bright cores that no brighter shell encloses; bone starts at marrow, which one does, and at
    what is brighter than the blood. From there both grow through the bright voxels and meet halfway.
    """
    inside = body_kji & ct.measured_kji
    hu = ct.array_kji
    metal = _metal(hu, inside)
    near_metal = dilate(metal, 1)
    candidate = inside & ~near_metal
    labels, cores, marrow = _cores(ct, candidate)
    spacing, voxel = ct.geometry.spacing_mm[0], ct.geometry.voxel_volume_mm3
    blood_hu = max((c.mean_hu for c in cores if c.volume_mm3 > _BLOOD_MM3), default=0.0)
    over_blood_hu = max(constant("hu_cortex_native_above"), _OVER_BLOOD * blood_hu)
    # Without contrast nothing soft comes near bone, and weak cortex may be counted too.
    bright = inside & (hu > (constant("hu_bone_above") if cores else constant("hu_bone_native_above")))
    soft = labels > 0
    if soft.any():
        soft |= _mixing(candidate & (hu > max(_THICK_HU, _LUMEN_SHARE * blood_hu)), soft, spacing)
        lumen = candidate & (hu > constant("hu_contrast_above"))
        soft = grown(soft, lumen, round(_WALL_MM / spacing))
        sure = (
            at_least(candidate & (hu > over_blood_hu) & ~dilate(soft, round(_PLAQUE_MM / spacing)), _MARKER_MM3 / voxel)
            | marrow
        )
        branches = lumen & (hu > _LUMEN_SHARE * blood_hu)
        # Where blood is no brighter than marrow nothing would stop it at a vertebra that it touches.
        reach = _BRANCH_MM if blood_hu > constant("hu_marrow_below") else _WALL_MM
        soft, bone = race(soft, sure, branches, bright, round(reach / spacing))
    else:
        bone = np.zeros_like(soft)
    rest = bright & ~bone & ~soft & ~near_metal
    beside = touching(rest, dilate(soft, 1))
    ours = _with_cortex(beside, hu > over_blood_hu, voxel)
    soft |= beside & ~ours
    cortex = hu > min(over_blood_hu, constant("hu_cortex_above"))
    bone = _with_cortex(bone | ours | (rest & ~beside), cortex, voxel)
    bone |= near_metal & bright & dilate(bone, 1)
    bone, lone = _without_lone(bone, ct)
    faint = bright & ~bone & ~soft & ~near_metal
    return Dense(bone & ~metal, soft, labels, cores, metal, lone, faint)


def _metal(hu: npt.NDArray[np.int16], inside: Mask) -> Mask:
    """Metal and its partial-volume rim: what is very bright and joins what no bone reaches."""
    sure = inside & (hu > constant("hu_metal_above"))
    if not sure.any():
        return sure
    return dilate(sure, 1) & inside & (hu > _METAL_EDGE_HU)


def _cores(ct: WorkingCt, candidate: Mask) -> tuple[npt.NDArray[np.int32], tuple[Core, ...], Mask]:
    """Even bright cores outside bone as labels, what they are, and those inside bone (marrow)."""
    geometry = ct.geometry
    spacing = geometry.spacing_mm[0]
    threshold = constant("hu_contrast_above")
    hu = ct.array_kji.astype(np.float32)
    size = max(3, 2 * round(2.25 / spacing) + 1)
    mean = ndimage.uniform_filter(hu, size)
    squares = ndimage.uniform_filter(hu * hu, size)
    spread = np.sqrt(np.maximum(squares - mean * mean, 0.0))
    muscle = candidate & (mean > 20.0) & (mean < 90.0)
    noise = max(_LEAST_NOISE_HU, float(np.median(spread[muscle][::17]))) if muscle.any() else _LEAST_NOISE_HU
    even = candidate & (mean > threshold) & (spread < _SPREAD[0] * noise + _SPREAD[1] * mean)
    found, sizes = components(opened(even, max(1, round(1.5 / spacing))))
    labels = np.zeros(hu.shape, np.int32)
    marrow = np.zeros(hu.shape, bool)
    cores: list[Core] = []
    for number, box in enumerate(ndimage.find_objects(found, max_label=min(len(sizes), 400)), start=1):
        volume = float(sizes[number - 1]) * geometry.voxel_volume_mm3
        if box is None or volume < _CORE_MM3:
            continue
        part = found[box] == number
        mean_hu = float(ct.array_kji[box][part].mean())
        darker, shell = _surroundings(ct, box, part, mean_hu)
        side = any(s.start == 0 or s.stop == n for s, n in zip(box[1:], hu.shape[1:], strict=True))
        # As even as noise alone, and a tube: blood, even where plaque makes a shell round it.
        smooth = float(np.median(spread[box][part])) < _SMOOTH_SHARE * (_SPREAD[0] * noise + _SPREAD[1] * mean_hu)
        tube = smooth and volume > _TUBE_MM3 and part.shape[0] * spacing >= _TUBE_MM
        if not tube and shell > _SHELL_SHARE:
            marrow[box] |= part
        # Where the picture cuts a part nobody sees its shell, and some cortex beside it may be the rim of its bone: then it
        # must look the more like blood.
        elif tube or darker > (_DARKER_CUT_SHARE if side or shell > _SOME_SHELL else _DARKER_SHARE):
            cores.append(Core(len(cores) + 1, mean_hu, volume, part.shape[0] * spacing))
            labels[box][part] = len(cores)
    return labels, tuple(cores), marrow


def _surroundings(ct: WorkingCt, box: tuple[slice, slice, slice], part: Mask, mean_hu: float) -> tuple[float, float]:
    """Shares of what lies round a part: much darker than it, as round blood; and cortex, as round marrow."""
    reach = round(4.5 / ct.geometry.spacing_mm[0])
    wide = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
    solid = np.zeros(ct.array_kji[wide].shape, bool)
    inner = tuple(
        slice(s.start - w.start, s.start - w.start + s.stop - s.start) for s, w in zip(box, wide, strict=True)
    )
    solid[inner] = part
    ring = ct.array_kji[wide][dilate(solid, reach) & ~solid]
    return float((ring < mean_hu - _DARKER_HU).mean()), float((ring > max(_SHELL_HU, mean_hu + _SHELL_OVER_HU)).mean())


def _mixing(bright: Mask, soft: Mask, spacing_mm: float) -> Mask:
    """Thick bright parts beside even contrast: blood that is still mixing in the right heart and the great veins.

    No bone is that bright over such a thickness and touches blood.
    """
    thick = opened(bright, round(_THICK_MM / spacing_mm))
    reach = round(0.5 * _WALL_MM / spacing_mm)
    return thick & touching(dilate(thick | soft, reach), soft)


def _with_cortex(bright: Mask, cortex: Mask, voxel_mm3: float) -> Mask:
    """Bright components that hold cortex."""
    labels, sizes = components(bright)
    count = len(sizes)
    cortical = np.bincount(labels[cortex & (labels > 0)], minlength=count + 1)[: count + 1]
    all_sizes = np.concatenate([[1], sizes])
    keep = (all_sizes * voxel_mm3 >= _BONE_MM3) & (cortical / all_sizes >= _CORTICAL_SHARE)
    keep[0] = False
    result: Mask = keep[labels]
    return result


def _without_lone(bone: Mask, ct: WorkingCt) -> tuple[Mask, Mask]:
    """Bone, and the small bright parts away from all other bone and from the picture's edge: stones and plaques."""
    labels, sizes = components(bone)
    spacing = ct.geometry.spacing_mm[0]
    small = np.concatenate([[False], sizes * ct.geometry.voxel_volume_mm3 < _LONE_MM3])
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if small[number] and box is not None:
            # A piece of an oblique rib is long; a stone is not.
            small[number] = max(s.stop - s.start for s in box) * spacing < _LONE_LONG_MM
    main = bone & ~small[labels]
    kept = dilate(main, round(_LONE_GAP_MM / spacing))
    for edge in (kept[0], kept[-1], kept[:, 0], kept[:, -1], kept[:, :, 0], kept[:, :, -1]):
        edge[:] = True
    near = np.zeros(len(small), bool)
    near[np.unique(labels[kept])] = True
    lone = small & ~near
    lone[0] = False
    result: Mask = lone[labels]
    return bone & ~result, result
