"""What the verbs' options share: how a verb is added, and what a value may look like. Loads nothing heavy."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

Verb = Callable[[argparse.Namespace], int]
Verbs = argparse._SubParsersAction  # argparse gives it no public name

Number = TypeVar("Number", int, float)


def add_verb(
    verbs: Verbs[argparse.ArgumentParser],
    verb: Verb,
    summary: str,
    description: str,
    examples: str,
    extra: str | None = None,
    name: str | None = None,
    parents: Sequence[argparse.ArgumentParser] = (),
) -> argparse.ArgumentParser:
    """The parser of a verb, called as the function is, or `name`; `extra` is what to install where a package misses."""
    parser = verbs.add_parser(
        name or verb.__name__,
        help=summary,
        description=description,
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=parents,
    )
    parser.set_defaults(verb=verb, extra=extra, error=parser.error)
    return parser


def number(kind: Callable[[str], Number], fits: Callable[[Number], bool], what: str) -> Callable[[str], Number]:
    """An argparse type: a number that fits; `what` says which does."""

    def parse(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"must be {what}, not {text}")
        return value

    return parse


def whole(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number of at least `least`."""
    return number(int, lambda value: value >= least, f"a whole number of {least} or more")


def duration(text: str) -> float:
    """An argparse type: seconds, from text as in the configuration."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?)\s*(ms|s|m|min|h|d|w|)\s*", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be a number with s, m, h, d or w, such as 2d, not {text}")
    return float(match[1]) * _UNITS[match[2]]


_UNITS = {"ms": 1e-3, "": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def web_side() -> argparse.ArgumentParser:
    """A parent for what asks a running daemon: where it is, and who asks."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config", metavar="C", help="configuration file (default: all defaults)")
    parser.add_argument("--url", metavar="URL", help="the daemon's web address, such as http://127.0.0.1:9108")
    parser.add_argument("--user", metavar="NAME", help="user of the web side (default: as ~/.netrc says)")
    parser.add_argument("--cacert", metavar="FILE", help="certificates to trust (default: those of the system)")
    parser.add_argument("--group", metavar="G", help="the sensor's group, where several have one of that name")
    return parser


def address(text: str) -> str:
    """An argparse type: HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"must be HOST:PORT, such as localhost:1883, not {text}")
    return text


def topic(text: str) -> str:
    """An argparse type: the topic of a message."""
    if not text or "+" in text or "#" in text:
        raise argparse.ArgumentTypeError("must be the topic of one message, without + and #")
    return text
