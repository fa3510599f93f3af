"""Medial branches of the lumbar facet joints, where the superior articular process meets the transverse process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..knowledge import NerveRecord, constant
from ..model import Anatomy, AnatomyError, Nerve, Structure
from .axes import axis_mm
from .clear import out_of_closed
from .landmarks import canal_centers_ra_mm, union_of
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
_REACH_MM = 62.0
"""From the middle of the body to beyond the tips of its transverse processes."""
_NUMBERS = {"T12": 0} | {f"L{n}": n for n in range(1, 6)}


def propose_medial_branch(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """Across the groove between the superior articular and the transverse process of a lumbar vertebra.

    Args:
        level: 1 to 4 for L1 to L4; the nerve that crosses Ln supplies the joints above and below it. Without one the lowest
            labeled vertebra of these is taken.

    Raises:
        AnatomyError: the vertebra is not labeled with its processes, or its transverse process is not seen.
    """
    masks = _vertebrae(anatomy)
    if level is not None and level not in _LEVELS:
        raise AnatomyError(f"The medial branch's level must be 1 to 4 for L1 to L4, not {level}.")
    if not masks or (level is not None and level not in masks):
        have = ", ".join(f"L{n}" for n in masks) or "none"
        raise AnatomyError(
            f"The medial branch needs a numbered lumbar vertebra (there are: {have}); name one vertebra (--vertebra L3@S in mm), "
            "import a label map, or give the course as points."
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
    course = proposed_nerve(
        record,
        f"Medial branch across L{chosen}, {side}",
        out_of_closed(anatomy, points),
        f"in the groove between the superior articular and the transverse process of L{chosen}",
    )
    if any(s.name == f"vertebrae_L{chosen}" and s.origin != "computed" for s in anatomy.structures):
        return course
    rule = f"{course.rule}, whose processes are told by the planes of the discs"
    return replace(course, rule=rule, sigma_mm=constant("medial_branch_counted_sigma_mm"))


def _vertebrae(anatomy: Anatomy) -> dict[int, Mask]:
    """Lumbar vertebrae with their processes by number: as labeled, else the bone about a body that was numbered."""
    found: dict[int, Mask] = {}
    bodies: dict[int, Structure] = {}
    for structure in anatomy.structures:
        name = structure.name.removeprefix("vertebrae_")
        if name not in _NUMBERS or not structure.mask_kji.any():
            continue
        if structure.origin == "computed":
            bodies[_NUMBERS[name]] = structure
        elif _NUMBERS[name] in _LEVELS:
            found[_NUMBERS[name]] = structure.mask_kji
    centers = {n: _center_ras_mm(s.mask_kji, anatomy) for n, s in bodies.items()}
    for number in _LEVELS:
        # The slope of a body and the height between discs come from its neighbors.
        if number not in found and number in centers and {number - 1, number + 1} <= set(centers):
            found[number] = _with_processes(anatomy, centers[number], centers[number - 1] - centers[number + 1])
    return {n: m for n, m in found.items() if m.any()}


def _center_ras_mm(mask: Mask, anatomy: Anatomy) -> npt.NDArray[np.float64]:
    center: npt.NDArray[np.float64] = anatomy.geometry.ijk_to_ras_mm(np.argwhere(mask)[:, ::-1].mean(axis=0))[0]
    return center


def _with_processes(
    anatomy: Anatomy, center_ras_mm: npt.NDArray[np.float64], up_ras_mm: npt.NDArray[np.float64]
) -> Mask:
    """Bone between the planes of a vertebra's discs: its body, the roots of its arch and its transverse processes.

    Args:
        up_ras_mm: from the body below to the body above, two bodies and two discs long.
    """
    bone = union_of(anatomy, "bone")
    result = np.zeros(anatomy.geometry.shape_kji, bool)
    if bone is None:
        return result
    for structure in anatomy.structures:
        if structure.name.startswith("rib_"):
            bone = bone & ~structure.mask_kji
    height_mm = 0.5 * float(np.linalg.norm(up_ras_mm))
    up = up_ras_mm / np.linalg.norm(up_ras_mm)
    kji = np.argwhere(bone)
    offset = anatomy.geometry.ijk_to_ras_mm(kji[:, ::-1]) - center_ras_mm
    along = offset @ up
    across = np.linalg.norm(offset - along[:, None] * up, axis=1)
    own = kji[(np.abs(along) < 0.5 * height_mm) & (across < _REACH_MM)]
    result[tuple(own.T)] = True
    return result


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
