"""One run: lives and deaths of a daemon, and the verdict on what is left."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lstm_stream.config import Config
from tests.chaos.judge import final, judge, judge_stamped, received, turns_in
from tests.chaos.load import configuration, messages
from tests.chaos.world import Broker, Daemons, Keeper, Listener, Network, Publisher, wait_until
from tests.ports import unused_port

SCORED = "lstm_stream_samples_processed_total"
SUBSCRIBED = "lstm_stream_mqtt_subscribed"
DECODED = [f'lstm_stream_messages_decoded_total{{path="{path}"}}' for path in ("fast", "slow")]


@dataclass(frozen=True)
class Plan:
    """What to do."""

    kills: int = 20
    seed: int = 1
    sensors: int = 24
    rate: float = 300.0  # messages a second
    life: float = 1.0  # s, on average
    cold: int = 10  # every so many starts is one of a new Python; 0: none
    trouble: float = 0.2  # share of lives in which broker or network fail too


def run(plan: Plan, folder: Path, say: bool = True) -> list[str]:
    """What is wrong afterwards; empty, if all is well."""
    random = np.random.default_rng(plan.seed)
    broker = Broker(folder)
    broker.start()
    network = Network(broker.port)
    network.start()
    config = configuration(folder, network.port, unused_port())
    daemons = Daemons(folder, config)
    keeper = Keeper(folder / "state.db")
    listener = Listener(broker.port)
    load = messages(plan.seed, plan.sensors, time.time(), plan.rate)
    began = time.monotonic()
    try:
        daemons.start()
        wait_until(lambda: daemons.metric(SUBSCRIBED) == 1, "the subscription")
        publisher = Publisher(broker.port, load, plan.rate)
        for number in range(plan.kills):
            if say and number % 50 == 49:
                print(f"{number + 1} kills, {len(publisher.sent)} messages", flush=True)
            life = float(random.exponential(plan.life)) + 0.02
            _live(random, plan, life, broker, network, publisher)
            daemons.end(signal.SIGKILL)
            daemons.start(cold=bool(plan.cold) and number % plan.cold == plan.cold - 1)
        publisher.stop()
        with suppress(TimeoutError):  # what is missing will be told
            wait_until(lambda: _count(keeper) >= len(publisher.sent), "the rest of the messages")
        time.sleep(1.5)  # what waits to be joined
        daemons.end(signal.SIGTERM)
        listener.settle()
        keeper.stop()
    finally:
        if daemons.alive:
            daemons.end(signal.SIGKILL)
        daemons.close()
        listener.close()
        network.close()
        broker.stop()
    lasted = time.monotonic() - began
    wrong = judge(folder, Config.model_validate(config), publisher.sent, listener.ids)
    twice = sum(count - 1 for count in listener.ids.values())
    if say:
        print(
            f"{plan.kills} kills in {lasted:.0f} s, {len(publisher.sent)} messages, {len(listener.ids)} events, "
            f"{twice} of them delivered twice"
        )
    return wrong


def run_full_disk(folder: Path, seed: int = 1, rate: float = 300.0) -> list[str]:
    """The disk is full for a while, and the daemon is killed after it has recovered: what is wrong afterwards."""
    broker = Broker(folder)
    broker.start()
    config = configuration(folder, broker.port, unused_port())
    daemons = Daemons(folder, config)
    wrong = []
    try:
        daemons.start()
        wait_until(lambda: daemons.metric(SUBSCRIBED) == 1, "the subscription")
        publisher = Publisher(broker.port, messages(seed, 12, time.time(), rate), rate)
        wait_until(lambda: daemons.metric(SCORED) > 200, "the first samples")
        daemons.limit(4096)
        wait_until(lambda: daemons.metric("lstm_stream_durable") == 0, "that it notices the full disk")
        scored = daemons.metric(SCORED)
        wait_until(lambda: daemons.metric(SCORED) > scored + 200, "samples scored on a full disk")
        daemons.limit(-1)
        wait_until(lambda: daemons.metric("lstm_stream_durable") == 1, "that it recovers by itself")
        if not daemons.metric("lstm_stream_journal_failures_total") > 0:
            wrong.append("failures are not counted")
        publisher.stop()
        wait_until(lambda: sum(map(daemons.metric, DECODED)) >= len(publisher.sent), "the rest")
        time.sleep(1.0)  # until it is written
        daemons.end(signal.SIGKILL)
        daemons.start()
        wait_until(lambda: daemons.log.count("connected to") > 1, "the second connection")
        daemons.end(signal.SIGTERM)
    finally:
        if daemons.alive:
            daemons.end(signal.SIGKILL)
        daemons.close()
        broker.stop()
    described = Config.model_validate(config)
    return wrong + judge_stamped(described, publisher.sent, final(described)[0])


def _live(
    random: np.random.Generator, plan: Plan, life: float, broker: Broker, network: Network, publisher: Publisher
) -> None:
    """A life of so many seconds, with trouble perhaps."""
    if random.random() >= plan.trouble:
        time.sleep(life)
        return
    time.sleep(life / 2)
    kind = random.integers(3)
    if kind == 0:
        publisher.rest()
        broker.stop()
        time.sleep(min(life, 0.5))
        broker.start()
        publisher.go_on()
    else:
        (network.cut if kind == 1 else network.hold)()
        time.sleep(min(life, 3.0))
        network.mend()
    time.sleep(life / 2)


def _count(keeper: Keeper) -> int:
    try:
        return sum(1 for _ in received(turns_in(keeper.folder)))
    except ValueError:  # a record is being written
        return 0
