"""Courses of nerves: proposed from landmarks, or given by a person as points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..imaging import sample
from ..knowledge import NerveRecord, nerve
from ..model import Anatomy, AnatomyError, Nerve
from .celiac import propose_celiac
from .intercostal import propose_intercostal
from .landmarks import union_of
from .medial_branch import propose_medial_branch
from .midline import propose_ganglion_impar, propose_superior_hypogastric
from .minimal_path import minimal_path
from .paravertebral import propose_paravertebral
from .pelvic import (
    propose_lateral_femoral_cutaneous,
    propose_obturator,
    propose_pudendal,
    propose_sciatic,
)
from .proposal_radius import nerve_radius_mm

_RULES: dict[str, Callable[[Anatomy, NerveRecord, str, int | None], Nerve]] = {
    "celiac_plexus": propose_celiac,
    "intercostal": propose_intercostal,
    "splanchnic": propose_paravertebral,
    "lumbar_sympathetic": propose_paravertebral,
    "superior_hypogastric": propose_superior_hypogastric,
    "ganglion_impar": propose_ganglion_impar,
    "pudendal": propose_pudendal,
    "sciatic": propose_sciatic,
    "obturator": propose_obturator,
    "lateral_femoral_cutaneous": propose_lateral_femoral_cutaneous,
    "medial_branch": propose_medial_branch,
}
_MOST_IN_BONE = 0.25
_LONGEST_STEP_MM = 30.0
_LEVELED = ("intercostal", "medial_branch")


def propose_nerve(anatomy: Anatomy, target: str, side: str = "left", level: int | None = None) -> Nerve:
    """A course from landmarks, with its position sigma and the rule in words; it waits for a person's yes.

    Args:
        target: name of a nerve target.
        side: "left" or "right".
        level: number of the rib, or of the lumbar vertebra of a medial branch, where labels number them.

    Raises:
        KnowledgeError: unknown target.
        AnatomyError: no rule for this target yet, or its landmarks are not in view.
    """
    record = nerve(target)
    if side not in ("left", "right"):
        raise AnatomyError(f"The side must be left or right, not '{side}'.")
    rule = _RULES.get(record.id)
    if rule is None:
        raise AnatomyError(
            f"The course of the {record.name} is not proposed from landmarks yet; give it as points "
            f"(--points R,A,S R,A,S in mm). Landmark: {record.landmark}"
        )
    if level is not None and record.id not in _LEVELED:
        raise AnatomyError(f"The {record.name} has no levels; leave the level out.")
    course = rule(anatomy, record, side, level)
    _check_in_view(anatomy, course)
    return course


def _check_in_view(anatomy: Anatomy, course: Nerve) -> None:
    """Refuse a course that leaves the picture or the body, jumps, or runs in bone: its landmarks were cut or mistaken.

    Raises:
        AnatomyError: what is wrong with it.
    """
    points = course.at(np.arange(0.0, float(course.arc_length_mm[-1]) + 0.5, 1.0))
    again = "its landmarks are cut by the picture or were mistaken; give the nerve course as points."
    if not anatomy.geometry.contains(points).all():
        raise AnatomyError(f"The course found for the {course.name} leaves the picture: {again}")
    inside = sample(anatomy.body_kji.astype(np.float32), anatomy.geometry, points, 0, outside=0.0) > 0.5
    if not inside.all():
        raise AnatomyError(f"The course found for the {course.name} leaves the body: {again}")
    bone = union_of(anatomy, "bone")
    if bone is not None:
        share = float((sample(bone.astype(np.float32), anatomy.geometry, points, 0, outside=0.0) > 0.5).mean())
        if share > _MOST_IN_BONE:
            raise AnatomyError(f"The course found for the {course.name} runs in bone over {100 * share:.0f} %: {again}")
    if float(np.linalg.norm(np.diff(course.points_ras_mm, axis=0), axis=1).max()) > _LONGEST_STEP_MM:
        raise AnatomyError(f"The course found for the {course.name} jumps: {again}")


def nerve_from_points(
    anatomy: Anatomy,
    target: str,
    points_ras_mm: npt.ArrayLike,
    sigma_mm: float = 2.0,
    confirmed: bool = True,
    follow: bool = False,
) -> Nerve:
    """A course through points (N, 3) in RAS mm that a person gave.

    Args:
        follow: between the points take the way along fat and out of bone, vessels and gas instead of straight lines.

    Raises:
        KnowledgeError: unknown target.
        AnatomyError: fewer than two points, or a point outside the image or the body.
    """
    record = nerve(target)
    points = np.atleast_2d(np.asarray(points_ras_mm, dtype=float))
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 2:
        raise AnatomyError("A nerve course needs at least two points, each as R,A,S in mm.")
    check_in_body(anatomy, points)
    rule = "Points given by a person"
    if follow:
        points, rule = minimal_path(anatomy, points), f"{rule}; between them along fat, out of bone, vessels and gas"
    return Nerve(
        f"{record.name} (points given)",
        record.id,
        points,
        nerve_radius_mm(record),
        sigma_mm,
        rule,
        confirmed,
    )


def check_in_body(anatomy: Anatomy, points_ras_mm: npt.NDArray[np.float64]) -> None:
    """Refuse points (N, 3) in RAS mm that a person gave outside the body.

    Raises:
        AnatomyError: one of them lies there.
    """
    inside = sample(anatomy.body_kji.astype(np.float32), anatomy.geometry, points_ras_mm, 0, outside=0.0) > 0.5
    if not inside.all():
        bad = points_ras_mm[~inside][0]
        raise AnatomyError(
            f"The point ({bad[0]:.1f}, {bad[1]:.1f}, {bad[2]:.1f}) mm RAS lies outside the body; "
            "check the coordinates (RAS, not LPS: R and A change sign)."
        )
