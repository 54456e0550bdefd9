"""Compiles what the daemon runs, on data of its own: from decoding to retraining."""

from __future__ import annotations

import functools
import gc
import logging
import time

import numpy as np
from prometheus_client import CollectorRegistry

from lstm_stream.config import Group, Limits, Retraining
from lstm_stream.desk.watch import record
from lstm_stream.detect.fleet import Fleet
from lstm_stream.detect.trainer import Trainer
from lstm_stream.ingest.warming import warm
from lstm_stream.outputs.histogram import BatchHistogram
from lstm_stream.outputs.recorder import Recorder
from lstm_stream.records import Command, Reading

log = logging.getLogger(__name__)


@functools.cache
def warm_kernels() -> None:
    """Compile every kernel now, or load it from the cache, so that the first message does not wait for it. Once."""
    began = time.perf_counter()
    log.debug("preparing kernels")
    trainer = Trainer()
    trainer.open()
    time_of = np.arange(400) * 60.0
    for weights in ("own", "shared"):
        group = Group.model_validate(
            {
                "model": {"weights": weights, "hidden": 2},
                "retraining": Retraining(every=64, history=128, lag=8, epochs=1).model_dump(),
                "warmup": 200,
            }
        )
        fleet = Fleet({"default": group}, Limits(), trainer)
        fleet.process([Reading("warm", "default", t, {"value": np.sin(t)}) for t in time_of])
        for t in time_of[-1] + 1.0 + np.arange(40):  # of two sensors: some arrays have another type for Numba then
            fleet.process([Reading(sensor, "default", t, {"value": 50.0}) for sensor in ("warm", "beside")])
        reply = fleet.apply(Command("warm", "accept", "default", "warm", "", time_of[-1]))
        assert reply.ok, reply.text  # else what it runs would be compiled when somebody asks for it, on the line
        for decoded in warm():
            record(Recorder(1), fleet.process(decoded.readings, decoded.at, decoded.rows))
        fleet.silences(time_of[-1] + 1e6)
    BatchHistogram("warm", "", (1.0,), CollectorRegistry()).observe(np.zeros(1))
    trainer.close()
    seconds = time.perf_counter() - began
    if seconds > 5.0:
        log.info("compiled the kernels in %.0f s; the next start finds them cached", seconds)


def keep_for_ever() -> None:
    """Let the garbage collector pass over what is there now: to look at all modules and code is a pause of 0.1 s."""
    gc.collect()
    gc.freeze()
