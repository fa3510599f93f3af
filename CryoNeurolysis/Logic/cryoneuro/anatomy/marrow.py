"""Bone as filled structures: what its cortex encloses."""

from __future__ import annotations

import numpy as np

from .morphology import Mask, closed, closed_along, closed_in_slices, fill_axial_holes, grown

_CLOSE_MM = 4.5
"""Cortex that is thin, or crossed by vessels, shows gaps of this width."""
_DEEP_MM = 15.0
"""Fatty marrow of the sacrum lies between cortex with holes; half its width."""
_VOTES = 2
"""A marrow cavity is closed in most of three planes; the obturator foramen or the pelvis in one at most."""


def filled(bone_kji: Mask, closed_to_kji: Mask, spacing_mm: float) -> Mask:
    """Bone with its marrow.

    A place is marrow where bone surrounds it in two of the three planes through it. Where a bone leaves the picture its
    last section stands for what is beyond.

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
    result: Mask = bone_kji | small | cavity | (grown(cavity, shell, reach))
    return result


def _between(bone: Mask, reach: int, least: int) -> Mask:
    """What lies between bone within reach on both sides, along at least so many axes: marrow of thin or leaky bones."""
    axes = sum(closed_along(bone, axis, reach).astype(np.uint8) for axis in range(3))
    return bone | (np.asarray(axes) >= least)
