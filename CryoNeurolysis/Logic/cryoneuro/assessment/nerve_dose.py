"""What the nerve received over its whole cross-section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..imaging import sample
from ..knowledge import constant
from ..model import Nerve, ThermalRun

_STEP_MM = 0.5
_RING = 8


@dataclass(frozen=True, eq=False)
class NerveDose:
    """Profiles (N,) along the nerve.

    Attributes:
        distance_mm: along the course.
        section_c: the warmest point of the cross-section at its coldest: the whole section was at least as cold.
        core_c: coldest temperature at the centerline.
        innermost_c: the coldest point of the cross-section.
        seconds_below: shortest time at or below the treating isotherm over the section.
    """

    distance_mm: npt.NDArray[np.float64]
    section_c: npt.NDArray[np.float64]
    core_c: npt.NDArray[np.float64]
    innermost_c: npt.NDArray[np.float64]
    seconds_below: npt.NDArray[np.float64]

    def treated_length_mm(self, treat_c: float) -> float:
        """Longest stretch in one piece whose whole cross-section reached treat_c or colder, mm."""
        cold = self.section_c <= treat_c
        best = 0.0
        start: int | None = None
        for n, value in enumerate([*cold, False]):
            if value and start is None:
                start = n
            elif not value and start is not None:
                best = max(best, float(self.distance_mm[n - 1] - self.distance_mm[start]))
                start = None
        return best

    def length_between_mm(self, warm_c: float, cold_c: float) -> float:
        """Length of nerve whose coldest point reached warm_c or colder, but not cold_c, mm."""
        hit = (self.innermost_c <= warm_c) & (self.innermost_c > cold_c)
        step = float(self.distance_mm[-1]) / max(len(self.distance_mm) - 1, 1)
        return float(np.count_nonzero(hit)) * step


def nerve_dose(
    run: ThermalRun, nerve: Nerve, shift_ras_mm: npt.ArrayLike = (0.0, 0.0, 0.0), treat_c: float = -20.0
) -> NerveDose:
    """Dose along the nerve, displaced as a whole by shift_ras_mm (3,).

    Args:
        treat_c: the isotherm that treats; one that the run watched.
    """
    distance, points = _section_points(nerve, shift_ras_mm)
    cold = _at(run.coldest_c, run, points, constant("body_temperature_c"))
    seconds = _at(run.time_below_s[run.isotherm_index(treat_c)], run, points, 0.0)
    return NerveDose(distance, cold.max(axis=0), cold[0], cold.min(axis=0), seconds.min(axis=0))


def nerve_course_c(run: ThermalRun, nerve: Nerve) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distance along the nerve (N,) and the warmest point of each cross-section at each snapshot (T, N), C."""
    distance, points = _section_points(nerve, (0.0, 0.0, 0.0))
    body = constant("body_temperature_c")
    return distance, np.stack([_at(field, run, points, body).max(axis=0) for field in run.temperature_c])


def _section_points(
    nerve: Nerve, shift_ras_mm: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distance along the course (N,) and points (P, N, 3) of each cross-section, the centerline first, RAS mm."""
    total = float(nerve.arc_length_mm[-1])
    distance = np.linspace(0.0, total, max(2, int(np.ceil(total / _STEP_MM)) + 1))
    center = nerve.at(distance) + np.asarray(shift_ras_mm, dtype=float)
    points = [center]
    tangents = np.gradient(center, distance, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    helper = np.where(np.abs(tangents[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    one = np.cross(tangents, helper)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    other = np.cross(tangents, one)
    for radius in (0.5 * nerve.radius_mm, nerve.radius_mm):
        for angle in np.arange(_RING) * 2 * np.pi / _RING:
            points.append(center + radius * (np.cos(angle) * one + np.sin(angle) * other))
    return distance, np.stack(points)


def _at(
    field_kji: npt.NDArray[np.float32], run: ThermalRun, points: npt.NDArray[np.float64], outside: float
) -> npt.NDArray[np.float64]:
    """Values (P, N) of a field of the run at points (P, N, 3)."""
    return sample(field_kji, run.geometry, points.reshape(-1, 3), 1, outside=outside).reshape(points.shape[:2])
