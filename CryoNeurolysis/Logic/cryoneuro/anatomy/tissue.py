"""The tissue map that the solver runs on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging import WorkingCt
from ..knowledge import constant, load_records, tissue
from ..model import Structure, TissueMap
from .morphology import Mask, erode

_SKIN_MM = 2.0
_PURE_SHARE = 0.2


def tissue_map(ct: WorkingCt, body_kji: Mask, structures: tuple[Structure, ...]) -> TissueMap:
    """Tissue of every voxel: first from the CT number, then from the structures, whose word counts more.

    Args:
        structures: later ones overwrite earlier ones, so that imported organs win over what the CT number suggests.
    """
    # Tissue classes from a lightly smoothed CT, or noise would sprinkle fat into muscle.
    hu = ndimage.gaussian_filter(ct.array_kji.astype(np.float32), 0.6)
    labels = np.zeros(hu.shape, np.uint8)
    labels[body_kji] = tissue("muscle").label
    fat = body_kji & (hu < constant("hu_fat_high")) & (hu >= constant("hu_fat_low"))
    labels[fat] = tissue("fat").label
    # Between fat and air there is partial volume only; it goes with the fat.
    labels[body_kji & (hu < constant("hu_fat_low"))] = tissue("fat").label
    labels[body_kji & ct.measured_kji & (ct.array_kji < constant("hu_air_below"))] = tissue("gas").label
    shell = body_kji & ~erode(body_kji, max(1, round(_SKIN_MM / ct.geometry.spacing_mm[0])))
    labels[shell & (labels != tissue("gas").label)] = tissue("skin").label
    by_group = {r["group"]: r["tissue"] for r in load_records("label_groups")}
    for structure in structures:
        name = by_group.get(structure.group)
        if structure.group == "bone":
            cortical = structure.mask_kji & (ct.array_kji > constant("hu_bone_cortical_above"))
            labels[structure.mask_kji] = tissue("bone_cancellous").label
            labels[cortical] = tissue("bone_cortical").label
        elif structure.group in ("bowel", "stomach", "esophagus"):
            gas = structure.mask_kji & (ct.array_kji < constant("hu_air_below"))
            labels[structure.mask_kji] = tissue("bowel_wall").label
            labels[gas] = tissue("gas").label
        elif structure.group == "muscle":
            fat_inside = structure.mask_kji & fat
            labels[structure.mask_kji] = tissue("muscle").label
            labels[fat_inside] = tissue("fat").label
        elif structure.group == "gas":
            labels[structure.mask_kji] = tissue("gas").label
        elif structure.group == "heart":
            labels[structure.mask_kji] = tissue("blood").label
        elif name is not None and structure.group not in (
            "body",
            "other",
            "unmeasured",
            "apart",
            "arm",
            "streaks",
            "metal",
        ):
            labels[structure.mask_kji] = tissue(name).label
    labels[~body_kji] = 0
    return TissueMap(labels, _fat_percent(hu, labels))


def _fat_percent(hu: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """How much fat a voxel of fat or muscle holds, from its CT number between the two.

    Within noise of the one or the other it is the one or the other: a tenth of fat in muscle cannot be told from noise.
    """
    soft, fat = constant("hu_soft_pure"), constant("hu_fat_pure")
    share = np.clip((soft - hu) / (soft - fat), 0.0, 1.0)
    share[share < _PURE_SHARE] = 0.0
    share[share > 1.0 - _PURE_SHARE] = 1.0
    percent: npt.NDArray[np.uint8] = np.rint(100.0 * share).astype(np.uint8)
    is_fat, is_muscle = labels == tissue("fat").label, labels == tissue("muscle").label
    percent[~(is_fat | is_muscle)] = 0
    # Toward air a voxel is half air, not more than fat.
    percent[is_fat & (hu < fat)] = 100
    return percent
