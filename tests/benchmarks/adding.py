"""The proof of memory: the adding problem of Hochreiter & Schmidhuber 1997, for every cell and for a plain tanh RNN.

    python -m tests.benchmarks.adding --out DIR        some minutes; writes adding.txt, adding.json and adding.png

Experiment 4 of the paper. A sequence of pairs (value in -1..1, marker): two values are marked by 1, the first and the
last pair by -1, the others by 0. One of the first ten values is marked, and another of the first T/2 - 1; the length is
T to 1.1 T. At the end the sum of the two is to be told, scaled to 0..1. So the shortest lag is T/2: T = 200 for 100.

A sequence counts as solved if the error is below 0.04. As in the paper, training ends when 2,000 sequences in a row are
solved and their mean error is below 0.01, and then 2,560 others are the test. (The paper looks at the sequences of the
training; here 2,000 fresh ones are tried every so often, which comes to the same.)

The third input of every network is the elapsed time, as `ltms` has it last: 0, since samples are regular; for ltms
alone they are irregular, at random, because with regular ones it is the standard cell.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstm_stream.bench import this_machine
from lstm_stream.lstm import training
from lstm_stream.lstm.params import CELLS
from tests.benchmarks.networks import Engine, Network, TanhRnn
from tests.benchmarks.stopwatch import on_one_thread

F4 = NDArray[np.float32]

SOLVED = 0.04  # absolute error at the end
TRAIN_ERROR, IN_A_ROW, TESTED = 0.01, 2000, 2560
INPUTS = 3
BATCH, RATE, CLIP = 32, 0.005, 1.0
HIDDEN, RNN_HIDDEN = 16, 32  # of about as many weights
IRREGULAR = 0.5  # deviation of log(elapsed / usual)


@dataclass
class Result:
    """How one network fared; errors are absolute, at the end of a sequence."""

    name: str
    rate: float
    updates: int
    sequences: int
    solved: bool  # the criterion of the training was met
    test_error: float  # mean
    test_wrong: int  # of TESTED
    seconds: float
    curve: list[tuple[int, float]] = field(default_factory=list)  # sequences, mean error
    norms_before: list[float] = field(default_factory=list)  # by lag
    norms_after: list[float] = field(default_factory=list)


def sequences(rng: np.random.Generator, count: int, length: int, irregular: bool = False) -> tuple[F4, F4]:
    """Inputs x (B, L, 3) value, marker, elapsed; target (B, L, 1), NaN but at the end. What is after an end is zero."""
    ends = rng.integers(length, length + length // 10, count, endpoint=True) - 1
    row, size = np.arange(count), int(ends.max()) + 1
    there = np.arange(size) <= ends[:, None]
    x = np.zeros((count, size, INPUTS), np.float32)
    x[..., 0] = np.where(there, rng.uniform(-1, 1, there.shape), 0)
    x[..., 2] = np.where(there, rng.normal(0, IRREGULAR, there.shape), 0) if irregular else 0
    first, second = rng.integers(10, size=count), rng.integers(length // 2 - 2, size=count)
    second += second >= first  # any but the first
    marked = x[row, first, 0] * (first > 0) + x[row, second, 0] * (second > 0)  # the very first pair is marked by -1
    x[row, first, 1] = x[row, second, 1] = 1
    x[:, 0, 1] = x[row, ends, 1] = -1
    target = np.full((count, size, 1), np.nan, np.float32)
    target[row, ends, 0] = 0.5 + marked / 4
    return x, target


def errors(network: Network, x: F4, target: F4) -> F4:
    """The absolute error (B,) at the end of each sequence."""
    error = np.abs(network.forecasts(x) - target[..., 0])
    return error[~np.isnan(error)]


def train(network: Network, rate: float, updates: int, length: int, every: int, seed: int = 0) -> Result:
    """Until solved, or for `updates` batches; fresh sequences are tried every `every`."""
    started, rng = time.perf_counter(), np.random.default_rng(seed)
    irregular = network.name == "ltms"
    sample = sequences(rng, BATCH, length, irregular)[0]
    result = Result(network.name, rate, 0, 0, False, np.nan, TESTED, 0.0)
    result.norms_before = network.gradient_norms(sample).tolist()
    grad, moments = np.zeros_like(network.flat), np.zeros((2, len(network.flat)), np.float32)
    for update in range(1, updates + 1):
        network.gradient(*sequences(rng, BATCH, length, irregular), grad)
        training.adam(network.flat, grad, moments, update, rate, CLIP)
        if update % every and update != updates:
            continue
        error = errors(network, *sequences(rng, IN_A_ROW, length, irregular))
        result.updates, result.sequences = update, update * BATCH
        result.curve.append((result.sequences, float(error.mean())))
        result.solved = bool(error.max() < SOLVED and error.mean() < TRAIN_ERROR)
        if result.solved:
            break
    error = errors(network, *sequences(np.random.default_rng(seed + 1), TESTED, length, irregular))
    result.test_error, result.test_wrong = float(error.mean()), int(np.sum(~(error < SOLVED)))
    result.norms_after = network.gradient_norms(sample).tolist()
    result.seconds = time.perf_counter() - started
    return result


def contestants(length: int, cells: Sequence[str], rnn: bool, seed: int) -> Iterator[tuple[Network, float]]:
    """Every cell in the same way; the RNN as they are, and at a tenth of their learning rate, in case that was it."""
    for cell in cells:
        yield Engine.fresh(cell, INPUTS, HIDDEN, length, seed), RATE
    for rate in (RATE, RATE / 10) if rnn else ():
        yield TanhRnn.fresh(INPUTS, RNN_HIDDEN, seed), rate


def line(result: Result) -> str:
    told = "solved" if result.solved else "not solved"
    return (
        f"{result.name:10}{result.rate:>8.4g}{told:>12}{result.sequences:>11,}{result.test_error:>12.4f}"
        f"{result.test_wrong:>8} of {TESTED}{result.seconds:>8.0f} s"
    )


HEADER = f"{'network':10}{'rate':>8}{'':12}{'sequences':>11}{'test error':>12}{'wrong':>16}{'time':>10}"


def main() -> None:
    on_one_thread("tests.benchmarks.adding")
    parser = argparse.ArgumentParser(description="The adding problem, for every cell and a plain RNN.")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where to write text, JSON and picture")
    parser.add_argument("--length", metavar="T", type=int, default=200, help="twice the shortest lag (default: 200)")
    parser.add_argument("--updates", metavar="N", type=int, default=10_000, help="at most, of each (default: 10000)")
    parser.add_argument("--cells", metavar="CELL", nargs="*", default=list(CELLS), help="default: all")
    parser.add_argument("--no-rnn", action="store_true", help="leave the RNN out")
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    head = f"Adding problem, T = {args.length}, shortest lag {args.length // 2}, seed {args.seed}\n\n{HEADER}"
    print(head, flush=True)
    results = []
    for network, rate in contestants(args.length, args.cells, not args.no_rnn, args.seed):
        results.append(train(network, rate, args.updates, args.length, every=250, seed=args.seed))
        print(line(results[-1]), flush=True)
    (args.out / "adding.txt").write_text("\n".join([head, *map(line, results)]) + "\n")
    report = {"length": args.length, "seed": args.seed, "machine": asdict(this_machine())}
    (args.out / "adding.json").write_text(json.dumps({**report, "results": [asdict(one) for one in results]}, indent=1))
    from tests.benchmarks.pictures import draw_adding

    draw_adding(results, args.length, args.out / "adding.png")


if __name__ == "__main__":
    main()
