"""``{formula} Linear(3, 4)``: the index formulas of a page as NumPy, shown here and run by tests/test_formulas.py."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.directives.code import container_wrapper
from sphinx.util.docutils import SphinxDirective


class Formula(SphinxDirective):
    """The code as a block under the name of what it is compared with; the options are for the test."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = {"input": directives.unchanged, "target": directives.unchanged, "given": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        block = nodes.literal_block("", "\n".join(self.content), language="python")
        return [container_wrapper(self, block, f"These lines are run and compared with {self.arguments[0]}")]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("formula", Formula)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
