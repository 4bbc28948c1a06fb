"""Memory: many steps leave nothing behind."""

import os
import subprocess
import sys

PROGRAM = """
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


def test_ten_thousand_steps_leave_no_memory_behind():
    """Neither Python's and NumPy's, of which each step takes some, nor what kernels allocate inside."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_NRT_STATS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    of_python, of_kernels = map(int, done.stdout.split())
    assert of_python < 10_000  # bytes: one in every step would be more
    assert of_kernels == 0
