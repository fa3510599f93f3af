"""The one place where arrays in RAS meet SimpleITK images in LPS."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from ..model import VolumeGeometry

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def geometry_of(image: sitk.Image) -> VolumeGeometry:
    """Geometry in RAS of a 3-D SimpleITK image."""
    matrix = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    matrix[:3, :3] = direction @ np.diag(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    i, j, k = image.GetSize()
    return VolumeGeometry((k, j, i), _FLIP @ matrix)


def set_geometry(image: sitk.Image, geometry: VolumeGeometry) -> None:
    """Give a SimpleITK image the geometry (RAS in, LPS stored)."""
    lps = _FLIP @ geometry.ijk_to_ras
    spacing = np.array(geometry.spacing_mm)
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(v) for v in lps[:3, 3]])
    image.SetDirection([float(v) for v in (lps[:3, :3] / spacing).ravel()])


def to_sitk(array_kji: npt.NDArray[Any], geometry: VolumeGeometry) -> sitk.Image:
    """SimpleITK image of an array (k, j, i) or, with a trailing axis, of components (k, j, i, c)."""
    values = array_kji.astype(np.uint8) if array_kji.dtype == np.bool_ else array_kji
    image = sitk.GetImageFromArray(values, isVector=values.ndim == 4)
    set_geometry(image, geometry)
    return image


def from_sitk(image: sitk.Image) -> tuple[npt.NDArray[Any], VolumeGeometry]:
    """Array (k, j, i) and geometry in RAS of a SimpleITK image."""
    return sitk.GetArrayFromImage(image), geometry_of(image)
