"""Whether a DICOM image file holds all of its picture: a reader would fill what is missing with zeros and say nothing."""

from __future__ import annotations

import struct
from pathlib import Path

_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", _BIG_ENDIAN)
_IMPLICIT = "1.2.840.10008.1.2"
_ITEMS_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_TAIL_BYTES = 65536


def is_cut_short(path: Path, picture_bytes: int) -> bool:
    """Whether a file ends before its picture does.

    Args:
        picture_bytes: of the whole picture where it is not compressed. A deflated file cannot be checked and passes.
    """
    content = path.read_bytes()
    transfer_syntax = _transfer_syntax(content)
    if transfer_syntax in ("", _DEFLATED):
        return False
    if transfer_syntax not in _PLAIN:
        return _ITEMS_END not in content[-_TAIL_BYTES:]
    big = transfer_syntax == _BIG_ENDIAN
    tag = b"\x7f\xe0\x00\x10" if big else b"\xe0\x7f\x10\x00"
    order = ">" if big else "<"
    start = content.find(tag)
    while start >= 0:
        head = start + (4 if transfer_syntax == _IMPLICIT else 8)
        if len(content) < head + 4:
            return True
        (length,) = struct.unpack_from(f"{order}I", content, head)
        if picture_bytes <= length <= picture_bytes + 1:
            return bool(head + 4 + length > len(content))
        start = content.find(tag, start + 1)
    return True


def _transfer_syntax(content: bytes) -> str:
    """Its UID from the file's own head, which is always explicit little endian; empty when it does not say."""
    start = content.find(b"\x02\x00\x10\x00UI", 132, 4096)
    if start < 0:
        return ""
    (length,) = struct.unpack_from("<H", content, start + 6)
    return content[start + 8 : start + 8 + length].decode("ascii", "replace").strip("\0 ")
