"""A warm start of the daemon's kernels compiles nothing, and a read-only installation runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import lstm_stream

PACKAGE = Path(lstm_stream.__file__).parent

# The kernels, called as the daemon calls them: own and shared weights, rounds of one sensor and of several.
DAEMON = """
import numpy as np
from lstm_stream.config import Group, Limits
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.records import Reading

trainer, rounds = Trainer(), []
trainer.open()
for weights in ("own", "shared"):
    learning = {"every": 64, "history": 128, "lag": 8, "epochs": 1, "patience": 600}
    group = Group.model_validate({"model": {"weights": weights, "hidden": 3}, "retraining": learning, "warmup": 100})
    fleet = Fleet({"default": group}, Limits(), trainer)
    for k, row in enumerate(np.random.default_rng(0).standard_normal((160, 3))):
        fleet.process([Reading(str(n), "default", 60.0 * k, {"a": float(v)}) for n, v in enumerate(row)])
    rounds += [done.result for done in fleet.take_adoptions()]
trainer.close()
assert len(rounds) > 4 and "failed" not in rounds
"""

# Fails where a fleet of several sensors needs code for types of arrays that the daemon's start has not prepared.
UNPREPARED = f"""
import gc
from numba.core.dispatcher import Dispatcher
from lstm_stream.app import warm_kernels

def prepared():
    ours = [d for d in gc.get_objects() if isinstance(d, Dispatcher) and d.py_func.__module__.startswith("lstm_stream")]
    return {{f"{{d.py_func.__qualname__}}{{signature}}".replace(" ", "") for d in ours for signature in d.signatures}}

warm_kernels()
before = prepared()
assert len(before) > 15
{DAEMON}
from lstm_stream.records import Command
for k in range(160, 200):
    fleet.process([Reading("0", "default", 60.0 * k, {{"a": 50.0}})])
assert fleet.apply(Command("1", "accept", "default", "0", "me", 0.0)).ok
assert prepared() == before, sorted(prepared() - before)
"""

ONE_STEP = """
import numpy as np
from lstm_stream.lstm import kernels, params
shape = params.Shape(2, 3, 1)
state, forecast = np.zeros((1, 2 * shape.width), np.float32), np.full((1, 1), np.nan, np.float32)
x = np.ones((1, 2), np.float32)
kernels.step_rows(0, 3, np.zeros(1, np.int32), params.initial(shape, 1)[None], x, state, forecast)
assert forecast[0, 0] == 1
"""


def compiled(code: str, folder: Path, **environment: str) -> list[str]:
    """Where a new process has the package from that runs this code in a folder, and what it compiled for it."""
    recorded = f"""
from numba.core import event
with event.install_recorder("numba:compile") as recorder: exec({code!r})
import lstm_stream
print(lstm_stream.__path__[0], *{{one.data["dispatcher"].py_func.__qualname__ for _, one in recorder.buffer}})
"""
    env, command = os.environ | environment, [sys.executable, "-B", "-c", recorded]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_warm_start_compiles_nothing() -> None:
    """Whatever the first process found in the cache, the second finds all."""
    compiled(DAEMON, PACKAGE.parent)
    assert compiled(DAEMON, PACKAGE.parent) == [str(PACKAGE)]


def test_what_the_daemon_prepares_is_all_that_its_sensors_need() -> None:
    """Or the first message of a second sensor, or the first change that is accepted, would wait for a compiler."""
    compiled(UNPREPARED, PACKAGE.parent)


def test_a_read_only_installation_runs(tmp_path) -> None:
    """Neither the package's folder nor a home can take the cache. Works as root, too."""
    copy = tmp_path / "lstm_stream"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (copy, copy / "lstm"):
        (folder / "__pycache__").write_text("a file, so that no folder can be made of it")
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "NUMBA_CACHE_DIR": ""}
    used, *kernels = compiled(ONE_STEP, tmp_path, **nowhere)
    assert used == str(copy)
    assert "step_rows" in kernels
