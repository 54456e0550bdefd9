"""The options of `evaluate`. Loads nothing heavy."""

from __future__ import annotations

import argparse
import math

from lstm_stream.options import Verb, Verbs, add_verb, number, whole

BUDGETS = ("1 per sensor per day", "2 per sensor per week", "1 per sensor per week", "1 per sensor per month")
KINDS = ("climate", "machine", "tank", "events", "battery", "vibration")  # of simulated sensors


def add(verbs: Verbs[argparse.ArgumentParser], verb: Verb) -> None:
    """Add the verb with its benchmarks; `args.benchmark` says which."""
    parser = add_verb(
        verbs,
        verb,
        "measure the detection on public benchmarks and on simulated faults",
        "Runs the detection of the daemon, with its default settings, on data whose anomalies are known, and scores\n"
        "it by the rules of the benchmark. Nothing is tuned to a file, and no later row is ever seen.",
        "  lstm-stream evaluate nab NAB/ --plot nab.png         the Numenta Anomaly Benchmark\n"
        "  lstm-stream evaluate skab SKAB/data/                 the Skoltech Anomaly Benchmark\n"
        "  lstm-stream evaluate faults                          this project's own simulated faults\n"
        "  lstm-stream evaluate ablation                        what each part of the detector is worth\n"
        "  lstm-stream evaluate learning                        does it ever learn a fault as normal?\n"
        "  lstm-stream evaluate start                           what the weights that come with it are worth",
    )
    benchmarks = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", dest="benchmark", required=True)
    _add_nab(benchmarks, verb)
    _add_skab(benchmarks, verb)
    _add_faults(benchmarks, verb)
    _add_ablation(benchmarks, verb)
    _add_learning(benchmarks, verb)
    _add_start(benchmarks, verb)


def _add_nab(benchmarks: Verbs[argparse.ArgumentParser], verb: Verb) -> None:
    parser = add_verb(
        benchmarks,
        verb,
        "the Numenta Anomaly Benchmark: 58 univariate streams",
        "Scores the streams of a checkout, or of a part of it, as the benchmark does: with the best threshold for all\n"
        "files, with the best one for all other files, and where the product opens an alarm at its own threshold.",
        "  lstm-stream evaluate nab NAB/\n  lstm-stream evaluate nab NAB/ --out results/lstm_stream/ --verbose",
        extra="plot",
        name="nab",
    )
    parser.add_argument("dir", metavar="DIR", help="the checkout: data/ and labels/combined_windows.json")
    parser.add_argument("--out", metavar="RESULTS", help="write a result file for each stream, in the benchmark's form")
    parser.add_argument(
        "--emit",
        choices=("onset", "score"),
        default="onset",
        help="what --out writes: 0 but where an episode begins, or the score of every row (default: onset)",
    )
    _add_common(parser)
    parser.add_argument("--verbose", action="store_true", help="a line for each file, too")


def _add_skab(benchmarks: Verbs[argparse.ArgumentParser], verb: Verb) -> None:
    parser = add_verb(
        benchmarks,
        verb,
        "the Skoltech Anomaly Benchmark: a pump with eight channels",
        "Each run's first 400 rows are its warm-up, for learning; F1, false alarm rate and missed alarm rate are of\n"
        "the rows after them, of all runs together: with an alarm open, and with the best threshold of the score.",
        "  lstm-stream evaluate skab SKAB/data/\n  lstm-stream evaluate skab SKAB/data/valve1/ --plot valve1.png",
        extra="plot",
        name="skab",
    )
    parser.add_argument("dir", metavar="DIR", help="a folder of CSV files with a column `anomaly`, or of such folders")
    _add_common(parser)
    parser.add_argument("--verbose", action="store_true", help="a line for each run, too")


def _add_faults(benchmarks: Verbs[argparse.ArgumentParser], verb: Verb) -> None:
    parser = add_verb(
        benchmarks,
        verb,
        "simulated sensors of six kinds with eight kinds of faults",
        "Injects faults into simulated sensors and says how many are found, how late, and how many alarms were false;\n"
        "then measures on sensors without faults whether the false alarms keep to the budget that was asked for.",
        "  lstm-stream evaluate faults\n"
        "  lstm-stream evaluate faults --sensors 96 --days 42 --seeds 4 --plot faults.png\n"
        "  lstm-stream evaluate faults --budget '1 per sensor per week' --nab NAB/",
        extra="plot",
        name="faults",
    )
    _add_fleets(parser)
    parser.add_argument(
        "--budget",
        metavar="B",
        action="append",
        help=f"alarm budget; may be given several times (default: {', '.join(BUDGETS)})",
    )
    parser.add_argument("--nab", metavar="DIR", help="also measure false alarms on this checkout of NAB")
    _add_common(parser)


def _add_ablation(benchmarks: Verbs[argparse.ArgumentParser], verb: Verb) -> None:
    parser = add_verb(
        benchmarks,
        verb,
        "what each part of the detector is worth",
        "Measures the detector without each of its parts: every view, the learning, and what keeps alarms few. On\n"
        "simulated faults, at the budget that is configured, and on the benchmarks that are given.",
        "  lstm-stream evaluate ablation --nab NAB/ --skab SKAB/data/ --plot ablation.png\n"
        "  lstm-stream evaluate ablation --seeds 1              in a few minutes, without any data",
        extra="plot",
        name="ablation",
    )
    parser.add_argument("--nab", metavar="DIR", help="measure on this checkout of NAB as well")
    parser.add_argument("--skab", metavar="DIR", help="measure on SKAB's data in this folder as well")
    _add_fleets(parser)
    _add_common(parser)


def _add_learning(benchmarks: Verbs[argparse.ArgumentParser], verb: Verb) -> None:
    parser = add_verb(
        benchmarks,
        verb,
        "changes that last for days: found, held, and learned only when they may be",
        "Injects a slow drift, a step that stays and a fault of days into simulated sensors, and follows what becomes\n"
        "of each: the alarm, the rounds of learning, and the week after it was accepted or over.",
        "  lstm-stream evaluate learning --plot learning.png\n"
        "  lstm-stream evaluate learning --kind tank --kind battery --sensors 12",
        extra="plot",
        name="learning",
    )
    parser.add_argument(
        "--kind", action="append", choices=KINDS, help="of sensors; several may be given (default: all)"
    )
    parser.add_argument("--sensors", metavar="N", type=whole(1), default=4, help="of each kind (default: 4)")
    parser.add_argument("--seed", metavar="N", type=whole(0), default=1000, help="of the sensors (default: 1000)")
    _add_common(parser)


def _add_start(benchmarks: Verbs[argparse.ArgumentParser], verb: Verb) -> None:
    parser = add_verb(
        benchmarks,
        verb,
        "what the weights that new sensors start from are worth",
        "Measures the first days of new sensors twice, with the weights of the configuration and with random ones:\n"
        "how well the first samples are forecast, what is found after the warm-up, how many alarms are false.",
        "  lstm-stream evaluate start --nab NAB/ --plot start.png\n"
        "  lstm-stream evaluate start --config c.yaml           with the weights that model.start_from names there",
        extra="plot",
        name="start",
    )
    _add_fleets(parser, days=6.0)
    parser.add_argument("--nab", metavar="DIR", help="also forecast the beginnings of the streams of this checkout")
    _add_common(parser)


def _add_fleets(parser: argparse.ArgumentParser, days: float = 21.0) -> None:
    """What is simulated."""
    above = number(float, lambda value: 0 < value < math.inf, "a number above 0")
    parser.add_argument("--sensors", metavar="N", type=whole(1), default=24, help="of one run (default: 24)")
    parser.add_argument("--days", metavar="N", type=above, default=days, help=f"length of a run (default: {days:g})")
    parser.add_argument("--seeds", metavar="N", type=whole(1), default=3, help="runs, each another fleet (default: 3)")
    parser.add_argument("--seed", metavar="N", type=whole(0), default=1000, help="of the first run (default: 1000)")
    parser.add_argument(
        "--interval",
        metavar="S",
        type=above,
        default=300.0,
        help="seconds between two samples; faults last as many samples at any (default: 300)",
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="C", help="configuration file (default: all defaults)")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--plot", metavar="out.png", help="draw a picture")
    parser.add_argument("--jobs", metavar="N", type=whole(1), help="processes (default: one a core)")
