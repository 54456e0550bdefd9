"""A daemon whose sensors send each channel in a message of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paho.mqtt.publish

SAMPLES = "lstm_stream_samples_processed_total"


def test_pieces_are_scored_as_one_sample_once_their_time_has_passed_also_over_a_restart(
    mosquitto: Any, daemon_factory: Any, wait_until: Callable[..., Any]
) -> None:
    def publish(**pieces: str) -> None:
        parts = [(f"plant/{place.replace('_', '/')}", value, 1, False) for place, value in pieces.items()]
        paho.mqtt.publish.multiple(parts, mosquitto.host, mosquitto.port)  # at once, over one connection

    daemon = daemon_factory(mosquitto, sources=[{"topic": "plant/{sensor}/{channel}", "join": "4s"}])
    daemon.start()
    wait_until(lambda: daemon.metric("lstm_stream_mqtt_subscribed") == 1, "the subscription", 120)
    publish(boiler_t="20.5", boiler_h="20.5", boiler_p="20.5")
    wait_until(lambda: daemon.metric(SAMPLES) > 0, "a sample, though no other message comes")
    assert daemon.metric(SAMPLES) == 1
    assert daemon.metric("lstm_stream_messages_received_total") == 3
    assert daemon.get("/-/ready")[0] == 200
    publish(attic_t="5")
    wait_until(lambda: daemon.metric("lstm_stream_messages_received_total") == 4, "the last message")
    assert daemon.stop() == 0
    daemon.start()
    wait_until(lambda: daemon.metric(SAMPLES) == 1, "what was held back at the stop, when its time has passed", 180)
