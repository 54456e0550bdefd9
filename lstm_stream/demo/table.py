"""The live table of the demo, for a terminal of 80 columns and 24 lines or more."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lstm_stream.demo import words
from lstm_stream.demo.chronicle import Happening
from lstm_stream.demo.screen import Snapshot

_OTHER_LINES = 9  # of the screen: all but the sensors and the happenings
_STYLES = {"found": "green", "missed": "red", "false": "yellow", "": "dim"}


class LiveTable:
    """Draws the snapshots over each other."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False)
        self._fleet: Sequence[str] = ()
        self._url = ""

    def note(self, text: str) -> None:
        """A line above the table."""
        self._console.print(text, highlight=False)

    def open(self, fleet: Sequence[str], url: str) -> None:
        """Takes the screen."""
        self._fleet, self._url = fleet, url
        self._live.start()

    def show(self, snapshot: Snapshot) -> None:
        """Draws it."""
        self._live.update(self.render(snapshot), refresh=True)

    def close(self) -> None:
        """Leaves the last picture where it is."""
        self._live.stop()

    def render(self, snapshot: Snapshot) -> RenderableType:
        """The whole picture."""
        sensors = self._sensors(snapshot)
        room = max(4, self._console.height - _OTHER_LINES - sensors.row_count)
        return Group(self._head(snapshot), self._progress(snapshot), sensors, self._story(snapshot, room), self._foot())

    def _head(self, snapshot: Snapshot) -> Text:
        verdicts = [words.verdict(one) for one in snapshot.happenings]
        injected = sum(one.fault is not None for one in snapshot.happenings)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("lstm_stream demo", "bold")
        text.append(
            f"  {words.moment(snapshot.now)}  {snapshot.speed:,.0f} x real time  {snapshot.rate:,.0f} messages/s"
        )
        text.append(f"\nfaults: {injected} injected, ")
        text.append(f"{verdicts.count('found')} found", _STYLES["found"])
        text.append(", ")
        text.append(f"{verdicts.count('missed')} missed", _STYLES["missed"])
        text.append("; ")
        text.append(f"{verdicts.count('false')} false alarms", _STYLES["false"])
        return text

    def _progress(self, snapshot: Snapshot) -> Table:
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=8)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", width=14)
        warm = f"{100 * snapshot.warmup:.0f} %"
        grid.add_row("warm-up", ProgressBar(100, 100 * snapshot.warmup), warm)
        share = min(1.0, snapshot.seconds / snapshot.duration) if snapshot.duration else 0.0
        grid.add_row("run", ProgressBar(100, 100 * share), f"{snapshot.seconds:.0f} of {snapshot.duration:.0f} s")
        return grid

    def _sensors(self, snapshot: Snapshot) -> Table:
        """A row for each kind, a mark for each sensor: its colour is what the daemon says, its shape what is true."""
        faulty = {
            one.sensor for one in snapshot.happenings if one.fault and one.fault.start <= snapshot.now < one.fault.end
        }
        alarmed = {one.sensor for one in snapshot.happenings if one.alarm is not None and one.alarm.closed is None}
        quiet = "green" if snapshot.warmup >= 1 else "dim"
        kinds: dict[str, Text] = {}
        for name in self._fleet:
            marks = kinds.setdefault(name.rpartition("-")[0], Text(no_wrap=True, overflow="ellipsis"))
            marks.append("▲ " if name in faulty else "● ", "bold red" if name in alarmed else quiet)
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=10)
        grid.add_column(ratio=1)
        for kind, marks in kinds.items():
            grid.add_row(kind, marks)
        return grid

    def _story(self, snapshot: Snapshot, room: int) -> Table:
        table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
        table.add_column("when", width=9, no_wrap=True)
        table.add_column("sensor", width=13, no_wrap=True)
        table.add_column("injected", ratio=4, no_wrap=True)
        table.add_column("detected", ratio=3, no_wrap=True)
        table.add_column("", width=6, no_wrap=True)
        for one in snapshot.happenings[-room:]:
            table.add_row(*self._row(one))
        return table

    def _row(self, one: Happening) -> tuple[RenderableType, ...]:
        injected = "nothing" if one.fault is None else words.fault(one.fault)
        verdict = words.verdict(one)
        open_now = one.alarm is not None and one.alarm.closed is None
        detected = Text(words.alarm(one), "bold red" if open_now else "")
        return (
            words.moment(one.began, "%a %H:%M"),
            one.sensor,
            injected,
            detected,
            Text(verdict or "...", _STYLES[verdict]),
        )

    def _foot(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("● sensor  ▲ fault injected  ", "dim")
        text.append("green", "green")
        text.append(" quiet  ", "dim")
        text.append("red", "bold red")
        text.append(f" alarm      Ctrl-C ends it\nthe page: {self._url}/", "dim")
        return text
