"""The state file of a daemon that does not run: looked at as it was saved, sensors taken out and in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lstm_stream.config import Config
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Job, Round, Trainer
from lstm_stream.records import STATES, Overview, Packed
from lstm_stream.statefile.container import Container, Entry, write
from lstm_stream.statefile.history import generations, recorded, waiting
from lstm_stream.store import StateError, Store

AT_ONCE = 2000  # sensors in memory


class StateVerbError(Exception):
    """What was asked cannot be done; the message says why and what would be right."""


class LockedError(StateVerbError):
    """A daemon uses the file."""


class Stopped:
    """The file that `config` names. Use it with `with`, which raises LockedError while a daemon uses it."""

    def __init__(self, config: Config) -> None:
        if config.state.path is None:
            raise StateVerbError("state.path is null: this daemon keeps nothing; give --url to ask it while it runs")
        self._config = config
        self._store = Store(config.state.path)

    def __enter__(self) -> Stopped:
        path = self._store.path
        if not path.exists():
            raise StateVerbError(
                f"{path}: there is no state file; run this where the daemon runs, or give its --config, or its --url"
            )
        if _is_locked(path):  # at once; the store itself waits a while
            raise LockedError(f"{path}: another lstm-stream uses it; stop that one first")
        try:
            self._store.open()
        except StateError as error:
            raise StateVerbError(str(error)) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    @property
    def pending(self) -> int:
        """Messages since the state was saved, which the next start repeats."""
        return waiting(self._store.path)

    # --- looking

    def sensors(self, search: str = "", group: str = "", state: str = "", limit: int | None = None) -> dict[str, Any]:
        """The sensors by name, as the API lists them: {total, items}. Scores are not known of a stopped daemon."""
        found = [item for item in self._items() if _wanted(item, search, group, state)]
        found.sort(key=lambda item: (item["sensor"], item["group"]))
        return {"total": len(found), "items": found[:limit]}

    def _items(self) -> Iterator[dict[str, Any]]:
        rows = self._rows()
        while some := list(islice(rows, AT_ONCE)):
            yield from _listed(self._fleet(some).overview())

    def sensor(self, name: str, group: str = "") -> dict[str, Any]:
        """Everything known of one sensor."""
        (row,) = self._chosen([name], group)
        shared = [other for other in self._rows() if other.group == row.group and not other.sensor]
        facts = self._fleet([*shared, row]).inspect(row.group, name)
        assert facts is not None
        return {**facts, "generations": generations(self._store.path, row.group, name, facts["generation"])}

    def group_of(self, name: str, group: str = "") -> str:
        """The group of a sensor."""
        return group or self._chosen([name], group)[0].group

    def _fleet(self, rows: Iterable[Packed]) -> Fleet:
        fleet = Fleet(self._config.groups, self._config.limits, _Idle())
        try:
            fleet.unpack_all(rows)
        except ValueError as error:
            raise StateVerbError(
                f"{self._store.path}: {error}; give the --config that the daemon runs with, and its version"
            ) from None
        return fleet

    def _rows(self) -> Iterator[Packed]:
        try:
            yield from self._store.load()
        except StateError as error:
            raise StateVerbError(str(error)) from None

    def _chosen(self, names: Sequence[str], group: str) -> list[Packed]:
        """The sensors of these names, each of one group."""
        wanted, found = set(names), dict[str, Packed]()
        for row in self._rows():
            if row.sensor in wanted and row.group == (group or row.group):
                if row.sensor in found:
                    both = f"{found[row.sensor].group!r} and {row.group!r}"
                    raise StateVerbError(f"{row.sensor!r} is in the groups {both}; give --group")
                found[row.sensor] = row
        for name in names:
            if name not in found:
                where = f" in group {group!r}" if group else ""
                raise StateVerbError(f"there is no sensor {name!r}{where}; `lstm-stream state list` shows all")
        return list(found.values())

    def series(self, name: str, group: str) -> dict[str, Any]:
        """A sensor's recorded samples, with its alarms, as the API tells them."""
        try:
            return recorded(self._store.path, group, name)
        except FileNotFoundError:
            raise StateVerbError(f"nothing is recorded beside {self._store.path}; see web.recorded") from None
        except ValueError as error:
            raise StateVerbError(str(error)) from None

    # --- out and in

    def export(self, names: Sequence[str], group: str, target: Path) -> tuple[int, int]:
        """Write sensors, all where none are named, to a container; how many, and how many bytes it has.

        What their groups share goes with them.
        """
        chosen = self._chosen(names, group) if names else None
        wanted = None if chosen is None else {(row.group, row.sensor) for row in chosen}
        groups = {row.group for row in chosen or ()}

        def rows() -> Iterator[Packed]:
            for row in self._rows():
                is_wanted = (
                    wanted is None or (row.group, row.sensor) in wanted or (not row.sensor and row.group in groups)
                )
                if row.group and is_wanted and row.group == (group or row.group):  # of no group: how to undo commands
                    yield row

        entries = [Entry(row.group, row.sensor, row.channels, row.signature, len(row.state)) for row in rows()]
        sensors = sum(bool(entry.sensor) for entry in entries)
        if not sensors:
            raise StateVerbError("there is no sensor to export")
        if target.exists() and target.samefile(self._store.path):
            raise StateVerbError(f"{target}: is the state file itself; give another name")
        return sensors, write(target, entries, (row.state for row in rows()))

    def take_in(self, container: Container, replace: bool) -> int:
        """Store the sensors of a container, all or none; how many. Refuses what does not fit the configuration."""
        present = {(row.group, row.sensor): row.state for row in self._rows()}
        for packed in container.packed():
            self._check(container, packed, present.get((packed.group, packed.sensor)), replace)
        new = sum(bool(e.sensor) and (e.group, e.sensor) not in present for e in container.entries)
        sensors, most = sum(bool(name) for _, name in present) + new, self._config.limits.sensors
        if sensors > most:
            raise StateVerbError(f"{sensors} sensors would be too many; raise limits.sensors (now {most})")
        try:
            self._store.save(container.packed())
        except StateError as error:
            raise StateVerbError(str(error)) from None
        return sum(bool(entry.sensor) for entry in container.entries)

    def _check(self, container: Container, packed: Packed, present: bytes | None, replace: bool) -> None:
        what = f"sensor {packed.sensor!r}" if packed.sensor else f"what group {packed.group!r} shares"
        try:
            Fleet(self._config.groups, self._config.limits, _Idle()).unpack(packed)
        except ValueError as error:
            advice = "give the configuration that they learned with, and the same version"
            raise StateVerbError(f"{container.path}: {what} does not fit: {error}; {advice}") from None
        if present is not None and not replace and (packed.sensor or present != packed.state):
            raise StateVerbError(f"{container.path}: {what} is in the state file already; --replace replaces it")


def _is_locked(path: Path) -> bool:
    """Whether another process has the database to itself."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    except sqlite3.DatabaseError:
        return False  # damaged, which the store explains
    return False


class _Idle(Trainer):
    """Trains nothing: who only looks needs no better weights."""

    def submit(self, job: Job) -> Future[Round]:  # noqa: ARG002
        return Future()


def _wanted(item: dict[str, Any], search: str, group: str, state: str) -> bool:
    return (
        search.lower() in item["sensor"].lower()
        and item["group"] == (group or item["group"])
        and item["state"] == (state or item["state"])
    )


def _listed(o: Overview) -> Iterator[dict[str, Any]]:
    """The rows of an overview as the API has them."""
    for k, sensor in enumerate(o.sensor):
        yield {
            "group": o.group[k],
            "sensor": sensor,
            "state": STATES[int(o.state[k])],
            "score": None,
            "threshold": None,
            "last": float(o.last[k]) if np.isfinite(o.last[k]) else None,
            "generation": int(o.generation[k]),
            "channels": list(o.channels[k]),
            "learning": "on" if o.learning[k] else "paused",
            "alarm": o.alarm[k],
            "spark": [],
        }
