"""What the cold did, in place and time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .content import frozen_array
from .errors import ThermalError
from .geometry import VolumeGeometry


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
    """

    geometry: VolumeGeometry
    snapshot_times_s: npt.NDArray[np.float64]
    temperature_c: npt.NDArray[np.float32]
    coldest_c: npt.NDArray[np.float32]
    isotherms_c: npt.NDArray[np.float64]
    time_below_s: npt.NDArray[np.float32]
    complete: bool
    provenance: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        for name, dtype, ndim in (
            ("snapshot_times_s", np.float64, 1),
            ("temperature_c", np.float32, 4),
            ("coldest_c", np.float32, 3),
            ("isotherms_c", np.float64, 1),
            ("time_below_s", np.float32, 4),
        ):
            object.__setattr__(self, name, frozen_array(getattr(self, name), dtype, ndim, name))
        shape = self.geometry.shape_kji
        fits = (
            self.temperature_c.shape == (len(self.snapshot_times_s), *shape)
            and self.coldest_c.shape == shape
            and self.time_below_s.shape == (len(self.isotherms_c), *shape)
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
            raise ThermalError(f"The run did not watch {isotherm_c} C; it watched {list(self.isotherms_c)} C.")
        return int(hits[0])
