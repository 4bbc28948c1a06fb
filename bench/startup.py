"""What a fresh process costs: the import, the way to the first training step, and the memory at the end.

``python -m bench.startup ENGINE WORK`` is one such process and prints one line of JSON; ``measure`` starts several in turn.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

# Nothing that imports NumPy may stand above: it would not be counted.

IMPORTS = {"manualbp": "manualbp", "torch": "torch", "jax": "jax", "sklearn": "sklearn.neural_network", "numpy": "numpy"}
WORKS = ("xor-4", "cnn-128")
STEPS = 5


def live(engine: str, name: str) -> dict[str, float]:
    """Import, take a few steps, and say what that cost; seconds and bytes."""
    start = time.perf_counter()
    import_module(IMPORTS[engine])
    imported = time.perf_counter()
    cost = {"import": imported - start, "resident": memory("VmRSS")}
    if name:
        from .engines import prepare
        from .works import WORKS

        work = next(work for work in WORKS if work.name == name)
        start = time.perf_counter()
        running = prepare(engine, work)
        running.step()
        cost["first step"] = time.perf_counter() - start
        for _ in range(STEPS):
            running.step()
        cost["peak"] = memory("VmHWM")
    return cost


def memory(field: str) -> float:
    """Bytes resident now (VmRSS) or at most so far (VmHWM). Not ru_maxrss if possible: that starts at our parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
        return int(lines[field].split()[0]) * 1024.0
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def measure(engines: list[str], environment: dict[str, str], turns: int) -> list[dict[str, Any]]:
    """A record per engine: medians of import and memory after it, and for each work the first step and the peak.

    manualbp compiles its kernels in its first process and finds them on the disk later: it has a record for either.
    """
    bare: dict[str, list[dict[str, float]]] = {engine: [] for engine in engines}
    for _ in range(turns):
        for engine, costs in bare.items():
            costs.append(run(engine, "", environment))
    records = []
    for engine, costs in bare.items():
        record: dict[str, Any] = {"engine": engine, "kernels": "on disk"}
        record |= {key: statistics.median(cost[key] for cost in costs) for key in ("import", "resident")}
        records.append({**record, **first_steps(engine, environment)})
    if "manualbp" in engines:
        with tempfile.TemporaryDirectory() as empty:
            first = first_steps("manualbp", {**environment, "NUMBA_CACHE_DIR": empty}, ("cnn-128",))
        records.append({"engine": "manualbp", "kernels": "compiled", **first})
    return records


def first_steps(engine: str, environment: dict[str, str], works: tuple[str, ...] = WORKS) -> dict[str, Any]:
    costs = {name: run(engine, name, environment) for name in works}
    return {f"{key} {name}": cost[key] for name, cost in costs.items() for key in ("first step", "peak") if key in cost}


def run(engine: str, work: str, environment: dict[str, str]) -> dict[str, float]:
    """What ``live`` says in a process of its own; nothing if the engine is not made for the work."""
    command = [sys.executable, "-m", "bench.startup", engine, work]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        if "Unable" in done.stderr:
            return {}
        raise RuntimeError(f"{engine} {work}: {done.stderr.strip()}")
    cost: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return cost


if __name__ == "__main__":
    print(json.dumps(live(*sys.argv[1:])))
