"""What the daemon does beside the line: obeys commands that come over MQTT, keeps Home Assistant in the picture, and
lets learning rest during maintenance.

The line is asked through `ask` and `command` alone, as by everybody else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from lstm_stream import __version__
from lstm_stream.config import Config
from lstm_stream.desk.orders import Weights, equipped
from lstm_stream.detect.fleet import Fleet
from lstm_stream.ingest.aside import Aside
from lstm_stream.ingest.orders import Orders
from lstm_stream.outputs.discovery import Discovery
from lstm_stream.outputs.homeassistant import Announcer
from lstm_stream.outputs.maintenance import Resting
from lstm_stream.outputs.sinks.mqtt import Receipt
from lstm_stream.records import Adoption, Command, Event, Reply
from lstm_stream.service import Turn

_log = logging.getLogger(__name__)

PATIENCE = 10.0  # s for the line to answer

Key = tuple[str, str]  # group, sensor
T = TypeVar("T")


class Daemon(Protocol):
    """What the errands need of it, once it runs."""

    def ask(self, work: Callable[[], T]) -> Future[T]:
        """Let the worker do something between two turns."""
        ...

    def command(self, command: Command) -> Future[Reply]:
        """Let the line obey."""
        ...

    def send(self, topic: str, payload: bytes, retain: bool) -> Receipt:
        """Publish with QoS 1. Raises OSError where it cannot be."""
        ...

    def connection(self) -> int | None:
        """The number of that with the broker; None while it is away."""
        ...


class Errands:
    """An observer of the service. `count` hears of each message on the topic of commands what it was.

    `weights` gives those that a rollback needs.
    """

    def __init__(
        self,
        config: Config,
        fleet: Fleet,
        daemon: Daemon,
        aside: Aside,
        count: Callable[[str], None],
        weights: Weights,
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._daemon = daemon
        self._aside = aside
        self._resting = Resting(config.maintenance)
        self._announcer: Announcer | None = None
        reply = lambda topic, payload: daemon.send(topic, payload, False)  # noqa: E731
        self._weights = weights
        Orders(config.commands, self._submit, reply, count).listen(aside)

    def open(self, former_prefix: str, commands: Iterable[tuple[Command, bool]]) -> str:
        """Begin, before the session opens; the prefix of Home Assistant's topics, to be told at the next start.

        `former_prefix` was told at the last one; `commands` are those obeyed so far, oldest first, and whether they
        were.
        """
        self._resting.recall(command for command, ok in commands if ok)
        settings = self._config.homeassistant
        prefix = settings.prefix if settings.enabled else former_prefix
        if prefix:
            settings = settings.model_copy(update={"prefix": prefix})
            broker, status = self._config.broker.client_id, self._config.events.status_topic
            discovery = Discovery(settings, broker, status, __version__)
            publish = lambda topic, payload: self._daemon.send(topic, payload, True)  # noqa: E731
            self._announcer = Announcer(settings, discovery, self, publish, self._daemon.connection)
            self._aside.listen(discovery.config_topic("+"), 1, self._announcer.hear_config)
            self._aside.listen(f"{prefix}/status", 1, self._announcer.hear_status)
            self._aside.ignore(discovery.state_topic("+"))
            self._announcer.open()
        return prefix

    def close(self) -> None:
        """End. May be called twice."""
        if self._announcer is not None:
            self._announcer.close(1.0)
            self._announcer = None

    def configure(self, config: Config) -> None:
        """Other maintenance windows, from now on."""
        self._resting.configure(config.maintenance)

    def _submit(self, command: Command) -> Future[Reply]:
        ready = equipped(command, self._weights)
        if not isinstance(ready, str):
            return self._daemon.command(ready)
        refused: Future[Reply] = Future()
        refused.set_result(Reply(False, ready))
        return refused

    # --- what Home Assistant is told, from its thread

    def names(self) -> list[Key]:
        """All sensors."""
        overview = self._daemon.ask(self._fleet.overview).result(PATIENCE)
        return list(zip(overview.group, overview.sensor, strict=True))

    def facts(self, keys: Sequence[Key]) -> list[dict[str, Any] | None]:
        """Of some sensors."""
        return self._daemon.ask(lambda: [self._fleet.inspect(*key) for key in keys]).result(PATIENCE)

    # --- what the line does, on its thread

    def on_turn(self, turn: Turn) -> None:
        """Alarms that open or close are told at once."""
        self._hear(turn.outcome.events)

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:  # noqa: ARG002
        """Windows that begin or end."""
        if self._resting.wants_look(time.time()):
            overview = self._fleet.overview()
            for command in self._resting.commands(overview.group, overview.sensor, time.time()):
                self._daemon.command(command).add_done_callback(_said)

    def on_save(self, seconds: float, error: str | None) -> None:
        """Nothing to do."""

    def _hear(self, events: Sequence[Event]) -> None:
        if events and self._announcer is not None:
            self._announcer.hear_events(events)


def _said(future: Future[Reply]) -> None:
    """A command of a window that was refused is worth a line."""
    if not future.cancelled() and future.exception() is None and not future.result().ok:
        _log.warning("maintenance: %s", future.result().text)
