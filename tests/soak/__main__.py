"""Twice the load that the daemon can carry, for as long as asked; prints what became of it, ends with 1 if it failed.

    python -m tests.soak --minutes 60
    python -m tests.soak --minutes 60 --policy block --plot soak.png

It has failed where a message is not accounted for, a connection was lost, the broker heard nothing for one and a half
keep-alives, the queue was not empty ten seconds after the flood, or memory grew by more than a tenth, and what a save
takes, from the first tenth of the flood to the last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.soak.soak import KEEPALIVE, Soak, soak

RECOVERS = 10.0  # s
GROWS = 0.1
PACKED = 32.0  # MiB: the state of a thousand sensors, while the first save writes it


def judge(result: Soak) -> list[str]:
    """What is wrong."""
    first, last = ends(result.memory("twice"))
    found = {
        f"{result.unaccounted:.0f} messages are not accounted for": result.unaccounted != 0,
        f"{result.connections} connections": result.connections != 1 or result.disconnects != 0,
        f"nothing was heard for {result.longest_gap:.1f} s": result.longest_gap > 1.5 * KEEPALIVE,
        f"it took {result.recovery:.1f} s to recover": result.recovery > RECOVERS,
        f"memory grew from {first:.0f} to {last:.0f} MiB": last > (1 + GROWS) * first + PACKED,
    }
    return [text for text, wrong in found.items() if wrong]


def ends(memory: list[float]) -> tuple[float, float]:
    """The medians of the first and the last tenth."""
    some = max(1, len(memory) // 10)
    return statistics.median(memory[:some]), statistics.median(memory[-some:])


def table(result: Soak) -> str:
    """For people."""
    lines = [f"policy {result.policy}; it can carry {result.carried:,.0f} messages/s", ""]
    lines.append(f"{'phase':12}{'sent/s':>12}{'scored/s':>12}{'dropped/s':>12}{'waiting':>12}{'MiB':>16}")
    for phase in ("calibration", "twice", "a fifth"):
        rates = "".join(f"{result.rate(phase, what):12,.0f}" for what in ("sent", "scored", "dropped"))
        memory = result.memory(phase)
        waiting = statistics.median(look.waiting for look in result.looks if look.phase == phase)
        span = f"{min(memory):,.0f}-{max(memory):,.0f}"
        lines.append(f"{phase:12}{rates}{waiting:12,.0f}{span:>16}")
    first, last = ends(result.memory("twice"))
    drops = ", ".join(f"{reason} {count:,.0f}" for reason, count in result.drops.items() if count) or "none"
    lines += ["", f"dropped: {drops}; not accounted for: {result.unaccounted:.0f}"]
    lines.append(f"memory at twice the load: {first:,.0f} MiB in the first tenth, {last:,.0f} in the last")
    lines.append(f"queue empty {result.recovery:.1f} s after the flood; {result.connections} connection(s), ")
    lines[-1] += f"longest silence to the broker {result.longest_gap:.1f} s of {1.5 * KEEPALIVE:g} allowed"
    return "\n".join(lines)


def draw(result: Soak, path: Path) -> None:
    """Memory and rates over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    rates, memory = figure.subplots(2, 1, sharex=True)
    pairs = list(zip(result.looks, result.looks[1:], strict=False))
    at = [b.at / 60 for a, b in pairs]
    for what in ("sent", "scored", "dropped"):
        rate = [(getattr(b, what) - getattr(a, what)) / max(b.at - a.at, 1e-9) for a, b in pairs]
        rates.plot(at, rate, label=f"{what}/s", lw=1)
    rates.legend()
    memory.plot([look.at / 60 for look in result.looks], [look.memory for look in result.looks], lw=1)
    memory.set(xlabel="minutes", ylabel="resident MiB", ylim=(0, None))
    figure.savefig(path, dpi=120)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="The daemon under twice its load.")
    parser.add_argument("--minutes", type=float, default=60.0, help="of twice the load (60)")
    parser.add_argument("--policy", choices=("drop_newest", "drop_oldest", "block"), default="drop_newest")
    parser.add_argument("--sensors", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--json", metavar="FILE", help="write all looks to FILE")
    parser.add_argument("--plot", metavar="FILE.png", help="draw memory and rates")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        result = soak(Path(folder), args.policy, args.minutes, sensors=args.sensors)
    print(table(result))
    if args.json:
        Path(args.json).write_text(json.dumps(asdict(result)))
    if args.plot:
        draw(result, Path(args.plot))
    wrong = judge(result)
    print("\n".join(["", *wrong]) if wrong else "\nall is well")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
