"""What is asked for, from the parameters of the scene. No qt."""

from __future__ import annotations

import json
from typing import Any

from cryoneuro.model import content_hash
from cryoneuro.pipeline import Request, points_of


def requestOf(parameters: Any) -> Request:
    """The request that the parameter node stands for."""
    course = json.loads(parameters.coursePoints) if parameters.coursePoints else None
    path = json.loads(parameters.pathPoints) if parameters.pathPoints else None
    return Request(
        target=parameters.target,
        side=parameters.side,
        level=parameters.level or None,
        points_ras_mm=points_of(course) if course else None,
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
    ct = parameters.inputVolume
    return content_hash(
        ("" if ct is None else ct.GetID(), "" if organs is None else organs.GetID(), parameters.position)
    )


def courseKey(parameters: Any) -> str:
    """What the course was made for."""
    wanted = (parameters.target, parameters.side, parameters.level, parameters.coursePoints)
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
