"""Machine code of grids on disk: one file for each grid, combination of argument types and kind of GPU.

Compiling takes about a second per grid, loading a millisecond. As for the processor (``cpu/cache.py``) the folder is named
after a fingerprint of all kernel sources, and no error of the file system ever reaches the user.
"""

from __future__ import annotations

import hashlib
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ..cpu.jit import PACKAGE, Jit, kernel_folder, write_at_once
from .device import DeviceFunction, Grid, module, used


def machine_code(grid: Grid, types: tuple[Any, ...]) -> tuple[str, bytes]:
    """(name, code) of the grid for arguments of these types, from its file if there is one, else compiled and kept."""
    if not belongs_here(grid.function):
        return grid.compile(types)
    file = kernel_folder("cuda") / f"{grid.name}-{_sum(repr((types, *_compiler())).encode())[:16].decode()}"
    if found := read(file):
        return found
    name, code = grid.compile(types)
    write_at_once(file, b"\n".join((_sum(name.encode() + code), name.encode(), code)))
    return name, code


def belongs_here(function: Any) -> bool:
    """Whether the fingerprint covers it and what it calls; a user's own grid is compiled in each process."""
    waiting, seen = [function], set()
    while waiting:
        if (each := waiting.pop()) in seen:
            continue
        seen.add(each)
        if not each.__module__.startswith(PACKAGE):
            return False
        waiting += [value.function for value in used(each).values() if isinstance(value, DeviceFunction | Grid | Jit)]
    return True


def read(file: Path) -> tuple[str, bytes] | None:
    """What was written there; None if there is no such file, or a damaged one."""
    with suppress(OSError, ValueError):
        checked, name, code = file.read_bytes().split(b"\n", 2)
        if checked == _sum(name + code):
            return name.decode(), code
    return None


def _sum(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


@cache
def _compiler() -> tuple[Any, ...]:
    """What the code depends on besides the sources: who compiles, for which GPU, and whether the driver will take it."""
    from importlib.metadata import PackageNotFoundError, version

    from . import driver

    versions = [sys.version_info[:2], version("numba"), driver.version()]
    with suppress(PackageNotFoundError):
        versions.append(version("numba-cuda"))
    return (*versions, tuple(module().get_current_device().compute_capability))
