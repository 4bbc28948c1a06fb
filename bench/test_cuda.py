"""On a GPU, beside PyTorch: ``pytest bench -k cuda`` prints a line per work and writes cuda-results.json.

Each engine first does the work and must agree with the definitions on the processor; then the engines take turns. A turn is
timed by events of the GPU, after a quarter as long of warming up.
"""

import json
import math
import statistics
from datetime import UTC, datetime
from pathlib import Path

import pytest

from manualbp_kernels.cuda.device import module, simulated

from . import machine
from .engines import REFERENCE, Unable, compared, load, prepare
from .turns import disagreement
from .units import duration
from .works import MATRICES, STEPS, matmul

ENGINES = {"cuda": "manualbp", "torch_cuda": "PyTorch"}
WORKS = (*STEPS, *MATRICES, matmul(4096))
RESULTS = Path("cuda-results.json")
TURNS, SECONDS = 7, 0.1


@pytest.fixture(scope="module")
def results():
    """What is written to the file. Skips, with one line of reason, where there is no GPU."""
    if simulated():
        pytest.skip("NUMBA_ENABLE_CUDASIM is set: a simulated GPU is not timed")
    try:
        device = module().get_current_device()
    except RuntimeError as error:
        pytest.skip(str(error))
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    about = {"name": name, "capability": device.compute_capability, "processors": device.MULTIPROCESSOR_COUNT}
    found = {"date": datetime.now(UTC).date().isoformat(), "gpu": about, "machine": machine.describe(), "records": []}
    yield found
    print(f"\nwritten to {RESULTS.resolve()}")


def ready(engine, work, expected):
    """(step, clock) of an engine that agrees; None if it is not there or not made for this."""
    try:
        result = compared(prepare(engine, work), work)
        running = prepare(engine, work)
    except (Unable, ModuleNotFoundError) as reason:
        print(f"{ENGINES[engine]}: {reason}")
        return None
    assert not disagreement(work, result, expected), f"{ENGINES[engine]} computes something else"
    return running.step, load(engine).clock


def turn(step, clock):
    """Seconds per call over at least SECONDS."""
    count = 1
    while (took := clock(step, count)) < SECONDS / 4:
        count *= 2
    count = math.ceil(count * SECONDS / took)
    return clock(step, count) / count


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_cuda_time(work, results, capsys):
    expected = compared(prepare(REFERENCE, work), work)
    engines = {name: found for name in ENGINES if (found := ready(name, work, expected))}
    times = {name: [] for name in engines}
    for _ in range(TURNS):
        for name, (step, clock) in engines.items():
            times[name].append(turn(step, clock))
    results["records"] += [{"work": work.name, "engine": name, "seconds": seconds} for name, seconds in times.items()]
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")  # each time: who stops it has what there is
    with capsys.disabled():
        print(f"\n{work.title:50}", *(f"{ENGINES[n]} {duration(statistics.median(s))}" for n, s in times.items()), sep="  ")
