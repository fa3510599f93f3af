"""Where a probe is cold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..model import PlannedProbe, VolumeGeometry
from .links import ColdSurface


def cold_ends(planned: PlannedProbe) -> npt.NDArray[np.float64]:
    """Both ends (2, 3) of the cold surface in RAS mm, the one near the tip first."""
    path = planned.trajectory
    offsets = np.array([planned.probe.cold_offset_mm, planned.probe.cold_offset_mm + planned.probe.active_length_mm])
    result: npt.NDArray[np.float64] = path.tip_ras_mm - offsets[:, None] * path.direction_ras
    return result


def cold_surface(planned: PlannedProbe, geometry: VolumeGeometry) -> ColdSurface:
    """The cold part of a probe in voxel coordinates of a grid along R, A, S."""
    middle = cold_ends(planned).mean(axis=0)
    return ColdSurface(
        geometry.ras_to_ijk(middle)[0][::-1].copy(),
        planned.trajectory.direction_ras[::-1].copy(),
        planned.probe.diameter_mm,
        planned.probe.active_length_mm,
    )
