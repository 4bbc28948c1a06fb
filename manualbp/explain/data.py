"""An explanation as nested dictionaries.

{"loss": L, "stages": [{"phase", "name", "title", "formulas", "given": [TABLE], "made": [TABLE]}]}, where a

TABLE   {"symbol", "id", "shape", "values": flat and in full precision, "numbers": [NUMBER, one per value; or none]}
NUMBER  {"symbol", "id", "terms": [TERM]}; the number is the sum of its terms
TERM    {"symbols": "W[0,1] · x[0,1]", "numbers": "0.2 · 0.1", "python": "0.2 * 0.1" (a Python expression in full
        precision, with the names of ``math``), "value", "uses": [[symbol, id, value], …]}

A "uses" id is that of the number elsewhere: "0.y[0,1]" is made by layer 0, and "loss.dy[0,0]" by the loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .expression import Expression
from .notation import NUMBERS, PYTHON, SYMBOLS
from .table import Table

if TYPE_CHECKING:
    from .trace import Explanation, Stage


def data(explanation: Explanation) -> dict[str, Any]:
    return {"loss": explanation.loss, "stages": [_stage(stage) for stage in explanation.stages]}


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "phase": stage.phase,
        "name": stage.name,
        "title": stage.title,
        "formulas": list(stage.formulas),
        "given": [_table(table) for table in stage.given],
        "made": [_table(table) for table in stage.made],
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "symbol": table.symbol,
        "id": table.origin,
        "shape": list(table.shape),
        "values": [float(v) for v in table.values.ravel()],
        "numbers": [
            {"symbol": table[i].symbol, "id": table[i].origin, "terms": [_term(term) for term in table.made[i].terms()]}
            for i in table.indices()
            if table.made
        ],
    }


def _term(term: Expression) -> dict[str, Any]:
    return {
        "symbols": SYMBOLS.write(term),
        "numbers": NUMBERS.write(term),
        "python": PYTHON.write(term),
        "value": term.value,
        "uses": [[leaf.symbol, leaf.origin, leaf.value] for leaf in term.leaves()],
    }
