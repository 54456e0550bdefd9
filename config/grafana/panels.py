"""The vocabulary of the dashboards: queries, panels, rows, variables, as Grafana's JSON.

Plain Python, for it is little: grafana-foundation-sdk, which was tried, needs a pin against its version scheme, leaves
every query's refId and legend to be set by hand, and is several thousand files for the same JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

Json = dict[str, Any]

WIDTH = 24  # columns of Grafana's grid
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WORDS = {
    "HERE": 'instance=~"$instance"',
    "SENSOR": 'instance=~"$instance",group="$group",sensor="$sensor"',
    "RATE": "$__rate_interval",
    "RANGE": "$__range",
}
GOOD, WARN, BAD, CALM = "green", "orange", "red", "blue"
YES_NO = {"0": ("no", BAD), "1": ("yes", GOOD)}


def ask(expr: str, legend: str = "__auto", *, now: bool = False, shape: str = "time_series") -> Json:
    """A question to Prometheus; `now`: of this moment, not of the whole range. Words in capitals stand for others."""
    for word, text in WORDS.items():
        expr = expr.replace(word, text)
    return {
        "expr": expr,
        "legendFormat": legend,
        "instant": now,
        "range": not now,
        "format": shape,
        "datasource": SOURCE,
    }


def quantiles(metric: str, window: str = "RATE") -> list[Json]:
    """Of a histogram: the median, and what one of a hundred exceeds."""
    of = f"sum by (le) (rate({metric}_bucket{{HERE}}[{window}]))"
    return [
        ask(f"histogram_quantile(0.5, {of})", "median"),
        ask(f"histogram_quantile(0.99, {of})", "1 of 100 exceeds"),
    ]


def panel(kind: str, title: str, queries: Sequence[Json], description: str, defaults: Json, options: Json) -> Json:
    """Any panel; its place comes from `Board`."""
    named = [{"refId": letter, **each} for letter, each in zip(ascii_uppercase, queries, strict=False)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": named,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def lines(
    title: str,
    *queries: Json,
    unit: str = "short",
    about: str = "",
    stacked: bool = False,
    bars: bool = False,
    least: float | None = 0,
    most: float | None = None,
) -> Json:
    """Curves over time."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 0 if bars else 1,
        "fillOpacity": 80 if bars else 25 if stacked else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    defaults: Json = {"unit": unit, "custom": custom, "min": least, "max": most}
    options = {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, queries, about, {k: v for k, v in defaults.items() if v is not None}, options)


def number(
    title: str, each: Json, *, unit: str = "short", about: str = "", steps: Sequence[tuple[float, str]] = ()
) -> Json:
    """One large number; it takes the colour of the highest step that it reaches."""
    colours = [{"color": CALM, "value": None}, *({"color": colour, "value": value} for value, colour in steps)]
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": colours}, "color": {"mode": "thresholds"}}
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, [each], about, defaults, options)


def says(title: str, each: Json, words: dict[str, tuple[str, str]], *, about: str = "") -> Json:
    """A word for each value: value -> (word, colour)."""
    one = number(title, each, about=about)
    options = {
        value: {"text": text, "color": colour, "index": k} for k, (value, (text, colour)) in enumerate(words.items())
    }
    one["fieldConfig"]["defaults"]["mappings"] = [{"type": "value", "options": options}]
    one["options"]["graphMode"] = "none"
    one["options"]["colorMode"] = "background"
    return one


def ranks(title: str, each: Json, *, unit: str = "short", about: str = "") -> Json:
    """Bars side by side, now."""
    options = {
        "orientation": "horizontal",
        "displayMode": "basic",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel(
        "bargauge", title, [each], about, {"unit": unit, "min": 0, "color": {"mode": "continuous-BlYlRd"}}, options
    )


def histogram(title: str, metric: str, *, unit: str = "short", about: str = "") -> Json:
    """How a histogram's values are distributed over time, as colours."""
    each = ask(f"sum by (le) (increase({metric}_bucket{{HERE}}[RATE]))", "{{le}}", shape="heatmap")
    options = {
        "calculate": False,
        "yAxis": {"unit": unit},
        "color": {"mode": "scheme", "scheme": "Blues", "exponent": 0.4},
        "legend": {"show": True},
        "tooltip": {"mode": "single"},
    }
    return panel("heatmap", title, [each], about, {}, options)


def states(title: str, *queries: Json, words: dict[str, tuple[str, str]], about: str = "") -> Json:
    """Stripes that change their colour with the state."""
    options = {
        value: {"text": text, "color": colour, "index": k} for k, (value, (text, colour)) in enumerate(words.items())
    }
    defaults = {"mappings": [{"type": "value", "options": options}], "custom": {"fillOpacity": 80, "lineWidth": 0}}
    return panel("state-timeline", title, queries, about, defaults, {"showValue": "never", "mergeValues": True})


def table(title: str, each: Json, *, hidden: Sequence[str] = (), unit: str = "short", about: str = "") -> Json:
    """The labels of each series, and its value now, as a table."""
    away = dict.fromkeys(("Time", "__name__", "job", *hidden), True)
    one = panel("table", title, [each], about, {"unit": unit}, {"showHeader": True})
    one["transformations"] = [{"id": "organize", "options": {"excludeByName": away}}]
    return one


def style(name: str, properties: Json) -> Json:
    """How one curve differs from the others."""
    chosen = [{"id": key, "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": chosen}


def variable(name: str, asks: str, *, label: str, many: bool = False) -> Json:
    """A choice above the dashboard, from the values of a label."""
    asks = ask(asks)["expr"]
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": asks, "refId": "A"},
        "definition": asks,
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        "allValue": ".*" if many else None,
        "current": {"text": "All", "value": "$__all"} if many else {},
    }


class Board:
    """A dashboard that is being put together, row by row."""

    def __init__(self, uid: str, title: str, about: str, *variables: Json) -> None:
        source = {
            "type": "datasource",
            "name": "datasource",
            "label": "Prometheus",
            "query": "prometheus",
            "refresh": 1,
        }
        instance = variable("instance", "label_values(lstm_stream_build_info, instance)", label="Daemon", many=True)
        self._panels: list[Json] = []
        self._x, self._y, self._height = WIDTH, 0, 0
        links = {"type": "dashboards", "title": "lstm_stream", "tags": ["lstm_stream"]}
        self._document: Json = {
            "uid": uid,
            "title": title,
            "description": about,
            "tags": ["lstm_stream"],
            "schemaVersion": 41,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "15s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "links": [{**links, "keepTime": True, "includeVars": True}],
            "templating": {"list": [source, instance, *variables]},
            "annotations": {"list": []},
        }

    def row(self, height: int) -> None:
        """The next panels stand below the former ones."""
        if self._x != WIDTH:
            raise ValueError(f"the row at {self._y} has {self._x} of {WIDTH} columns")
        self._x, self._y, self._height = 0, self._y + self._height, height

    def add(self, columns: int, each: Json) -> None:
        """A panel beside the former one."""
        place = {"x": self._x, "y": self._y, "w": columns, "h": self._height}
        self._panels.append({"id": len(self._panels) + 1, **each, "gridPos": place})
        self._x += columns

    def document(self) -> Json:
        """The whole of it."""
        self.row(0)
        return {**self._document, "panels": self._panels}
