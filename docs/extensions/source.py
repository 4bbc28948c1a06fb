"""``{source} FILE`` with names below it: their code, taken from the repository when the site is built.

A name is ``function``, ``Class``, ``Class.method`` or ``CONSTANT``; a name that is gone is an error.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.directives.code import container_wrapper
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]


def code_of(path: Path, name: str) -> str:
    """The lines of a function or class with its decorators, or of an assignment; KeyError if there is none of that name."""
    text = path.read_text(encoding="utf-8")
    scope: list[ast.stmt] = ast.parse(text).body
    found: Any = None
    for part in name.split("."):
        named: dict[str, Any] = {node.name: node for node in scope if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        named |= {ast.unparse(target): node for node in scope if isinstance(node, ast.Assign) for target in node.targets}
        if part not in named:
            raise KeyError(f"{path.name} has no {name}")
        found = named[part]
        scope = getattr(found, "body", [])
    first = min(node.lineno for node in (found, *getattr(found, "decorator_list", ())))
    return dedent("\n".join(text.splitlines()[first - 1 : found.end_lineno]))


class Source(SphinxDirective):
    """One block of code from one file."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        path = ROOT / self.arguments[0]
        self.env.note_dependency(str(path))
        try:
            parts = [code_of(path, name) for name in " ".join(self.content).split()]
        except (KeyError, OSError) as error:
            raise self.error(str(error)) from None
        text = re.sub(r"\n\n(?=\w+ = )", "\n", "\n\n".join(parts))  # constants stand together
        block = nodes.literal_block("", text, language="python")
        return [container_wrapper(self, block, self.arguments[0])]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("source", Source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
