"""Commands over MQTT: what people ask of the daemon, and the answers.

    <topic>                            {"verb": "acknowledge", "group": "pumps", "sensor": "pump-7", "argument": "..."}
    <topic>/<verb>/<group>/<sensor>    the same, as far as the topic says it; the payload may then be empty

Rules:
1. The broker guards the topic: whoever may publish there is obeyed. `by` is what he says of himself, after `mqtt: `.
2. A retained message is no command: it would be obeyed again at every start. It is counted, not answered.
3. Each other message is answered on the reply topic, {"id", "ok", "text", ...}; what is not understood as well.
4. A command comes once: of those with an `id` of their own, one that came lately is not obeyed again.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, get_args

import orjson

from lstm_stream.config import Commands
from lstm_stream.ingest.aside import Aside
from lstm_stream.records import Command, Message, Reply, Verb

_log = logging.getLogger(__name__)

LONGEST = 8192  # bytes of a payload
TEXT = 1000  # characters of a field
WAITING = 100  # commands that are not answered yet
REMEMBERED = 1000  # ids

RESULTS = ("ok", "refused", "malformed", "retained", "repeated")

_VERBS: tuple[Verb, ...] = get_args(Verb)
_FIELDS = ("verb", "group", "sensor", "argument", "comment", "by", "id")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class Orders:
    """Hears commands, hands them to `submit` and publishes what becomes of them.

    `count` hears of each what it was, one of RESULTS.
    """

    def __init__(
        self,
        settings: Commands,
        submit: Callable[[Command], Future[Reply]],
        publish: Callable[[str, bytes], object],
        count: Callable[[str], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._count = count
        self._settings = settings
        self._submit = submit
        self._publish = publish
        self._wall = wall
        self._known: OrderedDict[str, None] = OrderedDict()
        self._waiting = 0

    def listen(self, aside: Aside) -> None:
        """Hear what comes, where the configuration wants it."""
        if self._settings.enabled:
            aside.listen(f"{self._settings.topic}/#", 1, self.hear)
            aside.ignore(self._settings.reply_topic)

    def hear(self, message: Message) -> None:
        """A message on the topic of commands. Never waits."""
        if message.retain:
            self._count("retained")
            _log.warning("a retained command on %s is not obeyed; publish commands without retain", message.topic)
            return
        fields: dict[str, str] = {}
        try:
            self._read(message, fields)
            command = self._command(fields)
        except ValueError as error:
            self._reply("malformed", fields, False, str(error))
            return
        if command.id in self._known:
            self._reply("repeated", fields, False, "a command with this id came before; it is not obeyed again")
        elif self._waiting >= WAITING:
            self._reply("refused", fields, False, "too many commands wait to be obeyed; ask again later")
        else:
            self._obey(command, fields)

    def _obey(self, command: Command, fields: dict[str, str]) -> None:
        self._known[command.id] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        self._waiting += 1
        future = self._submit(command)
        future.add_done_callback(lambda done: self._answered(done, fields))

    def _answered(self, future: Future[Reply], fields: dict[str, str]) -> None:
        """The line has obeyed, or refused; on its thread."""
        self._waiting -= 1
        try:
            reply = future.result(0)
        except CancelledError:
            reply = Reply(False, "the daemon is stopping")
        except Exception as error:
            _log.exception("a command failed")
            reply = Reply(False, f"failed: {type(error).__name__}")
        self._reply("ok" if reply.ok else "refused", fields, reply.ok, reply.text)

    def _reply(self, result: str, fields: dict[str, str], ok: bool, text: str) -> None:
        self._count(result)
        answer = {name: fields.get(name, "") for name in ("id", "verb", "group", "sensor")}
        try:
            self._publish(self._settings.reply_topic, orjson.dumps({**answer, "ok": ok, "text": text}))
        except (OSError, ValueError) as error:
            _log.warning("a command could not be answered: %s", error)

    # --- what a message says

    def _read(self, message: Message, fields: dict[str, str]) -> None:
        """Fill in the fields of a command. Raises ValueError for what is none."""
        payload = message.payload.strip()
        if len(payload) > LONGEST:
            raise ValueError(f"is longer than {LONGEST} bytes")
        given = _object(payload) if payload else {}
        for name, value in given.items():
            if name not in _FIELDS:
                raise ValueError(f"has the unknown key {name[:40]!r}; known are {', '.join(_FIELDS)}")
            fields[name] = _text(name, value)
        for name, value in zip(("verb", "group", "sensor"), self._levels(message.topic), strict=False):
            if fields.setdefault(name, value) != value:
                raise ValueError(f"says another {name} than its topic; keep one of the two")

    def _levels(self, topic: str) -> list[str]:
        """What a topic says: verb, group, sensor, of which the last may hold slashes."""
        rest = topic[len(self._settings.topic) :].lstrip("/")
        return [level for level in rest.split("/", 2) if level]

    def _command(self, fields: dict[str, str]) -> Command:
        """Raises ValueError where something is missing or wrong."""
        verb = next((known for known in _VERBS if known == fields.get("verb")), None)
        if verb is None:
            raise ValueError(f"names no verb that is known; write one of {', '.join(_VERBS)}")
        if not fields.get("group"):
            raise ValueError("names no group; write the group of the sensor, or of all its sensors")
        identity = fields.setdefault("id", secrets.token_hex(8))
        if not _ID.fullmatch(identity):
            raise ValueError("has an id that is none; write up to 64 letters, digits and . _ : -")
        by = "".join(c for c in fields.get("by", "") if c.isprintable())[:100]
        return Command(
            identity,
            verb,
            fields["group"],
            fields.get("sensor", ""),
            f"mqtt: {by}" if by else "mqtt",
            self._wall(),
            fields.get("argument", ""),
            fields.get("comment", ""),
        )


def _object(payload: bytes) -> dict[str, Any]:
    try:
        given = orjson.loads(payload)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise ValueError('is no JSON object; write such as {"verb": "pause", "group": "pumps"}')
    return given


def _text(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # a generation
    if not isinstance(value, str) or len(value) > TEXT:
        raise ValueError(f"has a {name} that is no text of up to {TEXT} characters")
    return value
