"""The body against the air, without the table."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..imaging import WorkingCt
from ..knowledge import constant
from ..model import AnatomyError
from .morphology import Mask, dilate, fill_axial_holes, largest, opened

_TABLE_THINNER_MM = 12.0
"""Table tops and mattress covers are thinner than this; trunks are not."""
_COARSE_MM = 3.0


def find_body(ct: WorkingCt) -> Mask:
    """Mask (k, j, i) of the patient, holes such as lungs and bowel gas included.

    The trunk is found on a coarse copy, which takes the table away cheaply; the fine skin comes from the CT itself.

    Raises:
        AnatomyError: no body is seen.
    """
    spacing = ct.geometry.spacing_mm[0]
    dense = ct.measured_kji & (ct.array_kji > constant("hu_air_below"))
    step = max(1, round(_COARSE_MM / spacing))
    shape = dense.shape
    coarse = dense[::step, ::step, ::step]
    core = largest(opened(coarse, max(1, round(0.5 * _TABLE_THINNER_MM / (step * spacing)))))
    litres = float(core.sum()) * ct.geometry.voxel_volume_mm3 * step**3 / 1e6
    if litres < 0.5:
        raise AnatomyError(
            f"No body was found in the CT (the largest dense part has {litres:.2f} liters); is this a CT of a patient?"
        )
    near = dilate(core, 1).repeat(step, 0).repeat(step, 1).repeat(step, 2)[: shape[0], : shape[1], : shape[2]]
    grown = dense.copy()
    grown[: near.shape[0], : near.shape[1], : near.shape[2]] &= near
    return fill_axial_holes(_sealed_at_the_edge(largest(grown)))


def _sealed_at_the_edge(body: Mask) -> Mask:
    """Close what the image's side faces cut open: gas that body surrounds on a face belongs inside, lung or bowel alike.

    Left out of the body, the inner wall of a lung would pass for skin. CT numbers cannot tell: table foam is as light.
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
