"""The command line: what each verb takes, and where it goes.

Rule: nothing heavy is imported here at module level, so that --help answers at once.
Exit codes: 0 fine, 1 something to correct, 2 wrong usage, 3 the start failed, 4 stopped by a defect.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_stream import __version__
from lstm_stream.evaluate import options as evaluation
from lstm_stream.options import Verb, Verbs, add_verb, address, number, topic, whole
from lstm_stream.pretrain import options as pretraining
from lstm_stream.stopping import stop_on_signals

if TYPE_CHECKING:
    from lstm_stream.config import Config

OK, INVALID, USAGE, FAILED_START, DEFECT = range(5)

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. Wrong usage raises SystemExit(2), as argparse has it."""
    parser = _parser()
    args = parser.parse_args(argv)
    if "verb" not in args:
        parser.print_help(sys.stderr)
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


# --- the verbs


def configured(verb: Callable[[argparse.Namespace, Config], int]) -> Verb:
    """Give a verb the configuration of args.config, all defaults where there is no file.

    If that is wrong, its problems go to stderr and the exit code is 1; the verb is not run.
    """

    @functools.wraps(verb)
    def read_first(args: argparse.Namespace) -> int:
        from lstm_stream.config import Config
        from lstm_stream.config.file import ConfigError, load

        try:
            config = load(args.config) if args.config else Config()
        except ConfigError as error:
            print(error, file=sys.stderr)
            return INVALID
        return verb(args, config)

    return read_first


def demo(args: argparse.Namespace) -> int:
    """Show it working."""
    from lstm_stream.demo.main import run_demo

    return run_demo(args)


@configured
def run(args: argparse.Namespace, config: Config) -> int:
    """The daemon, until a signal."""
    from lstm_stream import logs

    logs.setup(config.log.level, config.log.format)
    with ExitStack() as while_it_lives:
        try:
            from lstm_stream.app import build

            app = build(config, fresh=args.fresh)
            while_it_lives.enter_context(stop_on_signals(app.stop))
            app.open()
        except Exception as error:
            log.critical("could not start: %s", _reason(error), exc_info=log.isEnabledFor(logging.DEBUG))
            return FAILED_START
        try:
            app.run()
        except Exception:
            log.critical("stopped by a defect; please report this", exc_info=True)
            return DEFECT
        finally:
            app.close()
    return OK


def check(args: argparse.Namespace) -> int:
    """Say everything that is wrong with a configuration."""
    from lstm_stream.config.file import ConfigError, effective, load, schema

    if args.schema:
        print(json.dumps(schema(), indent=2))
        return OK
    if args.config is None:
        args.error("CONFIG is missing; give the path of a YAML file")
    try:
        config = load(args.config)
    except ConfigError as error:
        print(error)
        return INVALID
    print(effective(config).rstrip() if args.print else f"{args.config}: ok")
    return OK


@configured
def replay(args: argparse.Namespace, config: Config) -> int:
    """Score a file."""
    from lstm_stream.replay import run_replay

    return run_replay(args, config)


@configured
def explain(args: argparse.Namespace, config: Config) -> int:
    """Say what would become of a message."""
    from lstm_stream import explain as explaining

    explanation = explaining.explain(config, args.topic, _payload(args), time.time())
    print(explaining.to_json(explanation) if args.json else explaining.to_text(explanation))
    return OK if explanation.readings and not explanation.rejections else INVALID


@configured
def evaluate(args: argparse.Namespace, config: Config) -> int:
    """Measure the detection."""
    from lstm_stream.evaluate.main import run_evaluate

    return run_evaluate(args, config.groups[config.sources[0].usual_group])


@configured
def pretrain(args: argparse.Namespace, config: Config) -> int:
    """Make weights to start from."""
    from lstm_stream.pretrain.main import run_pretrain

    return run_pretrain(args, config)


def bench(args: argparse.Namespace) -> int:
    """Measure the engine on this machine."""
    from lstm_stream.bench import run_bench

    return run_bench(args)


# --- what they share


def _reason(error: Exception) -> str:
    """An error in one line, without its number."""
    text = error.strerror if isinstance(error, OSError) and error.strerror and not error.filename else str(error)
    return " ".join(text.split()) or type(error).__name__


def _missing(error: ModuleNotFoundError, args: argparse.Namespace) -> int:
    if args.extra is None or str(error.name).startswith("lstm_stream"):
        raise error
    hint = f"pip install 'lstm_stream[{args.extra}]'"
    print(f"lstm-stream: this needs the package {error.name}; install it with {hint}", file=sys.stderr)
    return FAILED_START


def _payload(args: argparse.Namespace) -> bytes:
    text: str = args.payload
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return os.fsencode(text)
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        args.error(f"argument --payload: cannot read {text[1:]}: {error.strerror}")
        raise


# --- the options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lstm-stream",
        description="Watches a fleet of sensors over MQTT and tells which one behaves unlike itself.\n"
        "It learns what is normal for each sensor as the data comes in; there is nothing to label or to train.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lstm-stream {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (_add_demo, _add_run, _add_check, _add_replay, _add_explain):
        add(verbs)
    evaluation.add(verbs, evaluate)
    pretraining.add(verbs, pretrain)
    _add_bench(verbs)
    return parser


_EPILOG = """\
start here:
  lstm-stream demo                             see it find faults, in a minute and without a broker
  lstm-stream check config.yaml                is the configuration right?
  lstm-stream run config.yaml                  watch your own sensors

exit codes: 0 fine, 1 something to correct, 2 wrong usage, 3 the start failed, 4 stopped by a defect
`lstm-stream COMMAND --help` tells more about a command."""


def _add_demo(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = add_verb(
        verbs,
        demo,
        "see it find faults in simulated sensors",
        "Starts a broker, a fleet of simulated sensors that publish over real MQTT, and the daemon, all in this\n"
        "process. Faults are injected; a live table shows which of them are found. Simulated time runs faster than\n"
        "the clock. Metrics and health are served over HTTP meanwhile. Ctrl-C ends it with the summary so far.",
        "  lstm-stream demo\n"
        "  lstm-stream demo --duration 120 --sensors 200\n"
        "  lstm-stream demo --headless --json summary.json      for scripts\n"
        "  lstm-stream demo --broker localhost:1883             over your own broker",
        extra="demo",
    )
    parser.add_argument(
        "--duration",
        metavar="S",
        type=number(float, lambda value: 0 < value < math.inf, "a number above 0"),
        default=60.0,
        help="seconds to run (default: 60)",
    )
    parser.add_argument(
        "--sensors",
        metavar="N",
        type=whole(1),
        default=24,
        help="simulated sensors (default: 24)",
    )
    parser.add_argument(
        "--speed",
        metavar="X",
        type=number(float, lambda value: 0 < value < math.inf, "a number above 0"),
        default=None,
        help="how much faster than the clock simulated time runs (default: three weeks a minute or more)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=whole(0),
        default=1,
        help="same seed, same sensors and faults (default: 1)",
    )
    parser.add_argument(
        "--broker", metavar="HOST:PORT", type=address, help="use this MQTT broker (default: one in this process)"
    )
    parser.add_argument("--headless", action="store_true", help="plain lines instead of the live table")
    parser.add_argument("--json", metavar="FILE", help="write the summary to FILE as JSON")


def _add_run(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = add_verb(
        verbs,
        run,
        "watch your own sensors: the daemon",
        "Subscribes to your broker, scores every message, publishes anomaly events and serves metrics and health.\n"
        "SIGTERM or Ctrl-C: takes no more messages, finishes those taken, saves what was learned, exits with 0;\n"
        "a second one exits at once. All that was learned is restored at the next start.",
        "  lstm-stream run config.yaml\n  lstm-stream run config.yaml --fresh                  forget what was learned",
    )
    parser.add_argument("config", metavar="CONFIG", help="configuration file (YAML)")
    parser.add_argument("--fresh", action="store_true", help="start anew; an existing state file is set aside")


def _add_check(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = add_verb(
        verbs,
        check,
        "say everything that is wrong with a configuration",
        "Reads a configuration and prints each mistake as file:line:column: option: what is wrong; what would be\n"
        "right. Exits with 1 if there is any. It connects to nothing.",
        "  lstm-stream check config.yaml\n"
        "  lstm-stream check config.yaml --print                with all defaults filled in\n"
        "  lstm-stream check --schema > config.schema.json      for editors; then begin config.yaml with\n"
        "      # yaml-language-server: $schema=config.schema.json",
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="configuration file (YAML)")
    parser.add_argument("--print", action="store_true", help="print the effective configuration")
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of configurations; needs no CONFIG"
    )


def _add_replay(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = add_verb(
        verbs,
        replay,
        "score a recording, without a broker",
        "Sends a CSV file down the same line as live messages and writes a row of scores for each of its rows.\n"
        "The file needs a column `timestamp`; all other columns of numbers are channels. A column `sensor` may say\n"
        "whose row it is. The same file and configuration give the same scores.",
        "  lstm-stream replay pump.csv --out scores.csv\n"
        "  lstm-stream replay pump.csv --plot pump.png\n"
        "  lstm-stream replay pump.csv --config config.yaml --format json",
        extra="plot",
    )
    parser.add_argument("file", metavar="FILE.csv", help="the recording")
    parser.add_argument("--config", metavar="C", help="configuration file (default: all defaults)")
    parser.add_argument("--out", metavar="scores.csv", help="write the scores to this file, a row for each row")
    parser.add_argument("--plot", metavar="out.png", help="draw signal, expected band, score and alarms")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the summary (default: text)")


def _add_explain(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = add_verb(
        verbs,
        explain,
        "say what would become of a message",
        "Shows how a message would be read: which source takes it, its sensor, channels and time, and what would\n"
        "be rejected and why. Exits with 1 if anything is rejected. It connects to nothing.",
        "  lstm-stream explain --topic sensors/pump-7 --payload '{\"temperature\": 21.5}'\n"
        "  lstm-stream explain --config config.yaml --topic plant/oslo/pump-7 --payload @message.json\n"
        "  mosquitto_sub -C 1 -N -t sensors/pump-7 | lstm-stream explain --topic sensors/pump-7 --payload -",
    )
    parser.add_argument("--config", metavar="C", help="configuration file (default: all defaults)")
    parser.add_argument("--topic", metavar="T", required=True, type=topic, help="the message's topic")
    parser.add_argument(
        "--payload", metavar="P", required=True, help="the payload; @FILE reads a file, - standard input"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_bench(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = add_verb(
        verbs,
        bench,
        "measure what this machine can do, in ten seconds",
        "Runs the LSTM with the default settings on one core: steps a second, sensors at a sample a second, rounds of\n"
        "retraining a second. The first time the kernels are compiled before.",
        "  lstm-stream bench\n  lstm-stream bench --json",
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=number(float, lambda value: 0 < value < math.inf, "a number above 0"),
        default=10.0,
        help="how long to measure (default: 10)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
