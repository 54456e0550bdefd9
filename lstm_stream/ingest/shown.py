"""How foreign text appears in a detail: on one line, printable, and short."""

from __future__ import annotations

_LONGEST = 60  # characters


def printable(text: str) -> str:
    """Foreign text for a terminal: escaped where it is not printable."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def shown(value: object) -> str:
    """A value that came from outside, text in quotes, escaped and cut, so that it cannot harm a log."""
    text = value[: _LONGEST + 1] if isinstance(value, str) else str(value)[: _LONGEST + 1]
    kept = text[:_LONGEST]
    if not kept.isprintable():
        kept = ascii(kept)
    elif isinstance(value, str):
        kept = f"'{kept}'"
    return kept if len(text) <= _LONGEST else f"{kept}..."
