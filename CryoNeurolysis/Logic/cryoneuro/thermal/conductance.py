"""How well heat goes between two voxels at their temperatures.

What lies between two voxel centers is summed up in three numbers: how it conducts unfrozen, how much more when all of it
is just frozen through, and how much more again for every kelvin below that. The heat that flows is the integral of that
conductance over temperature from one voxel to the other (Kirchhoff), so it is exact within one tissue, and none flows
between two voxels of one temperature, whatever they hold.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
SMALLEST_HALF_C = 0.05
"""Half the difference under which two temperatures are taken apart, so that the mean over nothing is the value there."""


def frozen_share(c: npt.ArrayLike, liquidus_c: npt.ArrayLike, span: npt.ArrayLike) -> tuple[Field, Field]:
    """Integrals over temperature from a temperature up to the liquidus: of the frozen share, K, and of the depth below the
    solidus, K^2."""
    below = np.asarray(liquidus_c, np.float32) - np.asarray(c, np.float32)
    width = np.asarray(span, np.float32)
    mush = np.clip(below, np.float32(0.0), width)
    deep = np.maximum(below - width, np.float32(0.0))
    share = np.float32(0.5) * mush * mush / width + deep
    return share.astype(np.float32), (np.float32(0.5) * deep * deep).astype(np.float32)


def conductance(
    unfrozen: Field,
    extra: Field,
    deep: Field,
    liquidus_c: npt.ArrayLike,
    span: npt.ArrayLike,
    one_c: npt.ArrayLike,
    other_c: npt.ArrayLike,
) -> Field:
    """Conductance between two temperatures, of any shape that broadcasts.

    Args:
        unfrozen, extra: above the liquidus, and what is added at the solidus; deep: per kelvin below the solidus.
        liquidus_c, span: where freezing begins, C, and over how many kelvins it goes.
        one_c, other_c: temperatures of the two sides.
    """
    one, other = np.asarray(one_c, np.float32), np.asarray(other_c, np.float32)
    middle = np.float32(0.5) * (one + other)
    half = np.maximum(np.float32(0.5) * np.abs(one - other), np.float32(SMALLEST_HALF_C))
    (low, low_deep), (high, high_deep) = (frozen_share(c, liquidus_c, span) for c in (middle - half, middle + half))
    mean = (extra * (low - high) + deep * (low_deep - high_deep)) / (np.float32(2.0) * half)
    result: Field = unfrozen + mean
    return result
