"""One consumer as a process of its own.

    python -m tests.benchmarks.load.child '{"kind": "paho", "port": 1883, ...}'

A line on stdin is answered by a snapshot as JSON on stdout. The end of stdin ends the process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.load.pump import Done
from tests.benchmarks.load.task import Snapshot, Task


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_DATA, (task.memory, task.memory))
    done = Done(Path(task.done))
    if task.kind == "daemon":
        from tests.benchmarks.load.daemon import Daemon as Consumer
    else:
        from tests.benchmarks.load.rivals import Rival as Consumer
    consumer = Consumer(task, done)
    threading.Thread(target=_answer, args=(consumer.snapshot,), daemon=True).start()
    consumer.run()


def _answer(snapshot: Callable[[], Snapshot]) -> None:
    for _ in sys.stdin:
        print(json.dumps(snapshot()), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
