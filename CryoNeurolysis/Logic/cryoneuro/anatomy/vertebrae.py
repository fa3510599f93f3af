"""Vertebral bodies, told apart by their discs along the spinal canal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from ..imaging import WorkingCt
from ..model import AnatomyError, VolumeGeometry
from .canal import Canal
from .morphology import Mask

_BODY_AHEAD_MM = 23.0
"""From the middle of the canal to the middle of the body: half the canal and half a body, thoracic to lumbar."""
_DISK_MM = 9.0
_CLIP_HU = (-100, 600)
_DISC_HALF = 1
_ENDPLATE = range(2, 9)
_MARROW = range(10, 14)
_REACH = 14
"""All in mm, which are steps of the line: half a disc, an endplate's distance from its middle, the marrow beyond it."""
_PEAK_HU = 5.0
_DENSE_HU = 140.0
_LEVEL_HU = 30.0
"""Marrow as bright as its endplate shows no peak; a disc beside it is then much darker than both."""
_BETWEEN_MM = (18.0, 46.0)
"""Distance of neighboring discs, from the upper thorax to L5."""
_CHANGE_MM = 9.0
_GROWTH_MM = 5.0
_CHANGE_COST = 2.0
_MOST_HU = 80.0
_LEAST_HU = 12.0
_BODY_RADIUS_MM = 30.0
_BEHIND_MM = 9.0
NAMES = tuple([f"C{n}" for n in range(1, 8)] + [f"T{n}" for n in range(1, 13)] + [f"L{n}" for n in range(1, 6)])
"""From head to feet."""


@dataclass(frozen=True, eq=False)
class Spine:
    """Line through the vertebral bodies and the discs on it.

    Attributes:
        line_ras_mm: (N, 3), 1 mm apart, from feet to head.
        along: unit tangents (N, 3).
        discs: indices into the line, ascending: from feet to head.
    """

    line_ras_mm: npt.NDArray[np.float64]
    along: npt.NDArray[np.float64]
    discs: npt.NDArray[np.intp]


def find_spine(ct: WorkingCt, canal: Canal) -> Spine | None:
    """Discs as dark gaps between two endplates close to each other, at plausible distances; None where fewer than two are seen.

    Marrow of a weak body is as dark as a disc; but the endplates at its ends lie farther apart than those at a disc.
    """
    line, along = _body_line(ct.geometry, canal)
    if len(line) < 2 * _BETWEEN_MM[0]:
        return None
    discs = _discs(_disc_contrast(_profile(ct, line, along)))
    return Spine(line, along, discs) if len(discs) >= 2 else None


def vertebra_masks(spine: Spine, bone_kji: Mask, geometry: VolumeGeometry) -> list[Mask]:
    """Masks of the bodies between neighboring discs, from feet to head, arches left out."""
    kji = np.argwhere(bone_kji)
    points = geometry.ijk_to_ras_mm(kji[:, ::-1])
    distance, nearest = spatial.cKDTree(spine.line_ras_mm).query(points, distance_upper_bound=_BODY_RADIUS_MM)
    near = np.isfinite(distance)
    kji, points, nearest = kji[near], points[near], nearest[near]
    forward = _forward(spine.along)
    offset = np.einsum("ij,ij->i", points - spine.line_ras_mm[nearest], forward[nearest])
    body = offset > -(_BODY_AHEAD_MM - _BEHIND_MM)
    kji, nearest = kji[body], nearest[body]
    masks = []
    for low, high in zip(spine.discs[:-1], spine.discs[1:], strict=True):
        mask = np.zeros(bone_kji.shape, bool)
        own = kji[(nearest >= low) & (nearest < high)]
        mask[tuple(own.T)] = True
        masks.append(mask)
    return masks


def names_from(spine: Spine, level: str, s_mm: float) -> list[str]:
    """Names of the bodies between the discs, from feet to head, when the one at height S is called `level`.

    Raises:
        AnatomyError: no such level, no body at that height, or more bodies than levels.
    """
    wanted = level.strip().upper()
    if wanted not in NAMES:
        raise AnatomyError(f"'{level}' is no vertebra; give one of C1 to C7, T1 to T12, L1 to L5.")
    s = spine.line_ras_mm[spine.discs, 2]
    here = int(np.searchsorted(s, s_mm)) - 1
    if not 0 <= here < len(spine.discs) - 1:
        raise AnatomyError(
            f"No vertebral body is seen at S = {s_mm:g} mm; the bodies that were found lie between {s[0]:.0f} and {s[-1]:.0f} mm."
        )
    start = NAMES.index(wanted) + here
    count = len(spine.discs) - 1
    if start - count + 1 < 0 or start >= len(NAMES):
        raise AnatomyError(
            f"With {wanted} at S = {s_mm:g} mm there would be bodies above C1 or below L5; check the level and the height."
        )
    return [NAMES[start - n] for n in range(count)]


def _body_line(geometry: VolumeGeometry, canal: Canal) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A line through the bodies (N, 3), 1 mm apart, and its tangents, from the canal's middle."""
    k = np.flatnonzero(np.isfinite(canal.center_ra_mm[:, 0]))
    spacing = geometry.spacing_mm[2]
    points = np.column_stack([canal.center_ra_mm[k], geometry.ijk_to_ras[2, 3] + k * spacing])
    sigma = 10.0 / spacing
    smooth = np.column_stack([ndimage.gaussian_filter1d(points[:, n], sigma, mode="nearest") for n in range(2)])
    points = np.column_stack([smooth, points[:, 2]])
    tangent = np.gradient(points, axis=0)
    tangent = np.column_stack([ndimage.gaussian_filter1d(tangent[:, n], sigma, mode="nearest") for n in range(3)])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    line = points + _BODY_AHEAD_MM * _forward(tangent)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    even = np.arange(0.0, arc[-1], 1.0)
    line = np.column_stack([np.interp(even, arc, line[:, n]) for n in range(3)])
    along = np.column_stack([np.interp(even, arc, tangent[:, n]) for n in range(3)])
    return line, along / np.linalg.norm(along, axis=1, keepdims=True)


def _forward(along: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Unit vectors across the spine toward the front (N, 3)."""
    ahead = np.array([0.0, 1.0, 0.0]) - along * along[:, 1:2]
    result: npt.NDArray[np.float64] = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    return result


def _profile(ct: WorkingCt, line: npt.NDArray[np.float64], along: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean CT number of a disk across the line at each of its points (N,)."""
    forward = _forward(along)
    aside = np.cross(along, forward)
    steps = np.arange(-_DISK_MM, _DISK_MM + 0.1, 1.5)
    u, v = (g.ravel() for g in np.meshgrid(steps, steps))
    keep = np.hypot(u, v) <= _DISK_MM
    u, v = u[keep], v[keep]
    places = line[:, None] + u[:, None] * forward[:, None] + v[:, None] * aside[:, None]
    kji = ct.geometry.ras_to_ijk(places.reshape(-1, 3))[:, ::-1]
    hu = ndimage.map_coordinates(np.clip(ct.array_kji, *_CLIP_HU), kji.T, output=np.float32, order=1, mode="nearest")
    result: npt.NDArray[np.float64] = hu.reshape(len(line), -1).mean(axis=1).astype(np.float64)
    return result


def _disc_contrast(profile: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much darker than the endplates on both sides a place is (N,), HU; 0 where a side shows none within reach."""
    index = np.arange(len(profile)) + _REACH
    padded = np.pad(profile, _REACH, mode="edge")
    middle = np.min([padded[index + d] for d in range(-_DISC_HALF, _DISC_HALF + 1)], axis=0)
    sides = []
    for sign in (1, -1):
        peak = np.max([padded[index + sign * d] for d in _ENDPLATE], axis=0)
        beyond = np.mean([padded[index + sign * d] for d in _MARROW], axis=0)
        dense = (peak - middle > _DENSE_HU) & (np.abs(peak - beyond) < _LEVEL_HU)
        sides.append(np.where((peak > beyond + _PEAK_HU) | dense, peak - middle, 0.0))
    result: npt.NDArray[np.float64] = np.minimum(sides[0], sides[1])
    return result


def _discs(contrast: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The sequence of places of greatest contrast together whose distances are those of vertebrae and change slowly."""
    places = np.flatnonzero(
        (contrast > _LEAST_HU) & (contrast >= ndimage.maximum_filter1d(contrast, 7, mode="nearest"))
    )
    worth = np.minimum(contrast[places], _MOST_HU)
    # State: the last two places; few enough to look at all pairs.
    best: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {}
    for b in range(len(places)):
        for a in range(b):
            gap = places[b] - places[a]
            if not _BETWEEN_MM[0] <= gap <= _BETWEEN_MM[1]:
                continue
            score = float(worth[a] + worth[b])
            path: tuple[int, ...] = (a, b)
            for z in range(a):
                before = best.get((z, a))
                if before is None:
                    continue
                change = gap - (places[a] - places[z])
                # Upward the bodies grow lower, not higher.
                if not -_CHANGE_MM <= change <= _GROWTH_MM:
                    continue
                change = abs(change)
                if before[0] + worth[b] - _CHANGE_COST * change > score:
                    score, path = float(before[0] + worth[b] - _CHANGE_COST * change), (*before[1], b)
            best[(a, b)] = (score, path)
    if not best:
        return np.array([], dtype=np.intp)
    _, path = max(best.values(), key=lambda row: row[0])
    return places[list(path)].astype(np.intp)
