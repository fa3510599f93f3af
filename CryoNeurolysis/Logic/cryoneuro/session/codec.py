"""Dataclasses to JSON and back, by their type hints. Large arrays do not pass here; they have files of their own."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import Any, TypeVar

import numpy as np

from ..model import CaseError

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Plain JSON data of a dataclass, enum, array, container or scalar; floats keep all their digits."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = [f for f in dataclasses.fields(value) if f.metadata.get("content", True)]
        return {f.name: to_json(getattr(value, f.name)) for f in kept}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(v) for v in value]
    return value


def from_json(kind: type[T], data: Any) -> T:
    """An object of a dataclass from JSON data.

    Raises:
        CaseError: a field is missing or of another type.
    """
    if not isinstance(data, dict):
        raise CaseError(f"A {kind.__name__} was expected in the case, found {type(data).__name__}.")
    hints = typing.get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name not in data:
            if field.default is not dataclasses.MISSING:
                continue
            raise CaseError(f"The case lacks '{field.name}' of {kind.__name__}; it was written by another version.")
        values[field.name] = _value(hints[field.name], data[field.name])
    return kind(**values)


def _value(hint: Any, data: Any) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if data is None:
            return None
        return _value(next(a for a in arguments if a is not type(None)), data)
    if origin is np.ndarray:
        return np.array(data, dtype=typing.get_args(arguments[1])[0])
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_value(arguments[0], item) for item in data)
        return tuple(_value(a, item) for a, item in zip(arguments, data, strict=True))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(data)
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(type, hint), data)
    if hint is float and isinstance(data, int):
        return float(data)
    return data
