"""The verb `pretrain`: sensors to learn from, weights for new ones, and how much that is worth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_stream import __version__
from lstm_stream.coldstart import FROM, TO, Stream, cold_start
from lstm_stream.config import Config, Group, Model, Source
from lstm_stream.detect.state import lstm_shape
from lstm_stream.lstm import interchange
from lstm_stream.lstm.params import Shape
from lstm_stream.pretrain.learning import Learned, learn
from lstm_stream.pretrain.shown import windows
from lstm_stream.pretrain.streams import LENGTH, pieces, recorded
from lstm_stream.pretrain.synthetic import synthetic
from lstm_stream.replay import UnusableError, check_target, counted, progress, said_in_a_line

HELD_BACK = 5  # one stream in so many is compared on and not learned from
MADE_KEY = "lstm_stream.made"  # metadata: by what


class Split(NamedTuple):
    """Pieces of streams."""

    learned: list[Stream]
    held: list[Stream]
    words: str  # where they are from


@said_in_a_line
def run_pretrain(args: argparse.Namespace, config: Config) -> int:
    """Learn, write args.out, print the figures; the exit code is 1 where that cannot be."""
    source = config.sources[0]
    group = config.groups[source.group]
    _check_targets(args)
    split = _split(args, source)
    channels = split.learned[0].values.shape[1]
    tests = recorded(args.test, source, channels) if args.test else []
    fresh = _starting(group, args, None)
    shape = lstm_shape(channels, fresh)
    learned = _learn(split, fresh, shape, args)
    Path(args.out).write_bytes(_content(learned, shape, split, args))
    started = _starting(group, args, args.out)
    print(_summary(split, shape, learned, args))
    print(_table(f"{counted(len(split.held), 'piece')} held back", split.held, fresh, started))
    if tests:
        print(_table(f"{counted(len(tests), 'sensor')} to test on", tests, fresh, started))
    return 0


def _check_targets(args: argparse.Namespace) -> None:
    """Before the work: whether the file can be written, and is none of the recordings."""
    for recording in (*args.recordings, *args.test, "."):
        check_target(Path(recording), args.out)


def _starting(group: Group, args: argparse.Namespace, path: str | None) -> Group:
    """The group with the model asked for, its sensors starting from a file or at random."""
    asked = {"cell": args.cell or group.model.cell, "hidden": args.hidden or group.model.hidden}
    model = Model.model_validate({"weights": group.model.weights, "seed": args.seed, **asked, "start_from": path})
    return group.model_copy(update={"model": model})


# --- what to learn from


def _split(args: argparse.Namespace, source: Source) -> Split:
    """Raises RecordingError where a recording cannot be used, UnusableError where there is too little of them."""
    if not args.recordings:
        streams = synthetic(args.streams, args.channels or 1, LENGTH, args.seed)
        held = len(streams) // HELD_BACK
        return Split(streams[held:], streams[:held], counted(len(streams), "simulated sensor"))
    streams = recorded(args.recordings, source, args.channels)
    parts = [part for part in map(pieces, streams) if part]
    if sum(map(len, parts)) < 2:
        raise UnusableError(f"{args.recordings[0]}: too short to learn from; give recordings of {2 * LENGTH} rows")
    chance = np.random.default_rng(args.seed)
    learned, held_back = _divided([parts[k] for k in chance.permutation(len(parts))])
    learned, held_back = (_some(of, args.streams, chance) for of in (learned, held_back))
    words = f"{counted(len(args.recordings), 'recording')} of {counted(len(parts), 'sensor')}"
    return Split(learned, held_back, words)


def _divided(parts: Sequence[list[Stream]]) -> tuple[list[Stream], list[Stream]]:
    """The pieces to learn from and those held back: whole sensors, or where there are few each one's latest pieces."""
    if len(parts) >= HELD_BACK:
        held = len(parts) // HELD_BACK
        return list(chain(*parts[held:])), list(chain(*parts[:held]))
    latest = [max(1, len(part) // HELD_BACK) if len(part) > 1 else 0 for part in parts]
    latest = latest if any(latest) else [1] + [0] * (len(parts) - 1)
    learned = [piece for part, count in zip(parts, latest, strict=True) for piece in part[: len(part) - count]]
    return learned, [piece for part, count in zip(parts, latest, strict=True) for piece in part[len(part) - count :]]


def _some(streams: list[Stream], most: int, chance: np.random.Generator) -> list[Stream]:
    """At most so many, drawn at random, in their order."""
    return [streams[k] for k in np.sort(chance.permutation(len(streams))[:most])]


def _learn(split: Split, group: Group, shape: Shape, args: argparse.Namespace) -> Learned:
    some, held = windows(split.learned, group), windows(split.held, group)
    with progress(args.epochs * sum(len(one.time) for one in split.learned), "learning") as advance:
        return learn(shape, some, held, args.seed, args.epochs, advance)


# --- what came of it


def _content(learned: Learned, shape: Shape, split: Split, args: argparse.Namespace) -> bytes:
    """The .safetensors file; the same for the same command, wherever it is run."""
    made = (
        f"lstm-stream {__version__} pretrain: {split.words}, {len(split.learned)} pieces learned from, "
        f"{len(split.held)} held back, seed {args.seed}, epoch {learned.epoch} of {args.epochs}, "
        f"held-back loss {learned.before:.4f} -> {learned.after:.4f}"
    )
    return interchange.save(learned.weights, shape, metadata={MADE_KEY: made})


def _summary(split: Split, shape: Shape, learned: Learned, args: argparse.Namespace) -> str:
    return (
        f"{args.out}: {counted(shape.outputs, 'channel')}, cell {shape.cell}, hidden {shape.hidden}\n"
        f"learned from {counted(len(split.learned), 'piece')}, held back {len(split.held)}: {split.words}\n"
        f"loss on those held back: {learned.before:.4f} at the start, {learned.after:.4f} after epoch "
        f"{learned.epoch} of {args.epochs}, which was the best"
    )


def _table(what: str, streams: Sequence[Stream], fresh: Group, started: Group) -> str:
    """Forecast errors of new sensors, with random weights and with these, as they are and while learning."""
    lines = [
        "",
        f"cold start on {what}: mean Huber loss of the forecasts of samples {FROM} to {TO}",
        f"{'':22}{'not learning':>14}{'learning':>14}",
    ]
    persistence = np.nan
    for name, group in (("random weights", fresh), ("these weights", started)):
        (still,), (learning,) = cold_start(streams, _frozen(group)), cold_start(streams, group)
        persistence = still.persistence
        lines.append(f"  {name:20}{still.forecast:14.4f}{learning.forecast:14.4f}")
    return "\n".join([*lines, f"  {'the last value again':20}{persistence:14.4f}"])


def _frozen(group: Group) -> Group:
    return group.model_copy(update={"retraining": group.retraining.model_copy(update={"enabled": False})})
