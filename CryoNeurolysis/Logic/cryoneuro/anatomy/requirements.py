"""What a target needs to be known around it."""

from __future__ import annotations

from dataclasses import replace

from ..knowledge import nerve
from ..model import Anatomy, Nerve
from .axes import axis_mm


def for_target(anatomy: Anatomy, course: Nerve, cleared: tuple[str, ...] = ()) -> Anatomy:
    """The anatomy with this nerve, and with the groups that its record needs and nobody has segmented.

    Args:
        cleared: groups that a person has said are not in the field; they are no longer unknown.
    """
    record = nerve(course.target_id)
    cleared = tuple(sorted({*anatomy.cleared, *cleared}))
    unknown = tuple(g for g in record.must_know if g not in cleared and not _known_near(anatomy, g, course))
    return replace(anatomy, nerves=(course,), unknown=unknown, cleared=cleared)


_ALONG_THE_BODY = ("spinal_canal", "aorta", "inferior_vena_cava")
_ARTERY_AND_VEIN = ("iliac_vessels", "femoral_vessels")
"""Contrast often fills one of the two only: such a structure counts when a person has confirmed that both are in it."""
_BEYOND_MM = 10.0


def _known_near(anatomy: Anatomy, group: str, course: Nerve) -> bool:
    """Whether a group is segmented at the target's level: a canal that was found in the sacrum is unknown at T12."""
    found = [s for s in anatomy.structures if s.group == group]
    if group in _ARTERY_AND_VEIN:
        return any(s.origin != "computed" or s.confirmed for s in found)
    if group not in _ALONG_THE_BODY or any(s.origin != "computed" for s in found):
        return bool(found)
    s_of = axis_mm(anatomy.geometry, 2)
    low = max(float(course.points_ras_mm[:, 2].min()) - _BEYOND_MM, float(s_of[2]))
    high = min(float(course.points_ras_mm[:, 2].max()) + _BEYOND_MM, float(s_of[-3]))
    for structure in found:
        seen = s_of[structure.mask_kji.any(axis=(1, 2))]
        if len(seen) and seen.min() <= low and seen.max() >= high:
            return True
    return False
