"""GPUs, their limits, and what these allow a kernel: how many warps are resident, and how much of the peak can be reached.

Sources: the data sheets and architecture white papers of A100 and H100 (SXM), and the table "Technical Specifications per
Compute Capability" of NVIDIA's CUDA C++ Programming Guide.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .assemble import Assembled, Capability
from .sass import Loop

WARP = 32
SCHEDULERS = 4  # of a multiprocessor; each issues one instruction of one warp in a clock cycle
SHARED_BYTES = 128  # that shared memory gives in a cycle
L2_BYTES = 64  # that a multiprocessor gets from the L2 cache in a cycle
BARRIER = 60  # cycles in which a multiprocessor with one block has nothing to do around a barrier


class Limits(NamedTuple):
    """Of a multiprocessor: resident warps and blocks, bytes of shared memory, and of those what each block pays itself."""

    warps: int
    blocks: int
    shared: int
    reserved: int = 1024
    registers: int = 65536


LIMITS: dict[Capability, Limits] = {
    (7, 5): Limits(32, 16, 64 << 10, 0),
    (8, 0): Limits(64, 32, 164 << 10),
    (9, 0): Limits(64, 32, 228 << 10),
    (10, 0): Limits(64, 32, 228 << 10),
}


class GPU(NamedTuple):
    """Multiprocessors, GHz under load, float32 and float64 multiply-adds of one of them per cycle, GB/s of its memories."""

    name: str
    capability: Capability
    processors: int
    clock: float
    lanes: int
    lanes64: int
    bandwidths: tuple[int, ...]

    def peak(self, size: int = 4) -> float:
        """FLOP/s of numbers of ``size`` bytes, a multiply-add counted as two."""
        return 2e9 * self.processors * self.clock * (self.lanes if size == 4 else self.lanes64)


A100 = GPU("A100", (8, 0), 108, 1.41, 64, 32, (1555, 2039))  # 19.5 TFLOP/s; with 40 and with 80 GB
H100 = GPU("H100", (9, 0), 132, 1.98, 128, 64, (3350,))  # 67 TFLOP/s
GPUS = (A100, H100)


def resident_blocks(kernel: Assembled, threads: int, limits: Limits) -> int:
    """Blocks of one kernel that a multiprocessor holds at a time. Registers come in steps of 256, shared memory in KiB."""
    warps = math.ceil(threads / WARP)
    by_registers = limits.registers // (warps * math.ceil(kernel.registers * WARP / 256) * 256)
    shared = math.ceil(kernel.shared / 1024) * 1024 + limits.reserved if kernel.shared else 0
    by_shared = limits.shared // shared if shared else limits.blocks
    return min(limits.blocks, limits.warps // warps, by_registers, by_shared)


class Cycles(NamedTuple):
    """What one pass of all resident warps through a loop costs a multiprocessor, each of them a limit of its own."""

    multiply_adds: float
    issue: float
    shared: float
    l2: float
    waiting: float

    @property
    def total(self) -> float:
        return max(self[:4]) + self.waiting

    @property
    def share(self) -> float:
        """Of the multiply-add peak."""
        return self.multiply_adds / self.total


def cycles(loop: Loop, gpu: GPU, blocks: int, threads: int, size: int = 4) -> Cycles:
    """A warp's load of b bytes per thread takes b/4 cycles of shared memory; broadcasts are not counted as a gain."""
    warps = blocks * math.ceil(threads / WARP)
    wavefronts = sum(WARP * each.bytes / SHARED_BYTES for each in loop.instructions if each.stem in ("LDS", "STS"))
    fetched = sum(WARP * each.bytes for each in loop.instructions if each.stem in ("LDG", "LDGSTS"))
    lanes = gpu.lanes if size == 4 else gpu.lanes64
    return Cycles(
        multiply_adds=loop.fmas * WARP / lanes * warps,
        issue=len(loop.instructions) * warps / SCHEDULERS,
        shared=wavefronts * warps,
        l2=fetched * warps / L2_BYTES,
        waiting=BARRIER * loop.count("BAR") if blocks == 1 else 0,
    )


def even_share(blocks: int, processors: int) -> float:
    """What a multiprocessor has to do on average, as a share of the most that one has: its blocks share its arithmetic."""
    return blocks / (math.ceil(blocks / processors) * processors)


def seconds(operations: float, bytes_moved: float, peak: float, bandwidth: float) -> float:
    """The roofline: whatever takes longer, arithmetic or memory."""
    return max(operations / peak, bytes_moved / (1e9 * bandwidth))
