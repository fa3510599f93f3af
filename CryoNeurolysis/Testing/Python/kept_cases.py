"""What is long to make and the same for every test: made once in a run, kept on disk for the workers and the next run.

A file is found again by the bytes of the program, of its data, of the function that makes it, and of what that gets, so a
change of any of them makes it anew. A file that is damaged, or was written by other library versions, is made anew too.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import shutil
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import cryoneuro
import numpy as np
from cryoneuro.model import content_hash

T = TypeVar("T")
_IN_USE_S = 3600.0
_LIBRARIES = ("numpy", "scipy", "SimpleITK", "numba")


class Keeper:
    """Cases by name, in memory of this process and on disk for the others.

    Args:
        folder: where they lie; what other versions of the program left there an hour ago is removed.
        sources: folders and files whose bytes a case depends on; None: the program and its data.
    """

    def __init__(self, folder: Path, sources: tuple[Path, ...] | None = None) -> None:
        version = _digest_of(sources if sources is not None else _program())
        self.folder = folder / version[:16]
        self._made: dict[str, Any] = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in folder.iterdir():
            # Another run may be at work on the program as it was a moment ago.
            if other != self.folder and other.is_dir() and time.time() - other.stat().st_mtime > _IN_USE_S:
                shutil.rmtree(other, ignore_errors=True)

    def __call__(self, name: str, make: Callable[..., T], *inputs: Any) -> T:
        """What make(*inputs) returns; from memory or from disk where it was made before.

        Args:
            name: for people, and to tell apart what has the same maker and inputs.
            make: its source file counts; what it takes from around it may depend on that file and the program only.
            inputs: paths count by their bytes, all else by its repr.
        """
        key = f"{name}-{_key(name, make, inputs)[:16]}"
        if key not in self._made:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{key}.pickle"
            with _alone(path.with_suffix(".lock")):
                found = _read(path)
                if found is None:
                    found = (make(*inputs),)
                    _write(path, found)
            self._made[key] = found[0]
        return self._made[key]


def _program() -> tuple[Path, ...]:
    root = Path(cryoneuro.__file__).parent
    return (root, root.parents[1] / "Resources" / "Data", Path(__file__))


def _digest_of(places: tuple[Path, ...]) -> str:
    """Of the bytes of files, and of all sources and data in folders."""
    digest = hashlib.blake2b(repr((sys.version, [_version_of(name) for name in _LIBRARIES])).encode())
    for place in places:
        files = sorted(p for p in place.rglob("*") if p.suffix in (".py", ".json")) if place.is_dir() else [place]
        for path in files:
            digest.update(path.name.encode() + hashlib.blake2b(path.read_bytes()).digest())
    return digest.hexdigest()


def _version_of(name: str) -> str:
    """Version of an installed package, or that there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


@cache
def _file_digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes()).hexdigest()


def _key(name: str, make: Callable[..., Any], inputs: tuple[Any, ...]) -> str:
    said = [_file_digest(i) if isinstance(i, Path) else repr(i) for i in inputs]
    code = make.__code__
    return hashlib.blake2b(
        repr((name, make.__qualname__, _file_digest(Path(code.co_filename)), said)).encode()
    ).hexdigest()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other process makes the same meanwhile; the lock ends with the process that holds it."""
    try:
        import fcntl
    except ImportError:  # Windows: two may make the same, and the last one stays.
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _packed(content: object) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol=5).dump(content)
    return stream.getvalue()


def _write(path: Path, content: object) -> None:
    data = _packed(content)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(hashlib.blake2b(data).digest())
        file.write(data)
    Path(temporary).replace(path)


def _read(path: Path) -> Any:
    """What lies there; None where nothing does, or nothing whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = memoryview(content)[hashlib.blake2b().digest_size :]
    if hashlib.blake2b(data).digest() != content[: hashlib.blake2b().digest_size]:
        return None
    return _Unpickler(io.BytesIO(data)).load()


class _Pickler(pickle.Pickler):
    """Masks take a bit per voxel; an array that cannot be written to comes back as one."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._seen: dict[int, tuple[int, np.ndarray]] = {}

    def persistent_id(self, obj: object) -> Any:
        if type(obj) is not np.ndarray or obj.dtype.hasobject or obj.dtype.names:
            return None
        if id(obj) in self._seen:
            return (self._seen[id(obj)][0],)
        number = len(self._seen)
        self._seen[id(obj)] = number, obj
        bits = obj.dtype == bool
        data = np.packbits(obj) if bits else np.ascontiguousarray(obj)
        return (number, obj.dtype.str, obj.shape, obj.flags.writeable, data.tobytes())


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self._seen: dict[int, np.ndarray] = {}

    def persistent_load(self, pid: Any) -> np.ndarray:
        number, *rest = pid
        if rest:
            kind, shape, writeable, data = rest
            dtype = np.dtype(kind)
            flat = np.frombuffer(data, np.uint8 if dtype.kind == "b" else dtype)
            if dtype.kind == "b":
                flat = np.unpackbits(flat, count=int(np.prod(shape))).view(bool)
            array = flat.reshape(shape)
            if writeable and not array.flags.writeable:
                array = array.copy()
            array.setflags(write=writeable)
            self._seen[number] = array
        return self._seen[number]


class Remembered:
    """A pure function of a module that does not work twice on the same content; each caller gets a copy of its own.

    Functions among the arguments, as those that hear of progress, take no part in the content.
    """

    def __init__(self, function: Callable[..., Any], most: int = 12) -> None:
        self._function = function
        self._most = most
        self._results: OrderedDict[str, bytes] = OrderedDict()

    def __call__(self, *arguments: Any) -> Any:
        key = content_hash([None if callable(a) else a for a in arguments])
        if key in self._results:
            self._results.move_to_end(key)
            return _Unpickler(io.BytesIO(self._results[key])).load()
        result = self._function(*arguments)
        self._results[key] = _packed(result)
        while len(self._results) > self._most:
            self._results.popitem(last=False)
        return result
