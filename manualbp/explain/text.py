"""An explanation for a terminal: each number on a line, with symbols, with numbers, and the result."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .notation import NUMBERS, SYMBOLS, short
from .table import Table

if TYPE_CHECKING:
    from .trace import Explanation, Stage


def text(explanation: Explanation) -> str:
    return "\n".join(line for stage in explanation.stages for line in (*_lines(stage), "")).rstrip()


def heading(stage: Stage) -> str:
    return f"{stage.phase} · {f'layer {stage.name} · ' if stage.name else ''}{stage.title}"


def owner(table: Table) -> str:
    """The layer whose parameter a table of the update is, "" for all others."""
    found = re.match(r"update\.([\d.]+)\.", table.origin)
    return f"  layer {found[1]}" if found else ""


def _lines(stage: Stage) -> Iterator[str]:
    yield heading(stage)
    yield "─" * len(heading(stage))
    yield from (f"  {formula}" for formula in stage.formulas)
    for table in stage.given if stage.phase != "update" else ():
        yield f"  {table.symbol:<6} {_values(table)}"
    for table in stage.made:
        yield owner(table)
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    if not table.made:
        yield f"  {table.symbol:<6} {_values(table)}"
    for index, made in table.made.items():
        symbol, symbols, numbers = table[index].symbol, SYMBOLS.write(made), NUMBERS.write(made)
        result = short(float(table.values[index]))
        yield f"  {symbol} = {symbols}"
        yield " " * (len(symbol) + 2) + f" = {numbers}" + ("" if numbers == result else f" = {result}")


def _values(table: Table) -> str:
    """An array on one line, rows of its last axis between bars."""
    rows = table.values.reshape(-1, table.values.shape[-1]) if table.values.ndim else table.values.reshape(1, 1)
    return " | ".join("  ".join(short(float(v)) for v in row) for row in rows)
