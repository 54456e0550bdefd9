"""The verb `plot`: a sensor's recorded samples as a picture, from the running daemon or its state file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lstm_stream.config import Config
from lstm_stream.outputs.charts import track_of
from lstm_stream.replay import PICTURES, UnusableError, check_target
from lstm_stream.statefile.main import address
from lstm_stream.statefile.running import Running
from lstm_stream.statefile.stopped import LockedError, StateVerbError, Stopped


def run_plot(args: argparse.Namespace, config: Config) -> int:
    """Draw args.sensor since args.since into args.out; 1 where that cannot be, with the reason on stderr."""
    try:
        print(_plot(args, config))
        return 0
    except (StateVerbError, UnusableError) as error:
        told = str(error)
    except OSError as error:
        told = f"{error.filename or args.out}: {error.strerror or error}"
    print(f"lstm-stream: {told}", file=sys.stderr)
    return 1


def _plot(args: argparse.Namespace, config: Config) -> str:
    from lstm_stream.outputs import plot

    target = Path(args.out or f"{_file_name(args.sensor)}.png")
    if not target.name.lower().endswith(PICTURES):
        raise UnusableError(f"{target}: a picture ends in {', '.join(PICTURES)}")
    check_target(config.state.path or Path(), str(target))
    group, document = _series(args, config)
    try:
        track = track_of(group, args.sensor, document, args.since)
    except (KeyError, TypeError, ValueError) as error:
        raise StateVerbError(f"the daemon answers in another way than this version knows: {error!r}") from None
    if not len(track.time):
        raise UnusableError(f"nothing is recorded of {args.sensor!r}; web.recorded is the number of sensors recorded")
    plot.draw(target, f"{args.sensor} ({group})", [track], None)
    alarms = sum(event.state == "opened" for event in track.events)
    return f"{target}: {len(track.time)} points, {alarms} alarm{'s' * (alarms != 1)}"


def _series(args: argparse.Namespace, config: Config) -> tuple[str, dict[str, Any]]:
    """The sensor's group, and what is recorded of it."""
    if not args.url:
        try:
            with Stopped(config) as file:
                group = file.group_of(args.sensor, args.group or "")
                return group, file.series(args.sensor, group)
        except LockedError:
            pass
    daemon = Running(args.url or address(config), args.user, args.cacert)
    group = daemon.group_of(args.sensor, args.group or "")
    return group, daemon.series(args.sensor, group)


def _file_name(sensor: str) -> str:
    """The sensor's name without what no file name may have."""
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in sensor)[:100].lstrip(".") or "sensor"
