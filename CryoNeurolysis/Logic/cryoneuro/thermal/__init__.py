"""Freezing and thawing of the patient's tissue: Pennes with latent heat, probes at any angle."""

from .near_field import near_field
from .schedule import probe_drive
from .simulate import cold_ends, simulate, simulation_grid
from .solver import Properties, solve
from .tissue import properties_from_labels

__all__ = [
    "Properties",
    "cold_ends",
    "near_field",
    "probe_drive",
    "properties_from_labels",
    "simulate",
    "simulation_grid",
    "solve",
]
