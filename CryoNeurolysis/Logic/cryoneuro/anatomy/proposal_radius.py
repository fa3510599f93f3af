"""How thick a nerve is taken to be."""

from __future__ import annotations

from ..knowledge import NerveRecord


def nerve_radius_mm(record: NerveRecord) -> float:
    """Half the upper end of the diameter range; 1.5 mm where the data have none (a thin nerve)."""
    return 0.5 * record.diameter_mm[1] if record.diameter_mm else 1.5
