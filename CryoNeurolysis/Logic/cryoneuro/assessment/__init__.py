"""Is the nerve treated, are the neighbors safe, and how sure is that."""

from .assess import assess, neighbor_band_mm
from .check_findings import check_findings, high_risk
from .dose_chance import dose_chance
from .ensemble import Judge, Outcome, Variation, draw, varied_probes, varied_records, varied_surface
from .guards import Guard, guards, neighbor_points
from .nerve_dose import NerveDose, nerve_course_c, nerve_dose

__all__ = [
    "Guard",
    "Judge",
    "NerveDose",
    "Outcome",
    "Variation",
    "assess",
    "check_findings",
    "dose_chance",
    "draw",
    "guards",
    "high_risk",
    "neighbor_band_mm",
    "neighbor_points",
    "nerve_course_c",
    "nerve_dose",
    "varied_probes",
    "varied_records",
    "varied_surface",
]
