"""Times as logs, events and `explain` write them."""

from __future__ import annotations

from datetime import datetime, timezone


def stamp(seconds: float) -> str:
    """Unix s as UTC with milliseconds. ValueError, OverflowError or OSError where the calendar has no such day."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
