"""Is the nerve treated, are the neighbors safe, and how sure is that."""

from .assess import assess, neighbor_band_mm
from .ensemble import Judge, Outcome, Variation, draw, varied_probes, varied_records

__all__ = ["Judge", "Outcome", "Variation", "assess", "draw", "neighbor_band_mm", "varied_probes", "varied_records"]
