"""Medial branches of the lumbar facet joints, where the superior articular process meets the transverse process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..knowledge import NerveRecord, constant
from ..model import Anatomy, AnatomyError, Nerve
from .axes import axis_mm
from .clear import out_of_closed
from .landmarks import canal_centers_ra_mm
from .morphology import Mask
from .proposal_radius import proposed_nerve

_LEVELS = (1, 2, 3, 4)
_ASIDE_MM = (14.0, 42.0)
_FACET_MM = 28.0
_ROOT_MM = 30.0
_LEAST_DROP_MM = 4.0
_FOOT_SHARE = 0.75
_TIP_MM = 33.0
"""A transverse process reaches farther from the middle than this; nothing else of the vertebra does."""
_OFF_BONE_MM = 1.5
_HALF_MM = 5.0
_EDGE = 2


def propose_medial_branch(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """Across the groove between the superior articular and the transverse process of a lumbar vertebra.

    Args:
        level: 1 to 4 for L1 to L4; the nerve that crosses Ln supplies the joints above and below it. Without one the lowest
            labeled vertebra of these is taken.

    Raises:
        AnatomyError: the vertebra is not labeled with its processes, or its transverse process is not seen.
    """
    masks = {
        n: s.mask_kji
        for n in _LEVELS
        for s in anatomy.structures
        if s.name == f"vertebrae_L{n}" and s.origin != "computed"
    }
    masks = {n: m for n, m in masks.items() if m.any()}
    if level is not None and level not in _LEVELS:
        raise AnatomyError(f"The medial branch's level must be 1 to 4 for L1 to L4, not {level}.")
    if not masks or (level is not None and level not in masks):
        have = ", ".join(f"L{n}" for n in masks) or "none"
        raise AnatomyError(
            f"The medial branch needs a labeled lumbar vertebra with its processes (labeled: {have}); import a label map, or "
            "give the course as points."
        )
    chosen = level if level is not None else _lowest_whole(masks, anatomy.geometry.shape_kji[0])
    mask = masks[chosen]
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    sign = -1.0 if side == "left" else 1.0
    centers = canal_centers_ra_mm(anatomy)
    k = np.flatnonzero(mask.any(axis=(1, 2)))
    middle = float(np.nanmedian(centers[k, 0]))
    r = axis_mm(geometry, 0)
    lateral = sign * (r - middle)
    # The transverse process is where the vertebra is widest.
    wide = np.array([(lateral[mask[n].any(axis=0)] > _TIP_MM).sum() for n in k])
    rows = k[wide >= 0.5 * wide.max()]
    if wide.max() * spacing < 4.0 or rows[0] <= _EDGE or rows[-1] >= mask.shape[0] - 1 - _EDGE:
        raise AnatomyError(
            f"The {side} transverse process of L{chosen} is not in view; give the nerve course as points."
        )
    # Upper half: the nerve crosses the upper edge of the process's root.
    groove = [_groove(anatomy, mask, int(n), lateral) for n in rows[len(rows) // 2 :]]
    seen = np.array([g for g in groove if g is not None])
    if not len(seen):
        raise AnatomyError(f"The groove of L{chosen} on the {side} is not seen; give the nerve course as points.")
    place = np.median(seen, axis=0)
    # Down, backward and to the middle, round the root of the articular process.
    along = np.array([-0.45 * sign, -0.45, -0.77])
    start = np.array([middle + sign * place[0], place[1], place[2]])
    points = start + np.linspace(-_HALF_MM, _HALF_MM, 5)[:, None] * along
    return proposed_nerve(
        record,
        f"Medial branch across L{chosen}, {side}",
        out_of_closed(anatomy, points),
        f"in the groove between the superior articular and the transverse process of L{chosen}",
    )


def _lowest_whole(masks: dict[int, Mask], slices: int) -> int:
    """The lowest vertebra that no end of the picture cuts; the lowest of all where all are cut."""
    whole = [n for n, m in masks.items() if not m[: _EDGE + 1].any() and not m[slices - 1 - _EDGE :].any()]
    return max(whole or masks)


def _groove(anatomy: Anatomy, mask: Mask, k: int, lateral: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """(lateral, A, S) of the step from the articular to the transverse process on the rear surface of slice k."""
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    columns = np.flatnonzero((lateral >= _ASIDE_MM[0]) & (lateral <= _ASIDE_MM[1]) & mask[k].any(axis=0))
    if len(columns) < 5:
        return None
    columns = columns[np.argsort(lateral[columns])]
    rear = np.array([np.flatnonzero(mask[k][:, i])[0] for i in columns]) * spacing + geometry.ijk_to_ras[1, 3]
    rear = ndimage.gaussian_filter1d(rear, 1.5 / spacing, mode="nearest")
    aside = lateral[columns]
    process, root = rear[aside < _FACET_MM], rear[aside > _ROOT_MM]
    if not len(process) or not len(root):
        return None
    top, level = int(np.argmin(process)), float(np.median(root))
    drop = level - float(process[top])
    if drop < _LEAST_DROP_MM:
        # No step in this slice: the root of the transverse process lies about there.
        foot = int(np.argmin(np.abs(aside - constant("medial_branch_lateral_mm"))))
    else:
        # The foot of the step, from the articular process outward.
        foot = top + int(np.argmax(rear[top:] >= rear[top] + _FOOT_SHARE * drop))
    s = float(geometry.ijk_to_ras[2, 3] + k * geometry.spacing_mm[2])
    return np.array([aside[foot], rear[foot] - _OFF_BONE_MM, s])
