"""Commands over MQTT: understood, obeyed once, answered; nothing else is."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lstm_stream.config import Broker, Commands, Events, Source
from lstm_stream.ingest.aside import Aside
from lstm_stream.ingest.inbox import Inbox
from lstm_stream.ingest.mqtt import Session
from lstm_stream.ingest.orders import LONGEST, RESULTS, WAITING, Orders
from lstm_stream.records import Command, Message, Reply

TOPIC = "lstm_stream/command"


class Line:
    """Takes commands as the service does, and remembers what was answered."""

    def __init__(self, **settings: Any) -> None:
        self.commands: list[Command] = []
        self.futures: list[Future[Reply]] = []
        self.replies: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.reply: Reply | None = Reply(True, "paused")
        config = Commands.model_validate({"enabled": True, **settings})
        self.orders = Orders(config, self.submit, self.publish, lambda what: self.counts.update([what]), lambda: 5.0)

    def submit(self, command: Command) -> Future[Reply]:
        self.commands.append(command)
        future: Future[Reply] = Future()
        self.futures.append(future)
        if self.reply is not None:
            future.set_result(self.reply)
        return future

    def publish(self, topic: str, payload: bytes) -> None:
        assert topic == "lstm_stream/reply"
        self.replies.append(json.loads(payload))

    def hear(self, payload: object = None, topic: str = TOPIC, retain: bool = False) -> None:
        content = payload if isinstance(payload, bytes) else b"" if payload is None else json.dumps(payload).encode()
        self.orders.hear(Message(topic, content, 0.0, retain, 1))


def test_a_command_is_obeyed_and_answered() -> None:
    line = Line()
    asked = {"verb": "pause", "group": "pumps", "sensor": "hall/7", "comment": "repair", "by": "Ana", "id": "a-1"}
    line.hear(asked)
    assert line.commands == [Command("a-1", "pause", "pumps", "hall/7", "mqtt: Ana", 5.0, "", "repair")]
    assert line.replies == [
        {"id": "a-1", "verb": "pause", "group": "pumps", "sensor": "hall/7", "ok": True, "text": "paused"}
    ]
    assert line.counts == {"ok": 1}


def test_the_topic_may_say_it_as_well() -> None:
    line = Line()
    line.hear(None, f"{TOPIC}/resume/pumps/hall/7")
    line.hear({"argument": 3}, f"{TOPIC}/rollback/pumps")
    first, second = line.commands
    assert (first.verb, first.group, first.sensor, first.by) == ("resume", "pumps", "hall/7", "mqtt")
    assert (second.verb, second.group, second.sensor, second.argument) == ("rollback", "pumps", "", "3")
    assert first.id != second.id
    assert [reply["id"] for reply in line.replies] == [first.id, second.id]


@pytest.mark.parametrize(
    ("payload", "topic", "wrong"),
    [
        (b"pause", TOPIC, "no JSON object"),
        (["pause"], TOPIC, "no JSON object"),
        ({"verb": "explode", "group": "a"}, TOPIC, "write one of acknowledge, normal"),
        ({"group": "a"}, TOPIC, "names no verb"),
        ({"verb": "pause"}, TOPIC, "names no group"),
        ({"verb": "pause", "group": "a", "weights": "AAAA"}, TOPIC, "unknown key 'weights'"),
        ({"verb": "pause", "group": "a", "sensor": ["b"]}, TOPIC, "sensor that is no text"),
        ({"verb": "pause", "group": "a", "comment": "x" * 1001}, TOPIC, "up to 1000"),
        ({"verb": "pause", "group": "a"}, f"{TOPIC}/resume", "another verb than its topic"),
        ({"verb": "pause", "group": "a", "id": "x y"}, TOPIC, "id that is none"),
        (b" " + b"x" * (LONGEST + 1), TOPIC, "longer than"),
    ],
)
def test_what_is_not_understood_is_answered_with_what_would_be_right(payload: object, topic: str, wrong: str) -> None:
    line = Line()
    line.hear(payload, topic)
    assert line.commands == []
    assert line.counts == {"malformed": 1}
    assert not line.replies[0]["ok"]
    assert wrong in line.replies[0]["text"]


def test_a_retained_command_is_neither_obeyed_nor_answered() -> None:
    line = Line()
    line.hear({"verb": "forget", "group": "pumps"}, retain=True)
    assert (line.commands, line.replies, line.counts) == ([], [], {"retained": 1})


def test_a_command_that_comes_twice_is_obeyed_once() -> None:
    line = Line()
    line.hear({"verb": "pause", "group": "pumps", "id": "1"})
    line.hear({"verb": "pause", "group": "pumps", "id": "1"})
    assert len(line.commands) == 1
    assert line.counts == {"ok": 1, "repeated": 1}


def test_a_refusal_a_failure_and_the_end_of_the_line_are_answered() -> None:
    line = Line()
    line.reply = None
    for _ in range(3):
        line.hear({"verb": "pause", "group": "pumps"})
    line.futures[0].set_result(Reply(False, "no such group"))
    line.futures[1].set_exception(KeyError("secret"))
    line.futures[2].cancel()
    assert [reply["text"] for reply in line.replies] == ["no such group", "failed: KeyError", "the daemon is stopping"]
    assert line.counts == {"refused": 3}


def test_only_so_many_wait() -> None:
    line = Line()
    line.reply = None
    for _ in range(WAITING + 1):
        line.hear({"verb": "pause", "group": "pumps"})
    assert len(line.commands) == WAITING
    assert "too many" in line.replies[0]["text"]


@given(st.binary(max_size=200), st.text(max_size=50), st.booleans())
def test_whatever_comes_is_counted_once(payload: bytes, rest: str, retain: bool) -> None:
    line = Line()
    line.hear(payload, f"{TOPIC}/{rest}", retain)
    assert sum(line.counts.values()) == 1
    assert set(line.counts) <= set(RESULTS)


def test_answers_are_no_commands() -> None:
    with pytest.raises(ValidationError, match="is a topic of commands"):
        Commands(topic="a", reply_topic="a/reply")


def test_unless_configured_nobody_listens() -> None:
    aside = Aside()
    Line(enabled=False).orders.listen(aside)
    assert aside.filters == {}


@pytest.fixture
def ask(program: Callable[[str], str]) -> Callable[..., None]:
    """`ask(broker, topic, payload, *options)` with Debian's own client."""

    def run(broker: Any, topic: str, payload: str, *options: str) -> None:
        place = ["-h", broker.host, "-p", str(broker.port), "-t", topic, "-m", payload, "-q", "1"]
        subprocess.run([program("mosquitto_pub"), *place, *options], check=True, timeout=60)

    return run


@pytest.mark.parametrize("bulk", [True, False])
@pytest.mark.parametrize("sources", ["plant/{sensor}", "#"])
def test_commands_go_past_the_line_with_a_real_broker(
    mosquitto: Any, ask: Any, wait_until: Any, bulk: bool, sources: str
) -> None:
    ask(mosquitto, TOPIC, json.dumps({"verb": "forget", "group": "old"}), "-r")
    line, aside, inbox = Line(), Aside(), Inbox(100)
    line.orders.listen(aside)
    broker = Broker(host=mosquitto.host, port=mosquitto.port)
    session = Session(broker, [Source(topic=sources, sensor="any")], Events(), inbox, bulk=bulk, aside=aside)
    session.open()
    try:
        wait_until(lambda: session.subscribed, "the subscriptions")
        wait_until(lambda: line.counts["retained"], "the retained one to be left alone")
        ask(mosquitto, TOPIC, json.dumps({"verb": "pause", "group": "pumps"}))
        ask(mosquitto, f"{TOPIC}/resume/pumps/a", "")
        ask(mosquitto, "lstm_stream/reply", "{}")  # as we would
        ask(mosquitto, "plant/a", "1")
        wait_until(lambda: len(line.commands) == 2 and len(inbox), "commands and sample")
    finally:
        session.close(5)
    assert [command.verb for command in line.commands] == ["pause", "resume"]
    assert session.messages_received == 1
    assert line.counts == {"retained": 1, "ok": 2}
