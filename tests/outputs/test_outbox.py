"""The outbox: what waits for a sink is bounded, in letters and in bytes, and given back to nobody twice."""

from __future__ import annotations

import pytest

from lstm_stream.outputs.outbox import Outbox
from tests.outputs.letters import alarm, render

LENGTH = len(render(alarm("s0"))[1])


def sensors(box: Outbox, sink: str) -> list[str]:
    return [letter.event.sensor for letter in box.pending(sink, 1000)]


@pytest.mark.parametrize("bounds", [{"limit": 3}, {"size": 4 * LENGTH - 1}])
def test_of_too_many_the_oldest_go_whatever_was_delivered_before(bounds: dict[str, int]) -> None:
    box = Outbox(["slow", "quick"], render, **bounds)
    for number in range(9):
        box.post(box.write([alarm(f"s{number}")]))
        if number in (2, 7):
            box.done("slow", box.pending("slow", 3)[1:2])  # not the first
        box.done("quick", box.pending("quick", 9))
    assert sensors(box, "slow") == ["s5", "s7", "s8"]
    assert sensors(box, "quick") == []
    assert box.dropped == 4  # s0, s2, s3, s4


def test_what_a_restart_finds_counts_too() -> None:
    former, box = Outbox(["mqtt"], render), Outbox(["mqtt"], render, size=3 * LENGTH)
    former.post(former.write([alarm(f"s{number}") for number in range(3)]))
    box.restore("mqtt", former.pending("mqtt", 9), 3)
    box.post(box.write([alarm("s3")]))
    assert sensors(box, "mqtt") == ["s1", "s2", "s3"]
