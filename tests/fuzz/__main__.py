"""Throw broken messages at the decoders for as long as asked; ends with 1 and says which, where one finds a defect.

    python -m tests.fuzz --minutes 10 --seed 7

The messages are the golden cases of tests/ingest, mutated byte by byte and spliced with each other, at the sources of
their cases and of all formats. A defect is: an exception (the decoder catches it, and calls it
`internal`), a value that is not finite, a time that is none, more than LONGEST seconds for one message, or that the
fast path reads something else than the decoder. What is printed can be pasted into a golden case.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.fuzzer import Fuzzer, corpus


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the decoders.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (1)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same messages again (the time)")
    parser.add_argument("--defects", type=int, default=10, help="how many to find before it ends (10)")
    args = parser.parse_args()
    fuzzer = Fuzzer(corpus(), args.seed)
    print(f"seed {args.seed}, {len(fuzzer.seeds)} messages to begin with", flush=True)
    until, told = time.monotonic() + 60 * args.minutes, time.monotonic()
    while time.monotonic() < until and len(fuzzer.defects) < args.defects:
        fuzzer.round()
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{fuzzer.messages} messages, {len(fuzzer.defects)} defects", flush=True)
    for defect in fuzzer.defects:
        print(defect)
    read = f"{fuzzer.read} read, {fuzzer.messages - fuzzer.read} refused"
    print(f"{fuzzer.messages} messages ({read}), slowest {1e3 * fuzzer.slowest:.1f} ms: {len(fuzzer.defects)} defects")
    return 1 if fuzzer.defects else 0


sys.exit(main())
