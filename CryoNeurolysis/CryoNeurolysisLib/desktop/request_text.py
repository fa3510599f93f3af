"""What is asked for, from the parameters of the scene. No qt."""

from __future__ import annotations

import json
from typing import Any

from cryoneuro.model import content_hash


def requestOf(parameters: Any) -> Any:
    """The request that the parameter node stands for."""
    # The engine is loaded by the first job, not by opening the panel.
    from cryoneuro.pipeline import Request, points_of

    course = json.loads(parameters.coursePoints) if parameters.coursePoints else None
    path = json.loads(parameters.pathPoints) if parameters.pathPoints else None
    return Request(
        target=parameters.target,
        side=parameters.side,
        level=parameters.level or None,
        points_ras_mm=points_of(course) if course else None,
        follow=bool(course and parameters.followFat),
        accepted=parameters.courseAccepted,
        entry_ras_mm=points_of(path)[0] if path else None,
        tip_ras_mm=points_of(path)[1] if path else None,
        probe=parameters.probe or None,
        protocol=parameters.protocol or None,
        probe_count=parameters.probeCount,
        cleared=tuple(parameters.cleared),
        weights=tuple(sorted(dict(parameters.weights).items())),
    )


def segmentationKey(parameters: Any) -> str:
    """What the anatomy was made from."""
    organs = parameters.organs
    # The choices are kept for each CT, so the CT itself takes no part.
    return content_hash(("" if organs is None else organs.GetID(), parameters.edits, parameters.position))


def courseKey(parameters: Any) -> str:
    """What the course was made for."""
    drawn = (parameters.coursePoints, parameters.followFat) if parameters.coursePoints else ("", False)
    wanted = (parameters.target, parameters.side, parameters.level, *drawn)
    return content_hash((segmentationKey(parameters), *wanted))


def planKey(parameters: Any) -> str:
    """What the plan was made for; a weight that is moved or a yes to the course does not make it another."""
    wanted = (
        parameters.pathPoints,
        parameters.probe,
        parameters.protocol,
        parameters.probeCount,
        sorted(parameters.cleared),
    )
    return content_hash((courseKey(parameters), *wanted))


def pointsText(points_ras_mm: Any) -> str:
    """Points as the text that the parameters keep."""
    return json.dumps([[round(float(v), 3) for v in point] for point in points_ras_mm])
