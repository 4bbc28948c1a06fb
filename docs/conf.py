"""Settings of the site: ``make docs`` builds it with Sphinx, every warning an error, nothing loaded from a network."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "kernels"), str(HERE / "extensions")]

from manualbp import __version__  # noqa: E402

project = "manualbp"
author = "The manualbp developers"
copyright = f"{author}; BSD-3-Clause"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "formula", "source", "plot"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

html_theme = "furo"
html_title = "manualbp"
html_static_path = ["static"]
html_css_files = ["manualbp.css"]
html_show_sourcelink = False
html_copy_source = False

exclude_patterns = ["_build", "extensions"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"


def plain(app, what, name, obj, options, lines):
    """Docstrings are plain text: |d| is no substitution. Those of modules are the derivations, which have pages."""
    if what == "module":
        lines.clear()
    block = None  # the indentation of the line whose "::" began the literal block that i is in
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if block is not None and (not line.strip() or indent > block):
            continue
        block = indent if line.rstrip().endswith("::") else None
        parts = re.split(r"(``.*?``)", line)
        lines[i] = "".join(part if part.startswith("``") else re.sub(r"([|*])", r"\\\1", part) for part in parts)


def setup(app):
    app.connect("autodoc-process-docstring", plain, priority=400)
