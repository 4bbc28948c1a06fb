"""Memory: many steps need no more than a few."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, numpy as np, manualbp as mb
net = mb.Sequential(mb.Conv1d(2, 3, 3), mb.ReLU(), mb.Dropout(), mb.Flatten(), mb.Linear(12, 3))
x, y = np.ones((5, 2, 6), np.float32), np.array([0, 1, 2, 0, 1])
loss, optimizer = mb.CrossEntropyLoss(), mb.Adam(net.parameters())
def train(steps):
    for _ in range(steps):
        loss(net(x), y)
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = train(500)
print(train(10_000) - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say how much memory a process has used")
def test_ten_thousand_steps_need_no_more_memory_than_five_hundred():
    """In a process of its own, whose peak is its own. One kilobyte lost in ten steps would be a megabyte."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 2**20
