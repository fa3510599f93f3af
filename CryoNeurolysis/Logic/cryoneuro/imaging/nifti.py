"""What the NIfTI reader would hide: it turns voxels that are not a number into 0, which is soft tissue."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import IO, cast

import numpy as np

_FLOATS = {16: "f4", 64: "f8"}
_CHUNK = 1 << 24


def nifti_nonfinite(path: Path) -> int:
    """Number of voxels of a NIfTI-1 file that are NaN or infinite; 0 for integers and for what is no NIfTI file."""
    packed = path.name.lower().endswith(".gz")
    try:
        with cast("IO[bytes]", gzip.open(path, "rb") if packed else path.open("rb")) as stream:
            header = stream.read(352)
            if len(header) < 348:
                return 0
            order = "<" if struct.unpack("<i", header[:4])[0] == 348 else ">"
            datatype = struct.unpack(f"{order}h", header[70:72])[0]
            if datatype not in _FLOATS:
                return 0
            offset = int(struct.unpack(f"{order}f", header[108:112])[0])
            stream.seek(max(offset, 348))
            bad = 0
            while chunk := stream.read(_CHUNK):
                values = np.frombuffer(chunk[: len(chunk) // 8 * 8], dtype=order + _FLOATS[datatype])
                bad += int(values.size - np.count_nonzero(np.isfinite(values)))
            return bad
    except (OSError, EOFError, struct.error):
        return 0
