"""Names of what is a number and measures nothing: times, identifiers, sequence numbers, versions, types, uptimes.

By the name alone, so that whether something is a channel never changes with its value.
"""

from __future__ import annotations

import re

USUAL_TIME_FIELDS = (
    *("timestamp", "@timestamp", "_timestamp", "time_stamp", "ts", "time", "_time", "datetime", "date_time"),
    *("event_time", "eventtime", "sample_time", "sampletime"),
    *("unixtime", "unix_time", "epoch", "tst", "measured_at", "sampled_at", "recorded_at", "received_at"),
    *("last_seen", "date"),
)
"""Keys taken for the time, in this order and in any case."""

_ANY_CASE = (
    *USUAL_TIME_FIELDS,
    *(r"(.*_)?(id|uid|uuid|guid|eui|mac|imei|imsi|iccid)", r"crc(8|16|32)?", "checksum"),
    *(r"seq", r"seq_?(no|nr|num|number|id)", r".*sequence(_?(no|nr|num|number|counter))?", r"f_?cnt(_?(up|down))?"),
    *(r"(f_?|.*_)?port", r"_?(msg|message|packet)_?(id|no|nr|num|number|cnt|count|counter)"),
    *("ver", r"(.*_)?(version|type)", "firmware", r"(fw|hw|sw)_?(ver|version)?"),
    *(
        r".*time_?stamp",
        r".*_(ts|at)",
        r"(gw|rx|server|created|updated)_?ts",
        r".*unix_?time",
        r".*epoch",
        "bt",
        "bver",
    ),
    *(r"last_?(seen|active|update|updated|change|changed|reset|boot|contact|report|reported)", r"bytes[./:][0-9]+"),
    *(r".*up_?time(_?(s|sec|secs|seconds|ms))?",),
)
_CAMEL_CASE = (r".*[a-z0-9](Id|ID|Uid|UID|Uuid|UUID|Eui|EUI|Version|Type)", r".*[a-z](At|Ts)")
_LABEL = re.compile(
    rf"(?:.*[./:|])?(?:(?i:{'|'.join(map('(?:{})'.format, _ANY_CASE))})|{'|'.join(_CAMEL_CASE)})(?:[./:][vV]alue)?",
    re.DOTALL,
)


def is_label(name: str) -> bool:
    """Whether the last part of a channel's name says that it measures nothing: Body.id, f_cnt, rx.timestamp, uptime."""
    return _LABEL.fullmatch(name) is not None
