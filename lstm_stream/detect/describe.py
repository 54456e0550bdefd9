"""Events in words a technician understands."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from lstm_stream.records import ChannelEvidence, View

NEVER = {
    View.SHAPE: "{name}: its last samples have a mean or an unrest together that it never showed",
    View.CLOCK: "{name} is {actual}, which it never was at this time of day",
    View.DRIFT: "{name}: its average of late is not where it has been, or does not go with the other channels any more",
    View.RANGE: "{name} is {actual}, outside everything it has shown",
}


def alarm_id(group: str, sensor: str, view: View, opened: float) -> str:
    """The same cause gives the same id, in every process: a repeat is recognisable."""
    cause = f"{group}\x00{sensor}\x00{view.name.lower()}\x00{opened:.6f}"
    return hashlib.sha256(cause.encode()).hexdigest()[:16]


def number(value: float | None) -> str:
    """A value as a person writes it."""
    return "nothing" if value is None or not math.isfinite(value) else f"{value:.4g}"


def duration(seconds: float) -> str:
    """`3 h 20 min` rather than 12000."""
    if round(seconds) < 60:
        return f"{seconds:.3g} s"
    if round(seconds) < 3600:
        return _in_two(round(seconds), 60, "min", "s")
    if round(seconds / 60) < 1440:
        return _in_two(round(seconds / 60), 60, "h", "min")
    return _in_two(round(seconds / 3600), 24, "d", "h")


def _in_two(count: int, size: int, unit: str, finer: str) -> str:
    whole, rest = divmod(count, size)
    return f"{whole} {unit} {rest} {finer}" if rest else f"{whole} {unit}"


def leading(channels: Mapping[str, ChannelEvidence]) -> list[str]:
    """The channels that carry the alarm: the largest contribution and those at least half as large, three at most."""
    ranked = sorted(channels, key=lambda name: -channels[name].contribution)
    most = channels[ranked[0]].contribution
    return [name for name in ranked[:3] if most == 0 or channels[name].contribution >= 0.5 * most]


def opened(
    view: View, channels: Mapping[str, ChannelEvidence], run: Mapping[str, int], usual: Mapping[str, str]
) -> str:
    """Why an alarm opened; `run` counts identical values in a row, `usual` compares smoothed with usual levels."""
    names = leading(channels)
    if view is View.STUCK:
        name = names[0]
        return (
            f"{name} has repeated {number(channels[name].actual)} for {run[name]} samples, far longer than ever before"
        )
    if view is View.BURST:
        return f"{' and '.join(names)}: unsteady, forecast after forecast misses by more than usual"
    if view is View.LEVEL:
        return ", ".join(f"{name} {usual[name]}" for name in names)
    if view in NEVER:
        return ", ".join(NEVER[view].format(name=name, actual=number(channels[name].actual)) for name in names)
    return ", ".join(
        f"{name} is {number(e.actual)} where {number(e.expected)} was expected ({number(e.lower)} to {number(e.upper)})"
        for name, e in ((name, channels[name]) for name in names)
    )


def closed(accepted: bool, lasted: float, peak: float, threshold: float) -> str:
    """Why an alarm closed."""
    if accepted:
        return f"accepted as the new normal after {duration(lasted)}"
    return f"back to normal after {duration(lasted)}; highest score {peak:.1f}, threshold {threshold:.1f}"


def silent(usual: float) -> str:
    """Why a silence opened."""
    return f"no samples, where one came every {duration(usual)}"


def forgotten(lasted: float) -> str:
    """Why what was open of a sensor closes when it is removed."""
    return f"forgotten: no samples for {duration(lasted)}"
