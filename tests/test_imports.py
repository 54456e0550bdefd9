"""The architecture, enforced: who may import whom, how long a file may be, what `--help` may load."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lstm_stream"

# Room -> rooms it may import. A room is a file or folder of lstm_stream; `lstm_stream` itself is the version.
# lstm -> detect -> service -> app -> cli (arrow = is used by); ingest, outputs and store are used by app alone.
ALLOWED = {
    "lstm_stream": "",
    "records": "",
    "jit": "",
    "iso8601": "",
    "filestate": "",
    "logs": "iso8601",
    "tls": "",
    "secret": "",
    "machinecode": "",
    "notify": "",
    "config": "lstm",  # reads the weights to start from
    "lstm": "jit",
    "detect": "lstm jit records config",
    "ingest": "records config jit tls secret filestate lstm_stream",
    "outputs": "records config tls secret filestate iso8601 lstm_stream jit",
    "journal": "records outputs",  # of outputs what a letter is
    "store": "records journal",
    "line": "detect records",
    "saving": "detect records journal",
    "pace": "",
    "service": "line pace saving detect records journal",
    "reporting": "service detect outputs records",  # an observer: what the service did, as metrics
    "changes": "config",  # what of it can change while running
    "reload": "changes config filestate",
    "desk": "line journal reporting detect outputs records config",  # between the line and the page's API
    "warming": "detect desk ingest outputs records config",
    "errands": "service desk ingest outputs detect records config lstm_stream",  # beside the line
    "app": "errands warming desk reload vault service reporting detect ingest outputs logs records config lstm_stream",
    "vault": "saving store journal detect ingest outputs records config",
    "simulate": "records",
    # of service and detect: what an observer is told
    "demo": "stopping app service detect config records simulate iso8601 lstm_stream",
    "recording": "ingest records config",
    "replay": "recording detect outputs records config lstm_stream",
    "explain": "ingest records config iso8601",
    "options": "",
    "stopping": "",
    # of replay the group that waits for its retraining
    "coldstart": "replay detect records config",
    "evaluate": "options coldstart replay recording detect outputs simulate records config lstm_stream",
    "pretrain": "options coldstart replay recording detect lstm simulate records config lstm_stream",
    "bench": "lstm config lstm_stream",
    "statefile": "options app desk ingest outputs detect store journal records config lstm_stream",
    "plotting": "statefile replay outputs config",
    "cli": "options stopping machinecode notify plotting statefile app demo "
    "replay explain evaluate pretrain bench logs config lstm_stream",
    "__main__": "cli",
}

# What a room must not know, from outside the project.
FORBIDDEN = {
    "lstm": "time datetime logging os pathlib socket sqlite3 random threading",  # mathematics: arrays in, arrays out
    "detect": "datetime os pathlib socket sqlite3 random paho prometheus_client",  # `time` only measures the training
    "records": "time datetime os pathlib socket sqlite3 random pydantic logging",
    "simulate": "time os pathlib socket sqlite3 random paho pydantic",
}

LONG_FILES: dict[str, str] = {}  # path below lstm_stream -> the reason why it has more than 400 lines

MODULES = sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path) for path in MODULES}


def room(module: str) -> str:
    """The room of a dotted module: lstm_stream.detect.fleet is in detect."""
    return module.split(".")[1] if "." in module else module


def imported(source: str) -> Iterator[tuple[int, str]]:
    """The modules that a source imports, inside functions too, with the line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: write imports in full, from lstm_stream..."
            for alias in node.names:  # `from lstm_stream import logs` imports lstm_stream.logs
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if inner in NAMES else str(node.module)


def test_imports_are_seen_wherever_they_stand() -> None:
    source = (
        "import os.path\ndef f():\n    from lstm_stream import logs, __version__\n    from lstm_stream.app import build"
    )
    assert list(imported(source)) == [
        (1, "os.path"),
        (3, "lstm_stream.logs"),
        (3, "lstm_stream"),
        (4, "lstm_stream.app"),
    ]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    here = room(dotted(path))
    assert here in ALLOWED, f"{here} is a new room: add it to ALLOWED, with what it may import"
    may = {here, *ALLOWED[here].split()}
    for line, module in imported(path.read_text("utf-8")):
        if module.split(".")[0] == "lstm_stream":
            assert room(module) in may, f"{path}:{line}: {here} must not import {module}"
        else:
            assert module.split(".")[0] not in FORBIDDEN.get(here, "").split(), (
                f"{path}:{line}: {here} needs no {module}"
            )


def test_imports_run_one_way() -> None:
    graphlib.TopologicalSorter({name: uses.split() for name, uses in ALLOWED.items()}).prepare()  # raises CycleError


def test_the_table_names_nothing_that_is_gone() -> None:
    named = set(ALLOWED) | {name for uses in ALLOWED.values() for name in uses.split()}
    there = {room(dotted(path)) for path in MODULES}
    assert named - there == set()


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_files_are_short_or_have_a_reason(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    name = path.relative_to(PACKAGE).as_posix()
    assert lines <= 400 or name in LONG_FILES, f"{name} has {lines} lines: split it, or say in LONG_FILES why not"
    assert lines > 400 or name not in LONG_FILES, f"{name} is short by now: take it out of LONG_FILES"


def test_help_loads_nothing_heavy() -> None:
    heavy = {
        "numpy",
        "numba",
        "pydantic",
        "paho",
        "yaml",
        "starlette",
        "uvicorn",
        "rich",
        "prometheus_client",
        "sqlite3",
    }
    code = (
        "import sys\nfrom lstm_stream.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    assert "demo" in done.stdout
    assert heavy & set(done.stderr.split()) == set()
