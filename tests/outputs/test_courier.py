"""Couriers: nothing is lost, nothing out of order, whatever the sink does."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstm_stream.config import Events, Grouping, Severity, Window
from lstm_stream.outputs.courier import FIRST_PAUSE, Courier, Policy
from lstm_stream.outputs.delivery import Delivery
from lstm_stream.outputs.grouping import Incidents
from lstm_stream.outputs.maintenance import Windows
from lstm_stream.outputs.outbox import Outbox
from lstm_stream.outputs.sinks import RefusalError
from lstm_stream.records import Event
from tests.outputs.letters import T0, Memory, alarm, render


class Bench:
    """A courier that is turned by hand, with clocks that are set by hand."""

    def __init__(self, sink: Memory | None = None, **policy: Any) -> None:
        self.sink = sink or Memory()
        self.outbox = Outbox([self.sink.name], render)
        self.counts: Counter[str] = Counter()
        self.now = 0.0
        self.courier = Courier(
            self.sink, self.outbox, Policy(**policy), self._count, lambda: T0 + self.now, lambda: self.now
        )

    def _count(self, result: str, number: int) -> None:
        self.counts[result] += number

    def post(self, *events: Event) -> None:
        self.outbox.post(self.outbox.write(events))

    def turn(self, at: float = 0.0) -> list[str]:
        """Turn once at a time; the sensors told of since the last turn."""
        self.now = at
        before = len(self.sink.got)
        self.courier.turn()
        return [letter.event.sensor for letter in self.sink.got[before:]]

    @property
    def waiting(self) -> int:
        return len(self.outbox.pending(self.sink.name, 1000))


def failing(*errors: Exception | None) -> Callable[[], None]:
    """Raises these, one a call; afterwards nothing."""
    left = list(errors)

    def fail() -> None:
        if left and (error := left.pop(0)) is not None:
            raise error

    return fail


def test_letters_are_delivered_in_order_and_leave_the_outbox() -> None:
    bench = Bench(Memory(most=7))
    names = [f"s{k:03}" for k in range(250)]
    bench.post(*map(alarm, names))
    told = [name for _ in range(3) for name in bench.turn()]
    assert told == names
    assert bench.waiting == 0
    assert bench.counts == {"ok": 250}


def test_a_failure_is_tried_again_after_a_pause_and_nothing_overtakes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(Memory(fail=failing(OSError("no route"), OSError("no route"))))
    bench.post(alarm("a"))
    assert bench.turn(0) == []
    bench.post(alarm("b"))
    assert bench.turn(0.4 * FIRST_PAUSE) == []  # too early
    assert bench.counts == {"failed": 1}
    assert bench.turn(1.1 * FIRST_PAUSE) == []
    assert bench.counts == {"failed": 2}
    assert bench.waiting == 2
    assert bench.turn(10 * FIRST_PAUSE) == ["a", "b"]
    assert (bench.waiting, bench.counts) == (0, {"failed": 2, "ok": 2})
    messages = [record.message for record in caplog.records]
    assert messages == [
        "memory fails, and is tried again until it works: no route",
        "memory works again, after 10 s and 2 failures",
    ]


def test_pauses_double_up_to_the_longest() -> None:
    bench = Bench(Memory(fail=failing(*[OSError("gone")] * 40)))
    bench.post(alarm())
    at, pauses = 0.0, []
    for _ in range(12):
        bench.turn(at)
        failed = bench.counts["failed"]
        began = at
        while bench.counts["failed"] == failed:
            at += 0.25
            bench.turn(at)
        pauses.append(at - began)
    assert pauses[0] <= FIRST_PAUSE + 0.25
    assert 4 <= pauses[3] <= 8.5
    assert all(30 <= pause <= 60.5 for pause in pauses[7:])


def test_what_is_refused_for_good_is_counted_said_and_out_of_the_way(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(Memory(most=1, fail=failing(None, RefusalError("answered 400"))))
    bench.post(alarm("a"), alarm("b"), alarm("c"))
    assert bench.turn() == ["a", "c"]
    assert (bench.waiting, bench.counts) == (0, {"ok": 2, "refused": 1})
    assert f"refused event {alarm('b').id} for good: answered 400" in caplog.text


def test_what_is_not_severe_enough_stays_behind() -> None:
    bench = Bench(least="warning")
    bench.post(alarm("mild"), alarm("bad", score=9.0), alarm("gone", view="silence", score=0.0, threshold=0.0))
    assert bench.turn() == ["bad", "gone"]
    assert (bench.waiting, bench.counts) == (0, {"ok": 2, "filtered": 1})


def test_in_maintenance_it_is_muted_and_what_lasts_is_told_afterwards() -> None:
    start, end = "2026-11-21 06:00", "2026-11-21 07:00"  # T0 is 06:47:46
    window = Window.model_validate({"name": "bearing change", "sensors": ["pump-*"], "start": start, "end": end})
    bench = Bench(windows=Windows([window]))
    bench.post(alarm("before", opened=T0 - 9000), alarm("pump-1"), alarm("pump-2"), alarm("fan-1"))
    assert bench.turn(0) == ["before", "fan-1"]
    bench.post(alarm("pump-1", closed=T0 + 60))
    assert bench.turn(60) == []
    assert (bench.waiting, bench.counts) == (1, {"ok": 2, "muted": 2})
    assert bench.turn(12 * 60) == []
    assert bench.turn(13 * 60) == ["pump-2"]
    bench.post(alarm("pump-2", closed=T0 + 900))
    assert bench.turn(14 * 60) == ["pump-2"]
    assert (bench.waiting, bench.counts) == (0, {"ok": 4, "muted": 2})


def grouped(**settings: Any) -> dict[str, Any]:
    incidents = Incidents(Grouping.model_validate(settings), Severity(), lambda _: "t", "0")
    return {"incidents": incidents}


def test_what_opens_together_is_one_message_and_waits_in_the_outbox_until_then() -> None:
    bench = Bench(**grouped(wait="30s"))
    bench.post(alarm("pump-7"), alarm("pump-8", opened=T0 + 12))
    assert bench.turn(0) == []
    bench.post(alarm("pump-9", opened=T0 + 4))
    assert bench.turn(29) == []
    assert bench.waiting == 3
    assert bench.turn(30) == ["group pumps"]
    assert (bench.waiting, bench.counts) == (0, {"ok": 3})
    reason = json.loads(bench.sink.got[0].payload)["reason"]
    assert reason.startswith("3 sensors of group pumps changed within 12 s, pump-7 first: bearing averages")


def test_a_failure_of_the_sink_repeats_an_incident_as_it_was() -> None:
    bench = Bench(Memory(fail=failing(OSError("no"))), **grouped(wait=0))
    bench.post(alarm("a"), alarm("b"))
    assert bench.turn(0) == []
    assert bench.turn(5) == ["group pumps"]
    assert bench.waiting == 0


def test_a_letter_that_meets_a_defect_again_and_again_does_not_hold_up_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(Memory(fail=failing(*[ZeroDivisionError("a bug")] * 3)))
    bench.post(alarm("a"), alarm("b"))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            bench.turn()
    assert bench.turn() == ["b"]
    assert (bench.waiting, bench.counts) == (0, {"refused": 1, "ok": 1})
    assert f"could not send event {alarm('a').id}, which is dropped" in caplog.text


def test_its_thread_delivers_what_is_posted_and_ends_at_once(wait_until: Any) -> None:
    sink = Memory()
    outbox = Outbox([sink.name], render)
    courier = Courier(sink, outbox, Policy(), lambda _result, _count: None)
    courier.open()
    outbox.post(outbox.write([alarm("a")]))
    wait_until(lambda: sink.got, "the delivery")
    outbox.post(outbox.write([alarm("b")]))
    courier.stop()
    courier.join(timeout=60)
    assert [letter.event.sensor for letter in sink.got] == ["a", "b"]
    assert sink.closed
    assert not [thread for thread in threading.enumerate() if thread.name == "sink-memory"]


def test_it_ends_while_its_sink_fails_and_leaves_the_letters(wait_until: Any) -> None:
    def fail() -> None:
        raise OSError("away")

    outbox, counts = Outbox(["memory"], render), Counter[str]()
    courier = Courier(Memory(fail=fail), outbox, Policy(), lambda result, number: counts.update({result: number}))
    courier.open()
    outbox.post(outbox.write([alarm()]))
    wait_until(lambda: counts["failed"], "a failure")
    courier.stop()
    courier.join(timeout=60)
    assert len(outbox.pending("memory", 10)) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "sink-memory"]


def test_an_error_of_its_own_does_not_end_it(wait_until: Any, caplog: pytest.LogCaptureFixture) -> None:
    sink = Memory(fail=failing(ZeroDivisionError("a bug")))
    outbox = Outbox([sink.name], render)
    courier = Courier(sink, outbox, Policy(), lambda _result, _count: None)
    courier.open()
    outbox.post(outbox.write([alarm("a")]))
    wait_until(lambda: sink.got, "the delivery")
    courier.stop()
    courier.join(timeout=60)
    assert "the courier of memory goes on after an error" in caplog.text


class Broker:
    """Confirms nothing, or all."""

    def __init__(self) -> None:
        self.there = True
        self.topics: list[str] = []

    def publish(self, topic: str, _payload: bytes) -> Broker:
        self.topics.append(topic)
        return self

    def wait_for_publish(self, timeout: float | None = None) -> None:
        if not self.there:
            time.sleep(timeout or 0.0)

    def is_published(self) -> bool:
        return self.there


def delivery(broker: Broker, counts: Counter[str], **events: Any) -> tuple[Delivery, Outbox]:
    """All sinks of a configuration, with their couriers at work."""
    made = Delivery(
        Events.model_validate(events),
        (),
        "0.1.0",
        broker.publish,
        lambda sink, result, number: counts.update({f"{sink} {result}": number}),
    )
    outbox = Outbox(made.names, made.render)
    made.open(outbox)
    return made, outbox


def test_topic_severity_and_maintenance_can_change_while_it_runs(wait_until: Any, tmp_path: Path) -> None:
    broker, counts = Broker(), Counter[str]()
    file = tmp_path / "events.jsonl"
    made, outbox = delivery(broker, counts, files=[{"path": str(file), "min_severity": "warning"}])
    assert made.names == ("mqtt", "log", "file")
    outbox.post(outbox.write([alarm("a")]))
    wait_until(lambda: counts["file filtered"] == counts["mqtt ok"] == 1, "the first")
    settings = {"topic": "new/{sensor}", "severity": {"warning": 0.0}, "files": [{"path": str(file)}]}
    window = Window.model_validate({"sensors": ["c"], "start": "00:00", "end": "00:00"})
    made.configure(Events.model_validate(settings), [window])
    outbox.post(outbox.write([alarm("b"), alarm("c"), alarm("c", closed=T0 + 5)]))
    wait_until(lambda: counts["mqtt ok"] == 2 and counts["file muted"] == 2, "the second")
    wait_until(lambda: counts["log ok"] == 4, "all of them in the log")
    made.close(timeout=60)
    assert broker.topics == ["lstm_stream/a/anomaly", "new/b"]
    assert [json.loads(line)["sensor"] for line in file.read_text().splitlines()] == ["b"]


def test_the_end_does_not_wait_for_a_broker_that_is_away(wait_until: Any) -> None:
    broker, counts = Broker(), Counter[str]()
    broker.there = False
    made, outbox = delivery(broker, counts)
    outbox.post(outbox.write([alarm(f"s{k}") for k in range(300)]))
    wait_until(lambda: counts["mqtt failed"], "the broker to be missed")
    began = time.monotonic()
    made.close(timeout=60)
    assert time.monotonic() - began < 30
    assert outbox.waiting() == {"mqtt": 300, "log": 0}
    assert len(broker.topics) == 100, "what was sent is not sent again"


def test_nor_for_a_webhook_that_does_not_answer(wait_until: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker, counts = Broker(), Counter[str]()
        hook = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}/", "timeout": 60}
        made, outbox = delivery(broker, counts, webhooks=[hook])
        outbox.post(outbox.write([alarm()]))
        wait_until(lambda: counts["mqtt ok"] and counts["log ok"], "the others")
        began = time.monotonic()
        made.close(timeout=60)
        assert time.monotonic() - began < 30
        assert outbox.waiting()["webhook"] == 1
