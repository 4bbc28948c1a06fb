"""One training step (forward, loss, backward, update) of the classic networks.

``pytest bench --benchmark-only`` times them; PyTorch stands beside wherever it is installed.
"""

import numpy as np
import pytest

import manualbp as mb
from manualbp.examples.cnn import network as cnn
from manualbp.examples.xor import network as xor

rng = np.random.default_rng(0)


def images(n):
    return rng.random((n, 1, 28, 28), np.float32), rng.integers(0, 10, n)


def vectors(n):
    return rng.random((n, 784), np.float32), rng.integers(0, 10, n)


def mlp():
    return mb.Sequential(mb.Linear(784, 128), mb.ReLU(), mb.Linear(128, 10))


def corners(n):
    return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([[0], [1], [1], [0]], np.float32)


WORK = {
    "xor-4": (xor, corners, mb.MSELoss, 4),
    "mlp-1": (mlp, vectors, mb.CrossEntropyLoss, 1),
    "mlp-64": (mlp, vectors, mb.CrossEntropyLoss, 64),
    "cnn-1": (cnn, images, mb.CrossEntropyLoss, 1),
    "cnn-32": (cnn, images, mb.CrossEntropyLoss, 32),
}


def step_of_manualbp(build, x, y, loss):
    net = build()
    optimizer = mb.SGD(net.parameters(), lr=0.01)

    def step():
        loss(net(x), y)
        net.zero_grad()
        net.backward_weights(loss.backward())
        optimizer.step()

    return step


def step_of_torch(build, x, y, loss):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    modules = {"Linear": lambda m: torch.nn.Linear(m.in_features, m.out_features), "Flatten": lambda m: torch.nn.Flatten()}
    modules |= {"ReLU": lambda m: torch.nn.ReLU(), "MaxPool2d": lambda m: torch.nn.MaxPool2d(m.window.kernel)}
    modules |= {"Conv2d": lambda m: torch.nn.Conv2d(m.in_channels, m.out_channels, m.window.kernel, padding=m.window.padding)}
    net = torch.nn.Sequential(*(modules[type(layer).__name__](layer) for layer in build()))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    criterion = getattr(torch.nn, type(loss).__name__)()
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def step():
        optimizer.zero_grad()
        criterion(net(x), y).backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("engine", ["manualbp", "torch"])
@pytest.mark.parametrize("work", WORK)
def test_step(benchmark, work, engine):
    build, data, loss, n = WORK[work]
    step = {"manualbp": step_of_manualbp, "torch": step_of_torch}[engine](build, *data(n), loss())
    step()
    benchmark.group = work
    benchmark(step)
