"""What the demo tells while it runs and at its end."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from lstm_stream.demo import words
from lstm_stream.demo.chronicle import Chronicle
from lstm_stream.demo.screen import Lines, Snapshot
from lstm_stream.demo.summary import Summary
from lstm_stream.demo.table import LiveTable
from lstm_stream.records import Decoded, Event, Message, Reading
from lstm_stream.service import Turn
from lstm_stream.simulate import KINDS, START, Fault
from lstm_stream.simulate.score import Alarm, Outcome, Score

HOUR = 3600.0


def fault(start: float, end: float, kind: str = "level_shift", sensor: str = "tank-003") -> Fault:
    return Fault(sensor, kind, START + start * HOUR, START + end * HOUR, ("level",), -5.25)


def event(opened: float, closed: float | None = None, sensor: str = "tank-003", reason: str = "level is low") -> Event:
    state = "opened" if closed is None else "closed"
    end = None if closed is None else START + closed * HOUR
    return Event(
        f"{opened}-{state}", sensor, "default", state, "level", reason, START + opened * HOUR, end, 4.0, 3.0, 1
    )


def turn(now: float, *events: Event) -> Turn:
    one = Turn(
        [Message("t", b"", 0.0)], Decoded([Reading("any", "default", START + now * HOUR, {"x": 1.0})], [0], [0.0])
    )
    one.outcome.events.extend(events)
    return one


def shown(screen: Lines, out: io.StringIO, chronicle: Chronicle, seconds: float = 0.0) -> list[str]:
    out.seek(0)
    out.truncate()
    screen.show(Snapshot(seconds, 60.0, START + 9 * HOUR, 30000.0, 1.0, 100, {"watching": 3}, chronicle.happenings()))
    return out.getvalue().splitlines()


def test_lines_tell_each_thing_once_as_it_happens() -> None:
    out = io.StringIO()
    screen, chronicle = Lines(out), Chronicle([fault(10, 12), fault(30, 31)], HOUR)
    assert shown(screen, out, chronicle) == []
    chronicle.inject(START + 10.5 * HOUR)
    assert shown(screen, out, chronicle) == ["Mon 01-05 10:00  tank-003       fault injected: level shift -5.2 level"]
    assert shown(screen, out, chronicle) == []
    chronicle.on_turn(turn(11, event(10.5)))
    assert shown(screen, out, chronicle) == [
        "Mon 01-05 10:30  tank-003       alarm opened: level after 30 min of level shift -5.2 level"
    ]
    chronicle.on_turn(turn(12, event(10.5, 11.5)))
    assert shown(screen, out, chronicle) == ["Mon 01-05 11:30  tank-003       alarm closed after 60 min"]
    chronicle.on_turn(turn(21, event(20), event(20, 22)))
    assert shown(screen, out, chronicle) == [
        "Mon 01-05 20:00  tank-003       false alarm opened: level",
        "Mon 01-05 22:00  tank-003       alarm closed after 2.0 h",
    ]
    chronicle.inject(START + 40 * HOUR)
    assert len(shown(screen, out, chronicle)) == 1
    chronicle.on_turn(turn(31.9))  # the daemon is not there yet
    assert shown(screen, out, chronicle) == []
    chronicle.on_turn(turn(32.1))
    assert shown(screen, out, chronicle) == ["Tue 01-06 07:00  tank-003       fault missed: level shift -5.2 level"]


def test_lines_say_now_and_then_how_it_goes() -> None:
    out = io.StringIO()
    screen, chronicle = Lines(out, every=5.0), Chronicle([], HOUR)
    assert shown(screen, out, chronicle, 4.9) == []
    assert shown(screen, out, chronicle, 5.0) == [
        "5 s of 60: Mon 01-05 09:00, 30,000 times real time, 20 messages/s; 3 watching"
    ]
    assert shown(screen, out, chronicle, 9.9) == []


def test_an_alarm_keeps_the_reason_for_which_it_opened() -> None:
    chronicle = Chronicle([], HOUR)
    chronicle.on_turn(turn(1, event(1)))
    chronicle.on_turn(turn(2, event(1, 2, reason="it is over")))
    assert chronicle.alarms() == [Alarm("tank-003", START + HOUR, START + 2 * HOUR, "level", "level is low", 4.0)]


def test_the_first_alarm_of_a_fault_stands_for_it() -> None:
    chronicle = Chronicle([fault(10, 20)], HOUR)
    chronicle.on_turn(turn(15, event(11), event(11, 12), event(13), event(13, 14)))
    (one,) = chronicle.happenings()
    assert one.alarm is not None
    assert (one.alarm.opened, one.alarm.closed) == (START + 11 * HOUR, START + 12 * HOUR)
    assert len(chronicle.alarms()) == 2


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 50), (60, 24)])
def test_the_table_fits_the_terminal(width: int, height: int) -> None:
    fleet = [f"{kind}-{number:03d}" for number in range(1, 60) for kind in KINDS]
    faults = [fault(k, k + 1, "correlation_break", fleet[k]) for k in range(0, 60, 2)]
    chronicle = Chronicle(faults, HOUR)
    chronicle.inject(START + 100 * HOUR)
    chronicle.on_turn(turn(100, *(event(k + 0.3, None, fleet[k]) for k in range(20))))
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    table = LiveTable(console)
    table.open(fleet, "http://127.0.0.1:9108")
    table.close()
    lines = console.render_lines(
        table.render(Snapshot(30.0, 60.0, START + 50 * HOUR, 30000.0, 0.5, 1000, {}, chronicle.happenings())), pad=False
    )
    text = ["".join(segment.text for segment in line).rstrip() for line in lines]
    assert len(text) < height
    assert max(map(len, text)) <= width
    assert "30 injected, 10 found, 20 missed; 10 false alarms" in text[1]
    assert any(line.startswith("the page: http://127.0.0.1:9108/") for line in text)
    assert sum(line.endswith(("found", "false", "missed")) for line in text) >= 4


def summary(outcomes: list[Outcome], false: int, weeks: float = 10.0, lost: int = 0) -> Summary:
    alarms = tuple(Alarm("a", START, None, "level", "because", 3.0) for _ in range(false))
    cpu = {"network": 0.5, "worker": 1.5, "trainer": 9.0}
    score = Score(tuple(outcomes), alarms)
    return Summary(score, weeks, 1.0, 24, 40_000 + lost, 40_000, 60.0, 21 * 24 * HOUR, {"duplicate": 2}, cpu, 33 * HOUR)


def found(delay: float) -> Outcome:
    return Outcome(fault(10, 20), Alarm("tank-003", START + (10 + delay) * HOUR, None, "level", "because", 3.0))


MISSED = Outcome(fault(30, 40), None)


def test_the_json_has_the_keys_that_were_promised_and_no_others() -> None:
    document = summary([found(1), found(2), MISSED], 4).to_dict()
    assert json.loads(json.dumps(document)) == document
    listed = document.pop("faults")
    assert document == {
        "faults_injected": 3,
        "faults_found": 2,
        "false_alarms": 4,
        "false_alarms_budgeted": 10.0,
        "median_delay_seconds": 1.5 * HOUR,
        "sensors": 24,
        "messages": 40_000,
        "messages_per_second": 666.7,
        "cpu_us_per_message": 50.0,
    }
    assert [(one["kind"], one["outcome"], one["delay_seconds"]) for one in listed] == [
        ("level_shift", "found", HOUR),
        ("level_shift", "found", 2 * HOUR),
        ("level_shift", "missed", None),
    ]
    assert listed[0]["start"] == "2026-01-05T10:00:00.000Z"
    assert listed[0]["alarm"]["opened"] == "2026-01-05T11:00:00.000Z"
    assert listed[2]["alarm"] is None


@pytest.mark.parametrize(
    ("one", "said", "unsaid"),
    [
        (summary([found(1)] * 8 + [MISSED] * 2, 20), ["As it should be"], ["Not good enough", "Too short"]),
        (summary([found(1)] * 7 + [MISSED] * 3, 2), ["Not good enough: 70 % of the faults"], ["As it should be"]),
        (summary([found(1)] * 10, 21), ["Not good enough: 21 false alarms"], ["As it should be"]),
        (summary([found(1)] * 10, 2, lost=1), ["Not good enough: 1 messages were lost"], ["As it should be"]),
        (summary([], 0, weeks=0.0), ["Too short: no sensor got through its warm-up of 33.0 h"], ["Not good", "As it"]),
        (summary([], 0), ["Too short: no fault had begun"], ["Not good enough", "As it should be"]),
        (summary([MISSED], 30), ["0 % of the faults", "30 false alarms"], ["As it should be"]),
    ],
)
def test_the_summary_says_honestly_what_is_not_good_enough(one: Summary, said: list[str], unsaid: list[str]) -> None:
    text = "\n".join(one.lines())
    assert all(phrase in text for phrase in said)
    assert "not scored               2 (duplicate 2)" in text
    assert not any(phrase in text for phrase in unsaid)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (89.0, "89 s"), (90.0, "2 min"), (5340.0, "89 min"), (9000.0, "2.5 h"), (1.8144e6, "21.0 d")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text
