"""Markups files that Slicer opens: the nerve as a curve, each probe as a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


def write_markup(
    path: Path,
    kind: str,
    name: str,
    points_ras_mm: npt.NDArray[np.float64],
    labels: list[str],
    color: tuple[float, float, float],
) -> None:
    """Write a Curve or Line in RAS mm."""
    points = [
        {"id": str(n + 1), "label": label, "position": [float(v) for v in point], "positionStatus": "defined"}
        for n, (label, point) in enumerate(zip(labels, points_ras_mm, strict=True))
    ]
    markup = {
        "type": kind,
        "name": name,
        "coordinateSystem": "RAS",
        "coordinateUnits": "mm",
        "controlPoints": points,
        "display": {"color": list(color), "selectedColor": list(color), "pointLabelsVisibility": False},
    }
    path.write_text(json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=1), encoding="utf-8")
