"""What a source of live scans hands over, and what every source can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..model import CtVolume


@dataclass(frozen=True, eq=False)
class TrackedPose:
    """Where a tracker or a robot says that an instrument lies.

    Attributes:
        name: of the device.
        tool_to_ras: (4, 4), RAS mm; the tip lies at its origin, the shaft runs from there along minus z.
    """

    name: str
    tool_to_ras: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Arrival:
    """One scan, pose or refusal from a source.

    Attributes:
        key: the series' UID, or what stands for it.
        sentence: what came, or why it cannot be used.
        received_s: when its last byte came, seconds since 1970 by this machine's clock.
        ct: None when it cannot be used, or when it is a pose.
        pose: of an instrument, where the source sends poses.
        files: how many files it was made of.
    """

    key: str
    sentence: str
    received_s: float
    ct: CtVolume | None = None
    pose: TrackedPose | None = None
    files: int = 0


class FrameSource(Protocol):
    """Where live scans come from. Polled by whoever drives; reading happens in poll, so call it in a worker."""

    @property
    def words(self) -> str:
        """What it listens to, for people."""

    def poll(self) -> tuple[Arrival, ...]:
        """What has come since the last time, oldest first. Never raises for what came from outside."""

    def handled(self, arrival: Arrival) -> None:
        """The arrival has been used; it need not come again after a restart."""

    def close(self) -> None:
        """Stop. May be called twice."""
