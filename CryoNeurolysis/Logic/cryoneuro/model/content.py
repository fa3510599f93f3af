"""Content hashes and read-only arrays, so that a stage's result can be cached by the hash of its inputs."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import CryoNeuroError


def frozen_array(value: npt.ArrayLike, dtype: npt.DTypeLike, ndim: int, name: str) -> npt.NDArray[Any]:
    """Return value as a read-only, C-ordered array of the given type.

    Args:
        value: anything numpy accepts. An array that owns its memory is taken over and becomes read-only; a view on
            memory that somebody else can write is copied.
        dtype: wanted type.
        ndim: wanted number of axes.
        name: field name for the message.

    Raises:
        CryoNeuroError: the number of axes differs, or a floating value is not finite.
    """
    array = np.ascontiguousarray(value, dtype=dtype)
    if array.ndim != ndim:
        raise CryoNeuroError(f"{name} must have {ndim} axes, but has shape {array.shape}.")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise CryoNeuroError(f"{name} contains NaN or infinite values; every value must be a number.")
    if array.flags.writeable and array.base is not None:
        array = array.copy()
    array.setflags(write=False)
    return array


def content_hash(value: Any) -> str:
    """SHA-256 (hex) of the content of a dataclass, array, container or scalar.

    Equal content gives an equal hash on every machine; the type's name takes part, object identity never does.

    Raises:
        CryoNeuroError: a value of a kind that has no defined content.
    """
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"array:{value.dtype.str}:{value.shape}:".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        digest.update(f"object:{type(value).__name__}:".encode())
        for field in dataclasses.fields(value):
            if not field.metadata.get("content", True):
                continue
            # A field that came later leaves old hashes as they were while it says nothing.
            said = getattr(value, field.name)
            if (said is None or (isinstance(said, str) and not said)) and not field.metadata.get("hash_none", True):
                continue
            digest.update(f"field:{field.name}:".encode())
            _feed(digest, getattr(value, field.name))
    elif isinstance(value, dict):
        digest.update(f"dict:{len(value)}:".encode())
        for key in sorted(value):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, tuple | list):
        digest.update(f"sequence:{len(value)}:".encode())
        for item in value:
            _feed(digest, item)
    elif isinstance(value, enum.Enum):
        digest.update(f"enum:{value.name}:".encode())
    elif isinstance(value, bool | int | str) or value is None:
        digest.update(f"{type(value).__name__}:{value!r}:".encode())
    elif isinstance(value, float | np.floating):
        digest.update(f"float:{float(value).hex()}:".encode())
    else:
        raise CryoNeuroError(f"A {type(value).__name__} has no defined content hash.")
