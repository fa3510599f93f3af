"""The real CTs of the shared data, and what the program finds in them, made once for all tests."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
from cryoneuro.anatomy import segment
from cryoneuro.imaging import LabelMap, read_ct, read_label_map
from cryoneuro.model import Anatomy, CtVolume, VolumeGeometry
from kept_cases import Keeper, Remembered
from scipy import ndimage
from scipy.spatial import cKDTree

Limits = tuple[tuple[str, float, float], ...]
"""Of a part of a CT: axis of "ras", from and to in mm."""

_SEGMENT = importlib.import_module("cryoneuro.anatomy.segment")
_FINDERS = {
    name: Remembered(getattr(_SEGMENT, name))
    for name in (
        *("find_body", "find_gas", "find_dense", "find_canal", "filled", "find_vessels", "find_ribs", "with_aorta"),
    )
}


@contextmanager
def remembered_finders() -> Iterator[None]:
    """What the finders make of the same bytes is made once: labels and levels come after most of them.

    The segmentation itself runs as ever, in its own order and with its own arguments.
    """
    with ExitStack() as stack:
        for name, finder in _FINDERS.items():
            stack.enter_context(patch.object(_SEGMENT, name, finder))
        yield


def cropped(ct: CtVolume, **limits: tuple[float, float]) -> CtVolume:
    """The part of a CT within limits along r, a and s, mm."""
    geometry = ct.geometry
    box = np.array([limits.get(axis, (-1e4, 1e4)) for axis in "ras"])
    corners = np.array([[r, a, s] for r in box[0] for a in box[1] for s in box[2]])
    ijk = geometry.ras_to_ijk(corners)
    count = np.array(geometry.shape_kji[::-1])
    low = np.clip(np.ceil(ijk.min(axis=0)), 0, count - 2).astype(int)
    high = np.clip(np.floor(ijk.max(axis=0)) + 1, low + 2, count).astype(int)
    array = ct.array_kji[low[2] : high[2], low[1] : high[1], low[0] : high[0]].copy()
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, 3] = geometry.ijk_to_ras_mm(low[None])[0]
    return CtVolume(array, VolumeGeometry(array.shape, matrix))


def gap_mm(geometry: VolumeGeometry, mask: np.ndarray, points_ras_mm: np.ndarray) -> np.ndarray:
    """How far the voxels that hold points lie from the next voxel of a mask, middle to middle, mm."""
    kji = np.rint(geometry.ras_to_ijk(points_ras_mm)).astype(int)[:, ::-1]
    return cKDTree(np.argwhere(mask)).query(kji)[0] * geometry.spacing_mm[0]


def within(mask: np.ndarray, voxels: float) -> np.ndarray:
    """Voxels whose middle lies no farther from the middle of a voxel of the mask."""
    reach = int(voxels)
    ball = np.linalg.norm(np.indices((2 * reach + 1,) * 3) - reach, axis=0) <= voxels
    return ndimage.binary_dilation(mask, ball)


@lru_cache(maxsize=8)
def _ct(path: Path) -> CtVolume:
    return read_ct(path)


@lru_cache(maxsize=8)
def _labels(path: Path) -> LabelMap:
    return read_label_map(path)


def _segmented(ct: Path, labels: Path | None, limits: Limits, level: tuple[str, float] | None) -> Anatomy:
    volume = _ct(ct)
    if limits:
        volume = cropped(volume, **{axis: (low, high) for axis, low, high in limits})
    with remembered_finders():
        return segment(volume, None if labels is None else _labels(labels), level=level)


class RealCts:
    """CTs by the name of their folder.

    Args:
        shared: folder of the shared data.
        kept: where segmented CTs lie.
    """

    def __init__(self, shared: Path, kept: Keeper) -> None:
        self.folder = shared / "data" / "ct"
        self._kept = kept

    def ct(self, name: str) -> CtVolume:
        """The CT itself."""
        return _ct(self.folder / name / "ct.nrrd")

    def labels(self, name: str) -> LabelMap:
        """Its labels, on their own grid."""
        return _labels(self.folder / name / "labels.nrrd")

    def anatomy(
        self, name: str, labeled: bool = False, level: tuple[str, float] | None = None, **limits: tuple[float, float]
    ) -> Anatomy:
        """What segment finds in it, or in a part of it, with or without its labels."""
        folder = self.folder / name
        labels = folder / "labels.nrrd" if labeled else None
        part = tuple((axis, *pair) for axis, pair in sorted(limits.items()))
        return self._kept(name, _segmented, folder / "ct.nrrd", labels, part, level)
