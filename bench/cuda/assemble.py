"""From a grid to machine code without a GPU: Numba and NVVM make PTX, ptxas assembles it, nvdisasm reads it back.

All three come from PyPI: numba-cuda, nvidia-nvvm, nvidia-cuda-nvcc and nvidia-cuda-nvdisasm, which ``manualbp[cuda-compile]``
brings. ptxas is of the same version as NVVM, so that it takes what that writes.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from manualbp_kernels.cuda import device
from manualbp_kernels.cuda.device import Grid

from .sass import Code, parse

Capability = tuple[int, int]


@dataclass(frozen=True)
class Assembled:
    """What ptxas says about a kernel, and its machine code.

    Attributes:
        registers: of a thread. shared, stack: bytes of a block and of a thread. spilled: bytes stored and loaded.
    """

    registers: int
    shared: int
    stack: int
    spilled: int
    binary: bytes

    @cached_property
    def code(self) -> Code:
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(self.binary)
            file.flush()
            return parse(_run("nvdisasm", "--print-code", file.name))

    @property
    def local_in_loops(self) -> bool:
        """Whether an innermost loop reads or writes memory of a thread's own, which is as slow as any."""
        return self.stack > 0 and any(loop.count("LDL", "STL") for loop in self.code.innermost)


def tool(name: str) -> Path:
    """A program of the installed CUDA packages."""
    try:
        import nvidia  # type: ignore[import-not-found, unused-ignore]

        return next(file for folder in nvidia.__path__ for file in sorted(Path(folder).glob(f"*/bin/{name}")))
    except (ImportError, StopIteration):
        raise SystemExit(f"{name} is not installed: pip install 'manualbp[cuda-compile]'") from None


def version() -> str:
    said = subprocess.run([tool("ptxas"), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"V([\d.]+)", said)
    return found[1] if found else "unknown"


def ptx(grid: Grid, signature: tuple[Any, ...], capabilities: Iterable[Capability]) -> dict[Capability, str]:
    """The grid compiled for these argument types: lowered once, then by NVVM for each capability."""
    from numba import types
    from numba.cuda import compiler, dispatcher

    some_device = SimpleNamespace(compute_capability=(7, 5))
    with (
        patch.object(device, "_check", lambda module: None),  # no GPU is asked for
        patch.object(dispatcher, "get_current_device", lambda: some_device),
    ):
        library, _ = compiler._compile_pyfunc_with_fixup(
            device.on_device(grid.function), types.void(*signature),
            device=False, abi="numba", cc=some_device.compute_capability, fastmath=device.FASTMATH,
        )  # fmt: skip
        return {capability: "\n".join(library.get_asm_strs(cc=capability)) for capability in capabilities}


def assemble(text: str, capability: Capability) -> Assembled:
    """RuntimeError with the assembler's words if it does not take it."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(text, encoding="utf-8")
        name = f"--gpu-name=sm_{capability[0]}{capability[1]}"
        said = _run("ptxas", "--verbose", name, str(source), "--output-file", str(binary))
        made = binary.read_bytes()
    spills = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
    stack, stored, loaded = map(int, spills.groups()) if spills else (0, 0, 0)
    return Assembled(_number(r"Used (\d+) registers", said), _number(r"(\d+) bytes smem", said), stack, stored + loaded, made)


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def _run(name: str, *arguments: str) -> str:
    done = subprocess.run([tool(name), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr.strip()}")
    return done.stdout + done.stderr
