"""Streaks round metal: beam hardening and starved detectors, by projecting the metal and reconstructing the error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_WATER_PER_MM = 0.02
"""Linear attenuation of water at about 70 keV, 1/mm (tables of mass attenuation, 0.19 to 0.20 1/cm)."""

_SOFT, _HARD = 1.4, 0.6
"""Attenuation of the soft and the hard half of a tube's spectrum against its mean, as a two-energy model of it."""

_VIEWS = 180


def metal_streaks(
    metal: npt.NDArray[np.float32], pixel_mm: float, metal_hu: float, noise_hu: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """What metal in a slice adds to its CT numbers beside itself, HU (j, i).

    Args:
        metal: (j, i) share of each pixel that is metal.
        metal_hu: CT number of the metal without any error.
        noise_hu: noise of the slice far from metal.
    """
    j, i = np.nonzero(metal > 0.01)
    shape = metal.shape
    if not len(j):
        return np.zeros(shape, np.float32)
    share = metal[j, i].astype(float)
    y, x = (j - 0.5 * (shape[0] - 1)) * pixel_mm, (i - 0.5 * (shape[1] - 1)) * pixel_mm
    bins = int(np.ceil(1.5 * max(shape)))
    angles = np.arange(_VIEWS) * np.pi / _VIEWS
    place = (x[None] * np.cos(angles)[:, None] + y[None] * np.sin(angles)[:, None]) / pixel_mm + 0.5 * (bins - 1)
    low = np.floor(place).astype(int)
    part = place - low
    length_mm = np.zeros((_VIEWS, bins))
    rows = np.broadcast_to(np.arange(_VIEWS)[:, None], low.shape)
    np.add.at(length_mm, (rows, low), share * (1.0 - part) * pixel_mm)
    np.add.at(length_mm, (rows, low + 1), share * part * pixel_mm)
    mean = _WATER_PER_MM * metal_hu / 1000.0
    dose = 0.5 * (np.exp(-_SOFT * mean * length_mm) + np.exp(-_HARD * mean * length_mm))
    error = -np.log(dose) - mean * length_mm
    # So much noise in a single ray makes noise_hu in the picture; where metal takes the light it grows.
    ray = 1.5 * noise_hu / 1000.0 * _WATER_PER_MM * pixel_mm * np.sqrt(_VIEWS)
    error += rng.normal(size=error.shape) * ray * np.sqrt(np.maximum(1.0 / np.maximum(dose, 1e-4) - 1.0, 0.0))
    return _reconstructed(error, shape, pixel_mm, angles)


def _reconstructed(
    sinogram: npt.NDArray[np.float64], shape: tuple[int, ...], pixel_mm: float, angles: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Filtered back-projection of a sinogram (views, bins of pixel_mm), HU (j, i), computed on every other pixel."""
    bins = sinogram.shape[1]
    size = 1 << int(np.ceil(np.log2(2 * bins)))
    frequency = np.fft.rfftfreq(size, pixel_mm)
    window = np.abs(frequency) * (0.5 + 0.5 * np.cos(np.pi * frequency / frequency[-1]))
    filtered = np.fft.irfft(np.fft.rfft(sinogram, size, axis=1) * window, size, axis=1)[:, :bins]
    j, i = np.arange(0, shape[0], 2), np.arange(0, shape[1], 2)
    y, x = (j - 0.5 * (shape[0] - 1))[:, None], (i - 0.5 * (shape[1] - 1))[None]
    picture = np.zeros((len(j), len(i)))
    for row, angle in zip(filtered, angles, strict=True):
        place = x * np.cos(angle) + y * np.sin(angle) + 0.5 * (bins - 1)
        picture += np.interp(place.ravel(), np.arange(bins), row).reshape(place.shape)
    picture *= np.pi / len(angles) * 1000.0 / _WATER_PER_MM
    full = ndimage.zoom(picture, 2, order=1)[: shape[0], : shape[1]]
    result: npt.NDArray[np.float32] = full.astype(np.float32)
    return result
