"""What a scan during the procedure shows: where the plan lies in it, the probes as they are, the ice, and what to do."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .content import frozen_array
from .errors import GuidanceError
from .geometry import VolumeGeometry, inverse_of


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
        return inverse_of(self.plan_to_live)


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


@dataclass(frozen=True)
class IdentityQuestion:
    """Something that must be the same before a scan may be laid under a plan, and that is not known to be.

    Attributes:
        what: patient, study, frame or position.
        differs: True where it is another one, False where one of the two does not say.
        key: what was compared; an answer holds for this pair only.
    """

    what: str
    differs: bool
    key: str
    sentence: str


@dataclass(frozen=True)
class TargetingError:
    """How a probe lies against its plan, in the planning CT's frame.

    Attributes:
        planned: number of the plan's probe, from 0.
        tip_mm: from the planned tip to the real one.
        lateral_mm: the same, aside of the planned path; depth_mm along it, positive where it is too deep.
        angle_deg: between the planned path and the real one.
        to_go_mm: how far the probe has to advance on its own axis to come nearest to the planned tip; negative: to draw back.
        miss_mm: what remains aside after that.
        sigma_mm: one sigma of the real tip's place, fit and alignment together.
        sentence: the errors in words.
        correction: what to do, in the words of the CT console.
    """

    planned: int
    tip_mm: float
    lateral_mm: float
    depth_mm: float
    angle_deg: float
    to_go_mm: float
    miss_mm: float
    sigma_mm: float
    sentence: str
    correction: str


@dataclass(frozen=True, eq=False)
class SeenIce:
    """Ice that a live scan shows, on an even grid in the planning CT's frame.

    Attributes:
        inside_mm_kji: (k, j, i) float32, how deep a place lies within the edge of what is taken for ice; negative outside.
        seen_kji, sure_kji, perhaps_kji: what is taken for ice, what is ice even at the narrow end of the doubt, and what might
            be at the wide end.
        blind_kji: where the scan cannot tell: metal, gas, bone, too faint, not scanned.
        volume_ml: narrow, middle, wide.
        sentence: the same in words.
    """

    geometry: VolumeGeometry
    inside_mm_kji: npt.NDArray[np.float32]
    seen_kji: npt.NDArray[np.bool_]
    sure_kji: npt.NDArray[np.bool_]
    perhaps_kji: npt.NDArray[np.bool_]
    blind_kji: npt.NDArray[np.bool_]
    volume_ml: tuple[float, float, float]
    sentence: str

    def __post_init__(self) -> None:
        for name, dtype in (
            ("inside_mm_kji", np.float32),
            ("seen_kji", np.bool_),
            ("sure_kji", np.bool_),
            ("perhaps_kji", np.bool_),
            ("blind_kji", np.bool_),
        ):
            object.__setattr__(self, name, frozen_array(getattr(self, name), dtype, 3, name))


@dataclass(frozen=True)
class IceComparison:
    """Seen ice against the predicted 0 C surface of the same minute, where the scan can tell.

    Attributes:
        mean_mm, p95_mm: distance of the two surfaces, both ways.
        short_mm: mean of predicted less seen; positive where less ice is seen than was predicted.
        sentence: the same in words, with where it is short.
    """

    dice: float
    mean_mm: float
    p95_mm: float
    short_mm: float
    sentence: str


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the ice seen so far says of what was uncertain.

    Attributes:
        values: (3,) probe strength and perfusion in sigmas of their spread, and time offset in sigmas of the clock's.
        covariance: (3, 3) of these.
        strength, perfusion: factors on the plan's values; offset_s: how much longer the freeze has gone on than was said.
        scans: how many were used.
        sentence: the change in words.
    """

    values: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]
    strength: float
    perfusion: float
    offset_s: float
    scans: int
    sentence: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen_array(self.values, np.float64, 1, "values"))
        object.__setattr__(self, "covariance", frozen_array(self.covariance, np.float64, 2, "covariance"))


@dataclass(frozen=True)
class Countdown:
    """What comes, in seconds from the scan; each as (soonest, middle, latest), None where it does not come in the protocol.

    Attributes:
        treated_s: the nerve is treated over the length that is needed.
        neighbor: the one whose limit is reached first; limit_s: when.
        nerve_c: the nerve's coldest cross-section at the end of the protocol, band cold to warm.
        neighbor_c: the coldest point of the neighbor that comes nearest to its limit, coldest_neighbor.
        stop: a limit is reached or about to be, or the nerve has been treated: the freeze can end.
        sentence: the same in words.
    """

    treated_s: tuple[float | None, float | None, float | None]
    neighbor: str
    limit_s: tuple[float | None, float | None, float | None]
    nerve_c: tuple[float, float, float]
    coldest_neighbor: str
    neighbor_c: tuple[float, float, float]
    stop: bool
    sentence: str


class Advice(enum.Enum):
    """What to do now."""

    GO = "go"
    ADJUST = "adjust"
    STOP = "stop"
    UNKNOWN = "unknown"
