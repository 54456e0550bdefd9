"""Telegraf's output: its JSON, single or a batch, line protocol, or one field a topic as a plain value.

    {"name": "docker", "tags": {"host": "raynor"}, "fields": {"n_images": 660}, "timestamp": 1458229140}

A metric with the tag `source` is of that device, and its fields are the channels. Any other is of the machine (`host`)
that measures many things: its channels begin with the name of the metric, and with the tag that tells apart disks,
processors, interfaces: docker.n_images, cpu.cpu0.usage_idle.
"""

from __future__ import annotations

from typing import Any

from lstm_stream.ingest.formats import influx, json, value
from lstm_stream.ingest.formats.influx import Line
from lstm_stream.ingest.formats.sample import NOW, Options, Sample
from lstm_stream.ingest.formats.stamp import read_stamp
from lstm_stream.ingest.formats.text import trimmed
from lstm_stream.records import Reason, Rejection

_KEYS = {"name", "tags", "fields", "timestamp"}
_PARTS = ("cpu", "device", "interface", "path", "container_name", "process_name", "name")  # of one machine


def fits(document: Any) -> bool:
    """Whether a JSON document is one metric or a batch of them."""
    if not isinstance(document, dict):
        return False
    if document.keys() == {"metrics"}:
        metrics = document["metrics"]
        return isinstance(metrics, list) and bool(metrics) and all(map(_is_metric, metrics))
    return _is_metric(document)


def _is_metric(metric: Any) -> bool:
    if not isinstance(metric, dict) or not {"name", "fields"} <= metric.keys() <= _KEYS:
        return False
    tags = metric.get("tags", {})
    return isinstance(metric["name"], str) and isinstance(metric["fields"], dict) and isinstance(tags, dict)


def decode(payload: bytes, options: Options) -> list[Sample | Rejection]:
    """The samples of a payload, in order."""
    start = trimmed(payload[:100])[:1]
    if start in (b"{", b"["):
        document = json.parse(payload, options.depth)
        return [document] if isinstance(document, Rejection) else from_document(document, options)
    if influx.looks_like(trimmed(payload).decode("utf-8", "replace")):
        return [_from_line(line, options) for line in influx.lines(payload, options)]
    return value.decode(payload, options)


def _from_line(line: Line | Rejection, options: Options) -> Sample | Rejection:
    return line if isinstance(line, Rejection) else _sample(line, influx.time_field(line), options)


def from_document(document: Any, options: Options) -> list[Sample | Rejection]:
    """The samples of a metric or a batch."""
    if not fits(document):
        return [Rejection(Reason.MALFORMED, "not Telegraf's JSON; an object with name, tags, fields and timestamp is")]
    return [_from_metric(metric, options) for metric in document.get("metrics", [document])]


def _from_metric(metric: dict[str, Any], options: Options) -> Sample | Rejection:
    stamp = read_stamp(metric.get("timestamp"), "timestamp", options)
    if isinstance(stamp, Rejection):
        return stamp
    tags = {name: str(tag) for name, tag in metric.get("tags", {}).items() if isinstance(tag, (str, int, float))}
    line = Line(metric["name"], tags, json.values_of(metric["fields"], options), stamp.time)
    return _sample(line, stamp.place, options)


def _sample(line: Line, time_field: str | None, options: Options) -> Sample:
    values = line.values
    if "source" not in line.tags:
        parts = [line.tags[name] for name in _PARTS if line.tags.get(name)]
        prefix = options.separator.join([line.measurement, *parts, ""])
        values = {prefix + name: number for name, number in values.items()}
    return Sample(line.time, values, time_field, influx.device_of(line.tags), influx.names_of(line), NOW)
