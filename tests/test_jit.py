"""Kernels compile where nothing can be cached, and find their machine code again where it can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import numpy as np
from lstm_stream.jit import inline, kernel

@inline
def twice(x):
    return 2.0 * x

@kernel
def double(x):
    for k in range(len(x)):
        x[k] = twice(x[k])
"""
USE = """
import numpy as np, some_kernels
x = np.array([1.5, np.nan])
some_kernels.double(x)
print(x.tolist(), sum(some_kernels.double.stats.cache_hits.values()))
"""


def use(folder: Path, **environment: str) -> str:
    """What a new process says that imports and calls the kernel."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")} | environment
    env["PYTHONPATH"] = os.pathsep.join([str(folder), *sys.path])
    done = subprocess.run([sys.executable, "-B", "-c", USE], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "some_kernels.py").write_text(MODULE)
    return tmp_path


def test_a_second_process_finds_the_machine_code(folder) -> None:
    assert use(folder) == "[3.0, nan] 0"
    assert use(folder) == "[3.0, nan] 1"


def test_where_nothing_is_writable_it_still_runs(folder) -> None:
    """As in a read-only image: neither the package's folder nor a home can take the cache. Works as root, too."""
    (folder / "__pycache__").write_text("a file, so that no folder can be made of it")
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}
    assert use(folder, **nowhere) == "[3.0, nan] 0"
    assert use(folder, **nowhere) == "[3.0, nan] 0"


def test_a_changed_part_in_another_file_is_noticed(tmp_path) -> None:
    """A kernel of parts is found again while they are the same, and compiled anew when one has changed."""
    parts = "from lstm_stream.jit import inline\n\n@inline\ndef times(x):\n    return {} * x\n"
    (tmp_path / "some_kernels.py").write_text(
        "import some_parts\nfrom lstm_stream.jit import kernel_of\n\n@kernel_of(some_parts)\ndef double(x):\n"
        "    for k in range(len(x)):\n        x[k] = some_parts.times(x[k])\n",
        "utf-8",
    )
    said = []
    for factor in ("2.0", "2.0", "10.0", "10.0"):
        (tmp_path / "some_parts.py").write_text(parts.format(factor), "utf-8")
        os.utime(tmp_path / "some_parts.py", (1e9, 1e9))
        said.append(use(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache")))
    assert said == ["[3.0, nan] 0", "[3.0, nan] 1", "[15.0, nan] 0", "[15.0, nan] 1"]
