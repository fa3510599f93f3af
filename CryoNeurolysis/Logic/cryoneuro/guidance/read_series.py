"""A gathered series as a CT, or a sentence why it is none."""

from __future__ import annotations

from ..imaging import read_ct_files
from ..model import CryoNeuroError
from .arrival import Arrival
from .series import Gathered


def arrival_of(item: Gathered) -> Arrival:
    """Read a series; what cannot be read becomes a sentence."""
    count = len(item.files)
    try:
        ct = read_ct_files(item.files)
    except CryoNeuroError as error:
        said = f"A scan has come that cannot be used: {error}"
        return Arrival(item.series_uid, said, item.received_s, files=count)
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        said = (
            f"A scan of {count} files has come that cannot be read: its headers or pictures are damaged or of an unusual kind "
            f"({type(error).__name__}). Reconstruct it as a plain axial CT series and send it again."
        )
        return Arrival(item.series_uid, said, item.received_s, files=count)
    k, j, i = ct.geometry.shape_kji
    said = f"A scan of {k} slices of {ct.geometry.spacing_mm[2]:g} mm ({i} x {j}) has come: {item.why}."
    return Arrival(item.series_uid, " ".join((said, *ct.warnings)), item.received_s, ct, files=count)
