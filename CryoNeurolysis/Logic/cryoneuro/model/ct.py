"""A CT as it came from the scanner."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .content import frozen_array
from .errors import ImageError
from .geometry import VolumeGeometry


@dataclass(frozen=True)
class Acquisition:
    """What the file says about how the scan was made. Empty text or None means that the file does not say."""

    modality: str = ""
    patient_position: str = ""
    gantry_tilt_deg: float | None = None
    slice_thickness_mm: float | None = None
    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference_uid: str = ""
    acquired: str = ""
    description: str = ""
    patient_key: str = field(default="", metadata={"hash_none": False})
    """Tells one patient from another without saying who it is."""


@dataclass(frozen=True, eq=False)
class CtVolume:
    """CT numbers on a grid: array_kji int16 in HU, geometry in RAS, acquisition facts, warnings in plain words.

    Raises:
        ImageError: the array does not fit the geometry.
    """

    array_kji: npt.NDArray[np.int16]
    geometry: VolumeGeometry
    acquisition: Acquisition = field(default_factory=Acquisition)
    name: str = "CT"
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "array_kji", frozen_array(self.array_kji, np.int16, 3, "array_kji"))
        if self.array_kji.shape != self.geometry.shape_kji:
            raise ImageError(
                f"The CT has {self.array_kji.shape} voxels (k, j, i), its geometry says {self.geometry.shape_kji}."
            )
