"""Limits that a shaft's pose alone decides: length, angles, side, gantry bore, arms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..imaging import KeptForArrays, sample
from ..knowledge import NerveRecord
from ..knowledge.catalog import bore_radius_mm, probe_total_mm
from ..model import Anatomy, Instrument, Limits, Nerve
from .candidates import Candidates, sector_axis
from .distance_maps import distance_map_mm

_OUTSIDE_STEP_MM = 5.0
_ARM_FAR_MM = 60.0


def pose_slack(
    anatomy: Anatomy,
    nerve: Nerve,
    record: NerveRecord,
    probe: Instrument,
    limits: Limits,
    paths: Candidates,
    table_ras: npt.NDArray[np.float64] | None = None,
) -> dict[str, npt.NDArray[np.float64]]:
    """Signed slack (N,) of every path by limit, mm or degrees; negative rejects.

    Args:
        table_ras: unit vector (3,) toward the table (see table.table_side_ras); None leaves the limit path.table out.
    """
    entry, tip = paths.entry_ras_mm, paths.tip_ras_mm
    length = np.linalg.norm(tip - entry, axis=1)
    direction = (tip - entry) / length[:, None]
    slack: dict[str, npt.NDArray[np.float64]] = {}
    slack["path.length"] = np.minimum(limits["path.length"].stop, probe.usable_shaft_mm) - length
    skin_angle = _degrees(-np.einsum("ij,ij->i", direction, paths.normal_ras))
    slack["path.skin_angle"] = limits["path.skin_angle"].stop - skin_angle
    tilt = np.rad2deg(np.arcsin(np.clip(np.abs(direction[:, 2]), 0, 1)))
    slack["path.tilt"] = limits["path.tilt"].stop - tilt
    body = anatomy.body_kji
    middle = _middles.get((body,), anatomy.geometry.ijk_to_ras.tobytes(), lambda: _middle_ras_mm(anatomy))
    axis = sector_axis(record.entry_side, float(nerve.points_ras_mm[:, 0].mean()), float(middle[0]))
    if axis is not None:
        slack["path.entry_zone"] = limits["path.entry_zone"].stop - _degrees(paths.normal_ras @ axis)
    total_mm = probe_total_mm(probe.id)
    rear = tip - direction * total_mm
    slack["path.bore"] = bore_radius_mm() - np.linalg.norm((rear - middle)[:, :2], axis=1) - limits["path.bore"].stop
    if table_ras is not None:
        slack["path.table"] = _degrees(-direction @ table_ras) - limits["path.table"].stop
    arms = [s.mask_kji for s in anatomy.structures if s.group == "arm"]
    if arms:
        free = _free_of_arms_mm(anatomy, np.logical_or.reduce(arms), entry, direction, float(total_mm))
        slack["path.arms"] = free - 0.5 * probe.diameter_mm - limits["path.arms"].stop
    return slack


_middles: KeptForArrays[npt.NDArray[np.float64]] = KeptForArrays(4)


def _middle_ras_mm(anatomy: Anatomy) -> npt.NDArray[np.float64]:
    """Middle (3,) of the body's box in R and A, where the axis of the gantry is taken to run; its S means nothing."""
    box = np.argwhere(anatomy.body_kji.any(axis=0))
    ends = anatomy.geometry.ijk_to_ras_mm([[*box.min(axis=0)[::-1], 0], [*box.max(axis=0)[::-1], 0]])
    result: npt.NDArray[np.float64] = ends.mean(axis=0)
    return result


def _free_of_arms_mm(
    anatomy: Anatomy,
    arms_kji: npt.NDArray[np.bool_],
    entry_ras_mm: npt.NDArray[np.float64],
    direction_ras: npt.NDArray[np.float64],
    outside_mm: float,
) -> npt.NDArray[np.float64]:
    """Smallest distance (N,) between the arms and the way that the shaft comes along outside the skin, up to 60 mm."""
    distance = distance_map_mm(arms_kji, anatomy.geometry.spacing_mm[0], _ARM_FAR_MM)
    free = np.full(len(entry_ras_mm), _ARM_FAR_MM)
    for back_mm in np.arange(0.0, outside_mm, _OUTSIDE_STEP_MM):
        places = entry_ras_mm - back_mm * direction_ras
        np.minimum(free, sample(distance, anatomy.geometry, places, 0, outside=_ARM_FAR_MM), out=free)
    return free


def _degrees(cosine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return result
