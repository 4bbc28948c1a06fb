"""Datasets of images with labels."""

from __future__ import annotations

import zipfile
import zlib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..types import Array
from .idx import read_idx

IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
MOST_CLASSES = 2**16  # more is a damaged file, and would be a network of that many outputs


class Dataset(NamedTuple):
    """Images and labels to train on, and others to test with."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array

    @property
    def classes(self) -> int:
        return int(max(self.y_train.max(), self.y_test.max())) + 1


def digits(test_share: float = 0.2, seed: int = 0) -> Dataset:
    """The 1,797 handwritten 8×8 digits that come with the package (see ATTRIBUTION.md), shuffled and split by ``seed``."""
    with resources.files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file) as stored:
        x, y = as_images(stored["images"], 16), stored["labels"].astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = np.split(order, [round(test_share * len(x))])
    return Dataset(x[train], y[train], x[test], y[test])


def enlarge(images: Array, factor: int = 3, margin: int = 2) -> Array:
    """Images with every pixel drawn as a square of ``factor`` pixels, and a margin: 8×8 digits become 28×28."""
    large = images.repeat(factor, axis=-2).repeat(factor, axis=-1)
    around = [(0, 0)] * (images.ndim - 2) + [(margin, margin)] * 2
    return np.pad(large, around)


def load(path: str | Path) -> Dataset:
    """A folder with MNIST's four IDX files, gzipped or not, or an .npz with x_train, y_train, x_test and y_test.

    Images are (N, H, W) or (N, 1, H, W), bytes 0…255 or floats 0…1; labels integers from 0. ValueError says which file or
    array is missing, damaged, or does not go with the others.
    """
    path = Path(path)
    if path.is_dir():
        arrays = {name: read_idx(_find(path, file)) for name, file in IDX_NAMES.items()}
    elif path.is_file():
        arrays = _read_npz(path)
    else:
        raise ValueError(f"{path}: no such file or folder")
    for part in ("train", "test"):
        arrays[f"x_{part}"] = as_images(arrays[f"x_{part}"], name=f"{path}: x_{part}")
        arrays[f"y_{part}"] = _as_labels(arrays[f"y_{part}"], len(arrays[f"x_{part}"]), f"{path}: y_{part}")
    if arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        raise ValueError(
            f"{path}: images of {arrays['x_train'].shape[1:]} to train on, {arrays['x_test'].shape[1:]} to test with"
        )
    return Dataset(**arrays)


def as_images(x: Array, largest: float | None = None, name: str = "images") -> Array:
    """Pixels as float32 (N, 1, H, W) between 0 and 1; integers are divided by ``largest``, 255 if not given."""
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or x.shape[1] != 1 or not x.size:
        raise ValueError(f"{name} must be (N, H, W) or (N, 1, H, W), got {x.shape}")
    if x.dtype.kind not in "uif":
        raise ValueError(f"{name} must be numbers, got {x.dtype}")
    scale = largest or (255 if x.dtype.kind in "ui" else 1)
    x = x.astype(np.float32) / np.float32(scale)
    if not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"{name} must lie from 0 to {scale}, got {x.min() * scale:g} to {x.max() * scale:g}")
    return np.ascontiguousarray(x)


def _as_labels(y: Array, count: int, name: str) -> Array:
    if y.shape != (count,):
        raise ValueError(f"{name} must hold a label for each of {count} images, got shape {y.shape}")
    if y.dtype.kind not in "ui" or y.min() < 0:
        raise ValueError(f"{name} must hold classes as integers from 0, got {y.dtype} from {y.min()}")
    if y.max() >= MOST_CLASSES:
        raise ValueError(f"{name} must hold classes below {MOST_CLASSES:,}, got {y.max()}")
    return y.astype(np.int64)


def _find(folder: Path, name: str) -> Path:
    dotted = name.replace("-idx", ".idx")
    for candidate in (name, name + ".gz", dotted, dotted + ".gz"):
        if (folder / candidate).is_file():
            return folder / candidate
    raise ValueError(f"{folder}: there is no {name} (or {name}.gz)")


def _read_npz(path: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is neither a folder nor an .npz with x_train, y_train, x_test and y_test")
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [name for name in IDX_NAMES if name not in stored]
            if missing:
                raise ValueError(f"it has no {', '.join(missing)}")
            return {name: stored[name] for name in IDX_NAMES}
    except (OSError, ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not an .npz with x_train, y_train, x_test and y_test: {error}") from None
