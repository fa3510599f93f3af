"""Slice views that follow a path: the plane that holds it, and across it as the probe sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
from cryoneuro.model import Trajectory


def lookInPlane(sliceNode: Any, path: Trajectory) -> None:
    """Turn a slice into a plane that holds the path, as near to the axial plane as can be."""
    along = path.direction_ras
    up = np.array([0.0, 0.0, 1.0]) if abs(along[2]) < 0.95 else np.array([0.0, 1.0, 0.0])
    across = np.cross(up, along)
    across /= np.linalg.norm(across)
    normal = np.cross(along, across)
    middle = 0.5 * (path.entry_ras_mm + path.tip_ras_mm)
    sliceNode.SetSliceToRASByNTP(*normal, *across, *middle, 0)
    sliceNode.UpdateMatrices()


def lookAlong(sliceNode: Any, path: Trajectory, depth_mm: float) -> None:
    """Turn a slice across the path at a depth from the skin, seen as the probe goes."""
    along = path.direction_ras
    side = np.cross(along, [0.0, 0.0, 1.0]) if abs(along[2]) < 0.95 else np.cross(along, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    place = path.entry_ras_mm + min(max(depth_mm, 0.0), path.length_mm) * along
    sliceNode.SetSliceToRASByNTP(*along, *side, *place, 0)
    sliceNode.UpdateMatrices()


def lookUsual(sliceNode: Any, orientation: str, place_ras_mm: np.ndarray) -> None:
    """The usual direction of a slice view again, through a place."""
    sliceNode.SetOrientation(orientation)
    sliceNode.JumpSliceByOffsetting(*[float(v) for v in place_ras_mm])
