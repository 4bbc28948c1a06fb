"""``manualbp predict``: read images with trained weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..checkpoint import read_weights
from ..layers import Softmax
from ..sequential import Sequential
from ..types import Array
from .models import build


def predict(weights: Path, images: list[Path], ink: str = "auto") -> list[int]:
    """Print and return the class of every image, with its probability and the runner-up."""
    net, height, width = restore(weights)
    pixels = np.stack([read_image(path, height, width, ink) for path in images])
    probabilities = Softmax().eval()(net.predict(pixels))
    for path, row in zip(images, probabilities, strict=True):
        second, first = np.argsort(row)[-2:]
        print(f"{path}: {first}  ({row[first]:.1%}; {second}: {row[second]:.1%})")
    return [int(k) for k in probabilities.argmax(axis=1)]


def restore(weights: Path) -> tuple[Sequential, int, int]:
    """The network that ``manualbp train`` saved, and the height and width of its images."""
    if not weights.is_file():
        raise ValueError(f"{weights}: no such file")
    state, about = read_weights(weights)
    try:
        height, width, classes = (int(about[name]) for name in ("height", "width", "classes"))
        net = build(about["model"], height, width, classes)
    except (KeyError, ValueError):
        raise ValueError(f"{weights} was not written by manualbp train: it does not say which model it holds") from None
    net.load_state_dict(state)
    return net, height, width


def read_image(path: Path, height: int, width: int, ink: str) -> Array:
    """A picture as float32 (1, height, width), 0 paper and 1 ink. A mostly bright one is taken for dark ink on paper."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    pixels = _read_array(path) if path.suffix == ".npy" else _read_picture(path, height, width)
    if pixels.shape != (height, width):
        raise ValueError(f"{path}: this network reads {height}×{width} pixels, got shape {pixels.shape}")
    if ink == "dark" or (ink == "auto" and pixels.mean() > 0.5):
        pixels = 1 - pixels
    return np.ascontiguousarray(pixels[None], np.float32)


def _read_array(path: Path) -> Array:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path}: not a readable .npy array: {error}") from None
    if array.dtype.kind not in "uif" or not array.size:
        raise ValueError(f"{path}: expected an array of numbers, got {array.dtype} of shape {array.shape}")
    array = np.squeeze(array).astype(np.float64)
    largest = float(array.max())
    scaled: Array = array / (largest if largest > 1 else 1)
    return scaled


def _read_picture(path: Path, height: int, width: int) -> Array:
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError:
        raise ModuleNotFoundError('reading pictures needs Pillow: pip install "manualbp[plot]"') from None
    try:
        with Image.open(path) as picture:
            small = picture.convert("L").resize((width, height), Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path}: not a readable picture: {error}") from None
    return np.asarray(small, np.float64) / 255
