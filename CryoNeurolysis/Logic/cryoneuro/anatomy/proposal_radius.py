"""What every proposed nerve has in common: thickness, and doubt about its place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..knowledge import NerveRecord, constant
from ..model import Nerve


def nerve_radius_mm(record: NerveRecord) -> float:
    """Half the upper end of the diameter range; 1.5 mm where the data have none (a thin nerve)."""
    return 0.5 * record.diameter_mm[1] if record.diameter_mm else 1.5


def proposed_nerve(record: NerveRecord, name: str, points_ras_mm: npt.NDArray[np.float64], rule: str) -> Nerve:
    """A proposed course with the thickness of its record and the position sigma of the data."""
    return Nerve(
        name=name,
        target_id=record.id,
        points_ras_mm=points_ras_mm,
        radius_mm=nerve_radius_mm(record),
        sigma_mm=constant(f"{record.id}_sigma_mm"),
        rule=rule,
    )
