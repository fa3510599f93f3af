"""Freezing and thawing of the patient's tissue: Pennes with latent heat, probes at any angle."""

from .cold_profile import cold_profile
from .engine import Checkpoint, Freezing, compiled_available
from .fit_probe import IsothermSize, ProbeFit, fit_probe, isotherm_sizes
from .heat_sinks import vessel_heat_transfer_w_m2k
from .links import ColdSurface, Link, link
from .medium import Medium, Palette, TissueGrid, medium_from_labels, palette_of, tissue_grid
from .near_field import near_field
from .protections import PlacedProtection, placed_protections
from .schedule import active_drive, probe_drive, timeline
from .simulate import ISOTHERMS_C, simulate, simulate_box, thermocouple_c, watched_c
from .tissue_box import TissueBox, block, reached_box, simulation_grid, tissue_box, within

__all__ = [
    "ISOTHERMS_C",
    "Checkpoint",
    "ColdSurface",
    "Freezing",
    "IsothermSize",
    "Link",
    "Medium",
    "Palette",
    "PlacedProtection",
    "ProbeFit",
    "TissueBox",
    "TissueGrid",
    "active_drive",
    "block",
    "cold_profile",
    "compiled_available",
    "fit_probe",
    "isotherm_sizes",
    "link",
    "medium_from_labels",
    "near_field",
    "palette_of",
    "placed_protections",
    "probe_drive",
    "reached_box",
    "simulate",
    "simulate_box",
    "simulation_grid",
    "thermocouple_c",
    "timeline",
    "tissue_box",
    "tissue_grid",
    "vessel_heat_transfer_w_m2k",
    "watched_c",
    "within",
]
