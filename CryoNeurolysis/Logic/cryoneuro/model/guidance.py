"""What a scan during the procedure shows: where the plan lies in it, the probes as they are, the ice, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .content import frozen_array
from .errors import GuidanceError


@dataclass(frozen=True, eq=False)
class Alignment:
    """How the planning CT lies in a live scan.

    Attributes:
        plan_to_live: (4, 4) rigid, RAS mm.
        residual_mm: how far bone round the target still lies off, root mean square of places that were matched alone.
        sigma_mm: one sigma of where the plan's target lies in the live scan: residual and what the match leaves open.
        shift_mm: how far the target has moved, and turn_deg how far the patient has turned, since the planning CT.
        breathing_ras_mm: (3,) how far soft tissue round the target has moved against bone; None where it cannot be told.
        overlap: share of the live scan's body that the planning CT holds.
        places: how many places of bone were matched alone.
        trusted: False when the overlay must not be shown.
        sentence: the same in words, or why it is refused.
    """

    plan_to_live: npt.NDArray[np.float64]
    residual_mm: float
    sigma_mm: float
    shift_mm: float
    turn_deg: float
    breathing_ras_mm: npt.NDArray[np.float64] | None
    overlap: float
    places: int
    trusted: bool
    sentence: str

    def __post_init__(self) -> None:
        matrix = frozen_array(self.plan_to_live, np.float64, 2, "plan_to_live")
        turn = matrix[:3, :3]
        if matrix.shape != (4, 4) or not np.allclose(turn @ turn.T, np.eye(3), atol=1e-6) or np.linalg.det(turn) < 0:
            raise GuidanceError("An alignment must be a rigid movement: a 4 x 4 matrix of a turn and a shift.")
        object.__setattr__(self, "plan_to_live", matrix)
        if self.breathing_ras_mm is not None:
            object.__setattr__(
                self, "breathing_ras_mm", frozen_array(self.breathing_ras_mm, np.float64, 1, "breathing_ras_mm")
            )

    @property
    def live_to_plan(self) -> npt.NDArray[np.float64]:
        """The inverse (4, 4), RAS mm."""
        return np.linalg.inv(self.plan_to_live)


@dataclass(frozen=True, eq=False)
class FoundProbe:
    """A straight metal shaft that a live scan shows.

    Attributes:
        tip_ras_mm, rear_ras_mm: (3,) ends of what is seen of it, in the live scan's frame.
        planned: number of the plan's probe that it is, from 0; None for an instrument that is not in the plan.
        tip_in_view: False when the shaft goes on beyond the last slice; the tip is then only known to lie farther.
        tip_sigma_mm, axis_sigma_deg: one sigma of the fit.
        strength: how much metal a millimeter of it holds, HU mm2: tells a cryoprobe from a thin needle.
    """

    tip_ras_mm: npt.NDArray[np.float64]
    rear_ras_mm: npt.NDArray[np.float64]
    planned: int | None
    tip_in_view: bool
    tip_sigma_mm: float
    axis_sigma_deg: float
    strength: float

    def __post_init__(self) -> None:
        for name in ("tip_ras_mm", "rear_ras_mm"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64, 1, name))

    @property
    def direction_ras(self) -> npt.NDArray[np.float64]:
        """Unit vector (3,) from rear to tip."""
        delta: npt.NDArray[np.float64] = self.tip_ras_mm - self.rear_ras_mm
        return delta / np.linalg.norm(delta)
