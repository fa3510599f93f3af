"""Ribs whose cortex is too thin to be told from contrast by brightness: told by their place in the trunk's wall instead."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..model import VolumeGeometry
from .morphology import Mask, components, dilate

_LEAST_MM3 = 300.0
_LONG_MM = 25.0
_LONG_CUT_MM = 18.0
"""Of a rib that the picture cuts less may be left."""
_THICK_MM = 6.0
"""Half the thickness of a rib at most, its partial volume included."""
_AT_LUNG_MM = 9.0
_AT_LUNG_SHARE = 0.6
_INSIDE_LUNG_SHARE = 0.2
"""What the lung surrounds is a vessel of it."""
_OUTSIDE_SHARE = 0.8
_BEHIND_SHARE = 0.8
"""Ureters and vessels with contrast run in front of the canal; the lowest ribs behind it."""
_RAY_STEPS = 60


def faint_ribs(
    faint_kji: Mask, lung_kji: Mask, middle_ra_mm: npt.NDArray[np.float64], geometry: VolumeGeometry
) -> Mask:
    """Bright bars in the wall of the trunk: along the lung with no lung farther out, or behind the spinal canal.

    Args:
        faint_kji: bright parts that are neither bone by their cortex nor contrast.
        middle_ra_mm: (K, 2) R and A of the canal's middle in each slice; NaN where it is not in view.
    """
    spacing = geometry.spacing_mm[0]
    result = np.zeros_like(faint_kji)
    labels, sizes = components(faint_kji)
    known = np.flatnonzero(np.isfinite(middle_ra_mm[:, 0]))
    if not len(sizes) or not len(known):
        return result
    count = int((sizes * spacing**3 >= _LEAST_MM3).sum())
    near = dilate(lung_kji, round(_AT_LUNG_MM / spacing))
    for number, box in enumerate(ndimage.find_objects(labels, max_label=count), start=1):
        if box is None:
            continue
        part = labels[box] == number
        extent_mm = spacing * np.array([s.stop - s.start for s in box])
        cut = any(s.start == 0 or s.stop == n for s, n in zip(box, faint_kji.shape, strict=True))
        if np.linalg.norm(extent_mm) < (_LONG_CUT_MM if cut else _LONG_MM):
            continue
        if ndimage.distance_transform_edt(np.pad(part, 1)).max() * spacing > _THICK_MM:
            continue
        kji = np.argwhere(part) + [s.start for s in box]
        places = geometry.ijk_to_ras_mm(kji[:, ::-1])
        middle = np.column_stack([np.interp(kji[:, 0], known, middle_ra_mm[known, n]) for n in (0, 1)])
        behind = float((places[:, 1] < middle[:, 1]).mean()) >= _BEHIND_SHARE
        in_lung, at_lung = (float(mask[box][part].mean()) for mask in (lung_kji, near))
        wall = (
            at_lung >= _AT_LUNG_SHARE
            and in_lung < _INSIDE_LUNG_SHARE
            and _outside(kji, middle, lung_kji, geometry) >= _OUTSIDE_SHARE
        )
        if behind or wall:
            result[box] |= part
    return result


def _outside(
    kji: npt.NDArray[np.int64],
    middle_ra_mm: npt.NDArray[np.float64],
    lung_kji: Mask,
    geometry: VolumeGeometry,
) -> float:
    """Share of voxels (N, 3) from which no lung lies farther out, seen from the canal in their slice."""
    center = geometry.ras_to_ijk(np.column_stack([middle_ra_mm, np.zeros(len(kji))]))
    step = kji[:, [2, 1]] - center[:, :2]
    step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-6)
    hit = np.zeros(len(kji), bool)
    for distance in range(3, _RAY_STEPS):
        i, j = (np.rint(kji[:, 2 - n] + distance * step[:, n]).astype(int) for n in (0, 1))
        seen = (i >= 0) & (j >= 0) & (i < lung_kji.shape[2]) & (j < lung_kji.shape[1])
        hit[seen] |= lung_kji[kji[seen, 0], j[seen], i[seen]]
    return 1.0 - float(hit.mean())
