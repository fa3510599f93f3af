"""A course that a person corrects at single places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..model import Anatomy, AnatomyError, Nerve
from .proposal import check_in_body

_STEP_MM = 2.0
_WIDTH_MM = 8.0
"""One sigma of the bend: the course leaves the place it is pulled to as a nerve bends, and is itself again 2 cm away."""
_FARTHEST_MM = 30.0


def pulled_course(anatomy: Anatomy, nerve: Nerve, place_ras_mm: npt.ArrayLike) -> Nerve:
    """The course bent so that it runs through a place that a person points at; it counts as confirmed by that person.

    Args:
        place_ras_mm: (3,) RAS mm; the nearest point of the course moves there, its neighbors follow.

    Raises:
        AnatomyError: the place lies outside the body, or so far from the course that another nerve must be meant.
    """
    place = np.asarray(place_ras_mm, dtype=float)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise AnatomyError("A place on the course needs three numbers, R,A,S in mm.")
    check_in_body(anatomy, place[None])
    total = float(nerve.arc_length_mm[-1])
    along = np.linspace(0.0, total, max(2, round(total / _STEP_MM) + 1))
    points = nerve.at(along)
    shift = place - points
    far = np.linalg.norm(shift, axis=1)
    nearest = int(np.argmin(far))
    if far[nearest] > _FARTHEST_MM:
        words = ", ".join(f"{v:.1f}" for v in place)
        raise AnatomyError(
            f"The place ({words}) mm RAS lies {far[nearest]:.0f} mm from the course; up to {_FARTHEST_MM:.0f} mm can be "
            "corrected, beyond that give the course as points."
        )
    weight = np.exp(-0.5 * ((along - along[nearest]) / _WIDTH_MM) ** 2)
    text = nerve.rule if nerve.rule.endswith("corrected by a person") else f"{nerve.rule}; corrected by a person"
    return replace(nerve, points_ras_mm=points + weight[:, None] * shift[nearest], rule=text, confirmed=True)
