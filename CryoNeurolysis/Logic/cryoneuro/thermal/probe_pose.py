"""Where a probe is cold."""

from __future__ import annotations

from ..model import PlannedProbe, VolumeGeometry
from .links import ColdSurface


def cold_surface(planned: PlannedProbe, geometry: VolumeGeometry) -> ColdSurface:
    """The cold part of a probe in voxel coordinates of a grid along R, A, S."""
    middle = planned.cold_ends_ras_mm.mean(axis=0)
    return ColdSurface(
        geometry.ras_to_ijk(middle)[0][::-1].copy(),
        planned.trajectory.direction_ras[::-1].copy(),
        planned.probe.diameter_mm,
        planned.probe.active_length_mm,
    )
