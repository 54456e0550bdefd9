"""What each verb does: it hands its arguments to the room that does the work, which is imported only then."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_stream.cli.codes import DEFECT, FAILED_START, INVALID, OK
from lstm_stream.machinecode import writable_cache
from lstm_stream.notify import Notifier
from lstm_stream.options import Verb
from lstm_stream.stopping import exit_on_signals, reload_on_signal, stop_on_signals

if TYPE_CHECKING:
    from lstm_stream.config import Config

log = logging.getLogger(__name__)


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


def run(args: argparse.Namespace) -> int:
    """The daemon, until a signal."""
    with exit_on_signals():
        return _run(args)


@configured
def _run(args: argparse.Namespace, config: Config) -> int:
    from lstm_stream import logs

    logs.setup(config.log.level, config.log.format)
    with ExitStack() as while_it_lives:
        try:
            while_it_lives.enter_context(writable_cache(os.environ))
            from lstm_stream.app import build, keep_for_ever, warm_kernels

            warm_kernels()
            systemd = Notifier()
            app = build(config, fresh=args.fresh, observers=(systemd,), file=Path(args.config), on_reload=systemd.ready)
            while_it_lives.enter_context(stop_on_signals(systemd.stopping, app.stop))
            while_it_lives.enter_context(reload_on_signal(systemd.reloading, app.reload))
            app.open()
            keep_for_ever()
            systemd.ready()
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


@configured
def state(args: argparse.Namespace, config: Config) -> int:
    """Look at what was learned, and change it."""
    from lstm_stream.statefile.main import run_state

    return run_state(args, config)


@configured
def plot(args: argparse.Namespace, config: Config) -> int:
    """Draw what was recorded of a sensor."""
    from lstm_stream.plotting import run_plot

    return run_plot(args, config)


def bench(args: argparse.Namespace) -> int:
    """Measure the engine on this machine."""
    from lstm_stream.bench import run_bench

    return run_bench(args)


# --- what they share


def _reason(error: Exception) -> str:
    """An error in one line, without its number."""
    text = error.strerror if isinstance(error, OSError) and error.strerror and not error.filename else str(error)
    return " ".join(text.split()) or type(error).__name__


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
