"""The families of a registry as text, as prometheus_client writes them, for a fraction of its time.

    registry.collect() --family by family--> Encoder --pieces--> paced() --> the answer to a scrape

What comes before the numbers is made once and kept. Exemplars, timestamps and gauge histograms, which nothing here
has, are left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

SLICE = 0.0002  # s of work after which whoever waits for the interpreter gets it
REST = 0.00002  # s: less would not wake up another thread, and the system makes about 0.1 ms of it

_TYPES = {"info": "gauge", "stateset": "gauge", "unknown": "untyped"}  # of the text format, where they differ
_SUFFIXES = {"counter": "_total", "info": "_info"}


class Encoder:
    """Keeps what does not change from scrape to scrape."""

    def __init__(self, openmetrics: bool) -> None:
        self._openmetrics = openmetrics
        self._known: dict[object, str] = {}

    def encode(self, families: Iterable[Metric]) -> Iterable[bytes]:
        """The text of each family, made when it is asked for."""
        known, used = self._known, dict[object, str]()
        for family in families:
            about = family.name, family.type, family.documentation, family.unit
            used[about] = text = known.get(about) or self._header(family)
            for sample in family.samples:
                key = sample.name, *sample.labels.items()
                used[key] = before = known.get(key) or _before(sample)
                text += f"{before} {_number(sample.value)}\n"
            yield text.encode()
        self._known = used

    def _header(self, family: Metric) -> str:
        name, kind = family.name, family.type
        documentation = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
        if self._openmetrics:
            documentation = documentation.replace('"', r"\"")
        else:
            name, kind = name + _SUFFIXES.get(kind, ""), _TYPES.get(kind, kind)
        unit = f"# UNIT {name} {family.unit}\n" if family.unit and self._openmetrics else ""
        return f"# HELP {name} {documentation}\n# TYPE {name} {kind}\n{unit}"


def _before(sample: Sample) -> str:
    """The name of a sample and its labels."""
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def paced(pieces: Iterable[bytes]) -> list[bytes]:
    """All of them, made so that no other thread waits long for the interpreter: sleeping is what hands it over.

    Without, the line gets it back sys.getswitchinterval() later each time that it has let it go, which is often.
    """
    result, began = [], time.perf_counter()
    for piece in pieces:
        result.append(piece)
        if time.perf_counter() - began > SLICE:
            time.sleep(REST)
            began = time.perf_counter()
    return result
