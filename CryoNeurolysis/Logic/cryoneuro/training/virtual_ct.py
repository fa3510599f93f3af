"""A scan that was never made: probes, their streaks and growing ice in a real CT, moved, sliced and noisy.

No public CT with a cryoprobe in it was found, so live guidance is tested, and trainees practise, on these pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..guidance import ice_drop_hu, temperature_at
from ..imaging import on_volume
from ..model import Acquisition, CtVolume, ThermalRun, VolumeGeometry
from .metal_streaks import metal_streaks


@dataclass(frozen=True)
class ScanSettings:
    """How the virtual scanner scans.

    Attributes:
        slice_mm: thickness of a slice and distance of slices.
        pixel_mm, size, slices: matrix.
        blur_mm: sigma of the scanner's sharpness within a slice.
        noise_hu: in soft tissue.
        metal_hu: of a probe, before the scanner's range clips it.
        ice_drop: how much CT numbers fall in ice, as a factor on what is usual.
        clip_hu: upper end of the scanner's range.
    """

    slice_mm: float = 5.0
    pixel_mm: float = 0.8
    size: int = 512
    slices: int = 20
    blur_mm: float = 0.6
    noise_hu: float = 15.0
    streaks: bool = True
    metal_hu: float = 12000.0
    ice_drop: float = 1.0
    clip_hu: float = 3071.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Shaft:
    """A metal probe: from rear_ras_mm to tip_ras_mm in the planning CT's frame, with a point of point_mm at its tip."""

    rear_ras_mm: npt.NDArray[np.float64]
    tip_ras_mm: npt.NDArray[np.float64]
    diameter_mm: float
    point_mm: float = 0.0


@dataclass(frozen=True, eq=False)
class IceShape:
    """Frozen tissue: a temperature field (k, j, i) of a run in the planning CT's frame."""

    temperature_c: npt.NDArray[np.float32]
    geometry: VolumeGeometry

    @staticmethod
    def at(run: ThermalRun, time_s: float) -> IceShape:
        """The ice of a run at a time between its snapshots, temperatures in a straight line between them."""
        return IceShape(temperature_at(run, time_s), run.geometry)


def scan_geometry(center_ras_mm: npt.ArrayLike, settings: ScanSettings) -> VolumeGeometry:
    """Axial slices round a point (3,) of the scanner's RAS frame: rows toward the patient's left, columns toward the back."""
    spacing = np.array([settings.pixel_mm, settings.pixel_mm, settings.slice_mm])
    shape = (settings.slices, settings.size, settings.size)
    matrix = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    middle = 0.5 * (np.array(shape[::-1]) - 1)
    matrix[:3, 3] = np.asarray(center_ras_mm, float) - matrix[:3, :3] @ middle
    return VolumeGeometry(shape, matrix)


def virtual_scan(
    ct: CtVolume,
    geometry: VolumeGeometry,
    settings: ScanSettings,
    plan_to_live: npt.ArrayLike | None = None,
    shafts: Sequence[Shaft] = (),
    ice: IceShape | None = None,
    acquisition: Acquisition | None = None,
) -> CtVolume:
    """Scan the patient of a planning CT once more.

    Args:
        geometry: slices of the scan in the scanner's frame; see scan_geometry.
        plan_to_live: (4, 4) rigid movement of the patient since the planning CT, RAS mm.
        shafts, ice: what is in the patient now, in the planning CT's frame; they move with the patient.
        acquisition: what the scan says of itself; the planning CT's when None.
    """
    move = np.eye(4) if plan_to_live is None else np.asarray(plan_to_live, float)
    rng = np.random.default_rng(settings.seed)
    parts = max(1, int(np.ceil(settings.slice_mm)))
    fine = _fine_slices(geometry, parts, np.linalg.inv(move))
    hu = on_volume(ct.array_kji, ct.geometry, fine, -1024.0)
    if ice is not None:
        hu -= settings.ice_drop * ice_drop_hu(hu) * (on_volume(ice.temperature_c, ice.geometry, fine, 37.0) < 0.0)
    picture = hu.reshape(geometry.shape_kji[0], parts, *geometry.shape_kji[1:]).mean(axis=1)
    metal = np.zeros(geometry.shape_kji, np.float32)
    for shaft in shafts:
        _draw_metal(metal, shaft, geometry, move)
    picture += metal * (np.float32(settings.metal_hu) - picture)
    sigma = settings.blur_mm / settings.pixel_mm
    noise = rng.normal(size=picture.shape).astype(np.float32)
    for k in range(picture.shape[0]):
        picture[k] = ndimage.gaussian_filter(picture[k], sigma)
        grain = ndimage.gaussian_filter(noise[k], sigma)
        picture[k] += grain * (settings.noise_hu / float(grain.std()))
        if settings.streaks and metal[k].any():
            picture[k] += metal_streaks(metal[k], settings.pixel_mm, settings.metal_hu, settings.noise_hu, rng)
    values = np.clip(np.rint(picture), -1024, settings.clip_hu).astype(np.int16)
    return CtVolume(values, geometry, ct.acquisition if acquisition is None else acquisition, "virtual scan")


def _fine_slices(geometry: VolumeGeometry, parts: int, back: npt.NDArray[np.float64]) -> VolumeGeometry:
    """Each slice cut into thinner ones, seen from the planning CT."""
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, 3] -= matrix[:3, 2] * 0.5 * (1.0 - 1.0 / parts)
    matrix[:3, 2] /= parts
    k, j, i = geometry.shape_kji
    return VolumeGeometry((k * parts, j, i), back @ matrix)


def _draw_metal(
    metal: npt.NDArray[np.float32], shaft: Shaft, geometry: VolumeGeometry, move: npt.NDArray[np.float64]
) -> None:
    """Share of each voxel within the shaft, by points within the voxel."""
    rear, tip = (move[:3, :3] @ p + move[:3, 3] for p in (shaft.rear_ras_mm, shaft.tip_ras_mm))
    spacing = np.array(geometry.spacing_mm)
    count = np.maximum(4, np.ceil(spacing / 0.25)).astype(int)
    offsets = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n - 0.5 for n in count], indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    # Voxels that a walk along the shaft meets, and those round them.
    steps = np.linspace(0.0, 1.0, int(np.linalg.norm(tip - rear) / 0.3) + 2)[:, None]
    walked = np.rint(geometry.ras_to_ijk(rear + steps * (tip - rear))).astype(int)
    reach = np.ceil(0.5 * shaft.diameter_mm / spacing).astype(int) + 1
    around = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    found = np.unique((walked[:, None] + around[None]).reshape(-1, 3), axis=0)
    found = found[((found >= 0) & (found < geometry.shape_kji[::-1])).all(axis=1)]
    if not len(found):
        return
    axis = (tip - rear) / np.linalg.norm(tip - rear)
    for part in np.array_split(found, max(1, len(found) * len(offsets) // 4_000_000)):
        points = geometry.ijk_to_ras_mm((part[:, None] + offsets[None]).reshape(-1, 3)) - tip
        behind = -(points @ axis)
        aside = np.linalg.norm(points + behind[:, None] * axis, axis=1)
        radius = 0.5 * shaft.diameter_mm * np.clip(behind / max(shaft.point_mm, 1e-6), 0.0, 1.0)
        inside = (behind >= 0.0) & (behind <= np.linalg.norm(tip - rear)) & (aside <= radius)
        share = inside.reshape(len(part), -1).mean(axis=1)
        i, j, k = part.T
        metal[k, j, i] = np.maximum(metal[k, j, i], share.astype(np.float32))
