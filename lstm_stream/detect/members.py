"""The sensors' names: in which roster and slot each lives, without an object a sensor."""

from __future__ import annotations

TABLES = 256  # a table that grows moves all it has; a small one does so in a moment
SLOT_BITS = 32


class Members:
    """(group, sensor) -> (number of the roster, slot)."""

    def __init__(self) -> None:
        self._tables: dict[str, list[dict[str, int]]] = {}  # by group, then by the name's hash
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, group: str, sensor: str) -> tuple[int, int] | None:
        """Where a sensor lives; None if it is not known."""
        tables = self._tables.get(group)
        place = tables[hash(sensor) % TABLES].get(sensor) if tables else None
        return None if place is None else (place >> SLOT_BITS, place & (1 << SLOT_BITS) - 1)

    def put(self, group: str, sensor: str, roster: int, slot: int) -> None:
        """It lives there now."""
        if group not in self._tables:
            self._tables[group] = [{} for _ in range(TABLES)]
        table = self._tables[group][hash(sensor) % TABLES]
        self._count += sensor not in table
        table[sensor] = roster << SLOT_BITS | slot

    def remove(self, group: str, sensor: str) -> None:
        """It lives no more."""
        del self._tables[group][hash(sensor) % TABLES][sensor]
        self._count -= 1
