"""The names of all series that the daemon can show, by its reference, and those that a query asks for."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "docs" / "metrics.md"
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


@cache
def families() -> frozenset[str]:
    """Every name that a query may use; a test keeps the reference equal to what a scrape shows."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", REFERENCE.read_text(), re.MULTILINE)
    return frozenset(name + suffix for name, kind in rows for suffix in ("", *SUFFIXES.get(kind, ())))


def names_in(query: str) -> set[str]:
    """The series that a query asks for."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}', "", query)
    return set(re.findall(r"\b(?:instance:)?(?:lstm_stream|process)_[\w:]+|\bup\b", bare))
