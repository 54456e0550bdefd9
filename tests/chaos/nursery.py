"""Starts daemons fast: imports everything and compiles the kernels once, then forks.

    python -m tests.chaos.nursery      a line on stdin "CONFIG LOG" is answered by the process id of a daemon

A daemon forked off is `lstm-stream run CONFIG` in all but the time that Python takes to load.
"""

from __future__ import annotations

import os
import signal
import sys

from lstm_stream.app import warm_kernels
from lstm_stream.cli import main


def serve() -> None:
    """Until the end of stdin."""
    warm_kernels()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the killed ones
    print("ready", flush=True)
    for line in sys.stdin:
        config, log = line.split()
        pid = os.fork()
        if not pid:
            _become(config, log)
        print(pid, flush=True)


def _become(config: str, log: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        code = main(["run", config])
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
