"""Couriers: one thread a sink, which takes letters out of the outbox and does not rest until the sink has them.

    outbox --pending--> severe enough? --> in maintenance? --> one incident of many? --> sink --confirmed--> done

Rules:
1. A letter leaves the outbox when its sink has it, or when the configuration says that it need not; each is counted.
2. A failure is tried again, after a pause that doubles; what is refused for good is counted, logged and dropped.
3. In order: while the first waits to be tried again, so do those behind it.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from lstm_stream.config.outlets import Severity, SeverityName
from lstm_stream.outputs.grouping import Incidents
from lstm_stream.outputs.maintenance import Muting, Windows
from lstm_stream.outputs.outbox import Letter, Outbox
from lstm_stream.outputs.severity import is_at_least, severity_of
from lstm_stream.outputs.sinks import RefusalError, Sink
from lstm_stream.records import Event

_log = logging.getLogger(__name__)

BATCH = 100  # letters taken at once
FIRST_PAUSE = 1.0  # s
DEFECTS = 3  # in a row, after which a letter is given up
TICK = 0.5  # s between looks at what is kept back

OK, FAILED, REFUSED, MUTED, FILTERED = RESULTS = ("ok", "failed", "refused", "muted", "filtered")

Clock = Callable[[], float]  # s
Count = Callable[[str, int], None]  # a result of RESULTS, and how many events it befell


class Parcel(NamedTuple):
    """What is sent, and the letters that are then done."""

    letter: Letter
    covers: tuple[Letter, ...]


class Policy(NamedTuple):
    """What a sink wants of all events."""

    least: SeverityName = "info"
    rule: Severity = Severity()
    windows: Windows = Windows()
    incidents: Incidents | None = None  # None: each alarm by itself


class Courier:
    """Serves one sink. `open` starts its thread, `stop` and `join` end it."""

    def __init__(
        self,
        sink: Sink,
        outbox: Outbox,
        policy: Policy,
        count: Count,
        wall: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self._sink = sink
        self._outbox = outbox
        self._policy = policy
        self._count = count
        self._wall = wall
        self._monotonic = monotonic
        self._muting = Muting(policy.windows)
        self._parcels: deque[Parcel] = deque()
        self._seen = 0  # the latest letter taken
        self._failures = 0  # in a row
        self._defects = 0  # likewise
        self._since = 0.0  # monotonic time of the first of them
        self._retry_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to deliver what can be at once and to end. What is left stays in the outbox."""
        self._stopping.set()

    def join(self, timeout: float) -> None:
        """Wait for its end, `timeout` s at most."""
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.turn()
            except Exception:
                _log.exception("the courier of %s goes on after an error", self._sink.name)
                self._stopping.wait(FIRST_PAUSE)
            self._rest()
        self._finish()

    def _finish(self) -> None:
        """A last round: everything that is here, incidents before their time, unless the sink fails."""
        try:
            while self._take(math.inf) or self._parcels:
                if not self._deliver():
                    break
        except Exception:
            _log.exception("the courier of %s ended with an error", self._sink.name)
        self._sink.close()

    def turn(self) -> None:
        """Take letters, sort them, deliver what is due."""
        now = self._monotonic()
        if now < self._retry_at:
            return
        self._take(now)
        while self._parcels and self._deliver() and not self._stopping.is_set():
            pass

    def _rest(self) -> None:
        """Until there is something to do."""
        pause = self._retry_at - self._monotonic()
        if self._parcels and pause > 0:
            self._stopping.wait(pause)
        else:
            self._outbox.wait(self._sink.name, TICK, self._seen)

    def configure(self, rule: Severity) -> None:
        """Judge events by another rule from now on."""
        self._policy = self._policy._replace(rule=rule)
        if self._policy.incidents is not None:
            self._policy.incidents.rule = rule

    def recall(self, events: Iterable[Event]) -> None:
        """Events that the sink had before this process began, in order; before `open`."""
        if self._policy.incidents is not None:
            self._policy.incidents.recall(event for event in events if self._wants(event))

    def _wants(self, event: Event) -> bool:
        return is_at_least(severity_of(event, self._policy.rule), self._policy.least)

    def _take(self, now: float) -> bool:
        """Letters out of the outbox, as parcels, at monotonic time `now`. Whether there were any."""
        if len(self._parcels) >= BATCH:
            return False
        letters = self._outbox.pending(self._sink.name, BATCH, self._seen)
        if letters:
            self._seen = letters[-1].seq
        wanted: list[Letter] = []
        filtered: list[Letter] = []
        for letter in letters:
            (wanted if self._wants(letter.event) else filtered).append(letter)
        self._settle(filtered, FILTERED)
        sent, dropped = self._muting.sort(wanted, self._wall())
        self._settle(dropped, MUTED)
        incidents = self._policy.incidents
        if incidents is None:
            self._parcels += (Parcel(letter, (letter,)) for letter in sent)
        else:
            self._parcels += (Parcel(*made) for made in incidents.sort(sent, self._wall(), now))
        return bool(letters)

    def _deliver(self) -> bool:
        """Send a batch. Whether to go on."""
        batch = list(islice(self._parcels, BATCH))
        try:
            delivered = self._sink.send([parcel.letter for parcel in batch])
        except RefusalError as refusal:
            letters = self._parcels.popleft().covers
            _log.error("%s refused event %s for good: %s", self._sink.name, batch[0].letter.event.id, refusal)
            self._settle(letters, REFUSED)
            return True
        except OSError as error:
            self._failed(error)
            return False
        except Exception:  # a defect of ours: not for this letter to hold up all that follow
            self._defects += 1
            if self._defects < DEFECTS:
                raise
            self._defects = 0
            _log.exception("%s could not send event %s, which is dropped", self._sink.name, batch[0].letter.event.id)
            self._settle(self._parcels.popleft().covers, REFUSED)
            return True
        self._recovered()
        for _ in range(delivered):
            self._settle(self._parcels.popleft().covers, OK)
        return True

    def _settle(self, letters: Sequence[Letter], result: str) -> None:
        if letters:
            self._outbox.done(self._sink.name, letters)
            self._count(result, len(letters))

    def _failed(self, error: OSError) -> None:
        self._count(FAILED, 1)
        longest = min(FIRST_PAUSE * 2.0 ** min(self._failures, 20), self._sink.longest_pause)
        pause = longest * random.uniform(0.5, 1.0)
        self._retry_at = self._monotonic() + pause
        if not self._failures:
            self._since = self._monotonic()
            _log.warning("%s fails, and is tried again until it works: %s", self._sink.name, error)
        self._failures += 1

    def _recovered(self) -> None:
        if self._failures:
            lasted = self._monotonic() - self._since
            _log.info("%s works again, after %.0f s and %d failures", self._sink.name, lasted, self._failures)
            self._failures, self._retry_at = 0, 0.0
        self._defects = 0
