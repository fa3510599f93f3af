"""Results kept for arrays that never change: by the arrays themselves, or by their content."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Arrays = tuple[npt.NDArray[np.generic], ...]


class KeptForArrays(Generic[T]):
    """The last few results, each as long as the very read-only arrays that it was made from live."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.RLock()
        self._rows: OrderedDict[Hashable, tuple[tuple[weakref.ref[npt.NDArray[np.generic]], ...], T]] = OrderedDict()

    def get(self, arrays: Arrays, extra: Hashable, make: Callable[[], T]) -> T:
        """What make returns, from memory where the same arrays and the same extra value were asked for before."""
        if any(a.flags.writeable for a in arrays):
            return make()
        key = (tuple(id(a) for a in arrays), extra)
        with self._lock:
            row = self._rows.get(key)
            # An array that is gone takes its row along, but another may have its place in memory already.
            if row is not None and all(ref() is a for ref, a in zip(row[0], arrays, strict=True)):
                self._rows.move_to_end(key)
                return row[1]
        result = make()

        def gone(_ref: object) -> None:
            with self._lock:
                self._rows.pop(key, None)

        with self._lock:
            self._rows[key] = (tuple(weakref.ref(a, gone) for a in arrays), result)
            self._rows.move_to_end(key)
            while len(self._rows) > self._most:
                self._rows.popitem(last=False)
        return result


class KeptByContent:
    """Arrays by the content that they were made from, the oldest dropped when they take more than so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._rows: OrderedDict[bytes, npt.NDArray[np.float32]] = OrderedDict()

    def get(
        self, mask: npt.NDArray[np.bool_], extra: Hashable, make: Callable[[], npt.NDArray[np.float32]]
    ) -> npt.NDArray[np.float32]:
        """What make returns, read-only; from memory where an equal mask and the same extra value were asked for before."""
        packed = np.packbits(mask)
        key = hashlib.blake2b(packed.tobytes() + repr((mask.shape, extra)).encode()).digest()
        with self._lock:
            if key in self._rows:
                self._rows.move_to_end(key)
                return self._rows[key]
        result = make()
        result.setflags(write=False)
        with self._lock:
            if key not in self._rows:
                self._rows[key] = result
                self._bytes += result.nbytes
            while self._bytes > self._most_bytes and len(self._rows) > 1:
                _, dropped = self._rows.popitem(last=False)
                self._bytes -= dropped.nbytes
        return result
