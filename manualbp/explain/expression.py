"""Expression: a number as a formula over other numbers, such as W[0,1] · x[0,1] + b[0].

Every node knows its value, computed from its parts by plain Python arithmetic; a leaf's value is the layer's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expression:
    """A node: an operation on parts, a named number ("leaf", whose ``origin`` says where it was made), or a constant."""

    operation: str
    parts: tuple[Expression, ...]
    value: float
    symbol: str = ""
    origin: str = ""

    def __add__(self, other: Expression | float) -> Expression:
        return total([self, _node(other)])

    def __sub__(self, other: Expression | float) -> Expression:
        return _apply("-", self, _node(other))

    def __rsub__(self, other: float) -> Expression:
        return _apply("-", _node(other), self)

    def __mul__(self, other: Expression | float) -> Expression:
        return _apply("*", self, _node(other))

    def __rmul__(self, other: float) -> Expression:
        return _apply("*", _node(other), self)

    def __truediv__(self, other: Expression | float) -> Expression:
        return _apply("/", self, _node(other))

    def __neg__(self) -> Expression:
        return _apply("neg", self)

    def terms(self) -> tuple[Expression, ...]:
        """What is added up, or this alone."""
        return self.parts if self.operation == "+" else (self,)

    def leaves(self) -> Iterator[Expression]:
        """Every named number in it, from left to right."""
        if self.operation == "leaf":
            yield self
        for part in self.parts:
            yield from part.leaves()


def leaf(symbol: str, value: float, origin: str = "") -> Expression:
    """A number that was made elsewhere."""
    return Expression("leaf", (), float(value), symbol, origin)


def constant(value: float) -> Expression:
    return Expression("constant", (), float(value))


def total(terms: Iterable[Expression]) -> Expression:
    """The sum of all terms, in one node; 0 for none."""
    parts = tuple(part for term in terms for part in term.terms())
    if len(parts) < 2:
        return parts[0] if parts else constant(0.0)
    return Expression("+", parts, math.fsum(part.value for part in parts))


def largest(terms: Iterable[Expression]) -> Expression:
    return _apply("max", *terms)


def square(e: Expression) -> Expression:
    return _apply("square", e)


def exp(e: Expression) -> Expression:
    return _apply("exp", e)


def log(e: Expression) -> Expression:
    return _apply("log", e)


def tanh(e: Expression) -> Expression:
    return _apply("tanh", e)


def sigmoid(e: Expression) -> Expression:
    return _apply("sigmoid", e)


def sqrt(e: Expression) -> Expression:
    return _apply("sqrt", e)


def absolute(e: Expression) -> Expression:
    return _apply("abs", e)


def sign(e: Expression) -> Expression:
    return _apply("sign", e)


def positive(e: Expression) -> Expression:
    """[e > 0]: 1 where it holds, else 0."""
    return _apply("positive", e)


def _sigmoid(x: float) -> float:
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


_ARITHMETIC: dict[str, Callable[..., float]] = {
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "neg": lambda a: -a,
    "max": max,
    "square": lambda a: a * a,
    "exp": math.exp,
    "log": math.log,
    "tanh": math.tanh,
    "sigmoid": _sigmoid,
    "sqrt": math.sqrt,
    "abs": abs,
    "sign": lambda a: float((a > 0) - (a < 0)),
    "positive": lambda a: float(a > 0),
}


def _apply(operation: str, *parts: Expression) -> Expression:
    values = [part.value for part in parts]
    try:
        return Expression(operation, parts, float(_ARITHMETIC[operation](*values)))
    except (ArithmeticError, ValueError):
        shown = ", ".join(f"{value:g}" for value in values)
        raise ValueError(f"explain cannot write {operation} of {shown}, scale the inputs or the weights down") from None


def _node(value: Expression | float) -> Expression:
    return value if isinstance(value, Expression) else constant(value)
