"""Bone as filled structures: what its cortex encloses."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from .morphology import Mask, closed, closed_along, closed_in_slices, fill_axial_holes, grown

_CLOSE_MM = 4.5
"""Cortex that is thin, or crossed by vessels, shows gaps of this width."""
_DEEP_MM = 15.0
"""Fatty marrow of the sacrum lies between cortex with holes; half its width."""
_WIDE_MM = 24.0
"""Half the width of a lumbar body or of the sacrum's wing."""
_ENCLOSED = 0.85
"""Muscle between bones is open to more directions than that."""
_COARSE = 2
_VOTES = 2
"""A marrow cavity is closed in most of three planes; the obturator foramen or the pelvis in one at most."""


def filled(bone_kji: Mask, closed_to_kji: Mask, spacing_mm: float) -> Mask:
    """Bone with its marrow.

    A place is marrow where bone surrounds it in two of the three planes through it, or nearly all round within the width
    of a vertebral body. Where a bone leaves the picture its last section stands for what is beyond.

    Args:
        bone_kji: bone by its brightness.
        closed_to_kji: what is known not to be bone: the spinal canal, blood, gas.
    """
    reach = max(1, round(_CLOSE_MM / spacing_mm))
    # Within slices only: across them discs would close as well.
    shell = closed_in_slices(bone_kji, reach) & ~closed_to_kji | bone_kji
    in_axial = fill_axial_holes(shell)
    capped = np.pad(shell, ((1, 1), (0, 0), (0, 0)))
    capped[0], capped[-1] = in_axial[0], in_axial[-1]
    votes = in_axial.astype(np.uint8)
    for axes in ((1, 0, 2), (2, 0, 1)):
        back = np.argsort(axes)
        votes += fill_axial_holes(capped.transpose(axes)).transpose(back)[1:-1]
    # What closing adds counts where marrow lies behind it, or where it is no more than a voxel's gap.
    cavity = (votes >= _VOTES) & ~shell & ~closed_to_kji
    near = round(_DEEP_MM / spacing_mm)
    small = (closed(bone_kji, 1) | _between(bone_kji, reach, 2) | _between(bone_kji, near, 3)) & ~closed_to_kji
    bone = bone_kji | small | cavity | (grown(cavity, shell, reach))
    wide = _between(bone_kji, round(_WIDE_MM / spacing_mm), 3) & ~bone & ~closed_to_kji
    result: Mask = bone | (wide & (_enclosed(bone, spacing_mm) >= _ENCLOSED))
    return result


def _between(bone: Mask, reach: int, least: int) -> Mask:
    """What lies between bone within reach on both sides, along at least so many axes: marrow of thin or leaky bones."""
    axes = sum(closed_along(bone, axis, reach).astype(np.uint8) for axis in range(3))
    return bone | (np.asarray(axes) >= least)


def _enclosed(bone: Mask, spacing_mm: float) -> npt.NDArray[np.float32]:
    """Share of the 26 directions to neighbors in which bone lies within reach, judged on a grid twice as coarse."""
    pad = [(0, -n % _COARSE) for n in bone.shape]
    blocks = np.pad(bone, pad).reshape(
        [v for n, (_, p) in zip(bone.shape, pad, strict=True) for v in ((n + p) // _COARSE, _COARSE)]
    )
    coarse = blocks.any(axis=(1, 3, 5))
    directions = [d for d in itertools.product((-1, 0, 1), repeat=3) if any(d)]
    count = np.zeros(coarse.shape, np.uint8)
    for direction in directions:
        steps = max(1, round(_WIDE_MM / (_COARSE * spacing_mm * float(np.linalg.norm(direction)))))
        wide = np.pad(coarse, steps)
        hit = np.zeros_like(coarse)
        for step in range(1, steps + 1):
            hit |= wide[
                tuple(
                    slice(steps + step * d, steps + step * d + n) for d, n in zip(direction, coarse.shape, strict=True)
                )
            ]
        count += hit
    fine = (count / np.float32(len(directions))).astype(np.float32)
    for axis in range(3):
        fine = fine.repeat(_COARSE, axis)
    return fine[: bone.shape[0], : bone.shape[1], : bone.shape[2]]
