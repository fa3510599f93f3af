"""The side of the patient that lies on the table in the scan's position, where no needle can enter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..model import Limits, Trajectory

_DOWN_RAS = {"S": (0.0, -1.0, 0.0), "P": (0.0, 1.0, 0.0), "DR": (1.0, 0.0, 0.0), "DL": (-1.0, 0.0, 0.0)}
"""By the last letters of DICOM's Patient Position (PS3.3, C.7.3.1.1.2): supine, prone, right or left side down."""
_WORDS = {"S": "on the back", "P": "prone", "DR": "on the right side", "DL": "on the left side"}


def table_side_ras(patient_position: str) -> npt.NDArray[np.float64] | None:
    """Unit vector toward the table; None where the position is not said."""
    down = _DOWN_RAS.get(_posture(patient_position))
    return None if down is None else np.array(down)


def table_words(trajectory: Trajectory, patient_position: str, limits: Limits) -> str:
    """A sentence where the shaft would come from the table's side in the position of the scan; empty where it does not."""
    down = table_side_ras(patient_position)
    if down is None or -trajectory.direction_ras @ down < np.cos(np.deg2rad(limits["path.table"].warning)):
        return ""
    return (
        f"The scan shows the patient {_WORDS[_posture(patient_position)]} and this path enters from the table's side: turn the "
        "patient, scan again and plan on that scan, because organs move when a patient is turned."
    )


def _posture(patient_position: str) -> str:
    return patient_position.strip().upper()[2:]
