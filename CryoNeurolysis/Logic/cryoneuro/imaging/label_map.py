"""Labels on a grid, as another program made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ..model import VolumeGeometry


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Labels (k, j, i) with the name of every value that occurs.

    A segmentation whose segments overlap has further layers, each a label map of its own on the same grid.
    frame_uid is the DICOM frame of reference where the file names one.
    """

    labels_kji: npt.NDArray[Any]
    geometry: VolumeGeometry
    names: dict[int, str]
    source: str
    further: tuple[LabelMap, ...] = ()
    frame_uid: str = ""
