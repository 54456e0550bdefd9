"""The results as text, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks.load.measure import Plan, Result
from tests.benchmarks.load.task import BINS, PER_DECADE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS = "daemon"
COLUMNS = 2
LEGEND = 0.32  # of the height, above all curves
COLOURS = {"daemon": "C0", "paho": "C1", "gmqtt": "C2"}  # of those that tell latencies
HEADER = (
    f"{'':14}{'messages':>11}{'a second':>11}{'µs CPU':>9}{'network':>9}{'worker':>8}{'trainer':>9}{'decode':>8}"
    f"{'detect':>8}{'a turn':>8}{'lost':>9}{'rejected':>9}{'MB':>8}{'new µs':>8}{'p50 ms':>8}{'p99 ms':>8}"
)


def title(plan: Plan) -> str:
    """What the rows below were measured with."""
    speed = f"{plan.rate:,.0f} messages/s" if plan.rate else "blast" if plan.blast else "as fast as it can"
    return f"{plan.sensors:,} sensors, QoS {plan.qos}, {plan.payload}, via {plan.via}, {speed}"


def line(result: Result) -> str:
    """One row, and below it what is not as it should be."""
    r = result
    lost = "?" if r.lost is None else f"{r.lost:,}"
    parts = [
        f"{r.consumer:14}{r.sent:>11,}{r.rate:>11,.0f}{r.cpu:>9.2f}",
        *(
            f"{_figure(r.threads.get(name)):>{width}}"
            for name, width in (("network", 9), ("worker", 8), ("trainer", 9))
        ),
        *(f"{_figure(r.stages.get(name)):>8}" for name in ("decode", "detect")),
        f"{'' if r.batch is None else round(r.batch):>8}{lost:>9}"
        f"{sum(r.rejected.values()):>9,}{r.rss:>8,.0f}{r.new_sensor:>8.1f}",
        *(f"{_figure(value):>8}" for value in (r.p50, r.p99)),
    ]
    return "\n  ".join(["".join(parts), *_notes(r)])


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _notes(r: Result) -> list[str]:
    notes = []
    if not r.complete:
        notes.append(f"NOT EVERY MESSAGE WAS SCORED: dropped {r.dropped:,}, rejected {r.rejected or 'none'}")
        notes += r.complaints
    if r.first_missing:
        notes.append(f"{r.first_missing:,} first messages of sensors were not scored")
    if r.connections > 1:
        notes.append(f"it connected {r.connections} times")
    if r.retrains:
        notes.append("retraining meanwhile: " + ", ".join(f"{count} {what}" for what, count in r.retrains.items()))
    if r.pauses:
        (new, new_cpu), (later, later_cpu) = r.pauses
        told = f"{new:.0f} ms ({new_cpu:.0f} of CPU) while the fleet was new, then {later:.0f} ({later_cpu:.0f})"
        notes.append(f"longest pause of the line: {told}")
    if r.events:
        notes.append(f"{r.events} alarms opened or closed")
    if r.late > 5:
        notes.append(f"the sender was up to {r.late:.0f} ms behind its schedule: latencies include that")
    notes += [f"{name}: {cpu:.2f} µs CPU a message" for name, cpu in r.other.items() if name != "sender"]
    return notes


def draw(runs: Sequence[tuple[Plan, Sequence[Result]]], heading: str, path: Path) -> None:
    """CPU a message for each run without a rate, the latencies of each with one."""
    from matplotlib.figure import Figure

    bars = [(plan, results) for plan, results in runs if not plan.rate]
    histograms = [(plan, results) for plan, results in runs if plan.rate and any(r.p50 for r in results)]
    panels = len(bars) + len(histograms)
    columns = min(COLUMNS, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(5.5 * columns, 2.8 * rows + 0.4), layout="constrained")
    for place, (plan, results) in enumerate([*bars, *histograms]):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title(plan), fontsize=9)
        (_latencies if plan.rate else _bars)(axes, results)
    figure.suptitle(heading, fontsize=9)
    figure.savefig(path, dpi=110)


def _bars(axes: Axes, results: Sequence[Result]) -> None:
    names = [r.consumer + ("" if r.complete else " (incomplete)") for r in results]
    bars = axes.barh(
        names, [r.cpu for r in results], color=["C0" if r.consumer == OURS else "lightgrey" for r in results]
    )
    axes.bar_label(bars, [f"{r.cpu:.1f}" if r.cpu >= 0.1 else f"{r.cpu:.2g}" for r in results], padding=2, fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.margins(x=0.12)
    axes.set_xlabel("µs CPU a message", fontsize=8)


def _latencies(axes: Axes, results: Sequence[Result]) -> None:
    """The share of messages in each bin; the bins are equally wide on the logarithmic scale."""
    middle = np.sqrt(BINS[:-1] * BINS[1:]) * 1e3
    highest = 0.0
    for r in results:
        if r.p50 is not None and r.p99 is not None:
            label = f"{r.consumer}: p50 {r.p50:.2f} ms, p99 {r.p99:.2f} ms"
            share = np.array(r.histogram) / sum(r.histogram) * PER_DECADE
            axes.step(middle, share, where="mid", color=COLOURS[r.consumer], label=label)
            highest = max(highest, share.max())
    axes.set_xscale("log")
    axes.set_xlim(0.05, 1000)
    axes.set_ylim(0, highest / (1 - LEGEND))
    axes.set_xlabel("from the scheduled time to the end of the turn or the callback, ms", fontsize=8)
    axes.set_ylabel("share of messages a decade", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
