"""Throw broken messages at the decoders, or broken packets at the reader; ends with 1 and says which, on a defect.

    python -m tests.fuzz --minutes 10 --seed 7
    python -m tests.fuzz --what packets --minutes 10          the splitter and the tap alone
    python -m tests.fuzz --what session --minutes 10          a whole session, by a hostile broker

The messages are the golden cases of tests/ingest, mutated byte by byte and spliced with each other, at the sources of
their cases and of all formats. A defect is: an exception (the decoder catches it, and calls it
`internal`), a value that is not finite, a time that is none, more than LONGEST seconds for one message, or that the
fast path reads something else than the decoder. What is printed can be pasted into a golden case. Of packets it is: an
exception, a difference to the reference, a connection that hangs, a session that does not come back, memory that grows.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.fuzzer import Fuzzer, corpus
from tests.fuzz.packets import Hostile, Splitting


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the decoders and the reader.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (1)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same messages again (the time)")
    parser.add_argument("--defects", type=int, default=10, help="how many to find before it ends (10)")
    parser.add_argument("--what", choices=("decoders", "packets", "session"), default="decoders")
    args = parser.parse_args()
    fuzzer: Fuzzer | Splitting | Hostile
    if args.what == "decoders":
        fuzzer = Fuzzer(corpus(), args.seed)
    else:
        fuzzer = Splitting(args.seed) if args.what == "packets" else Hostile(args.seed)
    print(f"seed {args.seed}", flush=True)
    until, told = time.monotonic() + 60 * args.minutes, time.monotonic()
    while time.monotonic() < until and len(fuzzer.defects) < args.defects:
        fuzzer.round()
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(_count(fuzzer), flush=True)
    for defect in fuzzer.defects:
        print(defect)
    print(_count(fuzzer))
    if isinstance(fuzzer, Hostile):
        fuzzer.close()
    return 1 if fuzzer.defects else 0


def _count(fuzzer: Fuzzer | Splitting | Hostile) -> str:
    found = f"{len(fuzzer.defects)} defects"
    if isinstance(fuzzer, Fuzzer):
        read = f"{fuzzer.read} read, {fuzzer.messages - fuzzer.read} refused"
        return f"{fuzzer.messages} messages ({read}), slowest {1e3 * fuzzer.slowest:.1f} ms: {found}"
    return f"{fuzzer.cases} {'connections' if isinstance(fuzzer, Hostile) else 'streams'}: {found}"


sys.exit(main())
