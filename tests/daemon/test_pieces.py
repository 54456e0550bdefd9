"""A daemon whose sensors send each channel in a message of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SAMPLES = "lstm_stream_samples_processed_total"


def test_pieces_are_scored_as_one_sample_once_their_time_has_passed_also_over_a_restart(
    mosquitto: Any, daemon_factory: Any, publish: Any, wait_until: Callable[..., Any]
) -> None:
    daemon = daemon_factory(mosquitto, sources=[{"topic": "plant/{sensor}/{channel}", "join": "1s"}])
    daemon.start()
    wait_until(lambda: daemon.metric("lstm_stream_mqtt_connected") == 1, "the connection", 120)
    for channel in ("t", "h", "p"):
        publish(mosquitto, f"plant/boiler/{channel}", ["20.5"])
    wait_until(lambda: daemon.metric(SAMPLES) > 0, "a sample, though no other message comes", 20)
    assert daemon.metric(SAMPLES) == 1
    assert daemon.metric("lstm_stream_messages_received_total") == 3
    assert daemon.get("/-/ready")[0] == 200
    publish(mosquitto, "plant/attic/t", ["5"])
    wait_until(lambda: daemon.metric("lstm_stream_messages_received_total") == 4, "the last message", 20)
    assert daemon.stop() == 0
    daemon.start()
    wait_until(lambda: daemon.metric(SAMPLES) == 1, "what was held back at the stop, when its time has passed", 180)
