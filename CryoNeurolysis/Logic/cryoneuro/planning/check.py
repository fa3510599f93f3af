"""Whether a nerve can be a target at all, in sentences where it cannot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..imaging import sample
from ..knowledge import nerve as nerve_record
from ..model import Anatomy, Nerve, PlanningError
from .clearance import avoided

_MOST_INSIDE = 0.5


def inside(
    mask_kji: npt.NDArray[np.bool_], anatomy: Anatomy, points_ras_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which points (N, 3) lie in a mask on the anatomy's grid."""
    result: npt.NDArray[np.bool_] = (
        sample(mask_kji.view(np.uint8), anatomy.geometry, points_ras_mm, 0, outside=0.0) > 0.5
    )
    return result


def swallowed(anatomy: Anatomy, nerve: Nerve) -> str:
    """A sentence where half of the course or more lies inside a structure that paths must avoid; empty where none does."""
    points = nerve.at(np.arange(0.0, float(nerve.arc_length_mm[-1]) + 0.5, 1.0))
    for structure in avoided(anatomy, nerve_record(nerve.target_id).passable):
        within = inside(structure.mask_kji, anatomy, points)
        if within.mean() >= _MOST_INSIDE:
            return (
                f"{100 * within.mean():.0f} % of the nerve's course lies inside {structure.name.replace('_', ' ')}, which a "
                "path must keep clear of; correct the course or that structure. "
            )
    return ""


def check_nerve(anatomy: Anatomy, nerve: Nerve) -> None:
    within = inside(anatomy.body_kji, anatomy, nerve.points_ras_mm)
    if not within.all():
        bad = nerve.points_ras_mm[~within][0]
        raise PlanningError(
            f"The nerve leaves the body at ({bad[0]:.1f}, {bad[1]:.1f}, {bad[2]:.1f}) mm RAS; correct its course."
        )
