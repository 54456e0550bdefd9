"""One run of the demo: a broker, simulated sensors with faults, and the daemon itself, in one process.

    simulation --publisher--> broker (embedded, or yours) --MQTT--> daemon --events--> chronicle --> screen, summary

The daemon is the real one, built from a configuration as a user would write it; only its state is kept nowhere.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from dataclasses import dataclass

from lstm_stream.app import App, Stats, build
from lstm_stream.config import Config
from lstm_stream.demo.broker import EmbeddedBroker
from lstm_stream.demo.chronicle import Chronicle
from lstm_stream.demo.publisher import Publisher
from lstm_stream.demo.screen import Screen, Snapshot
from lstm_stream.demo.summary import Summary
from lstm_stream.simulate import DAY, WIDEST, Simulation, messages, simulate
from lstm_stream.simulate.score import WEEK, grace_of, score, watched_weeks

_WEB_PORT = 9108
_TICK = 0.125  # s between two pictures
_CONNECT = 20.0  # s to reach the broker
_STALLED = 20.0  # s without progress after which messages on their way count as lost
_MARGIN = 1.1  # faults begin this much after the warm-up at the earliest; some messages are lost


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    duration: float  # wall seconds
    sensors: int
    speed: float  # data seconds per wall second
    seed: int
    broker: str | None  # HOST:PORT; None: the embedded one


class Run:
    """open() → watch() until it is over or stop() → finish() → close()."""

    def __init__(self, options: Options, screen: Screen) -> None:
        self.errors: list[str] = []
        self._options = options
        self._screen = screen
        self._stopping = threading.Event()
        self._broker: EmbeddedBroker | None = None
        self._simulation: Simulation
        self._chronicle: Chronicle
        self._config: Config
        self._app: App | None = None
        self._worker: threading.Thread | None = None
        self._publisher: Publisher
        self._backlog: Backlog

    def open(self) -> None:
        """Everything up and connected, the first message out. Raises OSError with a sentence where it cannot be."""
        host, port = self._reach_broker()
        self._simulation = _simulation(self._options)
        self._chronicle = Chronicle(self._simulation.faults, grace_of(self._simulation.interval))
        self._config = configuration(host, port)
        self._screen.note("getting ready; the first time, this compiles for up to a minute")
        app = build(self._config, observers=[self._chronicle])
        app.open()
        self._app = app
        self._worker = threading.Thread(target=self._work, args=(app,), name="demo-worker", daemon=True)
        self._worker.start()
        self._await_subscription(app, f"{host}:{port}")
        self._backlog = Backlog(app)
        self._publisher = Publisher(
            host, port, messages(self._simulation), self._simulation.start, self._options.speed, self._backlog
        )
        self._publisher.open()
        url = f"http://{self._config.web.host}:{app.web_port}"
        self._screen.open([series.sensor for series in self._simulation.series], url)

    def stop(self) -> None:
        """Ends `watch`; safe from signal handlers."""
        self._stopping.set()

    def watch(self) -> None:
        """Shows how it goes, until the time is over, everything is published, or `stop`."""
        while not self._stopping.wait(_TICK) and not self._publisher.done:
            self._show()
            if self._publisher.seconds >= self._options.duration or self.errors:
                break
        self._publisher.close()
        if self._publisher.error:
            self.errors.append(self._publisher.error)

    def finish(self) -> Summary:
        """Waits until the daemon has worked through all that was published, and sums up."""
        assert self._app is not None
        published = self._publisher.published
        began = time.monotonic()
        while self._backlog(published) > 0 and not self.errors:
            self._show()
            time.sleep(_TICK)
        self._show()
        for error in self.errors:
            self._screen.note(f"lstm-stream: {error}")
        return self._summary(self._app.stats(), self._publisher.seconds + time.monotonic() - began)

    def close(self) -> None:
        """Everything down again, however far it came."""
        if self._app is not None:
            self._app.stop()
        if self._worker is not None:
            self._worker.join()
        if self._app is not None:
            self._app.close()
        if self._broker is not None:
            self._broker.close()

    # --- the parts

    def _reach_broker(self) -> tuple[str, int]:
        if self._options.broker is None:
            self._broker = EmbeddedBroker()
            self._broker.open()
            return self._broker.host, self._broker.port
        host, _, port = self._options.broker.rpartition(":")
        host = host.strip("[]")
        try:
            socket.create_connection((host, int(port)), timeout=_CONNECT).close()
        except OSError as error:
            raise OSError(f"no broker answers at {host}:{port}: {error}; start one, or leave --broker out") from error
        return host, int(port)

    def _work(self, app: App) -> None:
        try:
            app.run()
        except Exception as error:
            self.errors.append(f"the daemon stopped: {type(error).__name__}: {error}")

    def _await_subscription(self, app: App, address: str) -> None:
        deadline = time.monotonic() + _CONNECT
        while (state := app.health().checks["subscription"]) != "ok":
            if time.monotonic() > deadline:
                raise OSError(f"the broker at {address} does not let the daemon in: {state}")
            time.sleep(0.02)

    # --- how it stands

    @property
    def _needed(self) -> float:
        """Simulated seconds of warm-up."""
        return self._config.groups["default"].warmup_of(WIDEST) * self._simulation.interval

    def _show(self) -> None:
        assert self._app is not None
        stats, publisher, start = self._app.stats(), self._publisher, self._simulation.start
        self._chronicle.inject(publisher.time)
        self._screen.show(
            Snapshot(
                seconds=publisher.seconds,
                duration=self._options.duration,
                now=publisher.time,
                speed=(publisher.time - start) / publisher.seconds if publisher.seconds else 0.0,
                warmup=min(1.0, (publisher.time - start) / self._needed),
                messages=stats.messages,
                sensors=stats.sensors,
                happenings=self._chronicle.happenings(),
            )
        )

    def _summary(self, stats: Stats, seconds: float) -> Summary:
        simulation, end, group = self._simulation, self._publisher.time, self._config.groups["default"]
        grace = grace_of(simulation.interval)
        return Summary(
            score=score(simulation.faults, self._chronicle.alarms(), end, grace),
            weeks=watched_weeks(simulation.series, simulation.faults, end, grace, group.warmup_of(WIDEST)),
            budget=group.false_alarms * WEEK,
            sensors=self._options.sensors,
            published=self._publisher.published,
            messages=stats.messages,
            seconds=seconds,
            simulated=end - simulation.start,
            rejected=stats.rejections,
            cpu=stats.cpu_seconds,
            needed=self._needed,
        )


class Backlog:
    """How many messages are on their way. Those that do not arrive while nothing else does either are given up."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._arrived = 0
        self._lost = 0
        self._moved = time.monotonic()

    def __call__(self, published: int) -> int:
        """Of `published` messages, how many the daemon has not worked through yet."""
        stats = self._app.stats()
        arrived, now = stats.messages + stats.dropped, time.monotonic()
        if arrived != self._arrived:
            self._arrived, self._moved = arrived, now
        waiting = published - arrived - self._lost
        if waiting <= 0:
            self._moved = now
        elif now - self._moved > _STALLED:
            self._lost += waiting
        return max(0, waiting)


def configuration(host: str, port: int) -> Config:
    """What a user would write for these sensors; nothing is kept, and a web port that is taken is no obstacle."""
    return Config.model_validate(
        {
            "broker": {
                "host": host,
                "port": port,
                "client_id": f"lstm-stream-demo-{secrets.token_hex(4)}",
                "clean_session": True,
            },
            "sources": [{"topic": "demo/{site}/{sensor}/telemetry", "qos": 0}],
            "events": {"topic": "lstm_stream/demo/{sensor}/anomaly", "status_topic": "lstm_stream/demo/status"},
            "web": {"port": _free_port()},
            "state": {"path": None},
        }
    )


def _simulation(options: Options) -> Simulation:
    """Three days for the sensors to show what is normal, less in short runs; then a fault in five days, each."""
    span = options.duration * options.speed
    warmup = Config().groups["default"].warmup_of(WIDEST) * 300.0 * _MARGIN
    return simulate(
        options.sensors, max(span, 600.0), options.seed, interval=300.0, warmup=max(warmup, min(3 * DAY, span / 4))
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _WEB_PORT))
        except OSError:
            return 0
    return _WEB_PORT
