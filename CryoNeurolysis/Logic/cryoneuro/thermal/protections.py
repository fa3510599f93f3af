"""Protective manoeuvres on the thermal grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..knowledge import protection, tissue
from ..model import Anatomy, Plan, Protection, ThermalError, VolumeGeometry
from .medium import Medium, fitted, pair
from .tissue_box import nearest_voxels


@dataclass(frozen=True, eq=False)
class PlacedProtection:
    """A manoeuvre on the thermal grid.

    Attributes:
        label: tissue that takes the place of what was there, None when something is held warm.
        filled_c: temperature of what is put in; None when nothing is.
    """

    name: str
    mask_kji: npt.NDArray[np.bool_]
    start_s: float
    end_s: float | None
    label: int | None
    filled_c: float | None
    held_c: float | None
    heat_transfer_w_m2k: float

    def applied(self, medium: Medium) -> Medium:
        """The medium with the manoeuvre in place."""
        mask = fitted(self.mask_kji, medium.classes_kji.shape)
        if self.label is not None:
            classes = medium.classes_kji.copy()
            classes[mask] = self.label
            halves = medium.halves_kji
            if halves is not None:
                halves = halves.copy()
                halves[mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)] = self.label
            return replace(medium, classes_kji=classes, halves_kji=halves)
        live = medium.palette.conducts[medium.classes_kji]
        per_face = self.heat_transfer_w_m2k / (medium.grid_mm * 1e-3)
        assert self.held_c is not None
        if (mask & live).any() and not (mask & ~live).any():
            # A lumen: the fluid in it is kept at its temperature.
            return medium.held(mask & live, per_face, self.held_c)
        # A pack: it covers the skin that it touches and takes the place of the room's air there.
        faces = np.zeros(mask.shape, np.float32)
        for axis in range(3):
            low, high = pair(mask & ~live, axis)
            faces_low, faces_high = pair(faces, axis)
            faces_low += high
            faces_high += low
        faces *= live
        covered = faces > 0
        if medium.exchange_w_m3k is not None:
            bare = medium.exchange_w_m3k.copy()
            bare[covered] = 0.0
            medium = replace(medium, exchange_w_m3k=bare)
        return medium.held(covered, faces * np.float32(per_face), self.held_c)


def placed_protections(anatomy: Anatomy, plan: Plan, geometry: VolumeGeometry) -> tuple[PlacedProtection, ...]:
    """A plan's manoeuvres on a thermal grid.

    Raises:
        ThermalError: one that does not reach into the box.
        KnowledgeError, AnatomyError: an unknown kind or structure.
    """
    grid = nearest_voxels(anatomy, geometry)
    return tuple(_placed(anatomy, item, grid) for item in plan.protections)


def _placed(anatomy: Anatomy, item: Protection, grid: tuple[npt.NDArray[np.intp], ...]) -> PlacedProtection:
    kind = protection(item.kind)
    mask = anatomy.structure(item.structure).mask_kji[grid]
    if not mask.any():
        raise ThermalError(
            f"{kind.name}: {item.structure} does not reach into the simulated box, so it would do nothing; draw it "
            "nearer to the ice or leave it out."
        )
    temperature = kind.temperature_c if item.temperature_c is None else item.temperature_c
    return PlacedProtection(
        f"{kind.name} ({item.structure})",
        mask,
        item.start_s,
        item.end_s,
        tissue(kind.tissue).label if kind.tissue is not None else None,
        temperature if kind.tissue is not None else None,
        temperature if kind.held else None,
        kind.heat_transfer_w_m2k,
    )
