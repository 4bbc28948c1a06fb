"""The tables of docs/cuda.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from manualbp_kernels.cuda.device import Launch

from ..report import table
from ..units import digits, duration
from . import assemble
from .assemble import Assembled, Capability
from .record import blocks, threads
from .roofline import GPUS, LIMITS, WARP, cycles, even_share, resident_blocks, seconds

BEGIN, END = "<!-- computed -->", "<!-- /computed -->"
READ = (8, 0)  # the capability whose code the table shows
WARPS = 16  # resident ones that a kernel is meant to have: enough to hide the latency of memory
FEWER = {"recurrent": 8, "gemm": 8}  # … by file, where one or two blocks with many registers are meant
FEWEST = {(7, 5): 4}  # … of those by capability: 64 KiB of shared memory hold one or three; each scheduler has a warp then


class Compiled(NamedTuple):
    """A grid, compiled for numbers of ``size`` bytes, and launched with so many threads in a block."""

    grid: str
    threads: int
    size: int
    made: dict[Capability, Assembled]

    @property
    def name(self) -> str:
        return f"{self.grid} float{8 * self.size}"

    def resident_warps(self, capability: Capability) -> int:
        return resident_blocks(self.made[capability], self.threads, LIMITS[capability]) * -(-self.threads // WARP)


def problems(compiled: Compiled) -> list[str]:
    """What must not be: spills, local memory in a loop, too few resident warps."""
    found = []
    for capability, kernel in compiled.made.items():
        own = f"{compiled.name} for {capability[0]}.{capability[1]}"
        if kernel.spilled:
            found.append(f"{own}: {kernel.spilled} bytes of registers spilled")
        if kernel.local_in_loops:
            found.append(f"{own}: local memory in a loop")
        warps = compiled.resident_warps(capability)
        meant = meant_warps(compiled.grid.partition(".")[0], capability)
        if warps < meant:
            found.append(
                f"{own}: {warps} resident warps, {meant} are meant ({kernel.registers} registers, {kernel.shared} bytes)"
            )
    return found


def meant_warps(file: str, capability: Capability) -> int:
    """How many resident warps the kernels of a file are meant to have."""
    return FEWEST.get(capability, FEWER[file]) if file in FEWER else WARPS


def kernel_table(everything: Sequence[Compiled]) -> str:
    """A row per grid, of the code for ``READ``."""
    rows = []
    for each in sorted(everything, key=lambda c: c.name):
        kernel = each.made[READ]
        hot = kernel.code.hot
        numbers = each.threads, kernel.registers, kernel.shared, kernel.spilled, each.resident_warps(READ)
        rows.append([
            f"`{each.name}`", *map(str, numbers), _percent(hot.fma_share) if hot.fmas else "–",
            _bytes(hot.bytes_per("LDG", "LDGSTS")), _bytes(hot.bytes_per("LDS")),
        ])  # fmt: skip
    head = [
        "kernel",
        "threads",
        "registers",
        "shared bytes",
        "spilled",
        "warps",
        "multiply-adds",
        "per load",
        "per shared load",
    ]
    return table(head, rows)


def _bytes(count: float) -> str:
    return digits(count, 2) if count else "–"


def product_table(everything: Sequence[Compiled], launches: Sequence[tuple[str, int, Launch]]) -> str:
    """What the inner loop's limits allow the launches (title, operations, launch) of a product tile."""
    found = {(c.grid, c.size): c for c in everything}
    head = ["product", "on", "multiply-adds", "issue", "shared memory", "L2", "evenly shared", "of the peak", "that is", "time"]
    rows = []
    for title, operations, launch in launches:
        for gpu in GPUS:
            kernel = found[launch.grid.name, 4].made[gpu.capability]
            most = -(-blocks(launch) // gpu.processors)
            held = min(most, resident_blocks(kernel, threads(launch), LIMITS[gpu.capability]))
            loop = cycles(kernel.code.hot, gpu, held, threads(launch))
            even = even_share(blocks(launch), gpu.processors)
            reached = loop.share * even * gpu.peak()
            limits = [_percent(limit / loop.total) for limit in loop[:4]]
            rows.append([
                title, gpu.name, *limits, _percent(even), f"**{_percent(loop.share * even)}**",
                f"{reached / 1e12:.1f} TFLOP/s", duration(operations / reached),
            ])  # fmt: skip
    return table(head, rows)


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"


def launches_table(steps: Sequence[tuple[str, Sequence[Launch]]]) -> str:
    """Rows (title, launches of a training step), and from which files they come."""
    rows = []
    for title, launches in steps:
        files = Counter(launch.grid.name.partition(".")[0] for launch in launches)
        said = ", ".join(f"{count} {name}" for name, count in files.most_common())
        rows.append([title, str(len(launches)), said])
    return table(["one training step", "launches", "of"], rows)


def roofline_table(works: Sequence[tuple[str, float, float]]) -> str:
    """Rows (title, operations, bytes): the least time that arithmetic and memory allow."""
    places = [(gpu, bandwidth) for gpu in GPUS for bandwidth in gpu.bandwidths]
    head = ["kernel", "operations", "bytes", "operations per byte", *(f"{gpu.name}, {b} GB/s" for gpu, b in places)]
    rows = [
        [title, f"{operations:.3g}", f"{moved:.3g}", digits(operations / moved),
         *(duration(seconds(operations, moved, gpu.peak(), b)) for gpu, b in places)]
        for title, operations, moved in works
    ]  # fmt: skip
    return table(head, rows)


def heading() -> str:
    from importlib.metadata import version

    today = datetime.now(UTC).date().isoformat()
    return f"Computed, not measured, on {today} with numba-cuda {version('numba-cuda')} and ptxas {assemble.version()}."


def put(page: Path, text: str) -> None:
    """Between the markers of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
