"""What the cold did, in place and time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .content import frozen_array
from .errors import ThermalError
from .geometry import VolumeGeometry


@dataclass(frozen=True, eq=False)
class ColdProfile:
    """How cold it got at a distance from one probe's cold surface.

    Attributes:
        distance_mm: (N,) from the line in the middle of the cold surface, rising.
        coldest_c: (N,) coldest temperature there.
        body_c: far away.
    """

    distance_mm: npt.NDArray[np.float64]
    coldest_c: npt.NDArray[np.float64]
    body_c: float

    def __post_init__(self) -> None:
        for name in ("distance_mm", "coldest_c"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64, 1, name))
        if len(self.distance_mm) != len(self.coldest_c) or not len(self.distance_mm):
            raise ThermalError("A cold profile needs as many temperatures as distances, and one at least.")

    def drop_c(self, distance_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """By how much it got colder than the body at each distance; nothing beyond the last one."""
        result: npt.NDArray[np.float64] = self.body_c - np.interp(
            distance_mm, self.distance_mm, self.coldest_c, right=self.body_c
        )
        return result


@dataclass(frozen=True, eq=False)
class ThermalRun:
    """Result of a simulation on its own isotropic grid.

    Attributes:
        geometry: the box round the probes, in RAS.
        snapshot_times_s: (T,).
        temperature_c: (T, k, j, i) float32.
        coldest_c: (k, j, i) float32, coldest temperature ever reached.
        isotherms_c: (M,) the isotherms that were watched.
        time_below_s: (M, k, j, i) float32, total time at or below each of them.
        complete: False when the run was cancelled; then everything holds up to the last snapshot.
        provenance: solver, step, assumptions; pairs of text.
        first_below_s: (M, k, j, i) float32, first time at or below each of them; -1 where never.
        points_ras_mm: (P, 3) thermocouples.
        point_times_s, point_c: (N,) and (N, P), what they read.
        checkpoints: moments from which simulate can go on with a changed schedule; they live in memory only.
    """

    geometry: VolumeGeometry
    snapshot_times_s: npt.NDArray[np.float64]
    temperature_c: npt.NDArray[np.float32]
    coldest_c: npt.NDArray[np.float32]
    isotherms_c: npt.NDArray[np.float64]
    time_below_s: npt.NDArray[np.float32]
    complete: bool
    provenance: tuple[tuple[str, str], ...]
    first_below_s: npt.NDArray[np.float32] | None = None
    points_ras_mm: npt.NDArray[np.float64] | None = None
    point_times_s: npt.NDArray[np.float64] | None = None
    point_c: npt.NDArray[np.float64] | None = None
    checkpoints: tuple[Any, ...] = field(default=(), repr=False, compare=False, metadata={"content": False})

    def __post_init__(self) -> None:
        for name, dtype, ndim in (
            ("snapshot_times_s", np.float64, 1),
            ("temperature_c", np.float32, 4),
            ("coldest_c", np.float32, 3),
            ("isotherms_c", np.float64, 1),
            ("time_below_s", np.float32, 4),
            ("first_below_s", np.float32, 4),
            ("points_ras_mm", np.float64, 2),
            ("point_times_s", np.float64, 1),
            ("point_c", np.float64, 2),
        ):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, frozen_array(getattr(self, name), dtype, ndim, name))
        shape = self.geometry.shape_kji
        fits = (
            self.temperature_c.shape == (len(self.snapshot_times_s), *shape)
            and self.coldest_c.shape == shape
            and self.time_below_s.shape == (len(self.isotherms_c), *shape)
            and (self.first_below_s is None or self.first_below_s.shape == self.time_below_s.shape)
        )
        if not fits:
            raise ThermalError("The arrays of a thermal run do not fit its grid.")

    def isotherm_index(self, isotherm_c: float) -> int:
        """Position of an isotherm in time_below_s.

        Raises:
            ThermalError: the run did not watch that isotherm.
        """
        hits = np.flatnonzero(np.isclose(self.isotherms_c, isotherm_c))
        if not len(hits):
            watched = ", ".join(f"{c:g}" for c in self.isotherms_c)
            raise ThermalError(
                f"The run did not watch {isotherm_c:g} C; it watched {watched} C. Simulate the plan again."
            )
        return int(hits[0])

    def cooling_rate_c_min(self, warm_c: float = 0.0, cold_c: float = -20.0) -> npt.NDArray[np.float32]:
        """Mean rate at which each place passed from one watched isotherm to the other (k, j, i), C/min; 0 where it
        never did.

        Raises:
            ThermalError: an isotherm was not watched, or the run has no first times.
        """
        if self.first_below_s is None:
            raise ThermalError("This run holds no first times; simulate it again.")
        warm, cold = (self.first_below_s[self.isotherm_index(c)] for c in (warm_c, cold_c))
        took = np.where((warm >= 0) & (cold > warm), cold - warm, np.float32(np.inf))
        result: npt.NDArray[np.float32] = (np.float32(60.0 * (warm_c - cold_c)) / took).astype(np.float32)
        return result
