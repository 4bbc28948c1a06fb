"""The pages of docs/derivations as data: their ``{formula}`` blocks, which run, and their numbered equations."""

import inspect
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

import manualbp as mb
from manualbp import init

DERIVATIONS = Path(__file__).parents[1] / "docs" / "derivations"
PAGES = {path.stem: path for path in sorted(DERIVATIONS.glob("*.md")) if path.stem != "index"}
FENCE = re.compile(r"^```\{formula\} ([^\n]+)\n((?::\w+:[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)

INITIALIZERS = [
    name
    for name, function in inspect.getmembers(init, inspect.isfunction)
    if function.__module__ == init.__name__ and "shape" in inspect.signature(function).parameters and not name.startswith("_")
    and name != "fans"
]  # fmt: skip


class Block(NamedTuple):
    """One ``{formula}`` of a page."""

    page: str
    call: str
    options: dict
    code: str

    @property
    def name(self):
        return re.match(r"\w+", self.call).group()


def blocks_of(stem):
    for call, options, code in FENCE.findall(PAGES[stem].read_text(encoding="utf-8")):
        yield Block(stem, call, dict(re.findall(r"^:(\w+): *(.*)$", options, re.MULTILINE)), code)


BLOCKS = [block for stem in PAGES for block in blocks_of(stem)]


def make(block):
    """What the block is compared with."""
    return eval(block.call, {**vars(mb), "np": np})


erf = np.vectorize(math.erf)


def run(block, names, library=np, erf=erf):
    """The names after the block's lines; ``library`` is what they call ``np``, and ``erf`` what NumPy has not."""
    space = {"np": library, "erf": erf, **names}
    exec(compile(block.code, f"{block.page}.md: {block.call}", "exec"), space)
    return space


def targets(kind, x, rng):
    """Targets for a prediction x."""
    if kind == "classes":
        return rng.integers(x.shape[1], size=(x.shape[0], *x.shape[2:]))
    if kind == "probabilities":
        t = rng.uniform(0.1, 1, x.shape)
        return t / t.sum(axis=1, keepdims=True)
    return rng.uniform(0.1, 0.9, x.shape) if kind == "between 0 and 1" else rng.standard_normal(x.shape)
