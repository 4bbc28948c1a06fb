"""Memory: many steps leave nothing behind."""

import os
import subprocess
import sys

STEPS = """
import tracemalloc, numpy as np, manualbp as mb
from numba.core.runtime import rtsys
net = mb.Sequential(mb.Conv1d(2, 3, 3), mb.Flatten(), mb.Linear(12, 3))
x, y = np.ones((5, 2, 6), np.float32), np.array([0, 1, 2, 0, 1])
loss, optimizer = mb.CrossEntropyLoss(), mb.Adam(net.parameters())
def train(steps):
    for _ in range(steps):
        loss(net(x), y)
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
    kernels = rtsys.get_allocation_stats()
    return tracemalloc.get_traced_memory()[0], kernels.alloc - kernels.free, kernels.alloc
train(10)
tracemalloc.start()
train(100)
before, after = train(100), train(10_000)
assert after[2] > before[2] + 10_000, "the kernels' allocations are not counted"
print(after[0] - before[0], after[1] - before[1])
"""

KERNELS = """
import numpy as np
from cases import KERNELS as CASES, Draw
from numba.core.runtime import rtsys
from manualbp_kernels import KERNELS
def held():
    made = rtsys.get_allocation_stats()
    return made.alloc - made.free, made.mi_alloc - made.mi_free
for dtype in ("float32", "float64"):
    for name, case in CASES.items():
        arguments = case.arguments(Draw(np.random.default_rng(0), dtype))
        run = KERNELS[name].form("cpu")
        run(*arguments)
        before = held()
        run(*arguments)
        if held() != before:
            print(name, dtype)
"""


def output_of(program):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_NRT_STATS": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ten_thousand_steps_leave_no_memory_behind():
    """Neither Python's and NumPy's, of which each step takes some, nor what kernels allocate inside."""
    of_python, of_kernels = map(int, output_of(STEPS).split())
    assert of_python < 10_000  # bytes: one in every step would be more
    assert of_kernels == 0


def test_kernels_leave_no_memory_behind():
    """Whether they count references to arrays or only borrow them: see ``cpu/borrow.py``."""
    assert output_of(KERNELS) == ""
