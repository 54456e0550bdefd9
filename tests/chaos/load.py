"""The seeded load: what is published, message by message, and the configuration that reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lstm_stream.config import VIEWS

KINDS = ("own", "shared", "bare", "join", "count", "mean")

_RETRAINING = {"every": 48, "history": 128, "lag": 8, "epochs": 1, "patience": "60s"}


def configuration(folder: Path, broker: int, web: int, durability: str = "strict") -> dict[str, Any]:
    """Of a daemon that reads the load at a broker's port: stamped and unstamped, joined, counted, resampled."""
    small = {"warmup": 64, "false_alarms": "90 per sensor per hour", "retraining": _RETRAINING}
    # Who looks for silence, and when, depends on the clock: sensors that are compared without a journal have none.
    views = [view for view in VIEWS if view != "silence"]
    return {
        "broker": {
            "port": broker,
            "host": "127.0.0.1",
            "client_id": "chaos-daemon",
            "reconnect_min": "0.05s",
            "reconnect_max": "0.2s",
            "keepalive": "5s",
        },
        "sources": [
            {"topic": "own/{sensor}", "qos": 1, "group": "own"},
            {"topic": "shared/{sensor}", "qos": 1, "group": "shared"},
            {"topic": "bare/{sensor}", "qos": 1},
            {"topic": "join/{sensor}/{channel}", "qos": 1, "join": "0.2s"},
            {"topic": "count/{sensor}", "qos": 1, "counters": ["total"]},
            {"topic": "mean/{sensor}", "qos": 1, "resample": "0.5s"},
        ],
        "groups": {
            "default": small | {"model": {"hidden": 4}},
            "own": small | {"model": {"hidden": 4}, "views": views},
            "shared": small | {"model": {"hidden": 4, "weights": "shared"}, "views": views},
        },
        "state": {"path": str(folder / "state.db"), "every": "1s", "durability": durability},
        "web": {"port": web},
        "log": {"level": "info"},
    }


def messages(seed: int, sensors: int, begin: float, rate: float) -> Iterator[tuple[str, bytes]]:
    """Topic and payload, for ever: the sensors in turn, with faults now and then; `rate` of them a second of data time.

    Data time begins at `begin`, unix s.
    """
    random = np.random.default_rng(seed)
    fault = np.zeros(sensors, np.int64)  # messages that it still lasts
    total = np.zeros(sensors)
    step = 0
    while True:
        for k in range(sensors):
            if fault[k] == 0 and step > 80 and random.random() < 0.02:
                fault[k] = random.integers(2, 12)
            fault[k] = max(0, fault[k] - 1)
            value = 20 + 3 * np.sin(step / 9 + k) + random.normal(0, 0.1) + (30 if fault[k] else 0)
            total[k] += abs(value)
            stamp = round(begin + (step * sensors + k) / rate, 3)
            yield from _of(k, stamp, round(float(value), 4), round(float(total[k]), 3))
        step += 1


def _of(k: int, stamp: float, value: float, total: float) -> Iterator[tuple[str, bytes]]:
    kind, name = KINDS[k % len(KINDS)], f"s{k}"
    if kind in ("own", "shared"):
        yield f"{kind}/{name}", json.dumps({"ts": stamp, "v": value, "w": round(value / 3, 4)}).encode()
    elif kind == "count":
        yield f"{kind}/{name}", json.dumps({"ts": stamp, "v": value, "total": total}).encode()
    elif kind == "join":
        yield f"{kind}/{name}/a", str(value).encode()
        yield f"{kind}/{name}/b", str(round(-value, 4)).encode()
    else:
        yield f"{kind}/{name}", str(value).encode()
