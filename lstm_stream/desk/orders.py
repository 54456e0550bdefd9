"""Commands: from what a person asks to what the line obeys, and the log of what became of them."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_stream.outputs.web import documents as d
from lstm_stream.outputs.web.queries import Order
from lstm_stream.records import Command, Reply

LOG = 1_000  # commands that are remembered

Weights = Callable[[str, str, int | None], tuple[NDArray[np.float32] | None, str]]
"""Of a group's sensor, the weights of a generation (None: the one before that in force), and why there are none."""


class Orders:
    """Written by the worker, read by anybody. `told` hears of every command that was carried out or refused."""

    def __init__(self) -> None:
        self.told: Callable[[d.CommandRecord], None] = lambda _: None
        self._log: deque[d.CommandRecord] = deque(maxlen=LOG)

    def note(self, command: Command, reply: Reply) -> None:
        """A command, and what became of it."""
        record = d.CommandRecord(
            command.id,
            command.at,
            command.by,
            command.verb,
            command.group,
            command.sensor,
            command.argument,
            command.comment,
            reply.ok,
            reply.text,
        )
        if all(known.id != record.id for known in self._log):  # a replay repeats them
            self._log.append(record)
            self.told(record)

    def listed(self) -> list[d.CommandRecord]:
        """The latest first."""
        return sorted(self._log.copy(), key=lambda record: -record.at)


def command_of(order: Order, by: str, now: float, weights: Weights) -> Command | str:
    """What the line obeys, with the weights that a rollback needs; or why that cannot be."""
    command = Command(
        secrets.token_hex(8), order.verb, order.group, order.sensor, by, now, order.argument, order.comment
    )
    return equipped(command, weights)


def equipped(command: Command, weights: Weights) -> Command | str:
    """A command with the weights that a rollback needs; or why that cannot be."""
    if command.verb != "rollback":
        return command
    if command.argument and not command.argument.isdecimal():
        return f"{command.argument[:40]!r} is no generation; write its number, or nothing for the one before"
    wanted = int(command.argument) if command.argument else None
    found, why = weights(command.group, command.sensor, wanted)
    return why if found is None else command._replace(weights=found.astype(np.float32).tobytes())


def former(generations: Iterable[Any], wanted: int | None) -> tuple[int | None, str]:
    """Which generation to go back to: `wanted`, or the one before the latest; and why to none.

    Of `generations` (oldest first) `generation`, `kept` and `result` are looked at.
    """
    kept = list(dict.fromkeys(one.generation for one in generations if one.kept))
    if wanted is None and len(kept) > 1:
        return kept[-2], ""
    if wanted is not None and wanted in kept:
        return wanted, ""
    listed = ", ".join(map(str, kept)) or "none"
    asked = "no former generation" if wanted is None else f"generation {wanted}"
    return None, f"the weights of {asked} are not kept; kept are {listed} (state.generations says how many)"
