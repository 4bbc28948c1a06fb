"""Table: an array of numbers that remember what they were made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ..types import Array, Shape
from .expression import Expression, leaf

Index = tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """An array under the symbol that its reader uses.

    Attributes:
        symbol: how the formula at hand calls it, such as x for what the layer before calls y.
        origin: where it was made: "0.y" is layer 0's output, "x" the input. ``origin`` and an index name a number.
        values: float64, a copy.
        made: the expression of each number, by index; empty for what was given.
    """

    symbol: str
    origin: str
    values: Array
    made: dict[Index, Expression] = field(default_factory=dict)

    def __getitem__(self, index: Index) -> Expression:
        """The number at ``index`` as a leaf for expressions of others."""
        where = f"[{','.join(map(str, index))}]" if index else ""
        return leaf(self.symbol + where, self.values[index], self.origin + where)

    def called(self, symbol: str) -> Table:
        """The same numbers under another symbol, as the layer that reads them calls them."""
        return replace(self, symbol=symbol, made={})

    def indices(self) -> Iterator[Index]:
        return np.ndindex(self.values.shape)

    @property
    def shape(self) -> Shape:
        return self.values.shape


def given(symbol: str, origin: str, values: Array) -> Table:
    """Numbers that nothing here computes."""
    return Table(symbol, origin, np.array(values, np.float64))


def make(symbol: str, origin: str, values: Array | Shape, rule: Callable[[Index], Expression]) -> Table:
    """A table by one rule for all indices. ``values`` are the layer's, or a shape where the layer keeps none."""
    shape = values if isinstance(values, tuple) else values.shape
    made = {index: rule(index) for index in np.ndindex(*shape)}
    if isinstance(values, tuple):
        values = np.array([e.value for e in made.values()]).reshape(shape)
    return Table(symbol, origin, np.array(values, np.float64), made)
