"""Small networks, data for them, and what several tests do with both."""

import numpy as np

import manualbp as mb

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4)).astype(np.float32)

# For a Python that may import numba.cuda, of which NVIDIA's package asks NumPy for deprecated names.
NO_WARNINGS = "-W", "error", "-W", "ignore::DeprecationWarning"


def mlp(dtype="float32", seed=0):
    mb.manual_seed(seed)
    return mb.Sequential(mb.Linear(4, 6, dtype=dtype), mb.ReLU(), mb.Sequential(mb.Linear(6, 3, dtype=dtype), mb.Tanh()))


def cnn(nn):
    """The same network from ``manualbp`` or ``torch.nn``."""
    features = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(features, nn.Conv2d(2, 4, 2, bias=False), nn.Flatten(), nn.Linear(36, 3))


def recurrent(nn):
    return nn.Sequential(nn.LSTM(3, 4, num_layers=2, bidirectional=True), nn.RNN(8, 2, bias=False), nn.GRU(2, 5))


def weights(net):
    return {p.name: p.value.copy() for p in net.parameters()}


def assert_equal(ones, others):
    assert list(ones) == list(others)
    for name, one in ones.items():
        np.testing.assert_array_equal(one, others[name], err_msg=name)


def train(net, optimizer, steps=3):
    loss = mb.MSELoss()
    for _ in range(steps):
        y = net(X.astype(net.parameters()[0].value.dtype))
        loss(y, np.ones_like(y))
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
