"""The verb `evaluate`: read the benchmark, run the detection on it, print the figures, write JSON and picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from lstm_stream.config import Group
from lstm_stream.evaluate import ablation, faults, learning, nab, skab, start, tables
from lstm_stream.evaluate.fleets import Fleets
from lstm_stream.evaluate.options import BUDGETS
from lstm_stream.evaluate.parallel import processes
from lstm_stream.replay import PICTURES, UnusableError, check_target, said_in_a_line
from lstm_stream.simulate import DAY, KINDS

SHORTEST = 1152  # samples of a simulated sensor: four days at the usual interval


class Done(NamedTuple):
    """What a benchmark came to: for people, for programs, and how to draw it."""

    text: str
    figures: dict[str, Any]
    draw: Callable[[Path], None]


@said_in_a_line
def run_evaluate(args: argparse.Namespace, group: Group) -> int:
    """Run args.benchmark with the settings of a group; the exit code is 1 where that cannot be."""
    benchmark = {
        "nab": _nab,
        "skab": _skab,
        "faults": _faults,
        "ablation": _ablation,
        "learning": _learning,
        "start": _start,
    }[args.benchmark]
    _check_targets(args)
    done = benchmark(args, group)
    if args.json:
        option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        Path(args.json).write_bytes(orjson.dumps(done.figures, option=option))
    if args.plot:
        done.draw(Path(args.plot))
    print(done.text)
    return 0


def _check_targets(args: argparse.Namespace) -> None:
    """Before the work: whether what it comes to can be written."""
    for target in (args.json, args.plot):
        check_target(Path(), target)
    if args.plot:
        if not args.plot.lower().endswith(PICTURES):
            raise UnusableError(f"{args.plot}: a picture ends in {', '.join(PICTURES)}")
        import_module("matplotlib")  # if it is missing that is said now


def _nab(args: argparse.Namespace, group: Group) -> Done:
    files, listed = nab.load(Path(args.dir))
    watched = nab.run(files, group, processes(args.jobs))
    report = nab.evaluate(files, watched, listed)
    if args.out:
        emitted = [nab.onset(one.score) if args.emit == "onset" else one.score for one in watched]
        nab.write(Path(args.out), files, emitted)

    def draw(path: Path) -> None:
        from lstm_stream.evaluate import strips

        strips.draw(path, tables.nab_title(report), strips.of_nab(report))

    return Done(tables.nab_text(report, args.verbose), nab.to_dict(report), draw)


def _skab(args: argparse.Namespace, group: Group) -> Done:
    runs = skab.load(Path(args.dir))
    report = skab.evaluate(runs, skab.run(runs, group, processes(args.jobs)))

    def draw(path: Path) -> None:
        from lstm_stream.evaluate import strips

        strips.draw(path, tables.skab_title(report), strips.of_skab(report))

    return Done(tables.skab_text(report, args.verbose), skab.to_dict(report), draw)


def _faults(args: argparse.Namespace, group: Group) -> Done:
    budgets = list(dict.fromkeys(args.budget or BUDGETS))
    for budget in budgets:
        try:
            faults.with_budget(group, budget)
        except ValueError as error:
            args.error(f"argument --budget: {budget!r} {error}")
    files = _files(args)
    report = faults.evaluate(_fleets(args), budgets, group, processes(args.jobs), files)

    def draw(path: Path) -> None:
        from lstm_stream.evaluate import maps

        maps.draw(path, report)

    return Done(tables.faults_text(report), faults.to_dict(report), draw)


def _ablation(args: argparse.Namespace, group: Group) -> Done:
    files = _files(args)
    runs = skab.load(Path(args.skab)) if args.skab else []
    data = ablation.Data(_fleets(args), files, runs)
    report = ablation.evaluate(data, group, processes(args.jobs))

    def draw(path: Path) -> None:
        from lstm_stream.evaluate import bars

        bars.draw(path, report)

    return Done(tables.ablation_text(report), ablation.to_dict(report), draw)


def _learning(args: argparse.Namespace, group: Group) -> Done:
    report = learning.evaluate(args.kind or list(KINDS), args.sensors, args.seed, group, processes(args.jobs))

    def draw(path: Path) -> None:
        from lstm_stream.evaluate import stories

        stories.draw(path, report)

    return Done(tables.learning_text(report), learning.to_dict(report), draw)


def _start(args: argparse.Namespace, group: Group) -> Done:
    files = _files(args)
    report = start.evaluate(_fleets(args), group, processes(args.jobs), files)

    def draw(path: Path) -> None:
        from lstm_stream.evaluate import bars

        bars.draw_start(path, report)

    return Done(tables.start_text(report), start.to_dict(report), draw)


def _files(args: argparse.Namespace) -> list[nab.File]:
    """The streams of NAB that are to be measured on as well."""
    return nab.load(Path(args.nab))[0] if args.nab else []


def _fleets(args: argparse.Namespace) -> Fleets:
    """What the options ask to simulate; wrong usage where that is too short for anything to happen."""
    samples = args.days * DAY / args.interval
    if samples < SHORTEST:
        least = f"{SHORTEST * args.interval / DAY:.3g}"
        args.error(f"argument --days: must be {least} or more at this interval, for {SHORTEST} samples")
    return Fleets(args.sensors, args.days, tuple(range(args.seed, args.seed + args.seeds)), args.interval)
