"""An explanation as a LaTeX document: amsmath, one equation per number. Compile it with pdflatex."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .expression import Expression
from .notation import LATEX_NUMBERS, LATEX_SYMBOLS, Notation, latex_formula, latex_number, latex_symbol
from .table import Table
from .text import heading, owner

if TYPE_CHECKING:
    from .trace import Explanation, Stage

TERMS = 4  # on a line

_HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\allowdisplaybreaks
\begin{document}"""


def document(explanation: Explanation) -> str:
    body = (line for stage in explanation.stages for line in _lines(stage))
    return "\n".join([_HEAD, *body, r"\end{document}"])


def _lines(stage: Stage) -> Iterator[str]:
    yield rf"\subsection*{{{_escaped(heading(stage))}}}"
    for formula in stage.formulas:
        yield rf"\noindent {_formula(formula)}\par"
    for table in stage.made:
        if table.made:
            if owner(table):
                yield rf"\noindent {owner(table).strip()}\par"
            yield r"\begin{align*}"
            yield " \\\\\n".join(_equations(table))
            yield r"\end{align*}"


def _formula(formula: str) -> str:
    """In mathematics if it is an equation, else as words."""
    return f"${latex_formula(formula)}$" if _is_equation(formula) else _escaped(formula)


def _is_equation(formula: str) -> bool:
    return "=" in formula and not re.search(r"[a-z]{5,} |\b(of|is|the|for|by|past|else)\b", formula)


def _escaped(text: str) -> str:
    for plain, command in _WORDS.items():
        text = text.replace(plain, command)
    return text


_WORDS = {
    "%": r"\%", "&": r"\&", "#": r"\#", "_": r"\_", "Φ": r"$\Phi$",
    "·": r"$\cdot$", "→": r"$\to$", "−": "$-$", "η": r"$\eta$", "×": r"$\times$", "Σ": r"$\sum$", "ℓ": r"$\ell$",
    "²": "$^2$", "′": "$'$", "σ": r"$\sigma$", "φ": r"$\varphi$", "θ": r"$\theta$", "β": r"$\beta$", "α": r"$\alpha$",
    "μ": r"$\mu$", "τ": r"$\tau$", "λ": r"$\lambda$", "ε": r"$\varepsilon$", "√": r"$\surd$", "₁": "$_1$", "₂": "$_2$",
    "ᵗ": "$^t$", "δ": r"$\delta$", "κ": r"$\kappa$", "ᵀ": "$^T$",
}  # fmt: skip


def _equations(table: Table) -> Iterator[str]:
    for index, made in table.made.items():
        numbers, result = _rows(LATEX_NUMBERS, made), latex_number(float(table.values[index]))
        yield rf"{latex_symbol(table[index].symbol)} &= {_rows(LATEX_SYMBOLS, made)}"
        yield rf"&= {numbers}" + ("" if numbers == result else f" = {result}")


def _rows(notation: Notation, made: Expression) -> str:
    """The expression, a long sum on several lines."""
    terms = [notation.write(term, 2 if i else 0) for i, term in enumerate(made.terms())]
    return " \\\\\n&\\quad + ".join(" + ".join(terms[k : k + TERMS]) for k in range(0, len(terms), TERMS))
