"""The overview page: one HTML document without scripts or anything from another host. Pure: data in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from html import escape
from string import Template

from lstm_stream.outputs.health import Health, Status
from lstm_stream.records import Event

REFRESH_SECONDS = 5
_ALARMS_SHOWN = 100

STYLE = """
:root { color-scheme: light dark; --ink: #1a1d21; --dim: #5b6470; --line: #d9dee4; --good: #18794e; --bad: #b42318;
  --ground: #fff; --raised: #f6f8fa }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --dim: #9aa4b1; --line: #333a43; --good: #4cc38a;
  --bad: #ff8b7e; --ground: #15181c; --raised: #1d2126 } }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 3rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; justify-content: space-between }
h1 { font-size: 1.35rem; margin: 0 } h2 { font-size: 1rem; margin: 2rem 0 .5rem }
a { color: inherit } .dim { color: var(--dim) } .good { color: var(--good) } .bad { color: var(--bad) }
ul.tiles { list-style: none; display: flex; flex-wrap: wrap; gap: .6rem; margin: 0; padding: 0 }
ul.tiles li { background: var(--raised); border: 1px solid var(--line); border-radius: 8px; padding: .5rem .9rem }
ul.tiles b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { color: var(--dim); font-weight: 500 }
.sensor { font-weight: 600; overflow-wrap: anywhere }
"""

# A drawn pulse: browsers ask for an icon, and this saves them the request.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 9h3l2-6 3 11 "
    "2-7 1 2h3' fill='none' stroke='%23278' stroke-width='2'/%3E%3C/svg%3E"
)

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="$refresh">
<title>$title</title>
<link rel="icon" href="$icon">
<style>$style</style>
</head>
<body>
<header><h1>lstm_stream <span class="$tone">$state</span></h1>
<span class="dim">$now UTC &middot; <a href="/metrics">metrics</a> &middot; <a href="/-/ready">ready</a></span></header>
$sections
</body>
</html>
""")


def overview(health: Health, status: Status, now: float) -> str:
    """The page at wall-clock time `now` (unix s)."""
    state = "ready" if health.ready else "not ready" if health.healthy else "unhealthy"
    alarms = status.get("alarms", ())
    sections = (
        _checks(health.checks),
        _tiles("Sensors", status.get("sensors", {})),
        _alarms(alarms),
        _facts(status.get("facts", {})),
    )
    return _PAGE.substitute(
        refresh=REFRESH_SECONDS,
        title=escape(f"({len(alarms)}) lstm_stream" if alarms else "lstm_stream"),
        icon=_ICON,
        style=STYLE,
        tone="good" if health.ready else "bad",
        state=state,
        now=_clock(now),
        sections="\n".join(section for section in sections if section),
    )


def _checks(checks: Mapping[str, str]) -> str:
    rows = [
        (escape(name), f'<span class="{"good" if result == "ok" else "bad"}">{escape(result)}</span>')
        for name, result in checks.items()
    ]
    return _section("Checks", _table((), rows)) if rows else ""


def _tiles(title: str, numbers: Mapping[str, int]) -> str:
    items = "".join(f"<li><b>{number:,}</b>{escape(name)}</li>" for name, number in numbers.items())
    return _section(title, f'<ul class="tiles">{items}</ul>') if items else ""


def _alarms(alarms: Sequence[Event]) -> str:
    if not alarms:
        return _section("Open alarms", '<p class="dim">None.</p>')
    rows = [
        (
            f'<span class="sensor">{escape(alarm.sensor)}</span> <span class="dim">{escape(alarm.group)}</span>',
            _clock(alarm.opened),
            escape(alarm.view),
            escape(alarm.reason),
            f"{alarm.score:.1f} / {alarm.threshold:.1f}",
        )
        for alarm in alarms[:_ALARMS_SHOWN]
    ]
    hidden = len(alarms) - len(rows)
    more = f'<p class="dim">and {hidden:,} more</p>' if hidden else ""
    return _section(
        "Open alarms", _table(("Sensor", "Since (UTC)", "View", "Reason", "Score / threshold"), rows) + more
    )


def _facts(facts: Mapping[str, str | int | float]) -> str:
    rows = [(escape(name), escape(_value(value))) for name, value in facts.items()]
    return _section("Daemon", _table((), rows)) if rows else ""


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are HTML already."""
    first = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>" if head else ""
    rest = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{first}\n{rest}</table></div>'


def _value(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _clock(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "unknown"
