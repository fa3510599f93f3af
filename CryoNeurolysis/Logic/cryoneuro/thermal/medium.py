"""What the solver sees of the patient: a palette of substances and which of them fills every voxel."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from ..knowledge import TissueRecord, constant, tissues
from ..model import ThermalError

Field = npt.NDArray[np.float32]
_NEVER_C = -1e9
_MIXTURE_DEPTH_K = 60.0
"""Depth below the solidus at which a mixture's conductivity is looked at, to say how it grows with cold."""
COLDEST_BODY_C, WARMEST_BODY_C = 0.0, 60.0


@dataclass(frozen=True, eq=False)
class Palette:
    """Substances, one entry each (N,), SI units; heats are volumetric.

    Attributes:
        conductivity, frozen_conductivity: above the liquidus and at the solidus, W/m/K.
        conductivity_slope: how conductivity grows with every kelvin below the solidus, W/m/K2.
        heat, frozen_heat: above the liquidus and at the solidus, J/m3/K; frozen_heat falls by heat_slope per kelvin.
        latent: J/m3, released evenly from liquidus_c down to solidus_c.
        perfusion: W/m3/K towards the body's temperature above the liquidus; metabolic: W/m3 there.
        always_flows: blood that no cold stops.
        returns: perfusion comes back after thawing even where the vessels were destroyed by cold.
        conducts: False for gas and air.
    """

    conductivity: Field
    frozen_conductivity: Field
    conductivity_slope: Field
    heat: Field
    frozen_heat: Field
    heat_slope: Field
    latent: Field
    perfusion: Field
    metabolic: Field
    liquidus_c: Field
    solidus_c: Field
    always_flows: npt.NDArray[np.bool_]
    returns: npt.NDArray[np.bool_]
    conducts: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.conductivity)

    def conductivity_at(self, depth_k: float) -> Field:
        """Conductivity so many kelvins below the solidus, W/m/K."""
        result: Field = (self.frozen_conductivity + np.float32(depth_k) * self.conductivity_slope).astype(np.float32)
        return result

    @property
    def span(self) -> Field:
        """Width of the freezing range, K."""
        return self.liquidus_c - self.solidus_c

    @property
    def mushy_total(self) -> Field:
        """Heat from liquidus to solidus: latent and sensible, J/m3."""
        result: Field = (self.latent + 0.5 * self.span * (self.heat + self.frozen_heat)).astype(np.float32)
        return result

    def stasis_c(self, threshold_c: float) -> Field:
        """Temperature at which perfusion is lost for good."""
        return np.where(self.returns, np.float32(_NEVER_C), np.float32(threshold_c)).astype(np.float32)

    def extended(self, other: Palette) -> Palette:
        """Both palettes, the other's entries after these."""
        return Palette(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(Palette)))


@dataclass(frozen=True, eq=False)
class Medium:
    """Isotropic grid of substances.

    Attributes:
        grid_mm: voxel edge.
        classes_kji: (k, j, i) uint16 into the palette, even counts along every axis.
        exchange_w_m3k, exchange_c: heat taken up from something held at a temperature (skin to air, a warm catheter,
            a vessel's wall), per voxel; None when there is nothing of that kind.
        body_c: temperature at the start, of the arterial blood, and beyond the grid.
        halves_kji: (2 nk, 2 nj, 2 ni) entries of the palette at half the spacing, from which faces between mixed voxels take
            their conductance; None when no voxel is mixed.
        pure: entries from here on are mixtures.
    """

    grid_mm: float
    classes_kji: npt.NDArray[np.uint16]
    palette: Palette
    body_c: float
    exchange_w_m3k: Field | None = None
    exchange_c: Field | None = None
    halves_kji: npt.NDArray[np.uint16] | None = None
    pure: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.body_c) and COLDEST_BODY_C <= self.body_c <= WARMEST_BODY_C):
            raise ThermalError(
                f"What is frozen must begin at {COLDEST_BODY_C:g} to {WARMEST_BODY_C:g} C, but {self.body_c} C was given."
            )
        if self.classes_kji.ndim != 3 or any(n % 2 or n < 8 for n in self.classes_kji.shape):
            raise ThermalError(
                f"A thermal grid needs an even number of at least 8 voxels along every axis, has {self.classes_kji.shape}."
            )
        if int(self.classes_kji.max()) >= len(self.palette):
            raise ThermalError(
                f"The tissue map holds class {int(self.classes_kji.max())}, but there are {len(self.palette)} substances."
            )
        for name in ("exchange_w_m3k", "exchange_c"):
            value = getattr(self, name)
            if value is not None and (value.shape != self.classes_kji.shape or not np.isfinite(value).all()):
                raise ThermalError(f"{name} must be finite numbers on the tissue map's grid.")

    def held(self, mask_kji: npt.NDArray[np.bool_], coefficient: npt.ArrayLike, temperature_c: float) -> Medium:
        """The same with voxels that exchange heat with something held at a temperature, on top of what they had.

        Args:
            coefficient: W/m3/K, one number or (k, j, i).
        """
        have = np.zeros(self.classes_kji.shape, np.float32) if self.exchange_w_m3k is None else self.exchange_w_m3k
        have_c = (
            np.full(self.classes_kji.shape, self.body_c, np.float32) if self.exchange_c is None else self.exchange_c
        )
        add = np.where(mask_kji, np.asarray(coefficient, np.float32), np.float32(0.0))
        total = have + add
        mean = np.where(total > 0, (have * have_c + add * np.float32(temperature_c)) / np.maximum(total, 1e-9), have_c)
        return replace(self, exchange_w_m3k=total.astype(np.float32), exchange_c=mean.astype(np.float32))


def palette_of(table: tuple[TissueRecord, ...] | None = None) -> Palette:
    """The palette of a table of tissues (the data's when None), entry = label."""
    table = tissues() if table is None else table

    def column(values: list[float]) -> Field:
        return np.array(values, np.float32)

    def flags(values: list[bool]) -> npt.NDArray[np.bool_]:
        return np.array(values, bool)

    return Palette(
        conductivity=column([t.conductivity_w_mk for t in table]),
        frozen_conductivity=column([t.frozen_conductivity_w_mk for t in table]),
        conductivity_slope=column([t.frozen_conductivity_slope_w_mk2 for t in table]),
        heat=column([t.density_kg_m3 * t.specific_heat_j_kgk for t in table]),
        frozen_heat=column([t.frozen_volumetric_heat_mj_m3k * 1e6 for t in table]),
        heat_slope=column([t.frozen_heat_slope_per_k for t in table]),
        latent=column([t.latent_heat_mj_m3 * 1e6 for t in table]),
        perfusion=column([t.perfusion_w_m3k for t in table]),
        metabolic=column([t.metabolic_w_m3 for t in table]),
        liquidus_c=column([t.liquidus_c for t in table]),
        solidus_c=column([t.solidus_c for t in table]),
        always_flows=flags([not t.perfusion_stops for t in table]),
        returns=flags([t.perfusion_returns for t in table]),
        conducts=flags([t.conducts for t in table]),
    )


def medium_from_labels(
    labels_kji: npt.NDArray[np.integer],
    grid_mm: float,
    table: tuple[TissueRecord, ...] | None = None,
    body_c: float | None = None,
) -> Medium:
    """A medium of whole voxels, bare skin to room air where tissue meets label 0.

    Args:
        labels_kji: tissue labels (k, j, i); 0 is air outside the body. Odd counts are padded by one voxel at the end.
        grid_mm: voxel edge.
        table: the data's tissues when None.
        body_c: the data's body temperature when None.

    Raises:
        ThermalError: a label that no tissue has, or labels that are not whole numbers.
    """
    labels = np.asarray(labels_kji)
    palette = palette_of(table)
    _check_labels(labels, len(palette))
    classes = np.pad(labels, [(0, n % 2) for n in labels.shape], mode="edge").astype(np.uint16)
    return with_bare_skin(
        Medium(grid_mm, classes, palette, constant("body_temperature_c") if body_c is None else body_c)
    )


@dataclass(frozen=True, eq=False)
class TissueGrid:
    """Tissues of half voxels, sorted into pure voxels and mixtures, before any property is known.

    Attributes:
        halves_kji: at half of grid_mm (2 k, 2 j, 2 i); below `pure` a label, from there on mixture number n - pure.
        classes_kji: (k, j, i), in the same way.
        fractions: (M, pure) shares of the mixtures, those of half voxels first.
    """

    grid_mm: float
    halves_kji: npt.NDArray[np.uint16]
    classes_kji: npt.NDArray[np.uint16]
    fractions: npt.NDArray[np.float64]
    pure: int

    def medium(self, table: tuple[TissueRecord, ...] | None = None, body_c: float | None = None) -> Medium:
        """The medium with the properties of a table of tissues (the data's when None)."""
        palette = palette_of(table)
        if len(self.fractions):
            palette = palette.extended(_mixtures(palette, self.fractions))
        body = constant("body_temperature_c") if body_c is None else body_c
        halves = self.halves_kji if len(self.fractions) else None
        return with_bare_skin(Medium(self.grid_mm, self.classes_kji, palette, body, halves_kji=halves, pure=self.pure))


def tissue_grid(
    halves_kji: npt.NDArray[np.integer],
    grid_mm: float,
    tissue_count: int | None = None,
    half_fractions: npt.NDArray[np.float64] | None = None,
) -> TissueGrid:
    """Sort a grid of half voxels, so that a voxel of half fat is half fat.

    Heat adds up over a voxel's parts; conductance between two voxels is found from the half voxels between their centers.

    Args:
        halves_kji: labels at half of grid_mm (2 k, 2 j, 2 i), and above them the numbers of half voxels that are mixed
            themselves (see with_samples).
        tissue_count: labels go up to one less; the data's tissues when None.
        half_fractions: (Q, tissue_count) shares of the mixed half voxels; none when None.

    Raises:
        ThermalError: labels that no tissue has, or that are no whole numbers.
    """
    count = len(tissues()) if tissue_count is None else tissue_count
    own = np.zeros((0, count)) if half_fractions is None else half_fractions
    _check_labels(halves_kji, count + len(own))
    halves = np.pad(halves_kji, [(0, -n % 4) for n in halves_kji.shape], mode="edge").astype(np.uint16)
    corners = [halves[a::2, b::2, c::2] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    classes = corners[0].copy()
    mixed = np.zeros(classes.shape, bool)
    for corner in corners[1:]:
        mixed |= corner != corners[0]
    fractions = own
    if mixed.any():
        shares = np.concatenate([np.eye(count), own])
        rows = np.stack([corner[mixed] for corner in corners], axis=1)
        # Voxels of the same shares are one mixture: shares are told apart by a sum of random whole numbers.
        random = np.random.default_rng(0).integers(0, 2**63, count, dtype=np.uint64)
        keys = (np.rint(shares * _SUB_SAMPLES).astype(np.uint64) * random).sum(axis=1, dtype=np.uint64)
        _, where, inverse = np.unique(keys[rows].sum(axis=1, dtype=np.uint64), return_index=True, return_inverse=True)
        fractions = np.concatenate([own, shares[rows[where]].mean(axis=1)])
        classes[mixed] = (count + len(own) + inverse).astype(np.uint16)
    return TissueGrid(grid_mm, halves, classes, fractions, count)


_SUB_SAMPLES = 8


def with_samples(
    halves_kji: npt.NDArray[np.integer],
    where_kji: npt.NDArray[np.integer],
    labels: npt.NDArray[np.integer],
    tissue_count: int,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
    """Half voxels some of which a boundary goes through: their numbers, and the shares of those that are mixed.

    Args:
        where_kji: (M, 3) indices of half voxels; labels: (M, 8) tissue of each of their eighths.
    """
    result = halves_kji.astype(np.uint16)
    if not len(where_kji):
        return result, np.zeros((0, tissue_count))
    counts = np.stack([(labels == n).sum(axis=1) for n in range(tissue_count)], axis=1)
    kinds, inverse = np.unique(counts, axis=0, return_inverse=True)
    whole = (kinds == _SUB_SAMPLES).any(axis=1)
    number = np.empty(len(kinds), np.int64)
    number[whole] = kinds[whole].argmax(axis=1)
    number[~whole] = tissue_count + np.arange(int((~whole).sum()))
    result[tuple(np.asarray(where_kji).T)] = number[inverse.ravel()]
    return result, kinds[~whole] / float(_SUB_SAMPLES)


def _check_labels(labels: npt.NDArray[np.integer], count: int) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        if not np.isfinite(labels).all():
            raise ThermalError("The tissue map contains NaN or infinite values; every voxel needs a tissue label.")
        raise ThermalError(f"The tissue map must hold whole-number labels, but holds {labels.dtype}.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= count:
        raise ThermalError(
            f"The tissue map holds label {low if low < 0 else high}, but the tissues go from 0 to {count - 1}."
        )


def _mixtures(pure: Palette, fractions: npt.NDArray[np.float64]) -> Palette:
    """Mixtures (M, N) of a palette's N substances.

    Heats, latent heat and perfusion add by volume. Conductivity is that of layers in series of what conducts, for heat
    mostly goes through a boundary and not along it, times its share. A voxel that is mostly gas does not conduct.
    """
    solid = fractions * pure.conducts
    share = solid.sum(axis=1)
    conducts = share >= 0.5
    weight = solid / np.maximum(share, 1e-9)[:, None]

    def mean(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        result: npt.NDArray[np.float64] = weight @ np.asarray(values, np.float64)
        return result

    def layered(values: Field) -> npt.NDArray[np.float64]:
        result: npt.NDArray[np.float64] = np.maximum(share, 1e-3) / np.maximum(mean(1.0 / values), 1e-6)
        return result

    frozen, deep = (layered(k) for k in (pure.frozen_conductivity, pure.conductivity_at(_MIXTURE_DEPTH_K)))
    ice = weight * pure.latent
    ice = np.where(ice.sum(axis=1, keepdims=True) > 0, ice, weight)
    ice /= np.maximum(ice.sum(axis=1, keepdims=True), 1e-9)
    heat = np.where(conducts, mean(pure.heat) * share, 1e3)
    frozen_heat = np.where(conducts, mean(pure.frozen_heat) * share, 1e3)

    def single(values: npt.ArrayLike) -> Field:
        return np.asarray(values, np.float32)

    liquidus = np.where(conducts, ice @ pure.liquidus_c.astype(np.float64), -1.0)
    return Palette(
        conductivity=single(np.maximum(layered(pure.conductivity), 1e-3)),
        frozen_conductivity=single(np.maximum(frozen, 1e-3)),
        conductivity_slope=single(np.maximum(deep - frozen, 0.0) / _MIXTURE_DEPTH_K),
        heat=single(heat),
        frozen_heat=single(frozen_heat),
        heat_slope=single(mean(pure.heat_slope)),
        latent=single(mean(pure.latent) * share),
        perfusion=single(mean(pure.perfusion) * share),
        metabolic=single(mean(pure.metabolic) * share),
        liquidus_c=single(liquidus),
        solidus_c=single(np.where(conducts, ice @ pure.solidus_c.astype(np.float64), liquidus - 1.0)),
        always_flows=(weight @ pure.always_flows.astype(np.float64)) > 0.5,
        returns=(weight @ pure.returns.astype(np.float64)) > 0.5,
        conducts=conducts,
    )


def with_bare_skin(medium: Medium, air_class: int = 0) -> Medium:
    """The same with heat lost from skin to room air: one share for every face that looks at outside air."""
    air = medium.classes_kji == air_class
    if not air.any() or medium.palette.conducts[air_class]:
        return medium
    faces = np.zeros(air.shape, np.float32)
    for axis in range(3):
        low, high = pair(air, axis)
        faces_low, faces_high = pair(faces, axis)
        faces_low += high
        faces_high += low
    faces *= medium.palette.conducts[medium.classes_kji]
    coefficient = faces * np.float32(constant("skin_heat_transfer_w_m2k") / (medium.grid_mm * 1e-3))
    return medium.held(faces > 0, coefficient, constant("room_temperature_c"))


def pair(array: npt.NDArray, axis: int) -> tuple[npt.NDArray, npt.NDArray]:  # type: ignore[type-arg]
    """Views on the two sides of every face along an axis."""
    low: list[slice] = [slice(None)] * array.ndim
    high: list[slice] = [slice(None)] * array.ndim
    low[axis] = slice(None, -1)
    high[axis] = slice(1, None)
    return array[tuple(low)], array[tuple(high)]


def fitted(mask_kji: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """A mask on a grid that has been cut or padded at its ends."""
    result = np.zeros(shape, bool)
    common = tuple(slice(0, min(a, b)) for a, b in zip(mask_kji.shape, shape, strict=True))
    result[common] = mask_kji[common]
    return result
