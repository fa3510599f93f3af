"""The celiac plexus from the aorta and its anterior branches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..knowledge import NerveRecord, constant
from ..model import Anatomy, AnatomyError, Nerve
from .axes import axis_mm
from .landmarks import TubeCourse, aorta_course, union_of
from .proposal_radius import nerve_radius_mm

_BRANCH_MM = 7.0
"""A branch reaches at least this far in front of the aortic wall."""
_FREE_ABOVE_MM = 12.0
_LUNG_SHARE = 0.08
"""Beside T12 and L1 there is only the lowest recess of the lungs, 1 to 3 % measured; beside the heart 18 %."""
_SEARCH_ABOVE_LUNG_MM = 70.0
_SEARCH_BELOW_LUNG_MM = 90.0


def propose_celiac(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """Beside the aorta on one side, from the celiac to the superior mesenteric origin.

    The level comes from the uppermost anterior branch of the aorta, else from imported T12 and L1.

    Raises:
        AnatomyError: the aorta or its level is not in view.
    """
    aorta = aorta_course(anatomy)
    s_of = axis_mm(anatomy.geometry, 2)
    top_s, rule = _level(anatomy, aorta, s_of)
    bottom_s = top_s - constant("celiac_length_mm")
    aorta_s = s_of[aorta.k]
    if top_s > aorta_s.max() + 1.0 or bottom_s < aorta_s.min() - 1.0:
        raise AnatomyError("The aorta is not in view over the whole celiac level; give the nerve course as points.")
    share = _lung_share(anatomy, int(np.argmin(np.abs(s_of - 0.5 * (top_s + bottom_s)))))
    if share > _LUNG_SHARE:
        raise AnatomyError(
            f"Where a branch of the aorta was found the lungs fill {100.0 * share:.0f} % of the trunk, so it is not the "
            "celiac trunk; give the nerve course as points."
        )
    sign = -1.0 if side == "left" else 1.0
    outward = np.array([sign, 1.0]) / np.sqrt(2.0)
    s = np.linspace(top_s, bottom_s, 9)
    center = np.stack([_smooth_at(s, aorta_s, aorta.center_ra_mm[:, n]) for n in range(2)], axis=1)
    radius = _smooth_at(s, aorta_s, aorta.radius_mm)
    ra = center + outward * (radius + constant("celiac_offset_mm"))[:, None]
    return Nerve(
        name=f"{record.name}, {side}",
        target_id=record.id,
        points_ras_mm=np.column_stack([ra, s]),
        radius_mm=nerve_radius_mm(record),
        sigma_mm=constant("celiac_sigma_mm"),
        rule=f"{constant('celiac_offset_mm'):g} mm outside the anterolateral {side} wall of the aorta, {rule}",
    )


def _lung_share(anatomy: Anatomy, k: int) -> float:
    lung = union_of(anatomy, "lung")
    return 0.0 if lung is None else float(lung[k].sum()) / max(1.0, float(anatomy.body_kji[k].sum()))


def _smooth_at(
    s: npt.NDArray[np.float64], known_s: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Straight-line fit of the aorta's course near the level, so that one bad slice does not bend the nerve."""
    near = (known_s >= s.min() - 15.0) & (known_s <= s.max() + 15.0)
    result: npt.NDArray[np.float64] = np.polyval(np.polyfit(known_s[near] - s.mean(), values[near], 1), s - s.mean())
    return result


def _level(anatomy: Anatomy, aorta: TubeCourse, s_of: npt.NDArray[np.float64]) -> tuple[float, str]:
    """S of the celiac origin in mm, and how it was found."""
    numbered = _disc_t12_l1(anatomy, s_of)
    branch = _uppermost_branch(anatomy, aorta, s_of, numbered)
    if branch is not None and (numbered is None or abs(branch - numbered) < 25.0):
        return branch, "from the uppermost anterior branch of the aorta (celiac trunk) downward"
    if numbered is not None:
        return numbered, "from the T12-L1 disc downward"
    raise AnatomyError(
        "The level of the celiac trunk was not found: no anterior branch of the aorta is seen and no vertebra is "
        "numbered. Give the nerve course as points, or import a label map with T12 and L1."
    )


def _disc_t12_l1(anatomy: Anatomy, s_of: npt.NDArray[np.float64]) -> float | None:
    by_name = {s.name: s for s in anatomy.structures}
    edges = []
    for name, lower in (("vertebrae_T12", True), ("vertebrae_L1", False)):
        if name not in by_name:
            return None
        # The body, not the processes that hang down from it: the front third of the vertebra.
        mask = by_name[name].mask_kji
        j = np.flatnonzero(mask.any(axis=(0, 2)))
        front = mask[:, j[-1] - (j[-1] - j[0]) // 3 : j[-1] + 1]
        k = np.flatnonzero(front.sum(axis=(1, 2)) > 10)
        if not len(k):
            return None
        edges.append(float(s_of[k[0] if lower else k[-1]]))
    return 0.5 * (edges[0] + edges[1])


def _uppermost_branch(
    anatomy: Anatomy, aorta: TubeCourse, s_of: npt.NDArray[np.float64], numbered_s: float | None
) -> float | None:
    if all(s.group != "vessel" for s in anatomy.structures):
        return None
    vessel = np.logical_or.reduce([s.mask_kji for s in anatomy.structures if s.group in ("vessel", "aorta")])
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    reach = np.zeros(len(aorta.k))
    for n, k in enumerate(aorta.k):
        center_i, center_j, _ = geometry.ras_to_ijk([*aorta.center_ra_mm[n], s_of[k]])[0]
        labels, _ = ndimage.label(vessel[k])
        own = labels[round(center_j), round(center_i)]
        if own == 0:
            continue
        half = round(8.0 / spacing)
        strip = labels[:, max(0, round(center_i) - half) : round(center_i) + half + 1] == own
        j = np.flatnonzero(strip.any(axis=1))
        front = geometry.ijk_to_ras[1, 3] + j[-1] * spacing
        reach[n] = front - aorta.center_ra_mm[n, 1]
    # Measured against the aorta's own width in the neighborhood, because branches widen the slice they leave in.
    wall = ndimage.median_filter(aorta.radius_mm, size=2 * round(20.0 / spacing) + 1, mode="nearest")
    branch = reach - wall > _BRANCH_MM
    s = s_of[aorta.k]
    lung = union_of(anatomy, "lung")
    if numbered_s is not None:
        branch &= np.abs(s - numbered_s) < 30.0
    elif lung is not None:
        lowest = s_of[np.flatnonzero(lung.any(axis=(1, 2)))[0]]
        branch &= (s < lowest + _SEARCH_ABOVE_LUNG_MM) & (s > lowest - _SEARCH_BELOW_LUNG_MM)
    runs, count = ndimage.label(branch)
    for number in range(count, 0, -1):
        members = np.flatnonzero(runs == number)
        if len(members) * spacing >= 3.0:
            if numbered_s is None and s[-1] - s[members[-1]] < _FREE_ABOVE_MM:
                # Where the picture begins at a branch nobody knows whether another one leaves above it.
                return None
            # The trunk leaves the aorta near the middle of the upper part of its run.
            return float(s[members[-1]]) - 3.0
    return None
