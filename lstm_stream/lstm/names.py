"""What the cells are called: the one list, for all who offer a choice. Loads nothing heavy."""

from __future__ import annotations

from typing import Literal, get_args

CellName = Literal["standard", "peephole", "coupled", "elysium", "ltms"]
CELL_NAMES: tuple[str, ...] = get_args(CellName)
