"""By how much a CT number falls where tissue freezes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..knowledge import constant

_GAS_HU, _FAT_HU, _WATER_HU, _DENSE_HU, _BONE_HU = -300.0, -90.0, 10.0, 120.0, 250.0
"""Between fat and soft tissue the fall grows with the water that the CT number says; bone and gas do not show it."""


def ice_drop_hu(hu: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Fall of CT number, any shape, HU: about 60 in muscle, 10 in fat, none in gas and bone (constants ice_drop_*)."""
    fall = np.empty(hu.shape, np.float32)
    fat, muscle = constant("ice_drop_fat_hu"), constant("ice_drop_muscle_hu")
    places = [_GAS_HU, _GAS_HU + 1.0, _FAT_HU, _WATER_HU, _DENSE_HU, _BONE_HU]
    fall[...] = np.interp(hu, places, [0.0, fat, fat, muscle, muscle, 0.0])
    return fall
