"""Documents of the API as lines for a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from lstm_stream.ingest.shown import printable

Document = Mapping[str, Any]


def sensors(document: Document) -> str:
    """A list of sensors, a line each, and how many there are."""
    head = ("sensor", "group", "state", "score", "threshold", "last sample", "generation", "learning", "channels")
    rows = [
        (
            item["sensor"],
            item["group"],
            item["state"],
            _number(item["score"]),
            _number(item["threshold"]),
            _when(item["last"]),
            str(item["generation"]),
            str(item["learning"] or "-"),
            ", ".join(item["channels"]),
        )
        for item in document["items"]
    ]
    total, shown = document["total"], len(rows)
    count = f"{total} sensor{'s' * (total != 1)}" + (f", {shown} of them shown; see --limit" if shown < total else "")
    lines = [*table([head, *rows]), count] if rows else [count]
    return "\n".join(lines) + waiting(document)


def waiting(document: Document) -> str:
    """What came after the state of a stopped daemon was saved."""
    pending = document.get("pending")
    if not pending:
        return ""
    return f"\nas it was saved: {pending:,} messages that came afterwards are repeated at the next start"


def sensor(document: Document) -> str:
    """Everything known of one sensor."""
    lines = [(name, _shown(name, value)) for name, value in document.items() if not isinstance(value, (list, dict))]
    lines.append(("channels", ", ".join(document["channels"])))
    width = max(len(name) for name, _ in lines) + 2
    text = [f"{_words(name):<{width}}{value}" for name, value in lines]
    generations = document.get("generations") or []
    if generations:
        text += ["", "weights, the latest first"]
        text += table([_GENERATION, *map(_generation, generations)])
    return "\n".join(text)


_GENERATION = ("generation", "ended", "result", "loss before", "loss after", "seconds", "can be rolled back to")


def _generation(one: Document) -> tuple[str, ...]:
    kept = "in force" if one["current"] else "yes" if one["kept"] else "no"
    losses = _number(one["champion"]), _number(one["challenger"])
    return str(one["generation"]), _when(one["at"]), one["result"], *losses, _number(one["seconds"]), kept


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts in columns."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _shown(name: str, value: Any) -> str:
    if name in _TIMES:
        return _when(value)
    return _number(value) if isinstance(value, float) or value is None else printable(str(value))


_TIMES = ("last", "opened", "silent_since")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _when(seconds: float | None) -> str:
    """UTC, to the second, with how long ago that was."""
    if seconds is None:
        return "-"
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "-"
    return f"{moment:%Y-%m-%d %H:%M:%S}Z{_ago(time.time() - seconds)}"


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f" ({seconds / length:.0f} {unit} ago)"
    return ""
