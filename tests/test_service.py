"""The loop: its order, what it does when something breaks, how it ends, and what time it takes it to be.

Inbox, session and decoder are fakes with a script; the fleet is real.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_stream.config import Group, Limits
from lstm_stream.detect.clock import DataClock
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.journal.journal import Journal
from lstm_stream.outputs.outbox import Outbox
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
from lstm_stream.service import Service, Turn

MINUTE, HOUR = 60.0, 3600.0
GROUP = Group.model_validate({"model": {"hidden": 2}, "retraining": {"enabled": False, "history": 128, "lag": 1}})


class Clock:
    """A monotonic clock that only goes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Decoder:
    """Payloads are `sensor time value` or `group/sensor time value`; `crash` raises, the rest is not understood."""

    def decode_all(self, items: Sequence[Message | Chunk]) -> Decoded:
        result = Decoded()
        messages = [m for item in items for m in (item.messages() if isinstance(item, Chunk) else [item])]
        for message in messages:
            readings, rejections = self.decode(message)
            result.readings += readings
            result.at += [len(result.at)] * len(readings)
            result.arrivals += [message.time] * len(readings)
            result.rejections += rejections
        return result

    def decode(self, message: Message) -> tuple[list[Reading], list[Rejection]]:
        if message.payload == b"crash":
            raise ZeroDivisionError("in the decoder")
        try:
            name, time, value = message.payload.decode().split()
            group, _, sensor = name.rpartition("/")
            return [Reading(sensor, group or "default", float(time), {"v": float(value)})], []
        except ValueError:
            return [], [Rejection(Reason.MALFORMED, "not three words", message.topic)]


@dataclass
class Line:
    """A service, the script of its inbox, and the diary of what it did."""

    clock: Clock = field(default_factory=Clock)
    script: list[list[Message] | Callable[[], None]] = field(default_factory=list)
    left: list[Message] = field(default_factory=list)  # still in the inbox when the loop is asked to stop
    diary: list[tuple[Any, ...]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    saved: list[set[str]] = field(default_factory=list)
    stored: list[Packed] = field(default_factory=list)
    failures: list[str | None] = field(default_factory=list)
    connected: bool = True
    save_error: Exception | None = None
    save_every: float = 1e9
    saves: bool = True
    path: Path | None = None  # of the state
    memory: str | None = None  # that was saved with it
    recalled: list[int] = field(default_factory=list)
    hold: Callable[[float], list[Reading]] | None = None
    apply: Callable[[Command], Reply] | None = None
    fleet: Fleet = field(default_factory=lambda: Fleet({"default": GROUP}, Limits(), Trainer()))

    def run(self, *script: list[Message] | Callable[[], None]) -> Line:
        """Each entry is a batch, or something that happens while the loop waits; then it is asked to stop."""
        self.script = list(script)
        self.journal = Journal(self.path, Outbox(["sink"], self.render))
        self.journal.open()
        self.service = Service(
            self,
            Decoder(),
            self.fleet,
            self,
            self.journal,
            self if self.saves else None,
            self.save_every,
            100,
            (self,),
            self.clock,
            self.hold,
            apply=self.apply,
        )
        self.count = self.service.replay(self.memory)
        self.service.run()
        self.journal.close()
        return self

    def die(self) -> None:
        """The system closes the files of a process that is killed."""
        assert self.journal.book is not None
        self.journal.book.close()
        self.journal.close()

    def latest(self) -> list[Packed]:
        """What a state file would hold."""
        return list({(one.group, one.sensor): one for one in self.stored}.values())

    def wait(self, seconds: float) -> Callable[[], None]:
        """A script entry: nothing comes for so long."""

        def pass_time() -> None:
            self.clock.now += seconds

        return pass_time

    # the inbox

    def take(self, limit: int, timeout: float) -> list[Message]:
        if timeout == 0:
            taken, self.left = self.left[:limit], self.left[limit:]
            return taken
        if not self.script:
            self.service.stop()
            return []
        step = self.script.pop(0)
        if callable(step):
            step()
            return []
        return step

    # the session

    def stop_intake(self) -> None:
        self.diary.append(("stop intake",))

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self.diary.append(("acknowledge", [m.mid for m in messages]))

    def recall(self, messages: Sequence[Message | Chunk]) -> None:
        self.recalled += [message.mid for chunk in messages for message in chunk.messages()]

    # the sinks

    def render(self, event: Event) -> tuple[str, bytes]:
        self.events.append(event)
        self.diary.append(("told", event.state))
        return event.sensor, event.id.encode()

    # the store

    def notes(self, line: str) -> dict[str, str]:
        return {"line": line}

    def interrupt(self) -> None:
        self.diary.append(("interrupt",))

    def save(self, packed: Iterable[Packed], notes: dict[str, str]) -> None:
        rows = list(packed)
        if self.save_error:
            raise self.save_error
        self.stored += rows
        self.memory = notes["line"]
        self.saved.append({row.sensor for row in rows})
        self.diary.append(("save",))

    # an observer

    def on_turn(self, turn: Turn) -> None:
        self.turns.append(turn)
        self.diary.append(("observe", len(turn.messages)))

    def on_upkeep(self, sensors: dict[str, int], rounds: Sequence[Adoption]) -> None:
        self.diary.append(("upkeep", sensors, len(rounds)))

    def on_save(self, seconds: float, error: str | None) -> None:
        assert seconds >= 0
        self.failures.append(error)


def message(payload: str, mid: int = 0) -> Message:
    return Message("t", payload.encode(), 0.0, qos=1, mid=mid)


def sample(sensor: str, time: float, mid: int = 0) -> Message:
    return message(f"{sensor} {time} {np.sin(time)}", mid)


def habit(sensor: str = "a", since: float = 0.0, samples: int = 60) -> list[Message]:
    """A minute's interval, often enough for a sensor's habits to be known."""
    return [sample(sensor, since + k * MINUTE) for k in range(samples)]


@pytest.fixture
def line() -> Line:
    return Line()


def states(events: Iterable[Event]) -> list[tuple[str, str, str]]:
    return [(event.sensor, event.view, event.state) for event in events]


# --- a turn


def test_events_leave_before_their_messages_are_acknowledged(line) -> None:
    line.run(habit(), [sample("a", 5 * HOUR, mid=7)])
    second = line.diary.index(("acknowledge", [7]))
    assert line.diary[second - 3 : second] == [("told", "opened"), ("told", "closed"), ("observe", 1)]
    assert states(line.events) == [("a", "silence", "opened"), ("a", "silence", "closed")]


def test_what_is_not_understood_is_counted_and_acknowledged(line) -> None:
    line.run([sample("a", 1.0, 1), message("garbage", 2), sample("a", 1.0, 3), sample("a", 2.0, 4)])
    (turn,) = line.turns
    assert turn.samples == 2
    assert list(turn.seconds) == ["decode", "detect", "commit"]
    assert [r.reason for r in turn.rejections] == [Reason.MALFORMED, Reason.DUPLICATE]
    assert ("acknowledge", [1, 2, 3, 4]) in line.diary


@pytest.mark.parametrize("stage", ["decode", "detect"])
def test_whatever_breaks_the_line_goes_on(line, stage) -> None:
    bad = {"decode": "crash", "detect": "nowhere/lost 1.0 0.0"}[stage]
    line.run([sample("a", 0.0, 1)], [message(bad, 2)], [sample("a", 2.0, 3)])
    assert [entry[1] for entry in line.diary if entry[0] == "acknowledge"] == [[1], [2], [3]]
    first, broken, last = line.turns
    assert [r.reason for r in broken.rejections] == [Reason.INTERNAL]
    assert (first.samples, last.samples, last.rejections) == (1, 1, [])


def test_an_event_that_cannot_be_told_does_not_stop_the_line_nor_the_others(line) -> None:
    render = line.render

    def choosy(event: Event) -> tuple[str, bytes]:
        if event.state == "opened":
            raise RuntimeError("a bug in the output")
        return render(event)

    line.render = choosy
    line.run(habit(), [sample("a", 5 * HOUR, mid=7)])
    assert states(line.events) == [("a", "silence", "closed")]
    assert ("acknowledge", [7]) in line.diary


def test_an_observer_that_fails_does_not_stop_the_line(line, monkeypatch) -> None:
    def fail(turn: Turn) -> None:
        raise KeyError(turn.size)

    monkeypatch.setattr(line, "on_turn", fail)
    line.run([sample("a", 1.0, 1)], [sample("a", 2.0, 2)])
    assert [entry[1] for entry in line.diary if entry[0] == "acknowledge"] == [[1], [2]]


# --- the end


def test_stop_finishes_what_was_taken_and_saves(line) -> None:
    line.left = [sample("b", float(k), 100 + k) for k in range(250)]
    line.run([sample("a", 1.0, 1)])
    names = [entry[0] for entry in line.diary]
    assert names.index("stop intake") < names.index("acknowledge", 3)
    acknowledged = [mid for entry in line.diary if entry[0] == "acknowledge" for mid in entry[1]]
    assert acknowledged == [1, *range(100, 350)]
    assert names[-1] == "save"
    assert line.saved == [{"a", "b"}]


def test_stop_may_come_before_run_and_twice(line) -> None:
    def stop_twice() -> None:
        line.service.stop()
        line.service.stop()

    line.run(stop_twice, [sample("a", 1.0)])
    assert line.script, "the loop went on after stop"


# --- saving


def test_a_failed_save_is_told_and_tried_again_with_the_same_sensors(line) -> None:
    line.save_every = 10.0
    line.save_error = OSError("no room on the disk")

    def mend() -> None:
        line.save_error = None

    line.run(
        [sample("a", 1.0)],
        line.wait(11.0),
        mend,
        [sample("b", 1.0)],
        line.wait(11.0),
        [sample("c", 1.0)],
    )
    assert line.failures == ["no room on the disk", None, None]
    assert line.saved == [{"a", "b"}, {"c"}]


def test_saves_come_at_their_time(line) -> None:
    line.save_every = 60.0
    line.run([sample("a", 1.0)], *[line.wait(5.0)] * 30)
    assert line.saved == [{"a"}, set(), set()]  # after 60 s, after 120 s, at the end


def test_without_a_state_nothing_is_saved(line) -> None:
    line.saves = False
    line.run([sample("a", 1.0)])
    assert line.failures == []


# --- silence


def test_a_silence_is_told_while_it_lasts_and_when_it_ends(line) -> None:
    line.run(habit(), line.wait(2.0), line.wait(HOUR), [sample("a", 2 * HOUR)])
    opened, closed = line.events
    assert (opened.state, opened.closed) == ("opened", None)
    assert (closed.state, closed.opened, closed.closed) == ("closed", opened.opened, 2 * HOUR)
    assert 59 * MINUTE < opened.opened < 59 * MINUTE + HOUR


def test_while_the_broker_is_away_nobody_is_silent(line) -> None:
    def lose() -> None:
        line.connected = False

    line.run(habit(), line.wait(2.0), lose, line.wait(2.0), *[line.wait(HOUR)] * 5)
    assert line.events == []


def away(line: Line) -> list[list[Message] | Callable[[], None]]:
    """Two sensors of known habits, then five hours without the broker."""

    def lose() -> None:
        line.connected = False

    def find() -> None:
        line.connected = True

    return [habit("a") + habit("b"), line.wait(2.0), lose, line.wait(5 * HOUR), find]


def test_the_first_samples_after_our_absence_end_no_silence(line) -> None:
    line.run(*away(line), [sample("a", 5 * HOUR), sample("b", 5 * HOUR)], line.wait(2.0))
    assert line.events == []


@pytest.mark.parametrize("looks", [[], [2 * HOUR]], ids=["its next sample tells", "a look tells"])
def test_a_sensor_that_stays_away_after_our_absence_is_silent_from_then_on(line, looks) -> None:
    """From when it could be heard again, and the same event whether somebody looked or not."""
    back, late = habit("a", 6 * HOUR, 3), [sample("b", 8 * HOUR)]
    line.run(*away(line), back, line.wait(2.0), *map(line.wait, looks), late)
    opened, closed = [event for event in line.events if event.sensor == "b"]  # a falls silent too, where one looks
    assert states([opened, closed]) == [("b", "silence", "opened"), ("b", "silence", "closed")]
    assert opened.opened == pytest.approx(6 * HOUR + 10 * MINUTE, abs=3 * MINUTE)
    assert (closed.opened, closed.closed) == (opened.opened, 8 * HOUR)


def test_after_a_restart_the_time_in_between_is_no_silence(line) -> None:
    line.run(habit())
    again = Line()
    for packed in line.stored:
        again.fleet.unpack(packed)
    again.run([sample("a", 10 * HOUR)], line.wait(2.0), [sample("a", 10 * HOUR + MINUTE)])
    assert len(again.fleet) == 1
    assert again.events == []


# --- what time it is


def observed(clock: Clock, arrivals: Iterable[tuple[float, float]]) -> DataClock:
    """A data clock that saw samples of these times at these instants of the monotonic clock."""
    data = DataClock(clock)
    for at, time in arrivals:
        clock.now = at
        data.observe([time])
    return data


def test_before_the_first_sample_there_is_no_time() -> None:
    data = DataClock(Clock())
    assert data.now is None
    data.observe([5.0])
    data.restart()
    assert data.now is None


def test_data_time_goes_on_while_nothing_arrives() -> None:
    clock = Clock()
    data = observed(clock, [(0.0, 1e9)])
    clock.now = 100.0
    assert data.now == pytest.approx(1e9 + 100)


@pytest.mark.parametrize("wrong", [0.0, 4e9])
def test_one_wrong_clock_among_several_does_not_move_it(wrong) -> None:
    arrivals = [(t, wrong if t % 5 == 0 else 1e9 + t) for t in map(float, range(500))]
    assert observed(Clock(), arrivals).now == pytest.approx(1e9 + 499, abs=1)


def test_a_single_slow_sensor_is_not_hours_behind() -> None:
    """One sample in five minutes, as it happens: data time is the time."""
    arrivals = [(300.0 * k, 1e9 + 300.0 * k) for k in range(100)]
    assert observed(Clock(), arrivals).now == pytest.approx(1e9 + 99 * 300, abs=60)


def test_recorded_time_that_runs_faster_is_followed() -> None:
    """A day in a minute: behind by what the last samples span, not more."""
    arrivals = [(k / 100, 1e9 + 14.4 * k) for k in range(6000)]
    assert observed(Clock(), arrivals).now == pytest.approx(1e9 + 14.4 * 6000, abs=14.4 * 64)


def test_a_sensor_that_sends_windows_with_a_wrong_clock_does_not_decide(line) -> None:
    """Its hundred samples in one message weigh as one."""
    others = [sample(f"s{k}", 1e6 + k) for k in range(10)]
    window = [sample("wrong", 1e9 + k) for k in range(100)]
    now: list[float | None] = []
    line.run(others, window, lambda: now.append(line.service._clock.now))
    assert now == [pytest.approx(1e6, abs=10)]


# --- killed


class KilledError(BaseException):
    """The end of the process, as far as a test can have it."""


def kill() -> None:
    raise KilledError


def packed(line: Line) -> dict[str, bytes]:
    return {one.sensor: one.state for one in (*line.latest(), *line.fleet.pack())}


def killed(path: Path, *script: list[Message] | Callable[[], None], former: Line | None = None) -> Line:
    """A line that takes up what a former one left, and is killed at the end of the script."""
    line = Line(path=path)
    if former is not None:
        line.memory, line.stored = former.memory, former.stored
        line.fleet.unpack_all(former.latest())
    with pytest.raises(KilledError):
        line.run(*script, kill)
    line.die()
    return line


def after(former: Line, *script: list[Message] | Callable[[], None]) -> Line:
    """A line that takes up what a former one left, and ends well."""
    line = Line(path=former.path, memory=former.memory, stored=former.stored)
    line.fleet.unpack_all(former.latest())
    return line.run(*script)


STREAM = [[sample(f"s{k % 3}", MINUTE * (k // 3), k + 1) for k in range(n, n + 7)] for n in range(0, 210, 7)]


@pytest.mark.parametrize("saving", [1e9, 10.0], ids=["never saved", "saved"])
@pytest.mark.parametrize("moment", [1, 12, 29])
def test_a_kill_at_any_moment_leaves_the_state_of_a_run_without(tmp_path, line, saving, moment) -> None:
    whole = line.run(*STREAM)
    first = Line(path=tmp_path / "state.db", save_every=saving)
    with pytest.raises(KilledError):
        first.run(*STREAM[: moment // 2], first.wait(11.0), *STREAM[moment // 2 : moment], kill)
    first.die()
    second = after(first, *STREAM[moment:])
    assert packed(second) == packed(whole)
    assert second.count == 7 * (moment - moment // 2 if saving == 10.0 else moment)
    assert len(set(second.recalled)) == second.count


def test_killed_again_and_again_every_event_is_told_once(tmp_path, line) -> None:
    stream = [[*habit(name), sample(name, 5 * HOUR)] for name in "abc"]
    whole = line.run(*stream)
    told: list[str] = []
    latest = None
    for batch in stream:
        latest = killed(tmp_path / "state.db", batch, former=latest)
        told += [event.id for event in latest.events]
    assert told == [event.id for event in whole.events]
    assert len(told) == 6


def test_silences_and_commands_are_repeated(tmp_path) -> None:
    def restless(line: Line) -> Line:
        line.apply = lambda command: Reply(True, "", tuple(line.fleet.silences(command.at)))
        return line

    first = restless(Line(path=tmp_path / "state.db"))
    command = Command("c1", "forget", "default", "a", "me", 3 * HOUR)

    def ask() -> None:
        first.service.command(command)

    with pytest.raises(KilledError):
        first.run(habit(), first.wait(2.0), ask, habit("b"), first.wait(2.0), first.wait(2 * HOUR), kill)
    first.die()
    assert states(first.events) == [("a", "silence", "opened"), ("b", "silence", "opened")]
    second = restless(Line(path=first.path))
    second.run()
    assert packed(second) == packed(first)
    assert second.events == []


def test_what_waits_to_be_joined_waits_over_a_restart(tmp_path) -> None:
    """Nothing that was held back is scored at the end: more of it may come after the restart."""
    held: list[float] = []

    def hold(now: float) -> list[Reading]:
        held.append(now)
        return []

    line = Line(path=tmp_path / "state.db", hold=hold)
    line.run([sample("a", 1.0)])
    assert np.inf not in held
    plain = Line(hold=hold)
    plain.run([sample("a", 1.0)])
    assert held[-1] == np.inf


def test_where_the_disk_fails_the_line_goes_on_and_a_save_makes_it_durable_again(tmp_path, monkeypatch) -> None:
    line = Line(path=tmp_path / "state.db", save_every=100.0)

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    def fill() -> None:
        monkeypatch.setattr(
            os, "fdatasync", lambda _file: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )

    def free() -> None:
        assert not line.journal.durable
        monkeypatch.undo()

    with pytest.raises(KilledError):
        line.run(
            [sample("a", 1.0, 1)], fill, [sample("a", 2.0, 2)], free, line.wait(101.0), [sample("a", 3.0, 3)], kill
        )
    assert line.journal.durable
    assert [entry[1] for entry in line.diary if entry[0] == "acknowledge"] == [[1], [2], [3]]
    line.die()
    assert packed(after(line)) == packed(line)
