"""The options of `pretrain`. Loads nothing heavy."""

from __future__ import annotations

import argparse

from lstm_stream.lstm.names import CELL_NAMES
from lstm_stream.options import Verb, Verbs, add_verb, number, whole


def add(verbs: Verbs[argparse.ArgumentParser], verb: Verb) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        verb,
        "make weights that new sensors start from",
        "Trains one set of weights on many sensors, your recordings or simulated ones, and says on sensors held back\n"
        "how much better a new sensor is forecast from its first dozens of samples. Name the file in a configuration\n"
        "as model.start_from. The same command gives the same file.",
        "  lstm-stream pretrain --out base.safetensors\n"
        "  lstm-stream pretrain --from plant/*.csv --out plant.safetensors\n"
        "  lstm-stream pretrain --channels 3 --hidden 24 --out three.safetensors",
    )
    parser.add_argument("--out", metavar="FILE", required=True, help="write the weights to this .safetensors file")
    parser.add_argument(
        "--from",
        metavar="CSV",
        dest="recordings",
        nargs="+",
        default=[],
        help="recordings to learn from, as `replay` reads them (default: simulated sensors)",
    )
    parser.add_argument(
        "--test",
        metavar="CSV",
        nargs="+",
        default=[],
        help="recordings to measure on as well; nothing is learned from them",
    )
    parser.add_argument(
        "--channels",
        metavar="D",
        type=whole(1),
        help="of the sensors (default: those of most recorded sensors; 1 for simulated ones)",
    )
    parser.add_argument(
        "--config",
        metavar="C",
        help="configuration file: how its first source reads recordings, and the settings of that source's group",
    )
    parser.add_argument(
        "--hidden",
        metavar="H",
        type=number(int, lambda value: 1 <= value <= 256, "a whole number from 1 to 256"),
        help="hidden units (default: as configured, 16 without a file)",
    )
    parser.add_argument(
        "--cell", choices=CELL_NAMES, help="variant of the LSTM (default: as configured, standard without a file)"
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=number(int, lambda value: 0 <= value < 2**63, "a whole number from 0 to 2^63 - 1"),
        default=1,
        help="of all random numbers (default: 1)",
    )
    parser.add_argument(
        "--streams",
        metavar="N",
        type=whole(10),
        default=2000,
        help="simulated sensors, or pieces of recordings at most (default: 2000)",
    )
    parser.add_argument(
        "--epochs", metavar="N", type=whole(1), default=20, help="passes over all that is learned from (default: 20)"
    )
