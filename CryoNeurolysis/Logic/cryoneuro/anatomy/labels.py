"""Structures from a label map that somebody else made."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging import LabelMap, label_on_grid
from ..knowledge import load_records
from ..model import AnatomyError, CtVolume, Structure, StructureRole, VolumeGeometry
from .label_shift import label_shift

_COMPUTED = (
    "body",
    "skin",
    "bone",
    "metal",
    "streaks",
    "calcified",
    "gas",
    "airway",
    "apart",
    "arms",
    "arm_bones",
    "fluid_beside_lung",
    "unmeasured",
    "vessel_contrast",
    "vessel_branches",
    "contrast_organ",
)
"""Segments of a case of this program that are found anew in every CT; imported, the body would be a thing to avoid."""


def group_of(name: str) -> Mapping[str, Any] | None:
    """Record of label_groups.json that a structure's name belongs to; None when the name is not known."""
    key = structure_name(name).lower()
    for record in load_records("label_groups"):
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in record["patterns"]):
            return record
    return None


def blood_groups() -> frozenset[str]:
    """Groups of structures that are vessels or heart."""
    return frozenset(r["group"] for r in load_records("label_groups") if r["tissue"] == "blood")


def structure_name(name: str) -> str:
    """A label's name as the landmark rules know it: no blanks, the side behind ("Left kidney", "L2 vertebra")."""
    words = name.strip().replace("-", " ").replace("_", " ").lower().split()
    key = "".join(words)
    if key in _ALIASES:
        return _ALIASES[key]
    if len(words) > 1 and words[0] in ("left", "right"):
        side = words.pop(0)
        # Ribs carry their number behind the side.
        words.insert(1 if words[0] == "rib" else len(words), side)
    if len(words) == 2 and words[1] in ("bone", "organ"):
        words = words[:1]
    if len(words) == 3 and words[1] == "bone":
        words = [words[0], words[2]]
    if len(words) == 2 and words[1] in ("vertebra", "vertebrae"):
        words = ["vertebrae", words[0]]
    if len(words) == 2 and words[0] in ("vertebra", "vertebrae"):
        words = ["vertebrae", words[1].upper()]
    if len(words) == 1 and _LEVEL.fullmatch(words[0]):
        words = ["vertebrae", words[0].upper()]
    return "_".join(words)


_ALIASES = {
    "abdominalaorta": "aorta",
    "thoracicaorta": "aorta",
    "descendingaorta": "aorta",
    "spinalcord": "spinal_cord",
    "spinalcanal": "spinal_canal",
    "ivc": "inferior_vena_cava",
    "urinarybladder": "urinary_bladder",
}
_LEVEL = re.compile(r"c[1-7]|t([1-9]|1[0-2])|l[1-6]")


def structures_from_labels(
    labels: LabelMap, target: VolumeGeometry, confirmed: bool = False
) -> tuple[tuple[Structure, ...], tuple[str, ...]]:
    """Structures on the target grid, and sentences about what was not understood.

    Args:
        labels: label map on its own grid, with its layers; it is resampled by nearest neighbor.
        target: the anatomy's grid.
        confirmed: a person has looked at these labels.

    Raises:
        AnatomyError: the label map does not overlap the CT at all: it belongs to another image or frame.
    """
    if not _boxes_overlap(labels.geometry, target):
        raise AnatomyError(
            f"The label map {labels.source} lies nowhere near the CT (center {_point(labels.geometry)} against "
            f"{_point(target)} mm RAS); it belongs to another image."
        )
    structures: list[Structure] = []
    notes: list[str] = []
    for layer in (labels, *labels.further):
        _add_layer(layer, target, confirmed, structures, notes)
    return _merged_by_name(structures, notes), tuple(notes)


def _merged_by_name(structures: list[Structure], notes: list[str]) -> tuple[Structure, ...]:
    """Labels of one name as one structure: two programs, or two parts, called it the same."""
    merged: dict[str, Structure] = {}
    for structure in structures:
        before = merged.get(structure.name)
        if before is None:
            merged[structure.name] = structure
        else:
            merged[structure.name] = replace(before, mask_kji=before.mask_kji | structure.mask_kji)
            notes.append(f"Two labels are called '{structure.name}'; they are taken as one structure.")
    return tuple(merged.values())


def _add_layer(
    labels: LabelMap, target: VolumeGeometry, confirmed: bool, structures: list[Structure], notes: list[str]
) -> None:
    grid = label_on_grid(labels.labels_kji, labels.geometry, target)
    boxes = ndimage.find_objects(grid.astype(np.int32))
    for value, name in sorted(labels.names.items()):
        box = boxes[value - 1] if 0 < value <= len(boxes) else None
        if box is None:
            notes.append(f"Label {value} ({name}) of {labels.source} has no voxel in the field of view.")
            continue
        if structure_name(name).lower() in _COMPUTED:
            notes.append(f"Label '{name}' of {labels.source} is left out; the program finds it in the CT itself.")
            continue
        mask = np.zeros(grid.shape, bool)
        mask[box] = grid[box] == value
        record = group_of(name)
        if record is None and _is_outline(name, mask):
            notes.append(f"Label '{name}' of {labels.source} is left out; it outlines the body or most of the picture.")
            continue
        if record is None:
            notes.append(f"The label name '{name}' is not known; it is avoided like an organ of unknown kind.")
        structures.append(
            Structure(
                name=structure_name(name) if record else name,
                group=record["group"] if record else "other",
                role=StructureRole(record["role"]) if record else StructureRole.AVOID,
                mask_kji=mask,
                origin="imported",
                method=f"Imported from {labels.source}",
                confidence="medium",
                confirmed=confirmed,
            )
        )


_OUTLINES = (
    "external",
    "patient",
    "outline",
    "torso",
    "body",
    "skin",
    "couch",
    "table",
    "fat",
    "muscle",
    "ptv",
    "avoid",
)
_OUTLINE_SHARE = 0.3


def _is_outline(name: str, mask: npt.NDArray[np.bool_]) -> bool:
    """Whether an unknown label is the body's contour, a planning aid, or a tissue everywhere, and no organ to be avoided."""
    words = structure_name(name).lower().split("_")
    return any(word in _OUTLINES for word in words) or float(mask.mean()) > _OUTLINE_SHARE


_FIT = {"bone": (100.0, np.inf), "lung": (-np.inf, -300.0)}
"""What most voxels of a labeled bone or lung measure, HU."""


_SHIFT_MM = 2.5
_SHIFT_GAIN = 0.3
"""Labels that fit lie best where they are; moved by two voxels on purpose they fit better by half when moved back."""
_TOWARD = (("right", "left"), ("front", "back"), ("head", "feet"))


def check_fit(
    structures: tuple[Structure, ...], hu_kji: npt.NDArray[np.int16], geometry: VolumeGeometry, source: str
) -> None:
    """Refuse labels that lie over the wrong voxels: mirrored, shifted, or of another scan.

    Args:
        geometry: grid of the structures and of hu_kji, along R, A and S.

    Raises:
        AnatomyError: less than half of the labeled bone or lung has the CT number of bone or lung, or its edges fit much
            better when it is moved.
    """
    for group, (low, high) in _FIT.items():
        masks = [s.mask_kji for s in structures if s.group == group]
        values = np.concatenate([hu_kji[m] for m in masks]) if masks else np.empty(0)
        if len(values) > 1000:
            share = float(np.mean((values > low) & (values < high)))
            if share < 0.5:
                raise AnatomyError(
                    f"The label map {source} does not fit the CT: only {100 * share:.0f} % of its {group} lies on {group}. "
                    "Is it mirrored, shifted, or of another scan?"
                )
    shift_kji, gain = label_shift(structures, hu_kji)
    shift_mm = shift_kji[::-1] * np.array(geometry.spacing_mm)
    if np.linalg.norm(shift_mm) >= _SHIFT_MM and gain >= _SHIFT_GAIN:
        ways = [
            f"about {abs(v):.0f} mm toward the {words[0] if v > 0 else words[1]}"
            for v, words in zip(shift_mm, _TOWARD, strict=True)
            if abs(v) > 0
        ]
        raise AnatomyError(
            f"The label map {source} lies beside the CT: its bone and lung would fit if it were moved {' and '.join(ways)}. "
            "Export it again on this CT."
        )


def check_frame(labels: LabelMap, ct: CtVolume) -> None:
    """Refuse structures that were drawn in another DICOM frame of reference than the CT's.

    Raises:
        AnatomyError: both name their frame, and the frames differ.
    """
    frame = ct.acquisition.frame_of_reference_uid
    if labels.frame_uid and frame and labels.frame_uid != frame:
        raise AnatomyError(
            f"The structures of {labels.source} belong to another frame of reference ({labels.frame_uid}) than the CT "
            f"({frame}); they were drawn on another scan. Export them on this CT."
        )


def _boxes_overlap(one: VolumeGeometry, other: VolumeGeometry) -> bool:
    a, b = one.corners_ras_mm, other.corners_ras_mm
    return bool((a.min(axis=0) < b.max(axis=0)).all() and (b.min(axis=0) < a.max(axis=0)).all())


def _point(geometry: VolumeGeometry) -> str:
    return "(" + ", ".join(f"{v:.0f}" for v in geometry.center_ras_mm) + ")"
