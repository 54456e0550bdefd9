"""From the arguments to an exit code."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence

from lstm_stream import __version__
from lstm_stream.cli import parsers
from lstm_stream.cli import verbs as do
from lstm_stream.cli.codes import FAILED_START, OK, USAGE
from lstm_stream.evaluate import options as evaluation
from lstm_stream.pretrain import options as pretraining
from lstm_stream.statefile import options as statefile


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. Wrong usage raises SystemExit(2), as argparse has it."""
    program = parser()
    args = program.parse_args(argv)
    if "verb" not in args:
        program.print_help(sys.stderr)
        return USAGE
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to fail
    try:
        code: int = args.verb(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except ModuleNotFoundError as error:
        return _missing(error, args)


def _missing(error: ModuleNotFoundError, args: argparse.Namespace) -> int:
    if args.extra is None or str(error.name).startswith("lstm_stream"):
        raise error
    hint = f"pip install 'lstm_stream[{args.extra}]'"
    print(f"lstm-stream: this needs the package {error.name}; install it with {hint}", file=sys.stderr)
    return FAILED_START


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    program = argparse.ArgumentParser(
        prog="lstm-stream",
        description="Watches a fleet of sensors over MQTT and tells which one behaves unlike itself.\n"
        "It learns what is normal for each sensor as the data comes in; there is nothing to label or to train.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    program.add_argument("--version", action="version", version=f"lstm-stream {__version__}")
    verbs = program.add_subparsers(title="commands", metavar="COMMAND")
    for add in (parsers.add_demo, parsers.add_run, parsers.add_check, parsers.add_replay, parsers.add_explain):
        add(verbs)
    evaluation.add(verbs, do.evaluate)
    pretraining.add(verbs, do.pretrain)
    statefile.add(verbs, do.state)
    parsers.add_plot(verbs)
    parsers.add_bench(verbs)
    return program


_EPILOG = """\
start here:
  lstm-stream demo                             see it find faults, in a minute and without a broker
  lstm-stream check config.yaml                is the configuration right?
  lstm-stream run config.yaml                  watch your own sensors

exit codes: 0 fine, 1 something to correct, 2 wrong usage, 3 the start failed, 4 stopped by a defect
`lstm-stream COMMAND --help` tells more about a command."""
