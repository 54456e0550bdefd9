"""The verb `demo`: options, signals, exit code. The run itself is in run.py."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from lstm_stream.demo.run import Options, Run
from lstm_stream.demo.screen import Lines, Screen
from lstm_stream.demo.summary import Summary
from lstm_stream.simulate import DAY
from lstm_stream.stopping import stop_on_signals

OK, FAILED_START, FAILED = 0, 3, 4
SPAN = 21 * DAY  # data time that a run covers by default ...
SLOWEST = SPAN / 60  # ... or more, in runs longer than a minute


def run_demo(args: argparse.Namespace) -> int:
    """Runs the demo of the command line; returns the exit code. ModuleNotFoundError where the extra is missing."""
    speed = args.speed or max(SLOWEST, SPAN / args.duration)
    options = Options(args.duration, args.sensors, speed, args.seed, args.broker)
    try:
        if args.json:
            Path(args.json).touch()  # better now than after the run
        screen = _screen(args.headless)
        run = Run(options, screen)
        try:
            run.open()
            with stop_on_signals(run.stop):
                run.watch()
                summary = run.finish()
        finally:
            screen.close()
            run.close()
        _tell(summary, screen, args.json)
    except BrokenPipeError:  # whoever read our lines has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        print("lstm-stream: stopped before there was anything to sum up", file=sys.stderr)
        return OK
    except OSError as error:
        print(f"lstm-stream: the demo cannot run: {error}", file=sys.stderr)
        return FAILED_START
    return FAILED if run.errors else OK


def _screen(headless: bool) -> Screen:
    """The live table in a terminal; plain lines where they are wanted, or where nobody could see it."""
    if headless or not sys.stdout.isatty():
        return Lines()
    from lstm_stream.demo.table import LiveTable

    return LiveTable()


def _tell(summary: Summary, screen: Screen, file: str | None) -> None:
    screen.note("\n".join(["", *summary.lines()]))
    if file:
        Path(file).write_text(json.dumps(summary.to_dict(), indent=2) + "\n", encoding="utf-8")
        screen.note(f"written to {file}")
