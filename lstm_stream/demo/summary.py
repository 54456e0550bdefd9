"""The end of the demo: what was injected, found and spent, for people and as JSON. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lstm_stream.demo import words
from lstm_stream.iso8601 import stamp
from lstm_stream.simulate.score import Outcome, Score

ENOUGH = 0.8  # share of the faults that the demo asks of the daemon
TOO_MANY = 2.0  # times the budget of false alarms that it allows


@dataclass(frozen=True, slots=True)
class Summary:
    """A finished run, or one that was interrupted."""

    score: Score
    weeks: float  # sensor-weeks watched
    budget: float  # false alarms per sensor and week
    sensors: int
    published: int
    messages: int  # that the daemon worked through
    seconds: float  # wall clock, from the first message to the last one worked through
    simulated: float  # data seconds
    rejected: dict[str, int]  # of what the daemon got, by reason
    cpu: dict[str, float]  # seconds by thread of the daemon
    needed: float  # data seconds that the warm-up takes

    @property
    def budgeted(self) -> float:
        """False alarms that the budget allows for the time watched."""
        return self.budget * self.weeks

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON writes it."""
        return {
            "faults_injected": self.score.injected,
            "faults_found": self.score.found,
            "false_alarms": len(self.score.false_alarms),
            "false_alarms_budgeted": round(self.budgeted, 1),
            "median_delay_seconds": self.score.median_delay,
            "sensors": self.sensors,
            "messages": self.messages,
            "messages_per_second": round(_per(self.messages, self.seconds), 1),
            "cpu_us_per_message": round(self._microseconds("network", "worker"), 1),
            "faults": [_fault(outcome) for outcome in self.score.outcomes],
        }

    def lines(self) -> Iterator[str]:
        """The summary as people read it."""
        speed = _per(self.simulated, self.seconds)
        span = words.duration(self.simulated)
        yield f"{self.sensors} sensors, {span} in {self.seconds:.0f} s ({speed:,.0f} times real time)"
        yield ""
        yield from self._numbers()
        if self.score.outcomes:
            yield ""
            yield from self._kinds()
        yield ""
        yield from self._verdicts()

    def _numbers(self) -> Iterator[str]:
        found, injected, false = self.score.found, self.score.injected, len(self.score.false_alarms)
        delay = self.score.median_delay
        after = "" if delay is None else f", half of them within {words.duration(delay)}"
        share = f" ({100 * found / injected:.0f} %{after})" if injected else ""
        yield f"faults injected  {injected:>9,}"
        yield f"faults found     {found:>9,}{share}"
        yield f"false alarms     {false:>9,} (budget {self.budgeted:.1f}: {self.weeks:.1f} sensor-weeks watched)"
        yield f"messages         {self.messages:>9,} ({_per(self.messages, self.seconds):,.0f}/s)"
        if self.rejected:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.rejected.items())
            yield f"not scored       {sum(self.rejected.values()):>9,} ({reasons})"
        yield (
            f"CPU per message  {self._microseconds('network', 'worker'):>9,.0f} us "
            f"(network {self._microseconds('network'):.0f}, scoring {self._microseconds('worker'):.0f}; "
            f"training besides: {self._microseconds('trainer'):.0f})"
        )

    def _kinds(self) -> Iterator[str]:
        yield f"{'fault':<18} {'injected':>8} {'found':>6}   half of them within"
        for kind in sorted({outcome.fault.kind for outcome in self.score.outcomes}):
            own = [outcome for outcome in self.score.outcomes if outcome.fault.kind == kind]
            delays = [outcome.delay for outcome in own if outcome.delay is not None]
            after = words.duration(statistics.median(delays)) if delays else "-"
            yield f"{kind.replace('_', ' '):<18} {len(own):>8} {len(delays):>6}   {after}"

    def _verdicts(self) -> Iterator[str]:
        """What to think of it, where it is not good enough first of all."""
        injected, found, false = self.score.injected, self.score.found, len(self.score.false_alarms)
        if not self.weeks:
            warmup = words.duration(self.needed)
            yield f"Too short: no sensor got through its warm-up of {warmup}."
            yield "Try a longer --duration or a higher --speed."
        elif not injected:
            yield "Too short: no fault had begun yet. Try a longer --duration."
        share = found / injected if injected else 1.0
        if share < ENOUGH:
            yield f"Not good enough: {100 * share:.0f} % of the faults were found; it should be {100 * ENOUGH:.0f} %."
        if false > TOO_MANY * self.budgeted and self.weeks:
            yield f"Not good enough: {false} false alarms, more than twice the budget of {self.budgeted:.1f}."
        if self.published > self.messages:
            yield f"Not good enough: {self.published - self.messages:,} messages were lost on the way."
        elif injected and share >= ENOUGH and false <= TOO_MANY * self.budgeted:
            yield "As it should be: 80 % of the faults found or more, false alarms within bounds."

    def _microseconds(self, *threads: str) -> float:
        return 1e6 * _per(sum(self.cpu.get(name, 0.0) for name in threads), self.messages)


def _per(amount: float, count: float) -> float:
    return amount / count if count else 0.0


def _fault(outcome: Outcome) -> dict[str, Any]:
    fault, alarm = outcome.fault, outcome.alarm
    return {
        "sensor": fault.sensor,
        "kind": fault.kind,
        "channels": list(fault.channels),
        "magnitude": round(fault.magnitude, 3),
        "start": stamp(fault.start),
        "end": stamp(fault.end),
        "outcome": "missed" if alarm is None else "found",
        "delay_seconds": outcome.delay,
        "alarm": alarm
        and {
            "opened": stamp(alarm.opened),
            "closed": None if alarm.closed is None else stamp(alarm.closed),
            "view": alarm.view,
            "reason": alarm.reason,
            "score": round(alarm.score, 3),
        },
    }
