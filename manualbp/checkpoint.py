"""Weights on disk, in the safetensors format: names and shapes are PyTorch's, so its programs can read them too."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .layer import Layer
from .types import Array


def save_weights(net: Layer, path: str | Path, metadata: dict[str, str] | None = None) -> None:
    """Write ``net.state_dict()`` and some text about it to ``path``; an older file is replaced only when all is written."""
    from safetensors.numpy import save

    path = Path(path)
    unfinished = path.with_name(path.name + ".part")
    state = {name: np.ascontiguousarray(value) for name, value in net.state_dict().items()}
    unfinished.write_bytes(save(state, metadata))
    os.replace(unfinished, path)


def load_weights(net: Layer, path: str | Path) -> None:
    """Read ``path`` into ``net``; ValueError if the file is damaged or does not fit, with nothing changed."""
    net.load_state_dict(read_weights(path)[0])


def read_weights(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """(state, metadata) of a safetensors file; ValueError if it is not one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from None
