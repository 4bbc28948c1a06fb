"""The command ``manualbp``: train, predict, example."""

from .main import main

__all__ = ["main"]
