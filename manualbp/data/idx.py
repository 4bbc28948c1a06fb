"""The IDX format of the MNIST files: a magic number, the sizes, the numbers, all with the high byte first.

byte 0, 1   zero
byte 2      type: 8 unsigned byte, 9 signed byte, 11 short, 12 int, 13 float, 14 double
byte 3      number of axes d
then        d sizes of 4 bytes each, then the numbers, last axis fastest
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ..types import Array

TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
MOST_AXES = 32  # what every NumPy can hold


def read_idx(path: str | Path) -> Array:
    """The array in an IDX file, gzipped or not; ValueError if the file is not what its header says."""
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES or not 1 <= content[3] <= MOST_AXES:
        raise ValueError(f"{path}: not an IDX file, it begins with {content[:4].hex(' ') or 'nothing'}")
    dtype, ndim = np.dtype(TYPES[content[2]]), content[3]
    header = 4 + 4 * ndim
    if len(content) < header:
        raise ValueError(f"{path}: cut short, {len(content)} bytes do not hold a header with {ndim} sizes")
    shape = struct.unpack(f">{ndim}I", content[4:header])
    promised, there = math.prod(shape) * dtype.itemsize, len(content) - header
    if promised != there:
        raise ValueError(f"{path}: the header promises {shape}, {promised} bytes, but {there} bytes follow")
    return np.frombuffer(content, dtype, offset=header).reshape(shape).astype(dtype.newbyteorder("="))
