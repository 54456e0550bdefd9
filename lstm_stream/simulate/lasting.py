"""Changes that last for days, injected into a healthy sensor: what learning must neither miss nor swallow.

| change | what happens to the first channel                                        | size      | lasts       |
|--------|--------------------------------------------------------------------------|-----------|-------------|
| drift  | it runs off steadily over four days, and stays there                      | 8 x scale | for good    |
| step   | it is off by a constant from one sample to the next, as after a rebuild   | 6 x scale | for good    |
| fault  | it shows one high value, and then is healthy again                        | 6 x scale | 2 to 3 days |

Sizes are multiples of the sensor's normal variation, as those of faults.py; a change goes the way that has room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lstm_stream.simulate import Series
from lstm_stream.simulate.signals import DAY, KINDS, Array, Generator

DRIFTING = 4 * DAY
LASTING = 2 * DAY, 3 * DAY
DRIFT, STEP, HIGH = 8.0, 6.0, 6.0  # times the scale


@dataclass(frozen=True, slots=True)
class Lasting:
    """A changed sensor. The change happens from `start` to `end` (unix s); `stays` says whether it is for good."""

    change: str
    series: Series
    start: float
    end: float  # a step's is its start

    @property
    def stays(self) -> bool:
        """Whether the sensor never is as before again."""
        return self.change != "fault"


def lasting(change: str, series: Series, start: float, chance: Generator) -> Lasting:
    """The sensor with a change (a key of CHANGES) from `start` (unix s) on."""
    kind = KINDS[series.kind]
    values, scale = series.values.copy(), float(series.scale[0])
    usual = float(np.nanmedian(values[:, 0]))
    sign = 1.0 if kind.high[0] - usual >= usual - kind.low[0] else -1.0
    end = CHANGES[change](values[:, 0], series.time, start, usual, sign * scale, chance)
    return Lasting(change, replace(series, values=kind.measure(values)), start, end)


def _drift(column: Array, time: Array, start: float, usual: float, unit: float, chance: Generator) -> float:  # noqa: ARG001
    column += DRIFT * unit * np.clip((time - start) / DRIFTING, 0, 1)
    return start + DRIFTING


def _step(column: Array, time: Array, start: float, usual: float, unit: float, chance: Generator) -> float:  # noqa: ARG001
    column[time >= start] += STEP * unit
    return start


def _fault(column: Array, time: Array, start: float, usual: float, unit: float, chance: Generator) -> float:
    end = start + chance.uniform(*LASTING)
    column[(time >= start) & (time < end)] = usual + HIGH * unit
    return end


CHANGES: dict[str, Callable[[Array, Array, float, float, float, Generator], float]] = {
    "drift": _drift,
    "step": _step,
    "fault": _fault,
}
