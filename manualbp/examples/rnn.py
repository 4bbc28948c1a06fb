"""An Elman network reads sequences of ten numbers a step and says one number at the end."""

import numpy as np

import manualbp as mb
from manualbp.types import Array


def network() -> mb.Sequential:
    # Mended: the recurrent layer gives an output for every step, (N, T, 5). One number a sequence needs one of
    # them, the last: without LastStep, (N, T, 1) would meet targets (N, 1).
    return mb.Sequential(mb.RNN(10, 5, batch_first=True), mb.LastStep(batch_first=True), mb.Linear(5, 1))


def data(samples: int = 64, steps: int = 8, seed: int = 0) -> tuple[Array, Array]:
    """Random sequences (N, T, 10), and as target the mean of the last two steps."""
    x = np.random.default_rng(seed).standard_normal((samples, steps, 10)).astype(np.float32)
    return x, x[:, -2:].mean(axis=(1, 2))[:, None]


def rnn(epochs: int = 1000, seed: int = 0) -> list[float]:
    """Train on all sequences at once by gradient descent with rate 0.01; returns the loss of every epoch."""
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
