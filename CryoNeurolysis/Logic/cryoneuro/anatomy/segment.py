"""The anatomy of a CT: what classical filters find, and what was imported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..imaging import LabelMap, WorkingCt, on_grid, working_ct
from ..model import (
    Anatomy,
    Cancelled,
    CancelledError,
    CtVolume,
    Progress,
    Structure,
    StructureRole,
    VolumeGeometry,
    never_cancelled,
    no_progress,
)
from .aorta import with_aorta
from .body import Body, find_body
from .canal import find_canal
from .dense import find_dense
from .faint_ribs import faint_ribs
from .gas import find_gas
from .labels import blood_groups, check_fit, check_frame, structures_from_labels
from .landmarks import ARM_BONES
from .marrow import filled
from .morphology import bounding_box
from .ribs import Rib, find_ribs, rib_numbers
from .streaks import streak_zone
from .tissue import tissue_map
from .vertebrae import NAMES, Spine, find_spine, names_from, vertebra_masks
from .vessel_names import with_vessel_names
from .vessels import find_vessels, typical_diameter_mm

DEFAULT_GRID_MM = 1.5


def segment(
    ct: CtVolume,
    labels: LabelMap | None = None,
    grid_mm: float = DEFAULT_GRID_MM,
    progress: Progress = no_progress,
    cancelled: Cancelled = never_cancelled,
    level: tuple[str, float] | None = None,
) -> Anatomy:
    """Segment skin, bone, metal, gas, lungs, airway, contrast vessels, spinal canal, fat and muscle; add imported structures.

    An imported structure replaces the computed one of the same group; nothing is guessed: a vessel without contrast
    or a canal without closed arches is simply not in the result, and `notes` say so.

    Args:
        ct: in any axis order; it is resampled to a RAS-aligned lattice of grid_mm.
        labels: a label map with known names, on any grid of the same patient frame.
        grid_mm: edge of the working voxels.
        level: name of a vertebra and an S in mm within its body, given by a person: ("L3", -120.0). The others are numbered
            from it; without it they stay unnumbered.

    Raises:
        AnatomyError: no body is seen, or the labels belong to another image.
        CancelledError: the user stopped.
    """

    def step(fraction: float, text: str) -> None:
        if cancelled():
            raise CancelledError("The segmentation was stopped; nothing was changed.")
        progress(fraction, text)

    if labels is not None:
        check_frame(labels, ct)
    step(0.0, "Resampling to the working grid")
    working = working_ct(ct, grid_mm)
    step(0.1, "Finding the skin")
    working, whole = _cropped(working, find_body(working))
    body = whole.body_kji
    step(0.2, "Finding lungs and gas")
    gas = find_gas(working, body)
    step(0.4, "Finding bone and contrast")
    patient = body | whole.arms_kji
    dense = find_dense(working, patient)
    step(0.6, "Finding the spinal canal")
    canal = find_canal(working, dense.bone_kji, body)
    canal_kji = canal.mask_kji if canal is not None else np.zeros_like(body)
    step(0.7, "Filling bone, naming vessels")
    if canal is not None:
        lungs = gas.lung_left_kji | gas.lung_right_kji
        ribs_kji = faint_ribs(dense.faint_kji, lungs, canal.center_ra_mm, working.geometry)
        dense = replace(dense, bone_kji=dense.bone_kji | ribs_kji, calcified_kji=dense.calcified_kji & ~ribs_kji)
    air = gas.lung_left_kji | gas.lung_right_kji | gas.airway_kji | gas.other_kji
    spacing = working.geometry.spacing_mm[0]
    bone = filled(dense.bone_kji | dense.metal_kji, canal_kji | dense.contrast_kji | air | ~patient, spacing)
    bone &= ~canal_kji & ~dense.metal_kji & working.measured_kji
    arm_bones, bone = bone & whole.arms_kji, bone & body
    vessels = find_vessels(working, dense, None if canal is None else canal.center_ra_mm)
    streaks = streak_zone(working, body, bone | dense.contrast_kji | air, dense.metal_kji)
    notes: list[str] = list(ct.warnings)

    def computed(
        name: str, group: str, mask: np.ndarray, method: str, confidence: str, role: StructureRole = StructureRole.AVOID
    ) -> Structure:
        return Structure(name, group, role, mask, "computed", method, confidence)

    found = [computed("body", "body", body, "Air boundary, table removed", "high", StructureRole.BODY)]
    if not working.measured_kji.all():
        text = "Outside the scanner's field of view"
        found.append(computed("unmeasured", "unmeasured", ~working.measured_kji, text, "high", StructureRole.PASS))
    if whole.apart_kji.any():
        text = "Solid, but apart from the body: table, pads, tubes"
        found.append(computed("apart", "apart", whole.apart_kji, text, "medium", StructureRole.PASS))
    if whole.arms_kji.any():
        text = "Beside the trunk, with bone in its middle, joined to it by a narrow neck at most"
        found.append(computed("arms", "arm", whole.arms_kji, text, "medium", StructureRole.PASS))
    for name, group, mask, method, confidence, absent in (
        ("bone", "bone", bone, "CT number, cortex, and what it encloses", "medium", "No bone was seen."),
        (ARM_BONES, "bone", arm_bones, "CT number, cortex, and what it encloses, in an arm", "medium", ""),
        ("metal", "metal", dense.metal_kji, "CT number above all bone", "high", ""),
        ("calcified", "other", dense.calcified_kji, "Small, bright, away from bone: stone or plaque", "low", ""),
        ("lung_left", "lung", gas.lung_left_kji, "Air with blood in it, left", "high", ""),
        ("lung_right", "lung", gas.lung_right_kji, "Air with blood in it, right", "high", ""),
        ("airway", "trachea", gas.airway_kji, "Free air that runs between the lungs", "medium", ""),
        ("gas", "gas", gas.other_kji, "Gas that is not lung", "medium", ""),
        ("fluid_beside_lung", "pleural_fluid", gas.fluid_kji, "Density of water against the lung", "low", ""),
        (
            "vessel_contrast",
            "vessel",
            None if vessels is None else vessels.great_kji,
            "Even contrast over several vertebrae: heart and great vessels",
            "medium",
            "No vessel with contrast was seen; vessels are unknown.",
        ),
        (
            "vessel_branches",
            "vessel",
            None if vessels is None else vessels.branches_kji,
            "Contrast that goes on from the great vessels",
            "low",
            "",
        ),
        (
            "contrast_organ",
            "other",
            dense.contrast_kji if vessels is None else vessels.organs_kji,
            "Bright and soft, but no vessel: kidney, spleen, bowel or bladder with contrast",
            "low",
            "",
        ),
        (
            "spinal_canal",
            "spinal_canal",
            canal_kji,
            "Soft tube with bone all round and vertebral bodies in front",
            "medium",
            "The spinal canal was not found from the bone; it is unknown.",
        ),
    ):
        if mask is not None and mask.any():
            found.append(computed(name, group, mask, method, confidence))
        elif absent:
            notes.append(absent)
    if streaks.any():
        text = "CT numbers spoiled by metal in the slice"
        found.append(computed("streaks", "streaks", streaks, text, "low", StructureRole.PASS))
    if dense.metal_kji.any():
        notes.append(
            "Metal, or contrast as dense as metal, is in view; CT numbers near it are not to be trusted (structure 'streaks')."
        )
    spine = None if canal is None else find_spine(working, canal)
    if spine is not None:
        found.extend(_vertebrae(spine, bone, working.geometry, level))
    elif level is not None:
        notes.append("No discs were found, so no vertebra is numbered; import a label map with numbered vertebrae.")
    step(0.8, "Adding imported structures")
    if labels is not None:
        imported, more = structures_from_labels(labels, working.geometry)
        check_fit(imported, working.array_kji, working.geometry, labels.source)
        notes.extend(more)
        found = _merged(found, imported)
    if canal is not None and not any(s.name.startswith("rib_") for s in found):
        ribs = find_ribs(working.geometry, bone, gas.lung_left_kji | gas.lung_right_kji, canal.center_ra_mm)
        found.extend(_ribs(ribs, found, canal.center_ra_mm, working.geometry))
    found = with_vessel_names(working.geometry, with_aorta(working.geometry, found))
    found = [_with_diameter(s, spacing) for s in found]
    step(0.9, "Drawing the tissue map")
    tissue = tissue_map(working, body, tuple(found))
    step(1.0, "Anatomy done")
    return Anatomy(working.geometry, tissue, tuple(found), notes=tuple(notes))


def with_structure(ct: CtVolume, anatomy: Anatomy, structure: Structure) -> Anatomy:
    """The anatomy with one more structure, or with another version of one, and its tissues; courses are kept."""
    others = tuple(s for s in anatomy.structures if s.name != structure.name)
    structures = (*others, structure)
    working = on_grid(ct, anatomy.geometry)
    tissue = tissue_map(working, anatomy.body_kji, structures)
    return replace(anatomy, structures=structures, tissue=tissue)


def _vertebrae(
    spine: Spine, bone: np.ndarray, geometry: VolumeGeometry, level: tuple[str, float] | None
) -> list[Structure]:
    """Bodies between the discs, from feet to head; numbered where a person has named one."""
    masks = vertebra_masks(spine, bone, geometry)
    names = [f"vertebra_{n}" for n in range(1, len(masks) + 1)]
    text = "Bone between two discs, not numbered"
    if level is not None:
        names = [f"vertebrae_{n}" for n in names_from(spine, *level)]
        text = f"Bone between two discs, numbered from {level[0]} at S = {level[1]:g} mm"
    return [
        Structure(name, "vertebra", StructureRole.PASS, mask, "computed", text, "medium")
        for name, mask in zip(names, masks, strict=True)
        if mask.any()
    ]


def _ribs(
    ribs: tuple[Rib, ...], structures: list[Structure], middle_ra_mm: np.ndarray, geometry: VolumeGeometry
) -> list[Structure]:
    """Ribs from feet to head, left and right; numbered where the vertebrae are."""
    body_s_mm = {}
    for structure in structures:
        name = structure.name.removeprefix("vertebrae_")
        if name in _COUNTED:
            points = geometry.ijk_to_ras_mm(np.argwhere(structure.mask_kji)[:, ::-1])
            # A label's arch reaches lower than its body.
            body = points[points[:, 1] > np.nanmedian(middle_ra_mm[:, 1]) + _BODY_AHEAD_MM]
            if len(body):
                body_s_mm[_COUNTED.index(name) + 1] = float(body[:, 2].mean())
    numbers = rib_numbers(ribs, body_s_mm)
    place = {"left": 0, "right": 0}
    result = []
    for rib, number in zip(ribs, numbers, strict=True):
        place[rib.side] += 1
        name = f"rib_{rib.side}_{number}" if number else f"rib_unnumbered_{rib.side}_{place[rib.side]}"
        text = "Bone followed outward from beside the spine" + (
            ", numbered from the vertebrae" if number else ", not numbered; counted from the feet"
        )
        confidence = "medium" if number else "low"
        made = Structure(name, "rib", StructureRole.PASS, rib.mask_kji, "computed", text, confidence)
        result.append(replace(made, center_ras_mm=rib.center_ras_mm, lower_edge_ras_mm=rib.lower_ras_mm))
    return result


_COUNTED = NAMES[NAMES.index("T1") :]
_BODY_AHEAD_MM = 12.0
_MARGIN_MM = 9.0
"""Air kept round the body, so that skin is seen to meet it."""


def _cropped(ct: WorkingCt, body: Body) -> tuple[WorkingCt, Body]:
    """The part of the working grid that holds the patient: the rest is air and costs time and memory."""
    box = bounding_box(body.body_kji | body.arms_kji, round(_MARGIN_MM / ct.geometry.spacing_mm[0]))
    assert box is not None  # find_body refuses a picture without a body.
    k, j, i = box
    matrix = ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = ct.geometry.ijk_to_ras_mm([i.start, j.start, k.start])[0]
    array = ct.array_kji[k, j, i].copy()
    geometry = VolumeGeometry((array.shape[0], array.shape[1], array.shape[2]), matrix)
    inner = Body(*(mask[k, j, i].copy() for mask in (body.body_kji, body.apart_kji, body.arms_kji)))
    return WorkingCt(array, ct.measured_kji[k, j, i].copy(), geometry), inner


def _with_diameter(structure: Structure, spacing_mm: float) -> Structure:
    """A vessel with its usual diameter: from 3 mm on, blood keeps the tissue beside it warm."""
    if structure.group not in blood_groups() - {"heart"} or structure.diameter_mm is not None:
        return structure
    diameter_mm = typical_diameter_mm(structure.mask_kji, spacing_mm)
    return structure if diameter_mm is None or diameter_mm <= 0 else replace(structure, diameter_mm=diameter_mm)


def _merged(computed: list[Structure], imported: tuple[Structure, ...]) -> list[Structure]:
    """Computed structures first, each without the voxels that an imported structure of another kind claims.

    Bone, lung and vessels stay, because an import may lack parts of them; a computed spinal canal gives way. What the
    import calls by a name that is not known takes nothing away.
    """
    groups = {s.group for s in imported}
    soft = np.zeros(computed[0].mask_kji.shape, bool)
    for structure in imported:
        if structure.group not in ("muscle", "bone", "lung", "other"):
            soft |= structure.mask_kji
    named = {s.name for s in imported}
    claimed = np.zeros(computed[0].mask_kji.shape, bool)
    for structure in imported:
        if structure.group not in ("muscle", "bone", "lung", "vessel", "aorta", "other"):
            claimed |= structure.mask_kji
    kept = []
    for structure in computed:
        if structure.group in groups and structure.group == "spinal_canal":
            continue
        if structure.group == "vertebra" and (structure.name in named or any(n.startswith("vertebrae") for n in named)):
            continue
        if structure.group in ("bone", "vessel", "gas", "other", "pleural_fluid", "trachea"):
            # An imported vessel takes what was called bone, too; an unknown name takes nothing from anybody.
            mask = structure.mask_kji & ~(soft if structure.group == "bone" else claimed)
            kept.append(replace(structure, mask_kji=mask))
        else:
            kept.append(structure)
    taken = {s.name for s in kept}
    return kept + [replace(s, name=f"{s.name}_imported") if s.name in taken else s for s in imported]
