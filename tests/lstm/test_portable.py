"""The same code on lesser and greater processors: vectors of 4 without FMA, of 8, and of 16 that fit the registers.

Numba compiles for the processor that the environment names. The narrower ones run here; AVX-512, where it is not there,
is compiled and looked at. The processor at hand is what all other tests run on.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lstm_stream.lstm import simd

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these are names of x86-64")

SSE2 = "+sse,+sse2"
AVX2 = SSE2 + ",+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2"
AVX512 = AVX2 + ",+avx512f,+avx512cd,+avx512bw,+avx512dq,+avx512vl"

# One set of kernels, two of six in all: each takes seconds to compile.
TESTS = "(activations or scalar_loops and step_rows or reference and segment_gradient) and not any_shape"
RUN = f"""
import sys, pytest
from lstm_stream.lstm import simd
assert simd.WIDTH == int(sys.argv[1]), simd.WIDTH
files = ["tests/lstm/test_activations.py", "tests/lstm/test_forward.py", "tests/lstm/test_gradient.py"]
sys.exit(pytest.main([*files, "-q", "-p", "no:cacheprovider", "-k", {TESTS!r}]))
"""
PRETENDED = f"""
from numba.core import config
config.CPU_FEATURES = "+avx512f"  # what simd.py asks for; LLVM makes two registers of each vector if it must
import lstm_stream.lstm.simd
config.CPU_FEATURES = None
{RUN}"""
COMPILE = """
from numba import types
from lstm_stream.lstm import kernels, simd
number, rows = types.int64, types.float32[:, ::1]
kernels.step_rows.compile((number, number, types.int32[::1], rows, rows, rows, rows))
print(simd.WIDTH, simd.ROWS)
print(kernels.step_rows.inspect_asm(kernels.step_rows.signatures[0]))
"""


def on(cpu: str, features: str, code: str, *arguments: str, cache: Path) -> str:
    """What a new process prints whose kernels are compiled for another processor; for this one if it has no name."""
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    if cpu:
        env |= {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


@pytest.mark.parametrize(
    ("cpu", "features", "width"),
    [
        pytest.param("x86-64", SSE2, 4, id="sse2", marks=pytest.mark.skipif(simd.WIDTH <= 4, reason="runs everywhere")),
        pytest.param("haswell", AVX2, 8, id="avx2", marks=pytest.mark.skipif(simd.WIDTH <= 8, reason="no wider here")),
    ],
)
def test_narrower_vectors_compute_the_same(tmp_path, cpu, features, width) -> None:
    passes(on(cpu, features, RUN, str(width), cache=tmp_path))


@pytest.mark.skipif(simd.WIDTH == 16, reason="runs everywhere")
@pytest.mark.slow
def test_vectors_of_sixteen_compute_the_same(tmp_path) -> None:
    """The code for AVX-512 on a processor that has none, as slow as it may be: blocks of one vector, taken in pairs."""
    passes(on("", "", PRETENDED, "16", cache=tmp_path))


def passes(told: str) -> None:
    assert int(re.findall(r"(\d+) passed", told)[0]) > 150
    assert "failed" not in told


def inner_loops(assembly: str) -> list[list[str]]:
    """The instructions of every loop that has no jump inside."""
    loops, label, body = [], "", []
    for line in assembly.splitlines():
        place, jump = re.match(r"(\.L\w+):", line), re.match(r"\s+j\w+\s+(\.L\w+)", line)
        if jump and jump[1] == label:
            loops.append(body)
        if place or jump:
            label, body = place[1] if place else "", []
        else:
            body.append(line)
    return loops


def is_tile(loop: list[str], sums: int) -> bool:
    """Whether it adds to that many vectors and, unlike the gates, divides nothing."""
    products = [line for line in loop if "vfmadd" in line and "zmm" in line]
    return len(products) == sums and not any("vdiv" in line for line in loop)


def test_the_tile_fits_the_registers_of_avx512(tmp_path) -> None:
    """The loop that all time is spent in: rows x 4 gates sums in as many registers, and nothing goes to the stack."""
    told = on("skylake-avx512", AVX512, COMPILE, cache=tmp_path)
    sizes, assembly = told.split("\n", 1)
    width, rows = map(int, sizes.split())
    assert width == 16
    tiles = [loop for loop in inner_loops(assembly) if is_tile(loop, 4 * rows)]
    assert tiles
    for body in tiles:
        assert len({line.split("%")[-1] for line in body if "vfmadd" in line}) == 4 * rows
        assert not [line for line in body if "(%rsp)" in line]
