"""Kill the daemon again and again, and see whether anybody can tell.

    python -m tests.chaos --kills 20 --seed 1
    python -m tests.chaos --kills 500 --seed 7 --sensors 36 --rate 400

Ends with 1 where anything is lost, comes twice, or differs from a run that nobody killed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import Plan, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.chaos", description="The daemon, killed at random moments.")
    add = parser.add_argument
    add("--kills", type=int, default=20, metavar="N")
    add("--seed", type=int, default=1, metavar="S")
    add("--sensors", type=int, default=24, metavar="N")
    add("--rate", type=float, default=300.0, metavar="R", help="messages a second (default: 300)")
    add("--life", type=float, default=1.0, metavar="S", help="seconds between two kills, on average (default: 1)")
    add("--cold", type=int, default=10, metavar="N", help="every Nth start is one of a new Python (default: 10)")
    add("--trouble", type=float, default=0.2, metavar="P", help="share of lives with broker or network trouble")
    add("--keep", type=Path, metavar="DIR", help="leave everything there, to look at")
    args = parser.parse_args()
    plan = Plan(args.kills, args.seed, args.sensors, args.rate, args.life, args.cold, args.trouble)
    if args.keep:
        args.keep.mkdir(parents=True)
        wrong = run(plan, args.keep)
    else:
        with tempfile.TemporaryDirectory() as folder:
            wrong = run(plan, Path(folder))
    print("\n".join(wrong[:50]) if wrong else "nothing was lost, nothing came under another id, every bit is the same")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
