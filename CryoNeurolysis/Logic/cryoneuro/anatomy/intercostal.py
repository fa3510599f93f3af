"""An intercostal nerve below the lower edge of its rib, near the angle of the rib."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..knowledge import NerveRecord, constant
from ..model import Anatomy, AnatomyError, Nerve
from .landmarks import canal_centers_ra_mm, union_of
from .morphology import Mask
from .proposal_radius import proposed_nerve

_SECTION_AREA_MM2 = (20.0, 450.0)
_RIBS_AT_LEAST = 2
_PREFERRED = (9, 8, 10, 7, 11, 6)
"""Wide spaces away from the scapula first."""
_PLEURA_WITHIN_MM = 30.0


@dataclass(frozen=True, eq=False)
class Section:
    """A rib cut by a sagittal plane: center and inner lower edge (A, S) in mm, area in mm2."""

    r_mm: float
    center_as_mm: npt.NDArray[np.float64]
    edge_as_mm: npt.NDArray[np.float64]
    area_mm2: float


def propose_intercostal(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """Below the rib's lower edge, on its inner side, over the angle of the rib.

    Numbered ribs are taken by `level`; without numbers the rib is taken that begins nearest to the lower third of the
    lung behind which it runs, and the name says that it is not numbered.

    Raises:
        AnatomyError: no rib in view on that side, or no rib of that number.
    """
    failed: AnatomyError | None = None
    for bone, label in _ribs(anatomy, side, level):
        try:
            return _course(anatomy, record, side, bone, label)
        except AnatomyError as error:
            failed = failed or error
    assert failed is not None
    raise failed


def _course(anatomy: Anatomy, record: NerveRecord, side: str, bone: Mask, label: str) -> Nerve:
    """The course under one rib, or under the best one of unnumbered bone."""
    sign = -1.0 if side == "left" else 1.0
    canal = canal_centers_ra_mm(anatomy)
    middle = float(np.nanmedian(canal[:, 0]))
    behind = float(np.nanmedian(canal[:, 1]))
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    low, high = constant("intercostal_lateral_low_mm"), constant("intercostal_lateral_high_mm")
    laterals = np.arange(low, high + 0.5 * spacing, spacing)
    start = len(laterals) // 2
    lung = union_of(anatomy, "lung")
    sections = [_sections(anatomy, bone, middle + sign * d, behind) for d in laterals]
    if not label:
        if lung is None or not lung.any():
            raise AnatomyError(
                "No lung is in view, so ribs cannot be told from other bones; give the course as points."
            )
        sections = [[s for s in found if _lung_in_front(anatomy, lung, s)] for found in sections]
        if len(sections[start]) < _RIBS_AT_LEAST:
            raise AnatomyError(
                f"{len(sections[start]) or 'No'} rib(s) with lung behind them are seen {laterals[start]:.0f} mm to the {side} "
                "of the spine; give the nerve course as points."
            )
    if not sections[start]:
        raise AnatomyError(
            f"No rib is seen {laterals[start]:.0f} mm to the {side} of the spine; give the nerve course as points."
        )
    if label:
        chosen = max(sections[start], key=lambda item: item.area_mm2)
    else:
        wanted = _lung_middle_s(anatomy, lung) if lung is not None else float(geometry.center_ras_mm[2])
        chosen = min(sections[start], key=lambda item: (abs(item.center_as_mm[1] - wanted), item.center_as_mm[1]))
    course = {start: chosen}
    for direction in (1, -1):
        current = chosen
        for n in range(start + direction, len(laterals) if direction > 0 else -1, direction):
            near = [s for s in sections[n] if np.linalg.norm(s.center_as_mm - current.center_as_mm) < 6.0]
            if not near:
                break
            here = current.center_as_mm
            current = min(near, key=lambda item: float(np.linalg.norm(item.center_as_mm - here)))
            course[n] = current
    used = sorted(course)
    if (len(used) - 1) * spacing < record.desired_treated_length_mm:
        raise AnatomyError(
            f"The rib can be followed over {len(used) * spacing:.0f} mm only; give the nerve course as points."
        )
    r = middle + sign * laterals[used]
    edge = np.array([course[n].edge_as_mm for n in used])
    smooth = np.column_stack([np.polyval(np.polyfit(r - r.mean(), edge[:, n], 3), r - r.mean()) for n in range(2)])
    points = np.column_stack([r, smooth[:, 0], smooth[:, 1] - constant("intercostal_below_rib_mm")])
    number = label or f"{side} (rib not numbered)"
    return proposed_nerve(
        record,
        f"Intercostal nerve {number}",
        points,
        f"{constant('intercostal_below_rib_mm'):g} mm below the inner lower edge of the rib, "
        f"{low:g} to {high:g} mm from the midline",
    )


def _ribs(anatomy: Anatomy, side: str, level: int | None) -> list[tuple[Mask, str]]:
    """Bones to search in order of preference, each with the rib's number when labels give it."""
    ribs = {s.name: s for s in anatomy.structures if s.name.startswith(f"rib_{side}_")}
    if level is not None:
        name = f"rib_{side}_{level}"
        if name not in ribs:
            have = ", ".join(f"{n}" for n in sorted(int(n.rsplit("_", 1)[1]) for n in ribs)) or "none"
            raise AnatomyError(
                f"Rib {level} on the {side} is not numbered in this case (numbered ribs: {have}); leave the level out, "
                "name one vertebra so that the ribs are counted from it, or import a label map that numbers the ribs."
            )
        return [(ribs[name].mask_kji, f"{level}, {side}")]
    numbered: list[tuple[Mask, str]] = [
        (ribs[f"rib_{side}_{n}"].mask_kji, f"{n}, {side}") for n in _PREFERRED if f"rib_{side}_{n}" in ribs
    ]
    if numbered:
        return numbered
    single = [s.mask_kji for s in anatomy.structures if s.name.startswith(f"rib_unnumbered_{side}_")]
    lung = union_of(anatomy, "lung")
    if single and lung is not None and lung.any():
        wanted = _lung_middle_s(anatomy, lung)
        return [
            (mask, f"{side} (rib not numbered)")
            for mask in sorted(single, key=lambda m: _off_s(anatomy, side, m, wanted))
        ]
    bone = union_of(anatomy, "bone")
    if bone is None:
        raise AnatomyError("No bone is seen in this CT; give the nerve course as points.")
    return [(bone, "")]


def _off_s(anatomy: Anatomy, side: str, rib: Mask, s_mm: float) -> float:
    """How far from a height S a rib is cut in the middle of the usual range beside the spine, mm; infinite where it is not."""
    laterals_mm = (constant("intercostal_lateral_low_mm"), constant("intercostal_lateral_high_mm"))
    canal = canal_centers_ra_mm(anatomy)
    r_mm = float(np.nanmedian(canal[:, 0])) + (-0.5 if side == "left" else 0.5) * sum(laterals_mm)
    found = _sections(anatomy, rib, r_mm, float(np.nanmedian(canal[:, 1])))
    return min((abs(float(section.center_as_mm[1]) - s_mm) for section in found), default=np.inf)


def _lung_in_front(anatomy: Anatomy, lung: Mask, section: Section) -> bool:
    """Whether lung lies in front of a rib section, as it does behind every rib at the angle."""
    geometry = anatomy.geometry
    k, j, i = np.rint(geometry.ras_to_ijk([section.r_mm, *section.center_as_mm])[0][::-1]).astype(int)
    ahead = lung[k, j : j + round(_PLEURA_WITHIN_MM / geometry.spacing_mm[0]), i]
    return bool(ahead.any())


def _lung_middle_s(anatomy: Anatomy, lung: Mask) -> float:
    k = np.flatnonzero(lung.any(axis=(1, 2)))
    s = anatomy.geometry.ijk_to_ras[2, 3] + k * anatomy.geometry.spacing_mm[2]
    # The lower third: ribs 8 to 10, where the space is wide and the scapula is away.
    return float(s[0] + (s[-1] - s[0]) / 3.0)


def _sections(anatomy: Anatomy, bone: Mask, r_mm: float, behind_a_mm: float) -> list[Section]:
    """Rib sections in the sagittal plane at r_mm."""
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    i = round((r_mm - geometry.ijk_to_ras[0, 3]) / spacing)
    if not 0 <= i < bone.shape[2]:
        return []
    plane = bone[:, :, i]
    labels, count = ndimage.label(plane)
    found = []
    for number in range(1, count + 1):
        k, j = np.nonzero(labels == number)
        area = len(k) * spacing**2
        if not _SECTION_AREA_MM2[0] <= area <= _SECTION_AREA_MM2[1]:
            continue
        a = geometry.ijk_to_ras[1, 3] + j * spacing
        s = geometry.ijk_to_ras[2, 3] + k * spacing
        # Ribs at the angle lie behind the canal's front wall; the front ends of the same ribs do not.
        if a.mean() > behind_a_mm + 25.0 or k.min() <= 1 or k.max() >= plane.shape[0] - 2:
            continue
        lowest = s < s.min() + 2.0 * spacing
        edge = np.array([a[lowest].mean() + 0.5 * (a[lowest].max() - a[lowest].mean()), s.min() - 0.5 * spacing])
        found.append(Section(r_mm, np.array([a.mean(), s.mean()]), edge, area))
    return found
