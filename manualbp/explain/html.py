"""An explanation as a page of its own: the data of ``data.py`` in ``page.html``, which asks nothing of any network."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from typing import TYPE_CHECKING

from .data import data

if TYPE_CHECKING:
    from .trace import Explanation


def page(explanation: Explanation) -> str:
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    embedded = json.dumps(data(explanation), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace("{{text}}", html.escape(explanation.to_text())).replace("{{data}}", embedded)


def frame(explanation: Explanation) -> str:
    """The page in a frame of its own, for notebooks: neither can disturb the other's style."""
    style = "width:100%;height:640px;border:0"
    return f'<iframe title="one training step" style="{style}" srcdoc="{html.escape(page(explanation))}"></iframe>'
