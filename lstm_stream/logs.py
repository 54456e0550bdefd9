"""What the program says on stderr: lines for people, or JSON objects for machines. One record, one line.

Only a traceback takes several lines, and only in text.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any, TextIO

from lstm_stream.iso8601 import stamp

# What would forge lines, colours or the direction of text, and halves of surrogate pairs, which nothing can print.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def setup(level: str = "info", form: str = "text", stream: TextIO | None = None) -> None:
    """Log to a stream (default: stderr), replacing what was set up before; `form` is text or json."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # other people's debugging helps nobody
    logging.getLogger("lstm_stream").setLevel(level.upper())
    logging.captureWarnings(True)


class _Text(logging.Formatter):
    """`2026-11-21T06:28:49.123Z info lstm_stream.app: starting`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return f"{stamp(record.created)} {record.levelname.lower()} {record.name}: {_harmless(record.message)}"

    def formatException(self, exc_info: Any) -> str:  # noqa: N802
        """Indented: no line of it looks like one of ours, whatever the text of the error says."""
        return "\n".join("  " + _harmless(line) for line in super().formatException(exc_info).splitlines())


class _Json(logging.Formatter):
    """`{"time": ..., "level": ..., "logger": ..., "message": ..., "exception": ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _harmless(text: str) -> str:
    """Topics and names are not trusted."""
    return _CONTROL.sub(lambda control: repr(control[0])[1:-1], text)
