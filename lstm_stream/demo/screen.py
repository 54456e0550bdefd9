"""What one sees while the demo runs: a live table in a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from lstm_stream.demo import words
from lstm_stream.demo.chronicle import Happening


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the run stands."""

    seconds: float = 0.0  # since the start, wall clock
    duration: float = 0.0  # wall seconds it will take
    now: float = 0.0  # data time
    speed: float = 0.0  # simulated seconds per second, as achieved
    warmup: float = 0.0  # share of the warm-up that is done
    messages: int = 0
    sensors: dict[str, int] = field(default_factory=dict)  # by state
    happenings: Sequence[Happening] = ()

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds if self.seconds else 0.0


class Screen(Protocol):
    """Where the demo shows itself. What it shows is data; it knows nothing of the parts."""

    def note(self, text: str) -> None:
        """Something worth a line of its own."""
        ...

    def open(self, fleet: Sequence[str], url: str) -> None:
        """The run begins, with these sensors; the page is at `url`."""
        ...

    def show(self, snapshot: Snapshot) -> None:
        """How it stands now."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...


class Lines:
    """Plain lines: one for each thing that happens, and now and then one on how it goes."""

    def __init__(self, out: TextIO | None = None, every: float = 5.0) -> None:
        self._out = out or sys.stdout
        self._every = every
        self._told = 0.0
        self._said: set[tuple[str, float, str]] = set()

    def note(self, text: str) -> None:
        """A line."""
        print(text, file=self._out, flush=True)

    def open(self, fleet: Sequence[str], url: str) -> None:
        """Says what begins."""
        self.note(f"{len(fleet)} sensors; the page is on {url}/, metrics on {url}/metrics")

    def show(self, snapshot: Snapshot) -> None:
        """What is new since the last call."""
        for one in snapshot.happenings:
            self._tell(one)
        if snapshot.seconds - self._told >= self._every:
            self._told = snapshot.seconds
            self.note(status(snapshot))

    def close(self) -> None:
        """Nothing to put away."""

    def _tell(self, one: Happening) -> None:
        for time, what, text in words.story(one):
            if (one.sensor, one.began, what) not in self._said:
                self._said.add((one.sensor, one.began, what))
                self.note(f"{words.moment(time)}  {one.sensor:<14} {what}{text}")


def status(snapshot: Snapshot) -> str:
    """How it goes, in a line."""
    states = ", ".join(f"{count} {state}" for state, count in snapshot.sensors.items() if count)
    return (
        f"{snapshot.seconds:.0f} s of {snapshot.duration:.0f}: {words.moment(snapshot.now)}, "
        f"{snapshot.speed:,.0f} times real time, {snapshot.rate:,.0f} messages/s; {states or 'no sensor yet'}"
    )
