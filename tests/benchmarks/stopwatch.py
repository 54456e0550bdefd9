"""How the benchmark measures: side by side, on one thread, the best of many; and what the machine itself can do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from lstm_stream.jit import kernel
from lstm_stream.lstm import gates
from lstm_stream.lstm.params import LANES
from lstm_stream.lstm.simd import WIDTH, load, splat, store, total

Call = Callable[[], object]

ROUNDS, SLICE = 15, 0.01  # how often each is measured, and for how long at least, s
UNITS = 64 * LANES  # of the gates' floor: they stay in the cache
BANDWIDTH_BYTES = 512 * 2**20

F4 = NDArray[np.float32]


def on_one_thread(module: str) -> None:
    """Start a benchmark again with matrix products that use one thread: NumPy asks for it once, when it is loaded."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.environ["OMP_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]])


def interleaved(calls: Mapping[str, Call], rounds: int = ROUNDS) -> dict[str, float]:
    """The best time of each call, s, measured in turn, so that a busy moment of the machine meets all of them.

    It is the processor time of this thread, on which all of them compute: other programs only cost caches.
    """
    repeats = {name: _repeats(call) for name, call in calls.items()}
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best[name], _timed(call, repeats[name]))
    return best


def _timed(call: Call, repeats: int) -> float:
    start = time.thread_time()
    for _ in range(repeats):
        call()
    return (time.thread_time() - start) / repeats


def _repeats(call: Call) -> int:
    """How many calls fill a slice; the first two, which may compile, do not count."""
    call(), call()
    repeats = 1
    while (spent := _timed(call, repeats) * repeats) < SLICE / 4:
        repeats *= 4
    return max(1, round(repeats * SLICE / max(spent, 1e-9)))


# --- what the machine can do


def sgemm_peak() -> float:
    """Multiplications and additions of float32 a second, of the best matrix product at hand."""
    calls: dict[str, Call] = {}
    for size in (256, 512, 1024):
        a, out = np.random.default_rng(0).standard_normal((size, size), np.float32), np.empty((size, size), np.float32)
        calls[f"numpy {size}"] = lambda a=a, out=out: np.matmul(a, a, out=out)
        try:
            import torch
        except ImportError:
            continue
        t, to = torch.from_numpy(a), torch.from_numpy(out)
        calls[f"torch {size}"] = lambda t=t, to=to: torch.mm(t, t, out=to)
    times = interleaved(calls)
    return max(2 * int(name.split()[1]) ** 3 / seconds for name, seconds in times.items())


def gate_floor() -> float:
    """Time of the standard cell's gates for one unit, s, with everything in the nearest cache."""
    rng = np.random.default_rng(0)
    s, state = rng.standard_normal(4 * UNITS, np.float32), rng.standard_normal(2 * UNITS, np.float32)
    return interleaved({"gates": lambda: _gates(s, state)})["gates"] / UNITS


@kernel
def _gates(s: F4, state: F4) -> None:
    """The gates of all units and nothing else: s (blocks, 4, 16) is left, state [h | c] replaced."""
    units = len(state) // 2
    for at in range(0, units, LANES):
        for p in range(0, LANES, WIDTH):
            f = 4 * at + p
            four = (load(s, f), load(s, f + LANES), load(s, f + 2 * LANES), load(s, f + 3 * LANES))
            zero = splat(0.0)
            _, c = gates.forward(0, four, load(state, units + at + p), (zero, zero, zero, zero), zero)
            store(c, state, units + at + p)
    for at in range(0, units, LANES):
        for p in range(0, LANES, WIDTH):
            zo, c = load(s, 4 * at + 3 * LANES + p), load(state, units + at + p)
            store(gates.show(zo, c)[1], state, at + p)


class Reading:
    """A call that reads a large array once."""

    def __init__(self) -> None:
        self._array = np.ones(BANDWIDTH_BYTES // 4, np.float32)
        self.size = self._array.nbytes

    def __call__(self) -> float:
        return _sum(self._array)


@kernel
def _sum(a: F4) -> float:
    """Four sums at a time: with fewer the processor waits for additions, not for the memory."""
    s0, s1, s2, s3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for k in range(0, len(a), 4 * WIDTH):
        s0, s1 = s0 + load(a, k), s1 + load(a, k + WIDTH)
        s2, s3 = s2 + load(a, k + 2 * WIDTH), s3 + load(a, k + 3 * WIDTH)
    return total((s0 + s1) + (s2 + s3))
