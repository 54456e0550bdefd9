"""The text of a scrape by prometheus_client, made family by family so that the line need not wait for all of it.

registry --families()--> pieces --paced()--> the answer to a scrape
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import ALLOWUTF8
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

END = b"# EOF\n"
"""The last line of OpenMetrics."""
SLICE = 0.0002  # s of work after which whoever waits for the interpreter gets it
REST = 0.00002  # s: less would not wake up another thread, and the system makes about 0.1 ms of it


@dataclass
class _One(Collector):
    family: Metric

    def collect(self) -> list[Metric]:
        return [self.family]


def families(registry: Collector, openmetrics: bool) -> Iterator[bytes]:
    """The text of each family, made when it is asked for; of OpenMetrics without the `END`."""
    generate = generate_openmetrics if openmetrics else generate_latest
    for family in registry.collect():
        # Our names are plain: to escape them, character by character, would take half of the time.
        yield generate(_One(family), ALLOWUTF8).removesuffix(END)


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
