"""How cold it got at a distance from a probe, read off a run."""

from __future__ import annotations

import numpy as np

from ..knowledge import constant
from ..model import ColdProfile, PlannedProbe, ThermalError, ThermalRun

_FAR_MM = 40.0
_STEP_MM = 1.0


def cold_profile(run: ThermalRun, placed: PlannedProbe) -> ColdProfile:
    """Mean of the coldest temperatures at every distance from the line in the middle of the probe's cold surface.

    Args:
        run: of this probe alone, on a grid of 2 mm or finer.

    Raises:
        ThermalError: the probe's cold part does not lie in the run's box.
    """
    path, probe = placed.trajectory, placed.probe
    along = path.direction_ras
    front, back = placed.cold_ends_ras_mm
    if not run.geometry.contains(np.stack([front, back])).all():
        raise ThermalError("The probe does not lie in the simulated box.")
    k, j, i = np.indices(run.geometry.shape_kji)
    points = run.geometry.ijk_to_ras_mm(np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1))
    t = np.clip((points - back) @ along, 0.0, probe.active_length_mm)
    distance = np.linalg.norm(points - back - t[:, None] * along, axis=1)
    bins = np.minimum((distance / _STEP_MM).astype(np.int64), int(_FAR_MM / _STEP_MM))
    count = np.bincount(bins)
    used = np.flatnonzero(count[: int(_FAR_MM / _STEP_MM)])
    mean = np.bincount(bins, run.coldest_c.ravel())[used] / count[used]
    middle = np.bincount(bins, distance)[used] / count[used]
    return ColdProfile(middle, mean, constant("body_temperature_c"))
