"""How a command ends: 0 fine, 1 something to correct, 2 wrong usage, 3 the start failed, 4 stopped by a defect."""

from __future__ import annotations

OK, INVALID, USAGE, FAILED_START, DEFECT = range(5)
