"""The whole daemon, put together: the only file that names every part.

Its life:

    build(config) → App;  open() → run() until stop() → close()
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from pathlib import Path
from typing import TypeVar

from lstm_stream import __version__, logs
from lstm_stream.config import Config
from lstm_stream.desk.alarms import Alarms
from lstm_stream.desk.archive import Archive
from lstm_stream.desk.desk import Desk, Parts
from lstm_stream.desk.orders import Orders, command_of
from lstm_stream.desk.watch import Watch
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.errands import Errands
from lstm_stream.ingest.aside import Aside
from lstm_stream.ingest.assembly import Assembly
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.login import Login, SetupError, read_login
from lstm_stream.ingest.mqtt import Session
from lstm_stream.ingest.silent import BrokerLosses
from lstm_stream.outputs.delivery import Delivery
from lstm_stream.outputs.health import Health
from lstm_stream.outputs.metrics import Intake, Metrics, Outgoing
from lstm_stream.outputs.outbox import Outbox
from lstm_stream.outputs.recorder import Recorder
from lstm_stream.outputs.scraped import Pages
from lstm_stream.outputs.series import Series
from lstm_stream.outputs.sinks.mqtt import Receipt
from lstm_stream.outputs.web.documents import BrokerState, CommandReply
from lstm_stream.outputs.web.queries import Order
from lstm_stream.outputs.web.server import WebServer
from lstm_stream.records import Command, Reply
from lstm_stream.reload import Actions, RefusedError, Reloader
from lstm_stream.reporting import Reporter, cpu_seconds
from lstm_stream.reporting import Stats as Stats
from lstm_stream.service import Observer, Service
from lstm_stream.vault import Vault, save_every
from lstm_stream.warming import keep_for_ever as keep_for_ever
from lstm_stream.warming import warm_kernels as warm_kernels

log = logging.getLogger(__name__)

T = TypeVar("T")

STALLED = 30.0  # s without a turn of the loop before the daemon calls itself unhealthy
SWITCH = 0.001  # s that a thread of Python's may keep the line waiting, such as one that answers a scrape
GOODBYE = 5.0  # s for events to reach the broker at the end
UNSCORED = 60.0  # s of messages without a scored sample before it calls itself not ready


class App:
    """A daemon for one configuration. The constructor only builds; `open` connects, listens and starts threads."""

    def __init__(
        self,
        config: Config,
        fresh: bool,
        observers: Sequence[Observer],
        file: Path | None = None,
        on_reload: Callable[[], object] = lambda: None,
    ) -> None:
        self._config = config
        self._on_reload = on_reload
        self._fresh = fresh
        self.metrics = Metrics(__version__, config.groups, config.events.severity)
        self._trainer = Trainer()
        self._fleet = Fleet(config.groups, config.limits, self._trainer)
        limits = config.limits
        self._inbox = Inbox(limits.inbox, limits.inbox_bytes, limits.overflow)
        aside = Aside()
        self._broker_losses = BrokerLosses(aside)
        count, weights = self.metrics.command_message, lambda *of: self._desk.weights(*of)
        self._errands = Errands(config, self._fleet, self, aside, count, weights)
        self._session = Session(
            config.broker,
            config.sources,
            config.events,
            self._inbox,
            self.metrics.disconnected,
            longest=limits.payload_bytes,
            aside=aside,
        )
        self._series = Series(config.metrics.sensors)
        self._reporter = Reporter(self.metrics, config.limits.sensors, self._series)
        self._assembly = Assembly(config.sources, config.limits, groups=config.groups)
        events, windows = config.events, config.maintenance
        self._delivery = Delivery(events, windows, __version__, self._publish, self._delivered)
        self._archive = Archive(config.state.path) if config.state.path else None
        self._alarms = Alarms(lambda event: self._delivery.render(event)[1])
        recorder = Recorder(config.web.recorded)
        self._watch = Watch(self._fleet, lambda: self._service.data_time, self._alarms, recorder, self._archive)
        self._outbox = Outbox(self._delivery.names, self._delivery.render)
        self._vault = Vault(config.state, self._fleet, self._assembly, self._session, self._outbox)
        self._service: Service = Service(
            self._inbox,
            self._assembly,
            self._fleet,
            self._session,
            self._vault.journal,
            self._vault if self._vault.keeps else None,
            save_every(config.state),
            config.limits.batch,
            (self._reporter, self._watch, self._errands, *observers),
            held=self._assembly.held,
            due_by=self._assembly.due_by,
            apply=self._obey,
        )
        self._orders = Orders()
        self._desk: Desk = Desk(self._parts())
        self._web = WebServer(config.web, self.metrics.render, self.health, self._desk) if config.web.enabled else None
        actions = Actions(self._reload, self._renew, self._reloaded, self.metrics.renewed)
        self._reloader = Reloader(file, config, actions) if file else None
        self._worker: int | None = None

    def open(self) -> None:
        """Compile the kernels, restore the state, listen, connect.

        Raises StateError, SetupError or OSError with a clear sentence.
        """
        self.metrics.watch(self._intake)
        self.metrics.watch_health(self.health)
        self.metrics.sinks(self._delivery.names)
        self.metrics.watch_outbox(lambda: Outgoing(self._outbox.waiting(), self._outbox.dropped))
        self.metrics.watch_journal(self._vault.written)
        self.metrics.watch_pages(self._pages)
        self.metrics.watch_series(self._series.render)
        self.metrics.reloaded(True, time.time())
        self.metrics.renewed(True)
        logging.getLogger("lstm_stream").addHandler(self.metrics.log_handler())
        warm_kernels()
        self._trainer.open()
        try:
            self._take_up()
            if self._web:
                self._web.open()
                scheme, host = self._web.scheme, self._config.web.host
                log.info("page, metrics and health on %s://%s:%d", scheme, host, self._web.port)
            self._vault.prefix = self._errands.open(self._vault.prefix, self._vault.obeyed())
            self._session.open()
            self._delivery.open(self._outbox, self._vault.told)
            if self._reloader:
                self._reloader.open()
        except BaseException:
            self.close()
            raise

    def run(self) -> None:
        """Work until `stop`; then finish what was taken, and save."""
        self._worker = threading.get_ident()
        sys.setswitchinterval(SWITCH)
        self._service.run()

    def obey(self, order: Order, by: str) -> CommandReply:
        """Instead of open() and run(): take the state up, obey one command, save and close; without a broker.

        Raises StateError.
        """
        self._trainer.open()
        try:
            self._take_up()
            command = command_of(order, by, time.time(), self._desk.weights)
            if isinstance(command, str):
                return CommandReply(False, command, "")
            answer = self._service.command(command)
            self.stop()
            self.run()
            reply = answer.result()
            return CommandReply(reply.ok, reply.text, command.id)
        finally:
            self.close()

    def _take_up(self) -> None:
        """Everything that is kept, as it was. Raises StateError."""
        self._vault.open(self._fresh, self._service.replay)
        if self._archive:
            self._archive.open(self._fresh)
        self._desk.restore()

    def stop(self) -> None:
        """Ask `run` to end; safe from signal handlers and other threads."""
        self._service.stop()

    def close(self) -> None:
        """Say goodbye to the broker, stop the threads, close the files."""
        if self._reloader:
            self._reloader.close()
        self._errands.close()
        self._delivery.close(GOODBYE)
        self._session.close(GOODBYE)
        if self._web:
            self._web.close()
        self._trainer.close()
        self._vault.close()
        if self._archive:
            self._watch.keep(everything=True)
            self._archive.close()

    @property
    def web_port(self) -> int | None:
        """Where metrics and health are served."""
        return self._web.port if self._web else None

    # --- another configuration

    def reload(self) -> None:
        """Ask for the configuration's file to be read again; safe from signal handlers."""
        if self._reloader:
            self._reloader.ask()

    def _reload(self, config: Config) -> None:
        """Put another configuration in force, between two turns. Raises RefusedError; nothing has changed then."""
        login = self._login(config)
        try:
            self._service.ask(partial(self._configure, config, login)).result()
        except CancelledError:
            raise RefusedError("the daemon is stopping") from None

    def _renew(self, config: Config) -> None:
        """Log in at the broker with what the files hold now. Raises RefusedError."""
        self._session.renew(config.broker, self._login(config))

    def _login(self, config: Config) -> Login:
        try:
            return read_login(config.broker)
        except SetupError as error:
            raise RefusedError(str(error)) from None

    def _configure(self, config: Config, login: Login) -> None:
        try:
            self._fleet.configure(config.groups, config.limits)
        except ValueError as error:
            raise RefusedError(str(error)) from None
        self._assembly.configure(config.sources, config.limits, config.groups)
        self._session.configure(config.sources, config.events)
        self._session.renew(config.broker, login)
        self._delivery.configure(config.events, config.maintenance)
        self._errands.configure(config)
        self._inbox.limit(config.limits.inbox, config.limits.inbox_bytes, config.limits.overflow)
        self._service.configure(save_every(config.state), config.limits.batch)
        self._reporter.limit = config.limits.sensors
        self._series.configure(config.metrics.sensors)
        self.metrics.configured(config.groups, config.events.severity)
        if config.log != self._config.log:
            logs.setup(config.log.level, config.log.format)
        self._config = config
        self._service.save()  # messages of before are not to be replayed by what is in force from now on

    def _reloaded(self, good: bool, at: float) -> None:
        self.metrics.reloaded(good, at)
        self._on_reload()

    # --- what goes out

    def _publish(self, topic: str, payload: bytes) -> Receipt:
        settings = self._config.events
        return self._session.publish(topic, payload, settings.qos, settings.retain)

    def _delivered(self, sink: str, result: str, count: int) -> None:
        self.metrics.published(result, count, sink)

    def send(self, topic: str, payload: bytes, retain: bool) -> Receipt:
        """Publish with QoS 1. Raises OSError where it cannot be."""
        return self._session.publish(topic, payload, 1, retain)

    def connection(self) -> int | None:
        """The number of that with the broker; None while it is away."""
        return self._session.disconnects if self._session.connected else None

    # --- what people ask for

    def ask(self, work: Callable[[], T]) -> Future[T]:
        """Let the worker do something between two turns. From any thread."""
        return self._service.ask(work)

    def command(self, command: Command) -> Future[Reply]:
        """Let the line obey. From any thread."""
        answer = self._service.command(command)
        answer.add_done_callback(partial(self._count, command))
        return answer

    def _count(self, command: Command, answer: Future[Reply]) -> None:
        """Here, not where the fleet obeys: what a start repeats is no new command."""
        if not answer.cancelled() and answer.exception() is None:
            self.metrics.command(command.verb, answer.result().ok)

    def _obey(self, command: Command) -> Reply:
        reply = self._fleet.apply(command)
        self._orders.note(command, reply)
        if reply.ok:
            self._alarms.obeyed(command)
        return reply

    # --- how it is

    def _intake(self) -> Intake:
        s, waiting = self._session, len(self._inbox)
        limit, forgotten = self._config.limits.inbox, self._fleet.forgotten
        line = s.connected, s.messages_received, self._drops(), waiting, limit, forgotten
        return Intake(*line, s.subscribed, s.failures, self._broker_losses.dropped, s.clock.ahead, s.renewals)

    def _pages(self) -> Pages:
        recorder = self._watch.recorder
        return Pages(len(recorder), recorder.limit, self._web.streams if self._web else 0)

    def _drops(self) -> dict[str, int]:
        """Messages that were received and never scored, by why."""
        return {**self._inbox.drops, **self._session.losses}

    def health(self) -> Health:
        """Healthy: the loop turns. Ready: messages come in and are scored."""
        tally = self._reporter.tally
        stalled = time.monotonic() - self._service.turned_at
        turning = stalled < STALLED
        unscored = tally.unscored_since is not None and time.monotonic() - tally.unscored_since > UNSCORED
        checks = {
            "line": "ok" if turning else f"no turn for {stalled:.0f} s",
            "broker": "ok" if self._session.connected else self._session.problem,
            "subscription": "ok" if self._session.subscribed else "not subscribed",
            "samples": "ok" if tally.samples and not unscored else self._why_nothing_is_scored(),
        }
        good = {name: text == "ok" for name, text in checks.items()}
        checks["state"] = tally.save_error or "ok"
        return Health(healthy=good["line"], ready=all(good.values()), checks=checks)

    def _why_nothing_is_scored(self) -> str:
        tally = self._reporter.tally
        if not tally.messages:
            return "no message yet"
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.rejections.most_common(3))
        return f"messages arrive but none is scored: {reasons or 'nothing was rejected'}"

    def _parts(self) -> Parts:
        """What the desk asks."""
        return Parts(
            __version__,
            lambda: self._config,
            self._fleet,
            self._reporter.tally,
            self._watch,
            self._alarms,
            self._orders,
            self._service.ask,
            self.command,
            self.health,
            self._broker_state,
            lambda: sum(self._drops().values()),
            self._vault.journal.book,
        )

    def _broker_state(self) -> BrokerState:
        broker, session = self._config.broker, self._session
        problem = "" if session.connected else session.problem
        return BrokerState(f"{broker.host}:{broker.port}", session.connected, session.subscribed, problem)

    def stats(self) -> Stats:
        """Counts since the start, from any thread."""
        t = self._reporter.tally
        return Stats(
            t.messages,
            t.samples,
            sum(self._drops().values()),
            dict(t.rejections),
            dict(t.sensors),
            dict(t.retrains),
            len(t.alarms),
            self._session.connected,
            cpu_seconds(self._worker),
        )


def build(
    config: Config,
    *,
    fresh: bool = False,
    observers: Sequence[Observer] = (),
    file: Path | None = None,
    on_reload: Callable[[], object] = lambda: None,
) -> App:
    """A daemon for `config`; `fresh` sets an existing state aside. `observers` are told of every turn.

    `file` is where `config` was read from: it is read again when it changes, and `on_reload` called.
    """
    return App(config, fresh, observers, file, on_reload)
