"""The body against the air, without the table."""

from __future__ import annotations

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
    return fill_axial_holes(largest(grown))
