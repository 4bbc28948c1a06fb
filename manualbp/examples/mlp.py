"""A multilayer perceptron, 10-5-1, fits numbers."""

import numpy as np

import manualbp as mb
from manualbp.types import Array


def network() -> mb.Sequential:
    return mb.Sequential(mb.Linear(10, 5), mb.ReLU(), mb.Linear(5, 1))


def data(samples: int = 100, seed: int = 0) -> tuple[Array, Array]:
    """Ten random inputs a sample, and as its target the sum of the first five minus the sum of the others, over ten."""
    x = np.random.default_rng(seed).standard_normal((samples, 10)).astype(np.float32)
    return x, ((x[:, :5].sum(axis=1) - x[:, 5:].sum(axis=1)) / 10)[:, None]


def mlp(epochs: int = 1000, seed: int = 0) -> list[float]:
    """Train on all samples at once by gradient descent with rate 0.01; returns the loss of every epoch."""
    mb.manual_seed(seed)
    x, y = data(seed=seed)
    net = network()
    loss = mb.MSELoss()
    optimizer = mb.SGD(net.parameters(), lr=0.01)
    losses = []
    for epoch in range(1, epochs + 1):
        losses.append(loss(net(x), y))
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
        if epoch % 100 == 0:
            print(f"epoch {epoch:4}/{epochs}  loss {losses[-1]:.4f}")
    return losses
