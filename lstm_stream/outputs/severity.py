"""How severe an alarm is, by a rule that a person can check with a pencil.

1. Its decades: score minus threshold, so how many times ten it is rarer than what spends the alarm budget. From
   `warning` decades on it is a warning, from `critical` on it is critical, below an info. A closing alarm is judged
   by its highest score.
2. Its breadth: where of three channels or more at least the share `broad` is outside its band, it is one step more
   severe: one bad sensor head is less than a machine that shakes all over.
3. Its view: never less than `at_least` says of it, whatever the score. A silence has none, and is a warning.
"""

from __future__ import annotations

import math
from typing import get_args

from lstm_stream.config.outlets import Severity, SeverityName
from lstm_stream.records import ChannelEvidence, Event

SEVERITIES: tuple[SeverityName, ...] = get_args(SeverityName)  # the worst last
_FEW = 3  # channels, below which a share of them says nothing
_RANK = {name: rank for rank, name in enumerate(SEVERITIES)}


def severity_of(event: Event, rule: Severity) -> SeverityName:
    """By the rule above."""
    decades = event.score - event.threshold if event.threshold > 0 else 0.0
    if not math.isfinite(decades):
        decades = 0.0
    rank = 2 if decades >= rule.critical else 1 if decades >= rule.warning else 0
    outside = [_is_outside(one) for one in event.channels.values()]
    if len(outside) >= _FEW and sum(outside) >= rule.broad * len(outside):
        rank = min(rank + 1, 2)
    usual: SeverityName = "warning" if event.view == "silence" else "info"
    least: SeverityName = {str(view): name for view, name in rule.at_least.items()}.get(event.view, usual)
    return SEVERITIES[max(rank, _RANK[least])]


def is_at_least(severity: SeverityName, least: SeverityName) -> bool:
    """Whether the first is as severe as the second, or more."""
    return _RANK[severity] >= _RANK[least]


def worst(severities: list[SeverityName]) -> SeverityName:
    """The most severe of some, or info."""
    return max(severities, key=_RANK.__getitem__, default="info")


def _is_outside(channel: ChannelEvidence) -> bool:
    value, lower, upper = channel.actual, channel.lower, channel.upper
    return value is not None and lower is not None and upper is not None and not lower <= value <= upper
