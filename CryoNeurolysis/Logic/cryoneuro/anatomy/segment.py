"""The anatomy of a CT: what classical filters find, and what was imported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..imaging import LabelMap, WorkingCt, working_ct
from ..model import (
    Anatomy,
    AnatomyError,
    Cancelled,
    CancelledError,
    CtVolume,
    Progress,
    Structure,
    StructureRole,
    TissueMap,
    VolumeGeometry,
    never_cancelled,
    no_progress,
)
from .body import find_body
from .canal import find_canal
from .dense import find_dense
from .gas import find_gas
from .labels import check_fit, structures_from_labels
from .landmarks import aorta_course
from .tissue import tissue_map

DEFAULT_GRID_MM = 1.5


def segment(
    ct: CtVolume,
    labels: LabelMap | None = None,
    grid_mm: float = DEFAULT_GRID_MM,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
) -> Anatomy:
    """Segment skin, bone, gas, lungs, contrast vessels, spinal canal, fat and muscle, and add imported structures.

    An imported structure replaces the computed one of the same group; nothing is guessed: a vessel without contrast
    or a canal without closed arches is simply not in the result, and `notes` say so.

    Args:
        ct: in any axis order; it is resampled to a RAS-aligned lattice of grid_mm.
        labels: a label map with known names, on any grid of the same patient frame.
        grid_mm: edge of the working voxels.

    Raises:
        AnatomyError: no body is seen, or the labels belong to another image.
        CancelledError: the user stopped.
    """

    def step(fraction: float, text: str) -> None:
        if cancelled():
            raise CancelledError("The segmentation was stopped; nothing was changed.")
        progress(fraction, text)

    step(0.0, "Resampling to the working grid")
    working = working_ct(ct, grid_mm)
    step(0.1, "Finding the skin")
    body = find_body(working)
    working, body = _cropped(working, body)
    step(0.3, "Finding lungs and gas")
    gas = find_gas(working, body)
    step(0.45, "Finding bone and contrast vessels")
    dense = find_dense(working, body)
    step(0.7, "Finding the spinal canal")
    canal = find_canal(working, dense.bone_kji, dense.bright_bone_kji, body)
    bone = dense.bone_kji if canal is None else dense.bone_kji & ~canal.mask_kji
    notes: list[str] = list(ct.warnings)

    def computed(
        name: str, group: str, mask: np.ndarray, method: str, confidence: str, role: StructureRole = StructureRole.AVOID
    ) -> Structure:
        return Structure(name, group, role, mask, "computed", method, confidence)

    found = [computed("body", "body", body, "Air boundary, table removed", "high", StructureRole.BODY)]
    if not working.measured_kji.all():
        text = "Outside the scanner's field of view"
        found.append(computed("unmeasured", "unmeasured", ~working.measured_kji, text, "high", StructureRole.PASS))
    for name, group, mask, method, confidence, absent in (
        ("bone", "bone", bone, "CT number and cortex", "medium", "No bone was seen."),
        ("lung_left", "lung", gas.lung_left_kji, "Air with blood in it, left", "high", ""),
        ("lung_right", "lung", gas.lung_right_kji, "Air with blood in it, right", "high", ""),
        ("gas", "gas", gas.other_kji, "Gas that is not lung", "medium", ""),
        (
            "vessel_contrast",
            "vessel",
            dense.vessel_kji,
            "Even contrast over several vertebrae",
            "medium",
            "No vessel with contrast was seen; vessels are unknown.",
        ),
        (
            "spinal_canal",
            "spinal_canal",
            None if canal is None else canal.mask_kji,
            "Hole behind the vertebral bodies, tracked through the slices",
            "low",
            "The spinal canal was not found from the bone; it is unknown.",
        ),
    ):
        if mask is not None and mask.any():
            found.append(computed(name, group, mask, method, confidence))
        elif absent:
            notes.append(absent)
    if dense.metal_kji.any():
        notes.append("Metal or very dense contrast is in view; CT numbers near it are not to be trusted.")
    step(0.8, "Adding imported structures")
    if labels is not None:
        imported, more = structures_from_labels(labels, working.geometry)
        check_fit(imported, working.array_kji, labels.source)
        notes.extend(more)
        found = _merged(found, imported)
    found = _with_aorta(working.geometry, found)
    step(0.9, "Drawing the tissue map")
    tissue = tissue_map(working, body, tuple(found))
    step(1.0, "Anatomy done")
    return Anatomy(working.geometry, tissue, tuple(found), notes=tuple(notes))


def _with_aorta(geometry: VolumeGeometry, found: list[Structure]) -> list[Structure]:
    """Name the aorta within the contrast vessels where it can be followed in front of the spine."""
    if any(s.group == "aorta" for s in found):
        return found
    vessels = next((s for s in found if s.name == "vessel_contrast"), None)
    if vessels is None:
        return found
    scratch = Anatomy(geometry, TissueMap(np.zeros(geometry.shape_kji, np.uint8)), tuple(found))
    try:
        course = aorta_course(scratch)
    except AnatomyError:
        return found
    n = geometry.shape_kji
    r = geometry.ijk_to_ras[0, 3] + np.arange(n[2]) * geometry.spacing_mm[0]
    a = geometry.ijk_to_ras[1, 3] + np.arange(n[1]) * geometry.spacing_mm[1]
    aorta = np.zeros(n, bool)
    for k, center, radius in zip(course.k, course.center_ra_mm, course.radius_mm, strict=True):
        near = (r[None, :] - center[0]) ** 2 + (a[:, None] - center[1]) ** 2 < (1.25 * radius) ** 2
        aorta[k] = vessels.mask_kji[k] & near
    text = "The contrast vessel in front of the spine, followed from slice to slice"
    named = Structure(
        "aorta",
        "aorta",
        StructureRole.AVOID,
        aorta,
        "computed",
        text,
        "medium",
        diameter_mm=float(2.0 * np.median(course.radius_mm)),
    )
    rest = replace(vessels, mask_kji=vessels.mask_kji & ~aorta)
    return [rest if s is vessels else s for s in found] + [named]


_MARGIN_MM = 9.0
"""Air kept round the body, so that skin is seen to meet it."""


def _cropped(ct: WorkingCt, body: np.ndarray) -> tuple[WorkingCt, np.ndarray]:
    """The part of the working grid that holds the body: the rest is air and costs time and memory."""
    margin = round(_MARGIN_MM / ct.geometry.spacing_mm[0])
    box = []
    for axis in range(3):
        used = np.flatnonzero(body.any(axis=tuple(n for n in range(3) if n != axis)))
        box.append(slice(max(0, used[0] - margin), min(body.shape[axis], used[-1] + margin + 1)))
    k, j, i = box
    matrix = ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = ct.geometry.ijk_to_ras_mm([i.start, j.start, k.start])[0]
    array = ct.array_kji[k, j, i].copy()
    geometry = VolumeGeometry((array.shape[0], array.shape[1], array.shape[2]), matrix)
    return WorkingCt(array, ct.measured_kji[k, j, i].copy(), geometry), body[k, j, i].copy()


def _merged(computed: list[Structure], imported: tuple[Structure, ...]) -> list[Structure]:
    """Computed structures first, each without the voxels that an imported structure of another kind claims.

    Bone, lung and vessels stay, because an import may lack parts of them; a computed spinal canal gives way.
    """
    groups = {s.group for s in imported}
    claimed = np.zeros(computed[0].mask_kji.shape, bool)
    for structure in imported:
        if structure.group not in ("muscle", "bone", "lung", "vessel", "aorta"):
            claimed |= structure.mask_kji
    kept = []
    for structure in computed:
        if structure.group in groups and structure.group == "spinal_canal":
            continue
        if structure.group in ("bone", "vessel", "gas"):
            mask = structure.mask_kji & ~claimed
            kept.append(replace(structure, mask_kji=mask))
        else:
            kept.append(structure)
    taken = {s.name for s in kept}
    return kept + [replace(s, name=f"{s.name}_imported") if s.name in taken else s for s in imported]
