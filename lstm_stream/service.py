"""The loop of the daemon, start to shutdown, in the order in which it happens.

    take → decode → score → publish → observe → acknowledge      every turn
    silences, counts, save                                       now and then
    stop intake → drain → save                                   at the end

One thread runs it and owns all numeric state; nobody else touches the fleet. The parts come in through the
constructor, so that the loop neither knows MQTT nor SQLite nor HTTP.
"""

from __future__ import annotations

import logging
import math
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from lstm_stream.detect.fleet import Fleet, Outcome
from lstm_stream.detect.presence import Presences
from lstm_stream.records import (
    Adoption,
    Chunk,
    Command,
    Decoded,
    Event,
    Message,
    Packed,
    Reading,
    Reason,
    Rejection,
    Reply,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

IDLE = 0.1  # s that a turn waits for messages, and others for an answer
UPKEEP = 1.0  # s between looks at silences and counts
MOST_OFFLINE = 1_000_000  # devices
RECENT = 64  # latest samples that make the data clock


class Inbox(Protocol):
    """Where messages wait."""

    def take(self, limit: int, timeout: float) -> list[Message | Chunk]:
        """Up to `limit` messages, waiting at most `timeout` s for the first."""
        ...


class Decoder(Protocol):
    """From payloads to samples."""

    def decode_all(self, items: Sequence[Message | Chunk]) -> Decoded:
        """What is in a batch of messages. Never raises."""
        ...


class Session(Protocol):
    """The broker."""

    @property
    def connected(self) -> bool:
        """Whether it is there now."""
        ...

    def stop_intake(self) -> None:
        """Accept no further message; the broker will deliver it again."""
        ...

    def acknowledge(self, messages: Sequence[Message | Chunk]) -> None:
        """Their effect is done."""
        ...


class Observer(Protocol):
    """Told of what the line does, in the worker's thread."""

    def on_turn(self, turn: Turn) -> None:
        """A batch is through."""
        ...

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:
        """Sensors by state, and the retraining rounds finished since the last call."""
        ...

    def on_save(self, seconds: float, error: str | None) -> None:
        """The state was saved, or could not be."""
        ...


@dataclass(slots=True)
class Turn:
    """One batch on its way through the line."""

    messages: Sequence[Message | Chunk]
    decoded: Decoded = field(default_factory=Decoded)
    rejections: list[Rejection] = field(default_factory=list)  # of every stage
    outcome: Outcome = field(default_factory=Outcome)
    seconds: dict[str, float] = field(default_factory=dict)  # by stage

    @property
    def samples(self) -> int:
        """How many were scored."""
        return sum(len(batch.samples) for batch in self.outcome.batches)

    @property
    def size(self) -> int:
        """How many messages it took."""
        return sum(len(item) if isinstance(item, Chunk) else 1 for item in self.messages)

    @property
    def latest(self) -> float | None:
        """The time of the sample that came last, unix s; None where none came."""
        d = self.decoded
        ends = [(rows.at[-1], rows.time[-1]) for rows in d.rows]
        ends += [(d.at[-1], d.readings[-1].time)] if d.readings else []
        return float(max(ends)[1]) if ends else None


class DataClock:
    """What time it is for the sensors: our clock plus the median lead of the latest samples over it.

    Robust against single sensors with a wrong clock, and right for recorded or simulated time as well. The median is
    of the leads, not of the times: those of a few slow sensors reach hours back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._recent: deque[float] = deque(maxlen=RECENT)

    def observe(self, times: Iterable[float]) -> None:
        """Samples of these times (unix s) have arrived."""
        at = self._monotonic()
        self._recent.extend(time - at for time in times)

    def restart(self) -> None:
        """Forget: what comes next may be of another time."""
        self._recent.clear()

    @property
    def now(self) -> float | None:
        """Unix s; None before the first sample."""
        if not self._recent:
            return None
        return statistics.median(self._recent) + self._monotonic()


class Service:
    """The loop over its parts. `save` stores packed sensors and raises OSError-like errors it does not handle.

    `held` gives the readings that the decoder held back until now; told true, all of them. `apply` is how the fleet
    obeys a command.
    """

    def __init__(
        self,
        inbox: Inbox,
        decoder: Decoder,
        fleet: Fleet,
        session: Session,
        publish: Callable[[Sequence[Event]], None],
        save: Callable[[Iterable[Packed]], object] | None,
        save_every: float,
        batch: int,
        observers: Sequence[Observer] = (),
        monotonic: Callable[[], float] = time.monotonic,
        held: Callable[[bool], list[Reading]] | None = None,
        apply: Callable[[Command], Reply] | None = None,
    ) -> None:
        self._inbox = inbox
        self._decoder = decoder
        self._fleet = fleet
        self._session = session
        self._publish = publish
        self._save = save
        self._save_every = save_every
        self._batch = batch
        self._observers = observers
        self._monotonic = monotonic
        self._held = held
        self._apply = apply
        self._asked: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._clock = DataClock(monotonic)
        self._presences = Presences(MOST_OFFLINE)
        self._stopping = threading.Event()
        self._listening = self._ended = False
        self._upkeep_at = self._saved_at = self.turned_at = monotonic()

    @property
    def data_time(self) -> float | None:
        """What time it is for the sensors, unix s; None before the first sample."""
        return self._clock.now

    def stop(self) -> None:
        """Ask the loop to end; safe from signal handlers and other threads, and more than once."""
        self._stopping.set()

    def ask(self, work: Callable[[], T]) -> Future[T]:
        """Let the worker do something between two turns, soon. From any thread; cancelled where the loop has ended."""
        future: Future[T] = Future()
        self._asked.append((future, work))
        if self._ended:
            self._refuse()
        return future

    def command(self, command: Command) -> Future[Reply]:
        """Let the fleet obey a person, between two turns. From any thread."""
        return self.ask(partial(self._obey, command))

    def configure(self, save_every: float, batch: int) -> None:
        """Save and take so much from now on."""
        self._save_every, self._batch = save_every, batch

    def run(self) -> None:
        """Until `stop`; then stop the intake, finish what was taken, and save."""
        self._fleet.listen_from(math.inf)
        while not self._stopping.is_set():
            self._turn(self._inbox.take(self._batch, IDLE))
            self._answer()
            self._upkeep()
        log.info("stopping: no more messages are taken, what is here is finished")
        self._session.stop_intake()
        while messages := self._inbox.take(self._batch, 0.0):
            self._turn(messages)
        self._answer()
        self._release(final=True)
        self._look_after()
        self.save()
        self._ended = True
        self._refuse()

    # --- what others ask

    def _answer(self) -> None:
        while self._asked:
            future, work = self._asked.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)

    def _refuse(self) -> None:
        while self._asked:
            self._asked.popleft()[0].cancel()

    def _obey(self, command: Command) -> Reply:
        if self._apply is None:
            return Reply(False, "this daemon takes no commands")
        reply = self._apply(command)
        log.info("%s by %s: %s", command.verb, command.by, reply.text)
        if reply.events:
            self._pass(Turn([], outcome=Outcome(events=list(reply.events))), publish=self._tell)
        return reply

    # --- a turn

    def _turn(self, messages: Sequence[Message | Chunk]) -> None:
        """One batch. Whatever goes wrong is logged and counted, the messages are acknowledged, the line goes on."""
        self.turned_at = self._monotonic()
        if not messages:
            self._release(final=False)
            return
        self._pass(Turn(messages), decode=self._decode, detect=self._detect, publish=self._tell)
        self._session.acknowledge(messages)

    def _release(self, *, final: bool) -> None:
        """Score what the decoder held back for more of it to come: what is due while no messages are, finally all."""
        readings = self._held(final) if self._held is not None else []
        if readings:
            count = len(readings)
            turn = Turn([], Decoded(readings, list(range(count)), [time.time()] * count))
            self._pass(turn, detect=self._detect, publish=self._tell)

    def _pass(self, turn: Turn, **stages: Callable[[Turn], object]) -> None:
        try:
            for name, work in stages.items():
                began = time.perf_counter()
                work(turn)
                turn.seconds[name] = time.perf_counter() - began
        except Exception as error:
            log.exception("a batch of %d messages could not be processed", turn.size)
            turn.rejections.append(Rejection(Reason.INTERNAL, f"{type(error).__name__}: {error}"))
        for observer in self._observers:
            observer.on_turn(turn)

    def _decode(self, turn: Turn) -> None:
        turn.decoded = self._decoder.decode_all(turn.messages)
        turn.rejections += turn.decoded.rejections

    def _detect(self, turn: Turn) -> None:
        decoded = turn.decoded
        self._presences.hear(decoded.presences)
        turn.outcome = self._fleet.process(decoded.readings, decoded.at, decoded.rows)
        turn.outcome.events = self._presences.told(turn.outcome.events)
        turn.rejections += [rejection for _, rejection in turn.outcome.rejections]
        for batch in turn.outcome.batches:
            slot, at = batch.samples.slot[-RECENT:].tolist(), batch.samples.time[-RECENT:].tolist()
            self._clock.observe(dict(zip(slot, at, strict=True)).values())  # one sensor, one vote

    def _tell(self, turn: Turn) -> None:
        self._publish(turn.outcome.events)

    # --- now and then

    def _upkeep(self) -> None:
        now = self._monotonic()
        if now - self._upkeep_at >= UPKEEP:
            self._upkeep_at = now
            self._listen()
            self._look_after()
        if now - self._saved_at >= self._save_every:
            self.save()

    def _listen(self) -> None:
        """While the broker is away nobody is silent; afterwards silence is counted from what comes first."""
        if not self._session.connected:
            self._listening = False
            self._fleet.listen_from(math.inf)
            self._clock.restart()
        elif not self._listening and (now := self._clock.now) is not None:
            self._listening = True
            self._fleet.listen_from(now)
        if self._listening and (now := self._clock.now) is not None:
            events = self._presences.told(self._fleet.silences(now)) + self._presences.overdue(now)
            if events:
                self._pass(Turn([], outcome=Outcome(events=events)), publish=self._tell)

    def _look_after(self) -> None:
        sensors, rounds = self._fleet.counts(), self._fleet.take_adoptions()
        for observer in self._observers:
            observer.on_upkeep(sensors, rounds)

    def save(self) -> None:
        """Store what has changed; a failure is logged and tried again at the next time."""
        self._saved_at = self._monotonic()
        if self._save is None:
            return
        began, failure = time.perf_counter(), None
        try:
            self._save(self._fleet.pack())
            self._fleet.saved()
        except Exception as error:
            failure = str(error)
            log.error("the state could not be saved: %s", error)
        for observer in self._observers:
            observer.on_save(time.perf_counter() - began, failure)
