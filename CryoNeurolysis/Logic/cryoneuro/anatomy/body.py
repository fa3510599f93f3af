"""The body against the air, without the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..imaging import WorkingCt
from ..knowledge import constant
from ..model import AnatomyError
from .arms import find_arms
from .bone_beside import bone_beside
from .morphology import Mask, at_least, components, dilate, erode, fill_axial_holes, opened, touching

_TABLE_THINNER_MM = 12.0
"""Table tops and mattress covers are thinner than this; trunks are not."""
_COARSE_MM = 3.0
_LEAST_LITERS = 0.5
_FEW = 30
_FOLD_MM = 3.0
_POCKET_MM3 = 30000.0
_MAIN_SHARE = 0.4
_LUNG_RIM = 0.6
_FREE_AIR_MM = 12.0
_FREE_AIR_MM3 = 50_000.0
_STANDS_OUT_MM = 20.0
_STUCK_ML = 10.0
_STUCK_HU = 200.0
_BARE_SHARE = 0.3
"""So much of an electrode meets the air; bone lies under skin."""
_APART_HU = -700.0
_APART_MM3 = 2000.0


@dataclass(frozen=True, eq=False)
class Body:
    """Masks on the working grid.

    Attributes:
        body_kji: the patient, holes such as lungs and bowel gas included.
        apart_kji: what else is solid in view: table, pads, tubes.
        arms_kji: arms beside the trunk, whether they touch it or not.
    """

    body_kji: Mask
    apart_kji: Mask
    arms_kji: Mask


def find_body(ct: WorkingCt) -> Body:
    """The patient against the air, the table and what lies apart.

    Air that the picture's sides cut open is outside air where it is free of everything; a lung has blood in it, and belongs
    inside even where the chest wall is not in view. The trunk is found on a coarse copy, which takes the table away
    cheaply; the fine skin comes from the CT itself.

    Raises:
        AnatomyError: no body is seen.
    """
    spacing = ct.geometry.spacing_mm[0]
    solid = ct.measured_kji & (ct.array_kji > constant("hu_skin_above"))
    step = max(1, round(_COARSE_MM / spacing))
    shape = solid.shape
    coarse = solid[::step, ::step, ::step]
    thick = opened(coarse, max(1, round(0.5 * _TABLE_THINNER_MM / (step * spacing))))
    cut = _cut_gas(ct, step, _main_parts(thick))
    # Lungs that the picture cuts may part the trunk: with them it is one again.
    core = _main_parts(thick | cut)
    liters = float(core.sum()) * ct.geometry.voxel_volume_mm3 * step**3 / 1e6
    if liters < _LEAST_LITERS:
        raise AnatomyError(
            f"No body was found in the CT (the largest dense part has {liters:.2f} liters); is this a CT of a patient?"
        )
    near = _fine(dilate(core, 1), step, shape)
    gas = _fine(cut, step, shape) & ct.measured_kji
    body = fill_axial_holes(touching((solid | gas) & near, _fine(core, step, shape)))
    body &= ~_stuck_on(ct, step, body)
    # Folds of a cover that lie against the skin are thin.
    body &= dilate(opened(body, max(1, round(_FOLD_MM / spacing))), 1)
    body = _sealed_at_the_edge(body)
    # The room's air is one large part; small pockets at the picture's sides belong to what they lie in.
    air, sizes = components(~body & ct.measured_kji)
    body |= air > int((sizes * ct.geometry.voxel_volume_mm3 >= _POCKET_MM3).sum())
    solid_apart = ct.measured_kji & (ct.array_kji > _APART_HU) & ~dilate(body, 1)
    apart = at_least(solid_apart, _APART_MM3 / ct.geometry.voxel_volume_mm3)
    arms = find_arms(ct, body, apart)
    return Body(body & ~arms, apart & ~arms, arms)


def _stuck_on(ct: WorkingCt, step: int, body: Mask) -> Mask:
    """Electrodes, leads and tubes on the skin: small, standing out from the trunk, and brighter than soft tissue."""
    coarse, hu = body[::step, ::step, ::step], ct.array_kji[::step, ::step, ::step]
    out = coarse & ~opened(coarse, round(_STANDS_OUT_MM / (step * ct.geometry.spacing_mm[0])))
    bare = dilate(~coarse, 1)
    labels, sizes = components(out & (hu > _STUCK_HU))
    found = np.zeros_like(coarse)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or sizes[number - 1] * step**3 * ct.geometry.voxel_volume_mm3 / 1000.0 > _STUCK_ML:
            continue
        part = labels[box] == number
        if float(bare[box][part].mean()) > _BARE_SHARE:
            found[box] |= part
    # Gel and cover round the metal.
    return _fine(dilate(found, 1) & (out | ~coarse), step, body.shape)


def _fine(coarse: Mask, step: int, shape: tuple[int, ...]) -> Mask:
    return coarse.repeat(step, 0).repeat(step, 1).repeat(step, 2)[: shape[0], : shape[1], : shape[2]]


def _main_parts(thick: Mask) -> Mask:
    """The trunk, or both legs: what is nearly as large as the largest part. An arm beside a trunk is a tenth of it."""
    labels, sizes = components(thick)
    main = int((sizes >= _MAIN_SHARE * sizes[0]).sum()) if len(sizes) else 0
    result: Mask = (labels > 0) & (labels <= main)
    return result


def _cut_gas(ct: WorkingCt, step: int, trunk: Mask) -> Mask:
    """Gas with blood in it that a side of the picture cuts open, on the coarse grid: lung, not the room's air or foam.

    Lung borders on the trunk nearly all round, the foam of a table on the table.
    """
    hu = ct.array_kji[::step, ::step, ::step]
    measured = ct.measured_kji[::step, ::step, ::step]
    gas = measured & (hu < constant("hu_air_below"))
    edge = dilate(~measured, 1) if not measured.all() else np.zeros_like(measured)
    edge[:, [0, -1]] = True
    edge[:, :, [0, -1]] = True
    labels, sizes = components(gas)
    cut = np.unique(labels[edge & gas])
    deep = erode(gas, 2)
    # The room's air comes in pieces far wider than a trachea.
    free = opened(gas & (hu < constant("hu_pure_gas_below")), round(_FREE_AIR_MM / (step * ct.geometry.spacing_mm[0])))
    coarse_mm3 = ct.geometry.voxel_volume_mm3 * step**3
    near = dilate(trunk, 2)
    result = np.zeros_like(gas)
    boxes = ndimage.find_objects(labels)
    for number in cut[cut > 0]:
        box = boxes[number - 1]
        part = labels[box] == number
        inner = part & deep[box]
        values = hu[box][inner if inner.any() else part]
        if sizes[number - 1] < _FEW or float(np.mean(values < constant("hu_pure_gas_below"))) >= 0.5:
            continue
        if part.shape[2] == gas.shape[2] and part.all(axis=2).any():
            # Nothing but gas from one side of the picture to the other: air behind or before a patient, no lung.
            continue
        if float((free[box] & part).sum()) * coarse_mm3 > _FREE_AIR_MM3:
            continue
        wide = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
        mask = labels[wide] == number
        if not bone_beside(hu, part, box, step * ct.geometry.spacing_mm[0]):
            continue
        rim = dilate(mask, 1) & ~gas[wide] & measured[wide]
        if rim.any() and float(near[wide][rim].mean()) > _LUNG_RIM:
            result[box] |= part
    return result


def _sealed_at_the_edge(body: Mask) -> Mask:
    """Close what the image's side faces cut open: gas that body surrounds on a face belongs inside, bowel above all.

    Left out of the body, the inner wall of a bowel would pass for skin.
    """
    sealed = body.copy()
    for axis in (1, 2):
        used = np.flatnonzero(body.any(axis=(0, 3 - axis)))
        for index in (used[0], used[-1]):
            face = sealed[:, index] if axis == 1 else sealed[:, :, index]
            k = np.flatnonzero(face.any(axis=1))
            part = face[k[0] : k[-1] + 1]
            # Above and below the image the body goes on: close the first and last row from their one end to the other.
            part |= ndimage.binary_fill_holes(np.vstack([_between_ends(part[0]), part, _between_ends(part[-1])]))[1:-1]
    return sealed


def _between_ends(row: Mask) -> Mask:
    """A row (n,) that is filled from its first to its last true place, as (1, n)."""
    filled = np.zeros((1, len(row)), bool)
    used = np.flatnonzero(row)
    if len(used):
        filled[0, used[0] : used[-1] + 1] = True
    return filled
