"""Batch, mini-batch and single samples on a landscape that can be drawn."""

import numpy as np
from matplotlib import pyplot as plt

import manualbp as mb

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (128, 1))
T = 2 * X - 0.5 + 0.5 * rng.standard_normal((128, 1))  # w = 2, b = −0.5, and noise
START = (-1.0, 1.5)


def neuron():
    net = mb.Linear(1, 1, dtype=np.float64)
    net.W, net.b = [[START[0]]], [START[1]]
    return net


def gradient(net, x, t):
    """(∂L/∂w, ∂L/∂b) of the mean squared error over these samples."""
    loss = mb.MSELoss()
    loss(net(x), t)
    net.zero_grad()
    net.backward(loss.backward())
    return np.array([net.dW.item(), net.db.item()])


def path(batch, epochs=10, lr=0.1):
    """(w, b) before the first step and after each."""
    net = neuron()
    optimizer, order = mb.SGD(net.parameters(), lr=lr), np.random.default_rng(1)
    places = [START]
    for _ in range(epochs):
        shuffled = order.permutation(len(X))
        for first in range(0, len(X), batch):
            chosen = shuffled[first : first + batch]
            gradient(net, X[chosen], T[chosen])
            optimizer.step()
            places.append((net.W.item(), net.b.item()))
    return np.array(places)


def noise(batch, draws=500):
    """Root mean square distance of random batches' gradients from that of all samples."""
    net, pick = neuron(), np.random.default_rng(2)
    full = gradient(net, X, T)
    errors = []
    for _ in range(draws):
        chosen = pick.choice(len(X), batch, replace=True)
        errors.append(gradient(net, X[chosen], T[chosen]) - full)
    return float(np.sqrt(np.mean(np.square(errors).sum(axis=1))))


def excess(lr, epochs=60):
    """How far above the lowest loss the second half of the way lies, on average."""
    places = path(1, epochs, lr)
    w, b = places[len(places) // 2 :].T
    losses = np.mean((w * X + b - T) ** 2, axis=0)
    A = np.hstack([X, np.ones_like(X)])
    best = np.mean((A @ np.linalg.lstsq(A, T)[0] - T) ** 2)
    return float(np.mean(losses) - best)


def figure():
    w, b = np.meshgrid(np.linspace(-1.4, 2.9, 60), np.linspace(-1.2, 1.9, 60))
    height = ((w[..., None] * X[:, 0] + b[..., None] - T[:, 0]) ** 2).mean(axis=-1)
    fig, axes = plt.subplots()
    axes.contour(
        w, b, height, levels=np.geomspace(0.3, 6, 8), colors="grey", linewidths=0.6
    )
    for batch, width in ((1, 0.7), (16, 1.2), (128, 1.8)):
        axes.plot(
            *path(batch).T, ".-", linewidth=width, label=f"{batch}", zorder=2 + width
        )
    axes.set(xlabel="w", ylabel="b")
    axes.legend(title="samples a step")
    return fig
