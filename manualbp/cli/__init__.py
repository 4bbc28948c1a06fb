"""The command ``manualbp``: train, predict, example, warmup."""

from .main import main

__all__ = ["main"]
