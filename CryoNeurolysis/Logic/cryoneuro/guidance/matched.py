"""Pictures of one patient in one sharpness, and the rigid movement that lays one over the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from ..imaging import on_volume, to_sitk, working_geometry
from ..model import CtVolume, VolumeGeometry

Array = npt.NDArray[np.float64]
_LOW_HU, _HIGH_HU = -200.0, 900.0
_TUKEY = 4.685
"""Beyond so many sigma a residual no longer counts: 95 % efficiency in the normal case (Tukey's biweight)."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Part of a CT on an isotropic RAS grid with its slopes.

    Attributes:
        hu: (k, j, i) float32, between fat and dense bone; what is less or more is set to that.
        slope: (3, k, j, i) change along R, A, S, HU/mm.
        measured: (k, j, i) float32, 1 where the scanner measured within the patient's body.
    """

    hu: npt.NDArray[np.float32]
    slope: npt.NDArray[np.float32]
    measured: npt.NDArray[np.float32]
    geometry: VolumeGeometry

    def at(self, points_ras_mm: Array) -> tuple[Array, Array, Array]:
        """Values (N,), slopes (N, 3) and whether measured (N,) at points (N, 3) in RAS mm."""
        kji = np.ascontiguousarray(self.geometry.ras_to_ijk(points_ras_mm)[:, ::-1].T)
        read = [
            ndimage.map_coordinates(field, kji, output=np.float64, order=1, mode="constant", cval=0.0)
            for field in (self.hu, *self.slope, self.measured)
        ]
        return read[0], np.stack(read[1:4], axis=1), read[4]


def picture_of(
    ct: CtVolume,
    center_ras_mm: Array,
    reach_mm: float,
    grid_mm: float,
    blur_mm: Array,
    body: tuple[npt.NDArray[np.bool_], VolumeGeometry] | None,
) -> Picture:
    """Part of a CT round a point, blurred by sigma blur_mm (3,) along R, A, S on top of what its voxels do already.

    Args:
        body: mask (k, j, i) of the patient and its grid; without one everything that was scanned counts.
    """
    corners = ct.geometry.corners_ras_mm
    low = np.maximum(corners.min(axis=0), center_ras_mm - reach_mm)
    high = np.minimum(corners.max(axis=0), center_ras_mm + reach_mm)
    geometry = working_geometry(low, np.maximum(high, low + grid_mm), grid_mm, ct.name)
    near, source = _cut(ct, low - 2.0 * grid_mm, high + 2.0 * grid_mm)
    image = to_sitk(near.astype(np.float32), source)
    factors = [max(1, int(grid_mm / s)) for s in source.spacing_mm]
    if max(factors) > 1:
        image = sitk.BinShrink(image, factors)
    lps = sitk.GetArrayFromImage(image)
    shrunk = np.asarray(source.ijk_to_ras).copy()
    shrunk[:3, 3] += shrunk[:3, :3] @ (0.5 * (np.array(factors) - 1))
    shrunk[:3, :3] *= factors
    hu = on_volume(lps, VolumeGeometry(lps.shape, shrunk), geometry, -1024.0)
    # What the voxels have blurred already: their own width, as a standard deviation.
    own = np.abs(shrunk[:3, :3]).max(axis=1) / np.sqrt(12.0)
    more = np.sqrt(np.maximum(blur_mm**2 - own**2, 0.0))
    hu = ndimage.gaussian_filter(np.clip(hu, _LOW_HU, _HIGH_HU), more[::-1] / grid_mm, mode="nearest")
    slope = np.stack([np.gradient(hu, grid_mm, axis=axis) for axis in (2, 1, 0)]).astype(np.float32)
    inside = np.ones(geometry.shape_kji, np.float32)
    if body is not None:
        inside = on_volume(body[0].astype(np.float32), body[1], geometry, 0.0)
    return Picture(hu, slope, inside, geometry)


def _cut(ct: CtVolume, low: Array, high: Array) -> tuple[npt.NDArray[np.int16], VolumeGeometry]:
    """The part of a CT between two corners (3,) in RAS mm."""
    box = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    ijk = ct.geometry.ras_to_ijk(box)
    n = np.array(ct.geometry.shape_kji[::-1])
    first = np.clip(np.floor(ijk.min(axis=0)).astype(int), 0, n - 1)
    last = np.clip(np.ceil(ijk.max(axis=0)).astype(int) + 1, first + 1, n)
    part = ct.array_kji[first[2] : last[2], first[1] : last[1], first[0] : last[0]]
    matrix = ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = ct.geometry.ijk_to_ras_mm(first)[0]
    return part, VolumeGeometry(part.shape, matrix)


@dataclass(frozen=True, eq=False)
class Samples:
    """Places of a live scan that are looked for in the other picture.

    Attributes:
        points_ras_mm: (N, 3).
        hu: (N,) as sharp as the other picture.
    """

    points_ras_mm: Array
    hu: Array

    def only(self, chosen: npt.NDArray[np.bool_]) -> Samples:
        """Those that are chosen (N,)."""
        return Samples(self.points_ras_mm[chosen], self.hu[chosen])

    def thinned(self, most: int, seed: int = 0) -> Samples:
        """At most so many of them, drawn evenly."""
        if len(self.hu) <= most:
            return self
        kept = np.sort(np.random.default_rng(seed).choice(len(self.hu), most, replace=False))
        return Samples(self.points_ras_mm[kept], self.hu[kept])


def rotation(vector: Array) -> Array:
    """Turn (3, 3) by a rotation vector (3,), radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    result: Array = np.eye(3) + np.sin(angle) * k + (1.0 - np.cos(angle)) * (k @ k)
    return result


@dataclass(frozen=True, eq=False)
class Match:
    """Where samples of a live scan lie in the other picture.

    Attributes:
        live_to_other: (4, 4) rigid, RAS mm.
        likeness: correlation of the samples with the other picture, -1 to 1, those that do not fit left out by degrees.
        spread_hu: robust sigma of what is left between them.
        information: (6, 6) of turn (radians about the center) and shift (mm), for residuals of sigma 1 HU.
        used: share of the samples that the other picture holds.
    """

    live_to_other: Array
    likeness: float
    spread_hu: float
    information: Array
    used: float


def match(
    other: Picture,
    samples: Samples,
    start: Array,
    center_ras_mm: Array,
    free: str = "turn and shift",
    iterations: int = 30,
    gain: bool = False,
) -> Match:
    """Gauss-Newton with Tukey's weights from a first guess (4, 4) of live to other.

    Args:
        center_ras_mm: (3,) in the live scan's frame, about which turns are counted.
        free: "turn and shift" or "shift".
        gain: let the other picture's contrast differ by a factor and an offset, as with another tube voltage.
    """
    matrix = start.copy()
    columns = slice(0, 6) if free == "turn and shift" else slice(3, 6)
    contrast = np.array([1.0, 0.0])
    spread, likeness, used = 1.0, 0.0, 0.0
    information = np.zeros((6, 6))
    previous = np.inf
    damping = 1e-3
    for _ in range(iterations):
        arm = (samples.points_ras_mm - center_ras_mm) @ matrix[:3, :3].T
        where = samples.points_ras_mm @ matrix[:3, :3].T + matrix[:3, 3]
        value, slope, measured = other.at(where)
        seen = measured > 0.5
        used = float(seen.mean()) if len(seen) else 0.0
        if seen.sum() < 100:
            break
        value, slope, arm, wanted = value[seen], slope[seen], arm[seen], samples.hu[seen]
        if gain:
            contrast = _contrast(value, wanted, contrast)
        left = contrast[0] * value + contrast[1] - wanted
        spread = max(1.4826 * float(np.median(np.abs(left - np.median(left)))), 5.0)
        weight = np.clip(1.0 - (left / (_TUKEY * spread)) ** 2, 0.0, None) ** 2
        slope = contrast[0] * slope
        jacobian = np.concatenate([np.cross(arm, slope), slope], axis=1)
        normal = (jacobian * weight[:, None]).T @ jacobian
        information = normal
        down = (jacobian * weight[:, None]).T @ left
        likeness = _likeness(value, wanted, weight)
        part = normal[columns, columns]
        step = np.zeros(6)
        step[columns] = -np.linalg.solve(
            part + damping * np.diag(np.diag(part)) + 1e-9 * np.eye(len(part)), down[columns]
        )
        # A turn of more than a few degrees at once leaves the range in which the slopes hold.
        size = max(float(np.linalg.norm(step[:3])) / 0.05, float(np.linalg.norm(step[3:])) / 4.0, 1.0)
        step /= size
        pivot = matrix[:3, :3] @ center_ras_mm + matrix[:3, 3]
        turn = rotation(step[:3])
        update = np.eye(4)
        update[:3, :3] = turn
        update[:3, 3] = pivot - turn @ pivot + step[3:]
        matrix = update @ matrix
        cost = float((weight * left**2).sum() / max(weight.sum(), 1.0))
        if np.linalg.norm(step[3:]) < 0.005 and np.linalg.norm(step[:3]) < 5e-5:
            break
        damping = min(damping * 4.0, 1.0) if cost > previous else max(damping * 0.5, 1e-5)
        previous = cost
    return Match(_rigid(matrix), likeness, spread, information, used)


def _contrast(value: Array, wanted: Array, before: Array) -> Array:
    left = np.abs(before[0] * value + before[1] - wanted)
    near = left <= max(3.0 * 1.4826 * float(np.median(left)), 30.0)
    x, y = value[near], wanted[near]
    variance = float(x.var())
    if len(x) < 100 or variance < 100.0:
        return before
    factor = float(np.clip(((x - x.mean()) * (y - y.mean())).mean() / variance, 0.7, 1.4))
    return np.array([factor, float(y.mean()) - factor * float(x.mean())])


def _likeness(value: Array, wanted: Array, weight: Array) -> float:
    """Weighted correlation."""
    total = max(float(weight.sum()), 1e-9)
    x = value - float((weight * value).sum()) / total
    y = wanted - float((weight * wanted).sum()) / total
    below = np.sqrt(float((weight * x * x).sum()) * float((weight * y * y).sum()))
    return float((weight * x * y).sum()) / below if below > 0 else 0.0


def _rigid(matrix: Array) -> Array:
    """The nearest rigid movement; many small turns in a row leave rounding behind."""
    u, _, vt = np.linalg.svd(matrix[:3, :3])
    result = matrix.copy()
    result[:3, :3] = u @ np.diag([1.0, 1.0, float(np.linalg.det(u @ vt))]) @ vt
    return result
