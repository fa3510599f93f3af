"""Large vessels as heat sinks, by diameter and flow."""

from __future__ import annotations

from dataclasses import replace

from ..knowledge import TissueRecord, constant, tissue
from ..model import Structure, ThermalError

_TURBULENT_FROM = 2300.0
_GREAT = ("aorta", "inferior_vena_cava")
_HELD_W_M3K = 5e6


def vessel_heat_transfer_w_m2k(diameter_mm: float, flow_mm_s: float | None = None, great: bool = False) -> float:
    """Heat that flowing blood gives to its wall, W/m2/K.

    Laminar flow in a tube has Nu = 4 whatever its speed; above a Reynolds number of 2300 Dittus and Boelter's
    Nu = 0.023 Re^0.8 Pr^0.4 holds. Aorta and vena cava pulsate and take the data's value when no flow is given.

    Raises:
        ThermalError: a diameter or flow that is not positive.
    """
    if not diameter_mm > 0 or (flow_mm_s is not None and not flow_mm_s >= 0):
        raise ThermalError(f"A vessel needs a positive diameter and flow, has {diameter_mm} mm and {flow_mm_s} mm/s.")
    blood = tissue("blood")
    d = diameter_mm * 1e-3
    number = constant("vessel_nusselt")
    if flow_mm_s is None:
        laminar = number * blood.conductivity_w_mk / d
        return max(laminar, constant("vessel_great_w_m2k")) if great else laminar
    reynolds = blood.density_kg_m3 * flow_mm_s * 1e-3 * d / constant("blood_viscosity_pa_s")
    if reynolds > _TURBULENT_FROM:
        number = max(number, 0.023 * reynolds**0.8 * constant("blood_prandtl") ** 0.4)
    return number * blood.conductivity_w_mk / d


def is_heat_sink(structure: Structure) -> bool:
    """Whether blood in it keeps its wall warm."""
    return structure.diameter_mm is not None and structure.diameter_mm >= constant("vessel_sink_mm")


def sink_record(structure: Structure, label: int, grid_mm: float) -> TissueRecord:
    """Blood of one vessel as a substance: held at body temperature, and conducting just so well over half a voxel as
    its film does over the wall."""
    assert structure.diameter_mm is not None
    film = vessel_heat_transfer_w_m2k(structure.diameter_mm, structure.flow_mm_s, structure.group in _GREAT)
    conductivity = film * 0.5e-3 * grid_mm
    return replace(
        tissue("blood"),
        id=f"blood_{structure.name}",
        label=label,
        conductivity_w_mk=conductivity,
        frozen_conductivity_w_mk=conductivity,
        perfusion_w_m3k=_HELD_W_M3K,
        perfusion_stops=False,
    )
