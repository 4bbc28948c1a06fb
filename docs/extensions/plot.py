"""``{plot} FILE FUNCTION`` with a caption below it: a figure that a program draws when the site is built.

The function is ``figure`` if not named. With ``:code:`` its source can be unfolded beneath, so that what is seen is what ran.
"""

from __future__ import annotations

from html import escape
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from picture import load, svg
from source import ROOT, code_of
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Plot(SphinxDirective):
    """One figure; whatever the program raises or warns of is an error of the page."""

    required_arguments = 1
    optional_arguments = 1
    has_content = True
    option_spec = {"code": directives.flag}

    def run(self) -> list[nodes.Node]:
        path, name = ROOT / self.arguments[0], (self.arguments[1:] or ["figure"])[0]
        self.env.note_dependency(str(path))
        caption = " ".join(self.content)
        try:
            picture = svg(getattr(load(path), name), f"{path.stem}-{name}")
        except Exception as error:
            raise self.error(f"{self.arguments[0]}, {name}: {type(error).__name__}: {error}") from error
        label = f'<div class="plot" role="img" aria-label="{escape(caption)}">'
        figure = nodes.figure("", nodes.raw("", f"{label}{picture}</div>", format="html"))
        text, messages = self.state.inline_text(caption, self.lineno)
        figure += nodes.caption("", "", *text)
        return [figure, *messages, *(self.drawing(code_of(path, name)) if "code" in self.options else ())]

    def drawing(self, code: str) -> list[nodes.Node]:
        return [
            nodes.raw("", '<details class="drawing"><summary>The lines that drew it</summary>', format="html"),
            nodes.literal_block(code, code, language="python"),
            nodes.raw("", "</details>", format="html"),
        ]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("plot", Plot)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
