"""How an expression is written: with its symbols or its numbers, for people, for LaTeX, for Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .expression import Expression

DIGITS = 6  # significant digits of a displayed number

_LEVEL = {"+": 1, "-": 1, "neg": 2, "*": 2, "/": 2, "square": 3}  # how tightly an operation binds; all others: 4


@dataclass(frozen=True)
class Notation:
    """How leaves and constants are written, and a template for every operation but the sum.

    A template's parts are set in brackets where they bind less tightly than their place needs, unless it ``encloses``
    them itself.
    """

    number: Callable[[float], str]
    templates: dict[str, str]
    symbols: Callable[[str], str] | None = None
    brackets: tuple[str, str] = "(", ")"
    encloses: frozenset[str] = frozenset({"max", "exp", "log", "tanh", "sigmoid", "sqrt", "abs", "sign", "positive"})

    def write(self, e: Expression, needed: int = 0) -> str:
        """``e``, in brackets if it binds less tightly than ``needed``."""
        if e.operation in ("leaf", "constant"):
            if e.operation == "leaf" and self.symbols:
                return self.symbols(e.symbol)
            text = self.number(e.value)
            return self._bracketed(text) if needed and e.value < 0 else text
        level = _LEVEL.get(e.operation, 4)
        if e.operation == "+":
            text = " + ".join(self.write(part, 2 if i else 1) for i, part in enumerate(e.parts))
        elif e.operation == "max":
            text = self.templates["max"].format(", ".join(self.write(part) for part in e.parts))
        else:
            needs = self._needs(e.operation, level, len(e.parts))
            parts = (self.write(part, need) for part, need in zip(e.parts, needs, strict=True))
            text = self.templates[e.operation].format(*parts)
        return self._bracketed(text) if level < needed else text

    def _needs(self, operation: str, level: int, count: int) -> list[int]:
        if operation in self.encloses:
            return [0] * count
        if operation in ("square", "neg"):
            return [4 if operation == "square" else 3]
        return [level, level + (operation in "-/")]

    def _bracketed(self, text: str) -> str:
        return text.join(self.brackets)


def short(value: float) -> str:
    """A number with a fixed count of significant digits and a real minus sign."""
    return f"{value + 0.0:.{DIGITS}g}".replace("-", "−")


def latex_symbol(symbol: str) -> str:
    """W_ih[0,1] as W^{ih}_{0,1}, W′[0,1] as W^{\\prime}_{0,1}."""
    name, _, index = symbol.partition("[")
    stem, _, upper = name.replace("′", "").partition("_")
    for letter, command in _GREEK.items():
        stem = stem.replace(letter, command)
    upper += r"\prime" if "′" in name else ""
    upper = rf"\text{{{upper}}}" if upper.isalpha() else upper.replace("_", ",")
    return stem + (f"^{{{upper}}}" if upper else "") + (f"_{{{index[:-1]}}}" if index else "")


def latex_number(value: float) -> str:
    mantissa, _, exponent = f"{value + 0.0:.{DIGITS}g}".partition("e")
    return mantissa + (rf" \cdot 10^{{{int(exponent)}}}" if exponent else "")


_GREEK = {
    "ℓ": r"\ell", "η": r"\eta", "σ": r"\sigma", "β": r"\beta", "ε": r"\varepsilon", "λ": r"\lambda", "μ": r"\mu",
    "τ": r"\tau", "δ": r"\delta", "θ": r"\theta", "α": r"\alpha", "φ": r"\varphi", "κ": r"\kappa",
}  # fmt: skip
_SIGNS = {
    **_GREEK, "·": r"\cdot", "−": "-", "²": "^2", "√": r"\surd", "∂": r"\partial", "′": "'", "₁": "_1", "₂": "_2", "ᵗ": "^t",
}  # fmt: skip

_TEXT = {
    "-": "{} − {}", "*": "{} · {}", "/": "{} / {}", "neg": "−{}", "max": "max({})", "square": "{}²", "exp": "exp({})",
    "log": "log({})", "tanh": "tanh({})", "sigmoid": "σ({})", "sqrt": "√({})", "abs": "|{}|", "sign": "sign({})",
    "positive": "[{} > 0]",
}  # fmt: skip
_PYTHON = {
    "-": "{} - {}", "*": "{} * {}", "/": "{} / {}", "neg": "-{}", "max": "max({})", "square": "{}**2", "exp": "exp({})",
    "log": "log({})", "tanh": "tanh({})", "sigmoid": "(1 / (1 + exp(-({}))))", "sqrt": "sqrt({})", "abs": "abs({})",
    "sign": "float(({0} > 0) - ({0} < 0))", "positive": "float({} > 0)",
}  # fmt: skip
_LATEX = {
    "-": "{} - {}", "*": r"{} \cdot {}", "/": r"\frac{{{}}}{{{}}}", "neg": "-{}", "max": r"\max\left({}\right)",
    "square": r"\left({}\right)^2", "exp": r"\exp\left({}\right)", "log": r"\log\left({}\right)",
    "tanh": r"\tanh\left({}\right)",
    "sigmoid": r"\sigma\left({}\right)", "sqrt": r"\sqrt{{{}}}", "abs": r"\left|{}\right|",
    "sign": r"\operatorname{{sign}}\left({}\right)", "positive": r"\left[{} > 0\right]",
}  # fmt: skip
_LATEX_BRACKETS = r"\left(", r"\right)"
_LATEX_ENCLOSES = Notation.encloses | {"/", "square"}

SYMBOLS = Notation(short, _TEXT, str)
NUMBERS = Notation(short, _TEXT)
PYTHON = Notation(repr, _PYTHON)
LATEX_SYMBOLS = Notation(latex_number, _LATEX, latex_symbol, _LATEX_BRACKETS, _LATEX_ENCLOSES)
LATEX_NUMBERS = Notation(latex_number, _LATEX, None, _LATEX_BRACKETS, _LATEX_ENCLOSES)


def latex_formula(formula: str) -> str:
    """A formula as the stages have it, "y[n,o] = Σ_i W[o,i] x[n,i]", in LaTeX."""
    text = re.sub(r"Σ_([\w,]+)", r"\\sum_{\1}", formula).replace("Σ", r"\\sum "[1:])
    text = re.sub(r"(\w+′?)\[([^\]>=]*)\]", lambda m: latex_symbol(m.group()), text)
    text = re.sub(r"\b(exp|log|tanh|max|sign)\b", r"\\operatorname{\1}", text)
    for plain, command in _SIGNS.items():
        text = text.replace(plain, command + " " if command.startswith("\\") else command)
    return text
