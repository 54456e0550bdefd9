"""All sinks of a configuration, each with its courier: the way of events out of the daemon.

delivery = Delivery(...);  outbox = Outbox(delivery.names, delivery.render, ...)
delivery.open(outbox) → close()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from lstm_stream.config.maintenance import Window
from lstm_stream.config.outlets import EventFile, Events, LogSink, SeverityName, Webhook
from lstm_stream.outputs.courier import Courier, Policy
from lstm_stream.outputs.events import to_json, topic_for
from lstm_stream.outputs.grouping import Incidents
from lstm_stream.outputs.maintenance import Windows
from lstm_stream.outputs.outbox import Letter, Outbox
from lstm_stream.outputs.severity import severity_of
from lstm_stream.outputs.sinks import Sink
from lstm_stream.outputs.sinks import log as log_sink
from lstm_stream.outputs.sinks.alertmanager import Alerts
from lstm_stream.outputs.sinks.file import FileSink
from lstm_stream.outputs.sinks.mqtt import MqttSink, Receipt
from lstm_stream.outputs.sinks.webhook import WebhookSink
from lstm_stream.records import Event

LINGER = 1.0  # s that sinks beside MQTT have at the end

Count = Callable[[str, str, int], None]  # a sink, a result of courier.RESULTS, and how many events


class Delivery:
    """`publish` sends topic and payload over MQTT; `count` hears what became of events. Raises ValueError."""

    def __init__(
        self,
        events: Events,
        maintenance: Sequence[Window],
        version: str,
        publish: Callable[[str, bytes], Receipt],
        count: Count,
    ) -> None:
        self._events = events
        self._version = version
        self._windows = Windows(maintenance)
        self._count = count
        webhooks = [one for one in events.webhooks if one.active]
        files = [(one, one.path) for one in events.files if one.path is not None]
        self._sinks: list[tuple[Sink, Events | LogSink | Webhook | EventFile]] = [
            (MqttSink(publish), events),
            *([(log_sink.LogSink(self._remark), events.log)] if events.log.enabled else []),
            *((WebhookSink(one, self._body(one)), one) for one in webhooks),
            *((FileSink(one.name, path, one.rotate, one.keep), one) for one, path in files),
        ]
        self._couriers: list[Courier] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sinks."""
        return tuple(sink.name for sink, _ in self._sinks)

    def render(self, event: Event) -> tuple[str, bytes]:
        """The topic and the payload of an event."""
        rule, window = self._events.severity, self._windows.name_for(event)
        return self._topic(event), to_json(event, time.time(), self._version, rule, window)

    def open(self, outbox: Outbox, told: Callable[[str], Iterable[Event]] = lambda _sink: ()) -> None:
        """Start the couriers. `told` gives the events that a sink was told before this process began, in order."""
        for sink, settings in self._sinks:
            windows = Windows() if isinstance(settings, LogSink) else self._windows  # the log has everything
            policy = self._policy(settings.min_severity, settings.grouped, windows)
            courier = Courier(sink, outbox, policy, partial(self._count, sink.name))
            if settings.grouped:
                courier.recall(told(sink.name))
            self._couriers.append(courier)
        for courier in self._couriers:
            courier.open()

    def configure(self, events: Events, maintenance: Sequence[Window]) -> None:
        """Another topic, other maintenance windows and severities, from now on; the sinks stay as they are."""
        self._events = events
        self._windows.replace(maintenance)
        for courier in self._couriers:
            courier.configure(events.severity)

    def close(self, timeout: float) -> None:
        """Deliver what can be, over MQTT within `timeout` s, then end. May be called twice.

        What is left stays in the outbox; a webhook that does not answer is not waited for.
        """
        began = time.monotonic()
        couriers, self._couriers = self._couriers, []
        for courier in couriers:
            courier.stop()
        for courier, patience in zip(couriers, (timeout, *(LINGER for _ in couriers)), strict=False):
            courier.join(max(0.0, began + patience - time.monotonic()))

    def _policy(self, least: SeverityName, grouped: bool, windows: Windows) -> Policy:
        events = self._events
        incidents = Incidents(events.grouping, events.severity, self._topic, self._version) if grouped else None
        return Policy(least, events.severity, windows, incidents)

    def _body(self, settings: Webhook) -> Callable[[Letter], bytes]:
        return Alerts(lambda: self._events.severity) if settings.format == "alertmanager" else _payload

    def _topic(self, event: Event) -> str:
        return topic_for(self._events.topic, event)

    def _remark(self, event: Event) -> str:
        window = self._windows.name_for(event)
        severity = severity_of(event, self._events.severity)
        return severity if window is None else f"{severity}, in maintenance: {window}"


def _payload(letter: Letter) -> bytes:
    return letter.payload
