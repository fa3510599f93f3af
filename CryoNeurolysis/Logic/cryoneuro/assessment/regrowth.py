"""How long the effect may last."""

from __future__ import annotations

from ..knowledge import NerveRecord, constant
from ..model import Finding, Status

_DAYS_A_MONTH = 365.25 / 12.0


def regrowth(record: NerveRecord, nerve_name: str) -> Finding | None:
    """Days until the nerve is back: from the distance it must grow where known, else as series report; None if neither."""
    if record.regrowth_distance_mm is not None:
        near, far = record.regrowth_distance_mm
        low, high = near / constant("regrowth_high_mm_day"), far / constant("regrowth_low_mm_day")
        text = f"Regrowth over {near:g} to {far:g} mm takes {low:.0f} to {high:.0f} days."
    elif record.recovery_months is not None:
        low, high = (_DAYS_A_MONTH * months for months in record.recovery_months)
        claim = record.claims["recovery_months"]
        text = f"The effect is reported to last {record.recovery_months[0]:g} to {record.recovery_months[1]:g} months "
        text += f"({claim.confidence} confidence: {claim.source})."
    else:
        return None
    return Finding(
        "nerve.regrowth",
        nerve_name,
        "regrowth time",
        "days",
        0.5 * (low + high),
        low,
        high,
        None,
        None,
        None,
        Status.OK,
        text,
    )
