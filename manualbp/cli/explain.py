"""manualbp explain: one training step of a small network, number by number."""

from __future__ import annotations

import argparse
from pathlib import Path


def explain(options: argparse.Namespace) -> None:
    """Print the explanation, or write it to the files that were asked for."""
    from ..explain.examples import EXAMPLES

    files = {"--html": (options.html, ".html"), "--latex": (options.latex, ".tex"), "--json": (options.json, ".json")}
    for option, (path, suffix) in files.items():
        if path is not None and Path(path).suffix != suffix:
            raise ValueError(f"{option} writes a file that ends in {suffix}, got {path}")
    explanation = EXAMPLES[options.name]()
    written = [path for path, _ in files.values() if path is not None]
    for path in written:
        explanation.save(path)
        print(f"wrote {path}")
    if not written:
        print(explanation)
