"""Plexuses in front of the sacrum: superior hypogastric plexus and ganglion impar."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..knowledge import NerveRecord, constant
from ..model import Anatomy, AnatomyError, Nerve
from .axes import axis_mm
from .clear import out_of_closed
from .landmarks import canal_centers_ra_mm, union_of
from .morphology import Mask
from .pelvis import middle_r_mm
from .proposal_radius import proposed_nerve

_STRIP_MM = 8.0
_AHEAD_OF_CANAL_MM = 35.0
_EDGE_MM = 8.0
_GAP_MM = 12.0
_LEAST_BELOW_CANAL_MM = 55.0
_LEAST_BELOW_SACRAL_MM = 25.0
_LEAN_OVER_MM = 24.0
_LEANING = 0.4
"""Backward by downward; in front of lumbar bodies the canal leans less."""
_LEAST_BODY_MM = 15.0
_COARSEST_MM = 2.5
_ALA_MM = (28.0, 40.0)
_ALA_SHARE = 0.12
_ALA_THICK_MM = 14.0
_SACRUM_BELOW_MM = (2.0, 22.0)
_SACRUM_BEHIND_MM = 40.0
_SACRUM_BEFORE_MM = 10.0


def propose_ganglion_impar(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """In front of the sacrococcygeal junction, in the middle.

    Raises:
        AnatomyError: the tip of the coccyx or the sacrum above it is not in view.
    """
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    if spacing > _COARSEST_MM:
        raise AnatomyError(f"On a grid of {spacing:g} mm the coccyx is not seen; use 2.5 mm or less (--grid-mm 1.5).")
    middle = middle_r_mm(anatomy)
    strip = _strip(anatomy, middle)
    s = axis_mm(geometry, 2)
    a = axis_mm(geometry, 1)
    start, start_a, least_mm = _canal_end(anatomy)
    front: dict[int, float] = {}
    near = start_a
    missing = 0
    for k in range(start, -1, -1):
        rows = a[strip[k].any(axis=1)]
        # The coccyx goes on from the sacrum without a jump; pubis and hips are far in front.
        rows = rows[np.abs(rows - near) < _AHEAD_OF_CANAL_MM]
        if not len(rows):
            missing += 1
            if missing * spacing > _GAP_MM:
                break
            continue
        missing = 0
        front[k], near = float(rows.max()), float(rows.mean())
    if not front or s[start] - s[min(front)] < least_mm:
        raise AnatomyError("Sacrum and coccyx below the spinal canal are not in view; give the nerve course as points.")
    tip = min(front)
    if s[tip] - s[0] < _EDGE_MM:
        raise AnatomyError("The coccyx reaches the lower edge of the picture; give the nerve course as points.")
    slices = np.array(sorted(front))
    # Between its segments the coccyx shows less than there is: what lies foremost near a slice counts.
    foremost = ndimage.maximum_filter1d(np.array([front[n] for n in slices]), 2 * round(3.0 / spacing) + 1)
    smooth = ndimage.gaussian_filter1d(foremost, 4.0 / spacing, mode="nearest")
    surface = np.column_stack([np.full(len(slices), middle), smooth, s[slices]])
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(surface, axis=0), axis=1))])
    above, half = constant("ganglion_impar_above_tip_mm"), 0.5 * constant("ganglion_impar_length_mm")
    offset = constant("ganglion_impar_offset_mm")
    at = np.linspace(above + half, above - half, 5)
    points = np.column_stack([np.interp(at, arc, surface[:, n]) for n in range(3)]) + np.array([0.0, offset, 0.0])
    rule = f"{offset:g} mm in front of the sacrococcygeal junction, {above:g} mm above the lowest bone of the coccyx that is seen"
    return _nerve(anatomy, record, points, rule)


def propose_superior_hypogastric(anatomy: Anatomy, record: NerveRecord, side: str, level: int | None) -> Nerve:
    """In front of the L5 body and the disc below it, in the middle.

    Raises:
        AnatomyError: no vertebra is known to be L5: none is labeled, and none that was found lies on a sacrum.
    """
    lowest = _l5(anatomy)
    if lowest is None:
        raise AnatomyError(
            "L5 and the sacrum below it are not seen together; give the nerve course as points, or import a label map with L5."
        )
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    if _cut(lowest):
        raise AnatomyError("The picture cuts L5; give the nerve course as points.")
    offset = constant("superior_hypogastric_offset_mm")
    middle_i = round(float(np.nonzero(lowest)[2].mean()))
    reach = round(_STRIP_MM / spacing)
    a = axis_mm(geometry, 1)
    s = axis_mm(geometry, 2)
    strip = lowest[:, :, max(0, middle_i - reach) : middle_i + reach + 1]
    k = np.flatnonzero(strip.any(axis=(1, 2)))
    if (k[-1] - k[0] if len(k) else 0) * spacing < _LEAST_BODY_MM:
        raise AnatomyError("Too little of L5 is in view; give the nerve course as points.")
    front = np.array([a[strip[n].any(axis=1)].max() for n in k])
    # The lower two thirds of the body, and on in their direction over the disc.
    low = k <= k[0] + 2 * (k[-1] - k[0]) // 3
    slope, height = np.polyfit(s[k[low]] - s[k[0]], front[low], 1)
    below = constant("superior_hypogastric_below_mm")
    heights = np.linspace(float(s[k[low]][-1] - s[k[0]]), -below, 7)
    r = float(geometry.ijk_to_ras[0, 3] + middle_i * spacing)
    points = np.column_stack([np.full(7, r), height + slope * heights + offset, s[k[0]] + heights])
    rule = f"{offset:g} mm in front of the lower two thirds of L5 and the disc below it, in the middle"
    return _nerve(anatomy, record, points, rule)


def _nerve(anatomy: Anatomy, record: NerveRecord, points: npt.NDArray[np.float64], rule: str) -> Nerve:
    return proposed_nerve(
        record,
        record.name,
        out_of_closed(anatomy, points),
        rule,
    )


def _strip(anatomy: Anatomy, middle_r: float) -> Mask:
    """Bone of a sagittal slab of 16 mm in the middle."""
    bone = union_of(anatomy, "bone")
    if bone is None:
        raise AnatomyError("No bone is seen in this CT; give the nerve course as points.")
    # Single segments of the coccyx are small and apart, and pass for calcifications.
    bone = bone | np.logical_or.reduce([s.mask_kji for s in anatomy.structures if s.name in ("bone", "calcified")])
    geometry = anatomy.geometry
    r = axis_mm(geometry, 0)
    inside = np.abs(r - middle_r) <= _STRIP_MM
    if inside.sum() * geometry.spacing_mm[0] < _STRIP_MM:
        raise AnatomyError("The middle of the pelvis is not in view; give the nerve course as points.")
    strip: Mask = bone[:, :, inside]
    return strip


def _canal_end(anatomy: Anatomy) -> tuple[int, float, float]:
    """Lowest slice of the canal, its A there, and how far below it bone must go on for the coccyx to be in view."""
    centers = canal_centers_ra_mm(anatomy)
    known = np.flatnonzero(np.isfinite(centers[:, 0]))
    k = int(known[0])
    above = int(known[min(len(known) - 1, round(_LEAN_OVER_MM / anatomy.geometry.spacing_mm[2]))])
    lean = (centers[above, 1] - centers[k, 1]) / max(1e-6, (above - k) * anatomy.geometry.spacing_mm[2])
    # Where the canal already runs backward it has been followed into the sacrum, and less of it is left.
    return k, float(centers[k, 1]), _LEAST_BELOW_SACRAL_MM if lean > _LEANING else _LEAST_BELOW_CANAL_MM


def _l5(anatomy: Anatomy) -> Mask | None:
    """The body of L5: by name, else the lowest body that was found, if a sacrum lies under it."""
    for structure in anatomy.structures:
        if structure.name == "vertebrae_L5" and structure.mask_kji.any():
            return _body_only(anatomy, structure.mask_kji)
    bodies = [s for s in anatomy.structures if s.name.startswith("vertebra_") and s.mask_kji.any()]
    bone = union_of(anatomy, "bone")
    if not bodies or bone is None:
        return None
    lowest = min(bodies, key=lambda s: float(np.nonzero(s.mask_kji)[0].mean())).mask_kji
    return lowest if _on_a_sacrum(anatomy, lowest, bone) else None


def _cut(mask: Mask) -> bool:
    """Whether a vertebra reaches the lower, the front or a side face of the picture, or is empty."""
    faces = (mask[:2], mask[:, -2:], mask[:, :, :2], mask[:, :, -2:])
    return not mask.any() or any(bool(face.any()) for face in faces)


def _body_only(anatomy: Anatomy, mask: Mask) -> Mask:
    """A labeled vertebra without its arch: what lies in front of the canal's middle."""
    centers = canal_centers_ra_mm(anatomy)
    if not np.isfinite(centers[np.flatnonzero(mask.any(axis=(1, 2))), 1]).any():
        raise AnatomyError("The spinal canal behind L5 is not known; give the nerve course as points.")
    a = axis_mm(anatomy.geometry, 1)
    result = mask.copy()
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        if np.isfinite(centers[k, 1]):
            result[k, a < centers[k, 1]] = False
    return result


def _on_a_sacrum(anatomy: Anatomy, body: Mask, bone: Mask) -> bool:
    """Whether thick bone lies on both sides under a body, as the sacrum's wings do; lumbar bodies have psoas beside them."""
    geometry = anatomy.geometry
    spacing = geometry.spacing_mm[0]
    k, j, i = np.nonzero(body)
    low, middle_j, middle_i = int(k.min()), float(j.mean()), float(i.mean())
    top, bottom = (low - round(v / spacing) for v in _SACRUM_BELOW_MM)
    if bottom < 0:
        return False
    rows = slice(max(0, round(middle_j - _SACRUM_BEHIND_MM / spacing)), round(middle_j + _SACRUM_BEFORE_MM / spacing))
    near, far = (v / spacing for v in _ALA_MM)
    shares = []
    for start, stop in ((middle_i + near, middle_i + far), (middle_i - far, middle_i - near)):
        if start < 0 or stop >= bone.shape[2]:
            continue
        part = bone[bottom:top, rows, round(start) : round(stop)]
        thick = part.sum(axis=1) * spacing >= _ALA_THICK_MM
        shares.append(float(thick.mean()) if thick.size else 0.0)
    return bool(shares) and min(shares) > _ALA_SHARE
