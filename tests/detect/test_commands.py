"""What persons ask of the line, and that it obeys: every verb, its undoing, restarts, and what is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from lstm_stream.config import Limits
from lstm_stream.detect.fleet import Fleet
from lstm_stream.records import Command, Event, Reading, Reply

START, PERIOD, DAY = 1_000_080_000.0, 300.0, 86400.0
FIRST, REPEAT, OTHER, END = 1500, 1797, 2111, 2220  # samples: about the same time of day, and another
WEEKLY = {"false_alarms": "1 per sensor per week", "warmup": 200, "accept_after": 3 * DAY, "enabled": False}

Pattern = Callable[[NDArray[np.float64], int, int], None]  # changes so many values from that one on


def spike(values, at, seed):  # noqa: ARG001
    values[at : at + 3] += 12


def level(values, at, seed):  # noqa: ARG001
    values[at : at + 60] += 6


def below(values, at, seed):  # noqa: ARG001
    values[at : at + 60] -= 6


def noise(values, at, seed):
    values[at : at + 60] += 3 * np.random.default_rng(seed).standard_normal(60)


def slope(values, at, seed):  # noqa: ARG001
    values[at : at + 150] += np.linspace(0, 8, 150)


def stuck(values, at, seed):  # noqa: ARG001
    values[at : at + 80] = values[at - 1]


def far(values, at, seed):  # noqa: ARG001
    values[at : at + 60] += 40


def silent(values, at, seed):  # noqa: ARG001
    values[at : at + 60] = np.nan


def sensor(*changes: tuple[Pattern, int], samples: int = END, name: str = "s") -> list[Reading]:
    """A day's wave with some noise, a sample every five minutes, with patterns at these samples; NaN: no sample."""
    time = START + PERIOD * np.arange(samples)
    values = 20 + 5 * np.sin(2 * np.pi * time / DAY) + 0.5 * np.random.default_rng(1).standard_normal(samples)
    for change, at in changes:
        change(values, at, at)
    return [
        Reading(name, "default", t, {"a": v}) for t, v in zip(time.tolist(), values.tolist(), strict=True) if v == v
    ]


def until(readings: list[Reading], sample: int) -> list[Reading]:
    """Those before the time of that sample."""
    return [one for one in readings if one.time < START + PERIOD * sample]


def after(readings: list[Reading], sample: int) -> list[Reading]:
    return readings[len(until(readings, sample)) :]


def until_alarm(fleet: Fleet, readings: list[Reading]) -> tuple[list[Event], list[Reading]]:
    """What comes of these readings until an alarm is open, and the readings that are left."""
    for k, one in enumerate(readings):
        events = fleet.process([one]).events
        if fleet.counts()["alarmed"]:
            return events, readings[k + 1 :]
    raise AssertionError("no alarm")


def ask(fleet: Fleet, verb: str, argument: str = "", sensor: str = "s", identity: str = "", **more) -> Reply:
    return fleet.apply(Command(identity or verb, verb, "default", sensor, "ann", 0.0, argument, **more))


def opened(events: list[Event], since: int = 0, before: int = END) -> list[str]:
    """The views of the alarms that opened in these samples."""
    times = [(event, (event.opened - START) / PERIOD) for event in events if event.state == "opened"]
    return [event.view for event, at in times if since <= at < before]


def silences(fleet: Fleet, readings: list[Reading]) -> list[Event]:
    """What comes of these readings where somebody looks after silences, as the daemon does."""
    events = []
    for one in readings:
        events += fleet.silences(one.time) + fleet.process([one]).events
    return events


# --- was normal


@pytest.mark.parametrize("when", ["open", "over"])
@pytest.mark.parametrize(
    ("pattern", "other"),
    [(spike, stuck), (level, below), (noise, far), (stuck, far), (slope, far)],
    ids=lambda pattern: pattern.__name__,
)
def test_what_was_normal_raises_no_alarm_again_but_another_fault_does(fleet_of, pattern, other, when) -> None:
    readings = sensor((pattern, FIRST), (pattern, REPEAT), (other, OTHER))
    told = {}
    for marked in (False, True):
        fleet = fleet_of(**WEEKLY)
        events = fleet.process(until(readings, FIRST)).events
        rest = after(readings, FIRST)
        if when == "open":
            begun, rest = until_alarm(fleet, rest)
            events += begun
        else:
            events += fleet.process(until(rest, FIRST + 270)).events
            rest = after(rest, FIRST + 270)
        (first,) = (event for event in events if event.state == "opened" and event.opened >= rest[0].time - 1e5)
        if marked:
            reply = ask(fleet, "normal", first.id)
            assert reply.ok, reply.text
            assert [(event.state, event.id) for event in reply.events] == (
                [("closed", first.id.replace("opened", "closed"))] if when == "open" else []
            )
            assert all(event.reason == "marked normal by ann" for event in reply.events)
        told[marked] = fleet.process(rest).events
    assert opened(told[False], REPEAT - 1, OTHER), "the pattern is none that raises an alarm"
    assert opened(told[True], REPEAT - 1, OTHER) == []
    if when == "open":
        assert opened(told[True], FIRST, FIRST + 160) == [], "it goes on, and is normal"
    assert opened(told[True], OTHER), "another fault was not noticed"


@pytest.mark.parametrize("when", ["open", "over"])
def test_a_silence_that_was_normal_is_not_told_again_but_a_longer_one_is(fleet_of, when) -> None:
    readings = sensor((silent, 300), (silent, 900), samples=1200)
    fleet = fleet_of(**WEEKLY)
    fleet.listen_from(START)
    events = silences(fleet, until(readings, 300))
    here = START + PERIOD * (360 if when == "open" else 400)
    events += fleet.silences(START + PERIOD * 350)
    (first,) = (event for event in events if event.view == "silence")
    if when == "over":
        silences(fleet, [one for one in after(readings, 300) if one.time < here])
    reply = ask(fleet, "normal", first.id)
    assert reply.ok, reply.text
    assert [event.state for event in reply.events] == (["closed"] if when == "open" else [])
    assert fleet.silences(START + PERIOD * 359) == []
    told = silences(fleet, [one for one in after(readings, 300) if one.time >= (here if when == "over" else 0)])
    assert [event for event in told if event.view == "silence"] == []
    longer = fleet.silences(readings[-1].time + PERIOD * 100)
    assert [event.view for event in longer] == ["silence"]


def test_a_lean_sensor_learns_what_was_normal_from_the_open_alarm(fleet_of) -> None:
    readings = sensor((spike, FIRST), (spike, REPEAT), samples=OTHER)
    told: list[list[str]] = []
    for marked in (False, True):
        fleet = fleet_of(**WEEKLY, profile="lean", weights="shared")
        fleet.process(until(readings, FIRST))
        _, rest = until_alarm(fleet, after(readings, FIRST))
        fleet.process(rest[:3])
        if marked:
            assert ask(fleet, "normal").ok
        told.append(opened(fleet.process(rest[3:]).events, REPEAT - 1))
    assert told[0]
    assert not told[1]


# --- accepted as the new normal


@pytest.mark.parametrize("how", ["asked", "by itself"])
def test_what_is_accepted_is_the_measure_from_then_on(fleet_of, how) -> None:
    """The step stays: it is told once, and the way back is told again."""

    def step(values, at, seed):  # noqa: ARG001
        values[at : at + 900] += 8

    readings = sensor((step, FIRST), samples=FIRST + 1000)
    fleet = fleet_of(**{**WEEKLY, "accept_after": (1e9 if how == "asked" else 250 * PERIOD)})
    events = fleet.process(until(readings, FIRST + 200)).events
    assert fleet.counts()["alarmed"] == 1
    rest = after(readings, FIRST + 200)
    if how == "asked":
        reply = ask(fleet, "accept")
        assert reply.ok
        assert [event.reason for event in reply.events] == ["accepted as the new normal by ann"]
        assert fleet.counts()["alarmed"] == 0
    events = fleet.process(rest).events
    accepted = [event for event in events if event.reason.startswith("accepted as the new normal after")]
    assert len(accepted) == (how == "by itself")
    assert opened(events, FIRST, FIRST + 900) == [], "it alarms again at once"
    assert opened(events, FIRST + 900 - 1, FIRST + 1000), "the way back was not noticed"


# --- acknowledged


def test_an_acknowledged_alarm_is_known_until_it_closes(fleet_of) -> None:
    readings = sensor((level, FIRST), (level, REPEAT))
    fleet = fleet_of(**WEEKLY)
    fleet.process(until(readings, FIRST))
    _, rest = until_alarm(fleet, after(readings, FIRST))
    alarm = fleet.inspect("default", "s")["alarm"]
    assert not alarm["acknowledged"]
    assert ask(fleet, "acknowledge", f"{alarm['id']}-opened").ok
    assert fleet.inspect("default", "s")["alarm"] == {**alarm, "acknowledged": True}
    assert fleet.overview().acknowledged.tolist() == [True]
    assert ask(fleet, "acknowledge", alarm["id"], identity="again").text.startswith("noted")
    assert not ask(fleet, "acknowledge", identity="none left").ok
    assert ask(fleet, "undo", "acknowledge").ok
    assert fleet.inspect("default", "s")["alarm"] == alarm
    ask(fleet, "acknowledge", identity="third")
    fleet.process(until(rest, REPEAT))
    until_alarm(fleet, after(rest, REPEAT))
    assert fleet.inspect("default", "s")["alarm"]["acknowledged"] is False, "that is another alarm"


# --- learning paused

LEARNED = "mean variance error deviation gram baseline covariance points lowest highest longest gap histogram fit "
LEARNED += "strictness drift_total drift_product weights generation"


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_nothing_is_learned_while_learning_is_paused(fleet_of, lively_sensor, weights) -> None:
    fleet = fleet_of(weights=weights, every=64, lag=8)
    readings = lively_sensor("s", 1)
    fleet.process(readings[:450])  # a round is under way
    assert ask(fleet, "pause", sensor="").ok
    (d,) = fleet.detectors.values()
    holders = [d.arrays, d.learner.common] if weights == "shared" else [d.arrays]
    names = [(a, spec.name) for a in holders for spec in a.specs if spec.name in LEARNED.split()]
    before = [getattr(a, name).copy() for a, name in names]
    fleet.take_adoptions()
    (batch,) = fleet.process(readings[450:590]).batches
    for (a, name), was in zip(names, before, strict=True):
        assert np.array_equal(getattr(a, name), was, equal_nan=True), name
    assert fleet.take_adoptions() == []
    assert np.isfinite(batch.verdicts.score).all()
    assert batch.verdicts.score.max() > 2, "scoring goes on"
    assert not fleet.overview().learning.any()
    assert not ask(fleet, "pause", sensor="", identity="twice").ok
    assert ask(fleet, "resume", sensor="").ok
    assert fleet.overview().learning.all()
    fleet.process([one._replace(time=one.time + 1e6) for one in lively_sensor("s", 2)[:300]])
    assert [one.result for one in fleet.take_adoptions()]
    assert not np.array_equal(d.arrays.mean, before[[name for _, name in names].index("mean")])


def test_pause_is_undone_for_those_it_paused(fleet_of, lively_sensor, ordered) -> None:
    fleet = fleet_of()
    fleet.process(ordered(lively_sensor("a", 1, samples=5), lively_sensor("b", 2, samples=5)))
    ask(fleet, "pause", sensor="a", identity="one")
    assert "1 sensor" in ask(fleet, "pause", sensor="", identity="all").text
    assert ask(fleet, "undo", "all").ok
    assert [fleet.inspect("default", name)["learning"] for name in "ab"] == [False, True]
    assert ask(fleet, "resume", sensor="a").ok
    assert ask(fleet, "undo", "resume", identity="undo resume").ok
    assert not fleet.inspect("default", "a")["learning"]


# --- rollback


@pytest.mark.parametrize("weights", ["own", "shared"])
def test_a_rollback_puts_weights_back_as_a_new_generation(fleet_of, lively_sensor, weights) -> None:
    fleet = fleet_of(weights=weights, every=64, lag=8)
    readings = lively_sensor("s", 1)
    fleet.process(readings[:450])  # a round is under way
    first, *_, last = [one for one in fleet.take_adoptions() if one.weights is not None]
    whom = "" if weights == "shared" else "s"
    assert (first.sensor, first.generation) == (whom, 1)
    reply = ask(fleet, "rollback", "1", sensor=whom, weights=first.weights.tobytes())
    assert reply.ok, reply.text
    (done,) = fleet.take_adoptions()
    assert (done.result, done.sensor, done.generation) == ("rollback", whom, last.generation + 1)
    (d,) = fleet.detectors.values()
    assert np.array_equal(d.learner.weights[0], first.weights)
    fleet.process(readings[450:462])
    assert fleet.take_adoptions() == [], "the round under way leads to nothing"
    assert fleet.inspect("default", "s")["generation"] == last.generation + 1
    assert ask(fleet, "undo", "rollback").ok
    assert np.array_equal(d.learner.weights[0], last.weights)
    assert fleet.take_adoptions()[0].generation == last.generation + 2
    fleet.process(readings[462:600])
    assert fleet.take_adoptions(), "it learns on"


def test_weights_that_do_not_fit_are_refused(fleet_of, lively_sensor) -> None:
    fleet = fleet_of()
    fleet.process(lively_sensor("s", 1, samples=100))
    (d,) = fleet.detectors.values()
    size = d.learner.weights.shape[1]
    for bad in (b"", b"123", np.zeros(size - 1, np.float32).tobytes()):
        assert "another model" in ask(fleet, "rollback", weights=bad).text
    assert "numbers that are none" in ask(fleet, "rollback", weights=np.full(size, np.nan, np.float32).tobytes()).text
    assert "weights of its own" in ask(fleet, "rollback", sensor="").text
    assert fleet.take_adoptions()[-1].result != "rollback"


# --- forget


def test_a_forgotten_sensor_begins_anew(fleet_of) -> None:
    fleet, readings = fleet_of(**WEEKLY), sensor((far, 400), samples=420)
    fleet.process(readings + [one._replace(sensor="other") for one in readings])
    list(fleet.pack())
    fleet.saved()
    reply = ask(fleet, "forget")
    assert reply.ok
    assert [(event.state, event.reason) for event in reply.events] == [("closed", "forgotten by ann")]
    assert fleet.inspect("default", "s") is None
    assert [(one.sensor, one.state) for one in fleet.pack()] == [("s", b"")]
    fleet.process([readings[0]])
    assert fleet.inspect("default", "s")["count"] == 1
    assert len(fleet) == 2
    assert not ask(fleet, "undo", "forget").ok


# --- undone


def test_normal_undone_is_an_alarm_again(fleet_of) -> None:
    readings = sensor((level, FIRST), (level, REPEAT))
    fleet = fleet_of(**WEEKLY)
    fleet.process(until(readings, FIRST + 100))
    ask(fleet, "normal", identity="one")
    ask(fleet, "normal", identity="two")
    assert "undo the later command 'two'" in ask(fleet, "undo", "one").text
    assert ask(fleet, "undo", "two", identity="u2").ok
    assert ask(fleet, "undo", "one", identity="u1").ok
    assert "undone already" in ask(fleet, "undo", "one", identity="u3").text
    assert opened(fleet.process(after(readings, FIRST + 100)).events, REPEAT - 1, OTHER)


def test_accept_undone_is_an_alarm_again(fleet_of) -> None:
    def step(values, at, seed):  # noqa: ARG001
        values[at:] += 8

    readings = sensor((step, FIRST), samples=FIRST + 500)
    fleet = fleet_of(**{**WEEKLY, "accept_after": 1e9})
    fleet.process(until(readings, FIRST + 200))
    (d,) = fleet.detectors.values()
    mean = float(d.arrays.mean[0, 0])
    ask(fleet, "accept")
    assert float(d.arrays.mean[0, 0]) == pytest.approx(mean + 8, abs=2)
    fleet.process([one for one in after(readings, FIRST + 200) if one.time < START + PERIOD * (FIRST + 230)])
    assert ask(fleet, "undo", "accept").ok
    assert float(d.arrays.mean[0, 0]) == pytest.approx(mean, abs=1)
    assert opened(fleet.process(after(readings, FIRST + 230)).events, FIRST + 229, FIRST + 500)


# --- replays and restarts


def conversation(fleet: Fleet, at: int, alarms: list[Event]) -> None:
    """What is asked before reading number `at` of the next test; most of it is refused or not by the state alone."""
    asked = {
        200: ("pause", "a", ""),
        260: ("resume", "a", ""),
        490: ("normal", "a", ""),
        500: ("accept", "", ""),
        545: ("normal", "b", ""),
        560: ("undo", "", "490"),
        700: ("pause", "", ""),
        760: ("undo", "", "700"),
        900: ("accept", "b", ""),
        1000: ("normal", "", ""),
        1060: ("undo", "", "900"),
        1100: ("forget", "b", ""),
    }
    if at in asked:
        verb, whom, argument = asked[at]
        reply = fleet.apply(Command(str(at), verb, "default", whom, "ann", 0.0, argument))
        alarms += reply.events
        alarms.append(reply.text)


@pytest.mark.parametrize("weights", ["own", "shared"])
@pytest.mark.parametrize("way", ["in other batches", "with restarts"])
def test_commands_are_obeyed_alike_in_any_batching_and_after_restarts(
    fleet_of, told, lively_sensor, ordered, weights, way
) -> None:
    readings = ordered(lively_sensor("a", 1), lively_sensor("b", 2))
    stops = sorted({*range(0, len(readings), 20), len(readings)})

    def tell(restarting: bool, cut: int):
        fleet, story, answers, stored = fleet_of(weights=weights), None, [], {}
        for start, stop in itertools.pairwise(stops):
            conversation(fleet, start, answers)
            story = told(fleet, readings[start:stop], range(0, stop - start, cut), story)
            if restarting and start % 60 == 0:
                stored |= {(one.group, one.sensor, one.channels): one for one in fleet.pack()}
                fleet = fleet_of(weights=weights)
                fleet.unpack_all([one for one in stored.values() if one.state])
        return story, answers

    (one, said), (two, again) = tell(False, 20), tell(way == "with restarts", 7)
    assert one.verdicts == two.verdicts
    assert one.events == two.events
    assert said == again
    assert sum(isinstance(text, str) and "cannot" not in text and " no " not in text for text in said) >= 5, said


# --- refused


@pytest.mark.parametrize(
    ("verb", "group", "whom", "argument", "why"),
    [
        ("accept", "nowhere", "s", "", "no group 'nowhere'; there are default"),
        ("accept", "default", "nobody", "", "group 'default' has no sensor 'nobody'"),
        ("accept", "default", "s", "", "nothing to accept"),
        ("normal", "default", "s", "0123456789abcdef-opened", "no alarm '0123456789abcdef' that is still known"),
        ("normal", "default", "s", "", "no alarm that could be marked normal"),
        ("acknowledge", "default", "s", "", "no open alarm"),
        ("resume", "default", "s", "", "going on already"),
        ("undo", "default", "s", "42", "'42' cannot be undone"),
        ("explode", "default", "s", "", "no command 'explode'; there are acknowledge, normal, accept"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_in_a_sentence(fleet_of, verb, group, whom, argument, why) -> None:
    fleet = fleet_of()
    fleet.process(sensor(samples=50))
    packed = list(fleet.pack())
    reply = fleet.apply(Command("1", verb, group, whom, "ann", 0.0, argument))
    assert (reply.ok, reply.events) == (False, ())
    assert why in reply.text
    assert list(fleet.pack()) == packed, "nothing happened"
    assert "has no sensors yet" in fleet_of(Limits()).apply(Command("1", "pause", "default", "", "ann", 0.0)).text


def test_the_memory_of_commands_is_bounded(fleet_of) -> None:
    fleet = fleet_of()
    fleet.process(sensor(samples=5))
    for k in range(300):
        assert ask(fleet, "resume" if k % 2 else "pause", identity=str(k)).ok
    kept = [one.channels[0] for one in fleet.pack() if not one.group and one.state]
    assert kept == [str(k) for k in range(100, 300)]
    assert not ask(fleet, "undo", "99", identity="u").ok
    assert math.isfinite(sum(len(one.state) for one in fleet.pack()))
