"""Memory for many sensors: an array for each field, with one row a sensor.

While there are few sensors the arrays double like any list. From some megabytes on, room for all that there may ever
be is reserved, which costs nothing until it is written (the system gives pages when they are touched): growing copies
nothing then and fills only the new rows, so that it never makes the line wait.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

STEP = 4 * 2**20  # bytes that are copied or filled at once at most: some milliseconds
NORESERVE = getattr(mmap, "MAP_NORESERVE", 0)


class FieldSpec(NamedTuple):
    """One array of the state: `shape` is that of one sensor's row."""

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    fill: float = 0.0
    meaning: str = ""  # what its numbers are, where name and shape do not tell; another meaning is another layout

    @property
    def nbytes(self) -> int:
        """Bytes of a row."""
        return np.dtype(self.dtype).itemsize * int(np.prod(self.shape, dtype=np.int64))


class SlotArrays:
    """The arrays of all fields; `arrays.count[slot]` is a sensor's sample count.

    There are rows for `capacity` sensors, and `most` is how many there may ever be, as far as that is known: beyond it
    everything is copied to twice the room. After `grow` an array is another object, of more rows.
    """

    def __init__(self, specs: tuple[FieldSpec, ...], capacity: int = 1, most: int = 1, version: int = 0) -> None:
        self.specs = specs
        self.capacity = 0
        self.row_bytes = sum(spec.nbytes for spec in specs)  # memory of one sensor
        text = ";".join(f"{s.name}:{s.dtype}:{s.shape}:{s.meaning}" for s in specs)
        # Names the layout: equal signatures mean that packed sensors can be exchanged.
        self.signature = f"v{version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self.most = most
        self._rooms: dict[str, NDArray[Any]] = {spec.name: _room(spec, 0, lazy=False) for spec in specs}
        self._room = 0  # rows that there is room for
        self.grow(capacity)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> NDArray[Any]: ...

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` sensors; views taken before are of the old arrays."""
        if capacity <= self.capacity:
            return
        step = max(1, STEP // self.row_bytes)
        ample = max(capacity, min(2 * self.capacity, self.capacity + step))
        if capacity > self._room:
            self._make_room(ample, step)
        capacity = min(ample, self._room)
        for spec in self.specs:
            array = self._rooms[spec.name][:capacity]
            if spec.fill != 0:  # NaN is not
                array[self.capacity :] = spec.fill
            setattr(self, spec.name, array)
        self.capacity = capacity

    def _make_room(self, capacity: int, step: int) -> None:
        if capacity <= step:
            self._move(capacity, lazy=False)
            return
        try:
            self._move(max(2 * capacity, self.most), lazy=True)
        except OSError:  # the system promises no more than it has
            self._move(capacity + step, lazy=True)

    def _move(self, rows: int, *, lazy: bool) -> None:
        rooms = {spec.name: _room(spec, rows, lazy=lazy) for spec in self.specs}
        for name, room in rooms.items():
            room[: self.capacity] = self._rooms[name][: self.capacity]
        self._rooms, self._room = rooms, rows

    def reset(self, slot: int) -> None:
        """Forget the sensor in this row."""
        for spec in self.specs:
            self._rooms[spec.name][slot] = spec.fill

    def pack(self, slot: int) -> bytes:
        """One sensor's state as bytes, to be unpacked by arrays of the same signature anywhere."""
        return b"".join(self._rooms[spec.name][slot].tobytes() for spec in self.specs)

    def pack_many(self, slots: Sequence[int]) -> Iterator[bytes]:
        """`pack` of each of many sensors, in order."""
        where, size = np.asarray(slots, np.intp), self.row_bytes
        if not len(where):
            return iter(())
        rows, start = np.empty((len(where), size), np.uint8), 0
        for spec in self.specs:
            taken = np.take(self._rooms[spec.name], where, axis=0)
            rows[:, start : start + spec.nbytes] = taken.reshape(-1).view(np.uint8).reshape(len(where), spec.nbytes)
            start += spec.nbytes
        data = rows.data.cast("B")
        return (bytes(data[at : at + size]) for at in range(0, len(data), size))

    def check(self, data: bytes) -> None:
        """Raises ValueError if the length of a packed sensor does not fit the layout."""
        if len(data) != self.row_bytes:
            raise ValueError(f"a packed sensor of this layout has {self.row_bytes} bytes, not {len(data)}")

    def unpack(self, slot: int, data: bytes) -> None:
        """The inverse of `pack`. Raises ValueError if the length does not fit the layout."""
        self.unpack_many([slot], [data])

    def unpack_many(self, slots: Sequence[int], packed: Sequence[bytes]) -> None:
        """The inverse of `pack_many`. Raises ValueError if a length does not fit the layout."""
        for data in packed:
            self.check(data)
        where = np.asarray(slots, np.intp)
        rows = np.frombuffer(b"".join(packed), np.uint8).reshape(len(where), self.row_bytes)
        start = 0
        for spec in self.specs:
            some = np.ascontiguousarray(rows[:, start : start + spec.nbytes]).reshape(-1).view(spec.dtype)
            self._rooms[spec.name][where] = some.reshape(len(where), *spec.shape)
            start += spec.nbytes


def _room(spec: FieldSpec, rows: int, *, lazy: bool) -> NDArray[Any]:
    """Zeros (rows, *shape). Raises OSError where lazy ones cannot be had; Windows has none."""
    if not (lazy and spec.nbytes and hasattr(mmap, "MAP_ANONYMOUS")):
        return np.zeros((rows, *spec.shape), spec.dtype)
    pages = mmap.mmap(-1, rows * spec.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
    return np.frombuffer(pages, spec.dtype).reshape(rows, *spec.shape)
