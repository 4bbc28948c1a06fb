"""Machine code of grids on disk: one file for each grid, combination of argument types and kind of GPU.

Compiling takes about a second per grid, loading a millisecond. As for the processor (``cpu/cache.py``) the folder is named
after a fingerprint of all kernel sources, and no error of the file system ever reaches the user.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ..cpu.jit import PACKAGE, Jit, kernel_folder
from .device import DeviceFunction, Grid, module, used

SUM = hashlib.sha256


def machine_code(grid: Grid, types: tuple[Any, ...]) -> tuple[str, bytes]:
    """(name, code) of the grid for arguments of these types, from its file if there is one, else compiled and kept."""
    if not belongs_here(grid.function):
        return grid.compile(types)
    file = kernel_folder("cuda") / f"{grid.name}-{_digest((types, *_compiler()))}"
    if found := read(file):
        return found
    name, code = grid.compile(types)
    write(file, name, code)
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
        if checked == SUM(name + code).hexdigest().encode():
            return name.decode(), code
    return None


def write(file: Path, name: str, code: bytes) -> None:
    """Keep it, so that whoever reads meanwhile sees all of it or nothing."""
    with suppress(OSError):  # no such folder, a full disk
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{uuid.uuid4().hex}")
        draft.write_bytes(b"\n".join((SUM(name.encode() + code).hexdigest().encode(), name.encode(), code)))
        draft.replace(file)


def _digest(about: Any) -> str:
    return SUM(repr(about).encode()).hexdigest()[:16]


@cache
def _compiler() -> tuple[Any, ...]:
    """What the code depends on besides the sources: who compiles, and for which GPU."""
    from importlib.metadata import PackageNotFoundError, version

    versions = [sys.version_info[:2], version("numba")]
    with suppress(PackageNotFoundError):
        versions.append(version("numba-cuda"))
    return (*versions, tuple(module().get_current_device().compute_capability))
