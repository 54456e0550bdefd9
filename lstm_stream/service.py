"""The loop of the daemon, start to shutdown, in the order in which it happens.

    take → decode → score → commit → observe → acknowledge      every turn
    silences, counts, save                                      now and then
    stop intake → drain → save                                  at the end

One thread runs it and owns all numeric state; nobody else touches the fleet. The parts come in through the
constructor, so that the loop neither knows MQTT nor SQLite nor HTTP. Whatever the state depends on is noted in the
journal before it takes effect, so that `replay` does again what a process did that was killed.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from lstm_stream.detect.clock import RECENT, DataClock
from lstm_stream.detect.fleet import Fleet, Outcome
from lstm_stream.detect.presence import Presences
from lstm_stream.journal.entries import Entry, Held, Late, Listen, Look, Messages, Obeyed
from lstm_stream.journal.journal import RETRY, Journal
from lstm_stream.line import Decoder, Inbox, Session
from lstm_stream.line import Observer as Observer
from lstm_stream.line import Turn as Turn
from lstm_stream.pace import Pace
from lstm_stream.records import (
    Adoption,
    Chunk,
    Command,
    Decoded,
    Event,
    Lost,
    Message,
    Reading,
    Reason,
    Rejection,
    Reply,
)
from lstm_stream.saving import Saver, Saving

log = logging.getLogger(__name__)

T = TypeVar("T")

IDLE = 0.1  # s that a turn waits for messages, and others for an answer
UPKEEP = 1.0  # s between looks at silences and counts
MOST_OFFLINE = 1_000_000  # devices
QUICK = 64 * 2**20  # bytes: what is saved at the end even where the journal has it all


class Service:
    """The loop over its parts. Without a `saver` nothing is saved.

    `held` gives the readings that the decoder held back and that are due by a time; `due_by` says by which time now.
    `apply` is how the fleet obeys a command.
    """

    def __init__(
        self,
        inbox: Inbox,
        decoder: Decoder,
        fleet: Fleet,
        session: Session,
        journal: Journal,
        saver: Saver | None,
        save_every: float,
        batch: int,
        observers: Sequence[Observer] = (),
        monotonic: Callable[[], float] = time.monotonic,
        held: Callable[[float], list[Reading]] | None = None,
        due_by: Callable[[], float] = time.time,
        apply: Callable[[Command], Reply] | None = None,
    ) -> None:
        self._inbox = inbox
        self._decoder = decoder
        self._fleet = fleet
        self._session = session
        self._journal = journal
        self._saving = Saving(fleet, journal, saver, self._saved) if saver is not None else None
        self._save_every = save_every
        self._pace = Pace(batch)
        self._observers = observers
        self._monotonic = monotonic
        self._held = held
        self._due_by = due_by
        self._apply = apply
        self._asked: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._clock = DataClock(monotonic)
        self._presences = Presences(MOST_OFFLINE)
        self._stopping = threading.Event()
        self._ended = False
        self._since = math.inf  # data time since which silence counts
        self._lost: list[Lost] = []  # in the replay: so far
        self._adoptions: list[Adoption] = []  # since the observers heard of some
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
        self._save_every, self._pace.most = save_every, batch

    def run(self) -> None:
        """Until `stop`; then stop the intake, finish what was taken, and save."""
        self._listen_from(math.inf)
        while not self._stopping.is_set():
            self._turn(self._inbox.take(self._pace.limit, IDLE))
            self._answer()
            self._upkeep()
            time.sleep(self._pace.rest)
        log.info("stopping: no more messages are taken, what is here is finished")
        self._session.stop_intake()
        while messages := self._inbox.take(self._pace.limit, 0.0):
            self._turn(messages)
        self._answer()
        if not self._journal.repeats:  # else it goes on waiting, over the restart
            self._release(math.inf)
        self._look_after()
        self._save_at_the_end()
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
        self._journal.note(Obeyed(command))
        reply = self._apply(command)
        log.info("%s by %s: %s", command.verb, command.by, reply.text)
        self._journal.audit(command, reply)
        self._finish(Turn([], outcome=Outcome(events=list(reply.events))))
        if self._adoptions:  # weights of before are in force: who asks next is to see it
            self._journal.flush()
            self._look_after()
        if not self._journal.repeats:
            self._saved_at = -math.inf  # what a person asked for is not lost with the rest
        return reply

    # --- a turn

    def _turn(self, messages: Sequence[Message | Chunk]) -> None:
        """One batch. Whatever goes wrong is logged and counted, the messages are acknowledged, the line goes on."""
        self.turned_at = self._monotonic()
        if not messages:
            self._pace.rest = 0.0
            self._release(self._due_by())
            return
        self._journal.note(Messages(messages))
        turn = Turn(messages)
        self._finish(self._pass(turn, decode=self._decode, detect=self._detect))
        self._session.acknowledge(messages)
        self._pace.took(turn.size, self._monotonic() - self.turned_at, awaited=turn.is_awaited)

    def _release(self, now: float) -> None:
        """Score what the decoder held back for more of it to come and that is due by a time."""
        if readings := self._held(now) if self._held is not None else []:
            self._journal.note(Held(now))
            self._finish(self._pass(_holding(readings), detect=self._detect))

    def _pass(self, turn: Turn, **stages: Callable[[Turn], object]) -> Turn:
        try:
            for name, work in stages.items():
                began = time.perf_counter()
                work(turn)
                turn.seconds[name] = time.perf_counter() - began
        except Exception as error:
            log.exception("a batch of %d messages could not be processed", turn.size)
            turn.rejections.append(Rejection(Reason.INTERNAL, f"{type(error).__name__}: {error}"))
        return turn

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

    def _finish(self, turn: Turn) -> None:
        """Commit a turn, and tell those who watch."""
        began = time.perf_counter()
        self._journal.tell(turn.outcome.events)
        self._commit()
        turn.seconds["commit"] = time.perf_counter() - began
        self._observe(lambda observer: observer.on_turn(turn))

    def _commit(self) -> None:
        if lost := self._fleet.take_lost():
            self._journal.note(Late(lost))
        self._journal.commit()
        adoptions = self._fleet.take_adoptions()
        self._journal.keep(adoptions)
        self._adoptions += adoptions

    def _observe(self, tell: Callable[[Observer], object]) -> None:
        for observer in self._observers:
            try:
                tell(observer)
            except Exception:
                log.exception("an observer of the line failed; the line goes on")

    # --- now and then

    def _upkeep(self) -> None:
        now = self._monotonic()
        if now - self._upkeep_at >= UPKEEP:
            self._upkeep_at = now
            self._listen()
            self._journal.flush()
            self._look_after()
        since = now - self._saved_at
        if since >= self._save_every or (self._journal.wants_save and since >= RETRY):
            self.save(wait=False)
        if self._saving is not None:
            self._saving.finish(wait=False)

    def _listen(self) -> None:
        """While the broker is away nobody is silent; afterwards silence is counted from what comes first."""
        if not self._session.connected:
            if self._since < math.inf:
                self._listen_from(math.inf)
            self._clock.restart()
        elif (now := self._clock.now) is not None:
            if self._since == math.inf:
                self._listen_from(now)
            events, changed = self._look(now)
            if changed:
                self._journal.note(Look(now))
                self._finish(Turn([], outcome=Outcome(events=events)))

    def _look(self, now: float) -> tuple[list[Event], bool]:
        """What is to be told of who is silent at a data time, and whether anything is another than before."""
        gone, silent = self._fleet.forgotten, self._fleet.silences(now)
        told, overdue = self._presences.told(silent), self._presences.overdue(now)
        return told + overdue, bool(silent or overdue or self._fleet.forgotten > gone)

    def _listen_from(self, since: float) -> None:
        self._journal.note(Listen(since), trivial=True)
        self._since = since
        self._fleet.listen_from(math.inf)  # nobody was heard yet
        if since < math.inf:
            self._fleet.listen_from(since)

    def _look_after(self) -> None:
        sensors, adoptions, self._adoptions = self._fleet.counts(), self._adoptions, []
        self._observe(lambda observer: observer.on_upkeep(sensors, adoptions))

    # --- the state

    def save(self, *, wait: bool = True) -> None:
        """Store what has changed; a failure is logged and tried again at the next time."""
        self._saved_at = self._monotonic()
        if self._saving is None:
            return
        self._commit()
        if self._journal.repeats:
            self._listen_from(self._since)  # who was heard is not saved
        self._saving.begin(self._memory, wait=wait)

    def _saved(self, seconds: float, error: Exception | None) -> None:
        if error is not None:
            log.error("the state could not be saved: %s", error)
        self._observe(lambda observer: observer.on_save(seconds, None if error is None else str(error)))

    def _save_at_the_end(self) -> None:
        """Where the journal has everything, saving must not make the end last long."""
        safe = self._journal.repeats and self._journal.durable
        if safe and self._saving is not None and self._saving.unsaved > QUICK:
            self._saving.abandon()
        else:
            self.save()

    def _memory(self) -> str:
        """What the line itself remembers, as JSON with infinities."""
        kept = {"position": self._journal.position, "since": self._since, "presences": self._presences.memory()}
        return json.dumps(kept)

    def replay(self, memory: str | None) -> int:
        """Take up what the line remembered when the state was saved, and do again what came after that.

        Returns how many messages that were. To be called once, before `run`, with the state restored.
        """
        kept, count = json.loads(memory) if memory else {}, 0
        self._presences.remember(kept.get("presences", []))
        self._listen_from(kept.get("since", math.inf))
        for entries in self._journal.replay(kept.get("position", 0)):
            self._lost += [lost for entry in entries if isinstance(entry, Late) for lost in entry.rounds]
            self._fleet.expect_lost(self._lost)
            for entry in entries:
                turn = self._repeat(entry)
                self._journal.tell(turn.outcome.events)
                count += turn.size
            self._commit()
        self._fleet.expect_lost(None)
        self._lost, self._adoptions = [], []
        self._clock.restart()
        self._journal.begin()
        return count

    def _repeat(self, entry: Entry) -> Turn:
        """Do again what an input of the journal did."""
        turn = Turn([])
        if isinstance(entry, Messages):
            turn = self._pass(Turn(entry.items), decode=self._decode, detect=self._detect)
            self._session.recall(entry.items)
        elif isinstance(entry, Held) and self._held is not None:
            turn = self._pass(_holding(self._held(entry.now)), detect=self._detect)
        elif isinstance(entry, Obeyed) and (apply := self._apply) is not None:
            self._pass(turn, obey=partial(self._obey_again, apply, entry.command))
        elif isinstance(entry, Look):
            turn.outcome.events += self._look(entry.now)[0]
        elif isinstance(entry, Listen):
            self._listen_from(entry.since)
        return turn

    def _obey_again(self, apply: Callable[[Command], Reply], command: Command, turn: Turn) -> None:
        reply = apply(command)
        self._journal.audit(command, reply)
        turn.outcome.events += reply.events


def _holding(readings: list[Reading]) -> Turn:
    """A turn of what the decoder held back."""
    count = len(readings)
    return Turn([], Decoded(readings, list(range(count)), [time.time()] * count))
