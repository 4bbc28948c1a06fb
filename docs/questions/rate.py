"""Learning rates against the bound 2/λ on a bowl, and on a network."""

import numpy as np
from matplotlib import pyplot as plt

import manualbp as mb
from manualbp.data import digits

rng = np.random.default_rng(0)
X = rng.standard_normal((100, 2)) * [1.0, 0.3]
T = X @ [[1.0], [1.0]]  # the weights (1, 1) fit exactly


def curvatures(x):
    """Second derivatives of mean (xw − t)², smallest first: eigenvalues of 2 xᵀx/N."""
    return np.linalg.eigvalsh(2 * x.T @ x / len(x))


def descend(lr, steps=50, x=X):
    """The loss before each step, from the weights (0, 0)."""
    net, loss = mb.Linear(2, 1, bias=False, dtype=np.float64), mb.MSELoss()
    net.W = [[0.0, 0.0]]
    optimizer = mb.SGD(net.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        losses.append(loss(net(x), T))
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
    return losses


def train(lr):
    """The loss of a small reader of digits after three epochs; inf if it overflowed."""
    mb.manual_seed(0)
    x, t = digits()[:2]
    net = mb.Sequential(mb.Flatten(), mb.Linear(64, 32), mb.ReLU(), mb.Linear(32, 10))
    loss, optimizer = mb.CrossEntropyLoss(), mb.SGD(net.parameters(), lr=lr)
    try:
        net.fit(x, t, loss=loss, optimizer=optimizer, epochs=3, seed=0, progress=False)
        return net.evaluate(x, t, loss=loss)["loss"]
    except FloatingPointError:
        return np.inf


def bowl():
    bound = 2 / curvatures(X)[-1]
    fig, axes = plt.subplots()
    for share in (0.01, 0.1, 0.5, 0.95, 1.02):
        axes.semilogy(descend(share * bound), label=f"{share:g}")
    axes.set(xlabel="step", ylabel="loss")
    axes.legend(title="η ÷ bound", ncols=2)
    return fig


def network():
    rates = np.geomspace(1e-4, 30, 23)
    fig, axes = plt.subplots()
    axes.loglog(rates, [train(lr) for lr in rates], "o-")
    axes.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    axes.minorticks_off()
    axes.axhline(np.log(10), linestyle=":", color="grey")
    axes.set(xlabel="learning rate η", ylabel="loss after three epochs")
    return fig
