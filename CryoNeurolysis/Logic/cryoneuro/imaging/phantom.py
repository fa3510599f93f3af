"""A synthetic body with known truth: for tests, for the demo without a download, and for training.

The numbers here shape a test object; they are no clinical facts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..model import Acquisition, CtVolume, VolumeGeometry

_HU = {"air": -1000, "fat": -100, "muscle": 55, "skin": 30, "cortical": 900, "cancellous": 250, "blood": 280}
_HU |= {"lung": -820, "gas": -985, "canal": 15, "kidney": 130, "bowel": 35}


@dataclass(frozen=True, eq=False)
class Phantom:
    """The CT and the truth it was made from.

    Attributes:
        intercostal_ras_mm: (N, 3) course of a left intercostal nerve.
        celiac_ras_mm: (N, 3) course of the left celiac region beside the aorta.
        labels_kji: uint8, values named in `names`, on the CT's grid.
    """

    ct: CtVolume
    intercostal_ras_mm: npt.NDArray[np.float64]
    celiac_ras_mm: npt.NDArray[np.float64]
    labels_kji: npt.NDArray[np.uint8]
    names: dict[int, str]


_RIB_SPACING_MM = 26.0
_SPINE_A_MM = -48.0
_AORTA_RA_MM = (-12.0, -16.0)
_AORTA_RADIUS_MM = 10.0


def _ellipse(
    r: npt.ArrayLike, a: npt.ArrayLike, center: tuple[float, float], radii: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Normalized radius: 1 on the ellipse."""
    result: npt.NDArray[np.float64] = np.sqrt(
        ((np.asarray(r) - center[0]) / radii[0]) ** 2 + ((np.asarray(a) - center[1]) / radii[1]) ** 2
    )
    return result


def phantom_geometry(spacing_mm: float, rotation: npt.NDArray[np.float64] | None = None) -> VolumeGeometry:
    """Grid that holds the phantom, its axes turned by a 3 x 3 rotation (columns i, j, k in RAS)."""
    half = np.array([170.0, 125.0, 90.0])
    axes = np.diag([-1.0, -1.0, 1.0]) if rotation is None else np.asarray(rotation, dtype=float)
    if rotation is not None:
        half = np.abs(axes).T @ half  # the turned box that still holds everything
    count = np.ceil(2 * half / spacing_mm).astype(int)
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing_mm
    matrix[:3, 3] = -axes @ ((count - 1) / 2 * spacing_mm)
    return VolumeGeometry((int(count[2]), int(count[1]), int(count[0])), matrix)


def _rib_s(angle: npt.NDArray[np.float64], level_s_mm: float) -> npt.NDArray[np.float64]:
    """Height of a rib that slopes down from the spine (angle 0, posterior) to the front."""
    result: npt.NDArray[np.float64] = level_s_mm - 22.0 * (np.abs(angle) / np.pi)
    return result


def make_phantom(
    spacing_mm: float = 2.0,
    rotation: npt.NDArray[np.float64] | None = None,
    seed: int = 0,
    noise_hu: float = 8.0,
) -> Phantom:
    """A trunk of 300 x 210 x 180 mm lying on a table.

    Args:
        spacing_mm: voxel edge.
        rotation: 3 x 3 orthonormal directions of i, j, k in RAS; None gives the usual LPS order.
        seed: of the noise.
        noise_hu: standard deviation of the noise.
    """
    geometry = phantom_geometry(spacing_mm, rotation)
    kji = np.indices(geometry.shape_kji, dtype=np.float32)
    matrix = geometry.ijk_to_ras
    r, a, s = (
        (matrix[n, 0] * kji[2] + matrix[n, 1] * kji[1] + matrix[n, 2] * kji[0] + matrix[n, 3]).astype(np.float32)
        for n in range(3)
    )
    del kji
    hu = np.full(geometry.shape_kji, _HU["air"], np.float32)
    labels = np.zeros(geometry.shape_kji, np.uint8)
    names: dict[int, str] = {}

    def paint(mask: npt.NDArray[np.bool_], tissue: str, label: tuple[int, str] | None = None) -> None:
        hu[mask] = _HU[tissue]
        labels[mask] = label[0] if label else 0
        if label:
            names[label[0]] = label[1]

    inside_s = np.abs(s) < 82
    table = (np.abs(a + 116) < 3) & (np.abs(r) < 160)
    hu[table] = -50.0
    trunk = _ellipse(r, a, (0, 0), (150, 105))
    paint((trunk < 1) & inside_s, "skin")
    paint((trunk < 0.985) & inside_s, "fat")
    wall = _ellipse(r, a, (0, 2), (132, 86))
    paint((wall < 1) & inside_s, "muscle")
    cavity = _ellipse(r, a, (0, 8), (120, 74))
    paint((cavity < 1) & inside_s, "fat")
    # Back muscles on both sides of the spine.
    for side in (-1, 1):
        paint((_ellipse(r, a, (side * 34, -74), (26, 18)) < 1) & inside_s, "muscle")
    # Lungs: two domes from the top down, deepest behind.
    for side, label in ((-1, (11, "lung_lower_lobe_left")), (1, (14, "lung_lower_lobe_right"))):
        bottom = 22 + 0.5 * (a + 60) + 0.15 * np.abs(np.abs(r) - 70)
        paint((_ellipse(r, a, (side * 66, 4), (50, 66)) < 1) & (s > bottom) & (cavity < 0.98) & inside_s, "lung", label)
    # Liver, kidneys, bowel with gas.
    paint(
        (_ellipse(r, a, (62, 20), (48, 42)) < 1) & (s < 8) & (cavity < 0.95) & inside_s & (labels == 0),
        "muscle",
        (5, "liver"),
    )
    for side, label in ((-1, (3, "kidney_left")), (1, (2, "kidney_right"))):
        kidney = ((r - side * 62) / 24) ** 2 + ((a + 28) / 20) ** 2 + ((s + 50) / 40) ** 2
        paint((kidney < 1) & inside_s, "kidney", label)
    bowel = ((r + 48) / 34) ** 2 + ((a - 40) / 24) ** 2 + ((s + 25) / 38) ** 2
    paint((bowel < 1) & inside_s, "bowel", (20, "colon"))
    paint((bowel < 0.45) & (a > 42) & inside_s, "gas", (20, "colon"))
    # Ribs: curved bars at even heights, from the spine round to the side.
    angle = np.arctan2(r, -(a - 2)).astype(np.float32)
    for level in np.arange(-50.0, 95.0, _RIB_SPACING_MM):
        height = _rib_s(angle, float(level))
        radial = np.abs(wall - 0.955) * 95.0
        bar = np.sqrt((radial / 4.0) ** 2 + ((s - height) / 6.0) ** 2)
        rib = (bar < 1) & (np.abs(angle) > 0.32) & (np.abs(angle) < 2.3) & inside_s
        paint(rib, "cortical", (110, "ribs"))
        paint((bar < 0.55) & rib, "cancellous", (110, "ribs"))
    # Spine: bodies with discs, canal, arch, spinous process.
    body = _ellipse(r, a, (0, _SPINE_A_MM), (22, 17))
    disc = np.abs(((s + 13) % 30) - 15) > 12
    paint((body < 1) & inside_s, "muscle")
    paint((body < 1) & inside_s & ~disc, "cortical", (32, "vertebrae"))
    paint((body < 0.88) & inside_s & ~disc, "cancellous", (32, "vertebrae"))
    arch = _ellipse(r, a, (0, _SPINE_A_MM - 24), (17, 15))
    paint((arch < 1) & (body > 1) & inside_s & ~disc, "cortical", (32, "vertebrae"))
    spinous = (np.abs(r) < 4) & (a < _SPINE_A_MM - 34) & (a > _SPINE_A_MM - 46) & inside_s & ~disc
    paint(spinous, "cortical", (32, "vertebrae"))
    paint((_ellipse(r, a, (0, _SPINE_A_MM - 23), (10, 8)) < 1) & inside_s, "canal", (79, "spinal_cord"))
    # Aorta with the celiac trunk and, 16 mm below, the superior mesenteric artery.
    aorta = np.hypot(r - _AORTA_RA_MM[0], a - _AORTA_RA_MM[1])
    paint((aorta < _AORTA_RADIUS_MM) & inside_s, "blood", (52, "aorta"))
    for origin_s, down in ((-4.0, 0.1), (-20.0, 0.9)):
        forward = a - _AORTA_RA_MM[1]
        line_s = origin_s - down * np.maximum(forward - _AORTA_RADIUS_MM, 0)
        branch = (np.hypot(r - _AORTA_RA_MM[0], s - line_s) < 3.5) & (forward > 0) & (forward < 32) & inside_s
        paint(branch & (hu != _HU["blood"]), "blood", (52, "aorta"))
    rng = np.random.default_rng(seed)
    hu += rng.normal(0.0, noise_hu, hu.shape).astype(np.float32)
    ct = CtVolume(
        np.clip(np.rint(hu), -1024, 3071).astype(np.int16),
        geometry,
        Acquisition(modality="CT", patient_position="HFS", description="Synthetic phantom"),
        "Phantom",
    )
    theta = np.linspace(-0.75, -0.5, 15)  # left is negative R
    radius = 0.955
    nerve = np.stack(
        [132 * radius * np.sin(theta), 2 - 86 * radius * np.cos(theta), _rib_s(theta, 54.0) - 6.0 - 2.5], axis=1
    )
    lateral = (_AORTA_RADIUS_MM + 6.0) / np.sqrt(2.0)
    s_line = np.linspace(-4.0, -20.0, 9)
    celiac = np.stack([np.full(9, _AORTA_RA_MM[0] - lateral), np.full(9, _AORTA_RA_MM[1] + lateral), s_line], axis=1)
    return Phantom(ct, nerve, celiac, labels, names)
