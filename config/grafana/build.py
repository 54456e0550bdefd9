"""Writes the dashboards. After a change: python config/grafana/build.py; with --check it only says what differs.

Rule: whatever a daemon does, each query has an answer: `or vector(0)` where a series begins with its first event.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from daemon import daemon
from fleet import fleet
from models import models
from sensor import sensor

FOLDER = Path(__file__).parent / "dashboards"


def main() -> int:
    """Write the files, or check them."""
    documents = {
        f"{make.__name__}.json": json.dumps(make(), indent=1) + "\n" for make in (fleet, sensor, daemon, models)
    }
    if sys.argv[1:] == ["--check"]:
        there = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
        stale = sorted(name for name in documents.keys() | there.keys() if documents.get(name) != there.get(name))
        print("\n".join(f"{name} is not what build.py makes; run python config/grafana/build.py" for name in stale))
        return bool(stale)
    for name, text in documents.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
