"""Which of a kernel's forms runs, and that the reference needs nothing but NumPy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tolerances import assert_close

import manualbp as mb

XOR = """
import sys
import numpy as np
import manualbp as mb
assert "numba" not in sys.modules, "importing the library must not import Numba"
mb.manual_seed(0)
x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
y = np.array([[0], [1], [1], [0]], np.float32)
net = mb.Sequential(mb.Linear(2, 10), mb.ReLU(), mb.Linear(10, 1))
loss, opt = mb.MSELoss(), mb.SGD(net.parameters(), lr=0.1)
with mb.backend("reference"):
    for _ in range(1000):
        value = loss(net(x), y)
        net.zero_grad()
        net.backward(loss.backward())
        opt.step()
    assert (net(x).round() == y).all(), net(x)
assert value < 0.01, value
assert "numba" not in sys.modules
"""


def test_the_reference_trains_without_numba():
    paths = [str(Path(module.__file__).parents[1]) for module in (mb, sys.modules["manualbp_kernels"])]
    code = f"import sys; sys.path[:0] = {paths}\n{XOR}"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_both_backends_train_alike():
    weights = []
    x, y = np.random.default_rng(0).normal(size=(2, 8, 3))
    for name in ("fast", "reference"):
        mb.manual_seed(0)
        net = mb.Sequential(mb.Linear(3, 5, dtype=np.float64), mb.Tanh(), mb.Linear(5, 3, dtype=np.float64))
        loss, opt = mb.MSELoss(), mb.Adam(net.parameters())
        with mb.backend(name):
            for _ in range(5):
                loss(net(x), y)
                net.zero_grad()
                net.backward(loss.backward())
                opt.step()
        weights.append(net.state_dict())
    for key, value in weights[0].items():
        assert_close(value, weights[1][key], terms=8)


def test_a_backend_can_change_between_forward_and_backward():
    net, x = mb.Linear(3, 2), np.ones((4, 3), np.float32)
    y = net(x)
    with mb.backend("reference"):
        net.backward(y)
        reference = net.dW.copy()
    net.zero_grad()
    net(x)
    net.backward(y)
    assert_close(net.dW, reference, terms=4)


def test_a_backend_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"one of fast, reference, got 'cuda'"), mb.backend("cuda"):
        pass
    assert mb.get_backend() == "fast"
