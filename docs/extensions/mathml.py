"""Mathematics as MathML, which browsers draw themselves: made when the site is built, no script and no network.

A display that ends in ``\\tag{3}`` gets the number (3) at its right and the anchor ``#eq-3``. Browsers do not break MathML
into lines, so a long formula in a text is several, one for each side of its equals signs.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

TAG = re.compile(r"\\tag\{(\d+)\}")
LETTERS = re.compile(r'<mrow>((?:<mi mathvariant="normal">\w</mi>){2,})</mrow>')
LONG = 40  # characters of LaTeX
FUNCTION = re.compile(r"<mi>(cosh|erf|exp|log|max|sign|sinh|tanh)</mi>")


def mathml(latex: str, display: str) -> str:
    """As the converter gives it; but a word is one name, no product of letters, and a function stands off its argument."""
    words = LETTERS.sub(lambda found: f"<mi>{''.join(re.findall(r'>(.)<', found[1]))}</mi>", convert(latex, display=display))
    return FUNCTION.sub(r'<mo form="infix" lspace="0.17em" rspace="0.12em">\1</mo>', words)


def sides(latex: str) -> list[str]:
    """A long formula cut before each equals sign that is in no brackets: ``["a", "= b", "= c"]``."""
    cuts, depth = [0], 0
    for at, letter in enumerate(latex):
        depth += (letter in "({[") - (letter in ")}]")
        if letter == "=" and depth == 0 and at and len(latex) > LONG and r"\left" not in latex:
            cuts.append(at)
    return [latex[start:end].strip() for start, end in zip(cuts, [*cuts[1:], len(latex)], strict=True)]


def inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(" ".join(mathml(side, "inline") for side in sides(node.astext())))
    raise nodes.SkipNode


def display(writer: Any, node: nodes.math_block) -> None:
    latex = node.astext()
    numbers = TAG.findall(latex)
    formula = mathml(TAG.sub("", latex), "block")
    labels = " ".join(f'<a id="eq-{n}" href="#eq-{n}">({n})</a>' for n in numbers)
    writer.body.append(f'<div class="equation">{formula}<span class="number">{labels}</span></div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
