"""Two linear layers are one linear layer; a bend between them makes XOR possible."""

import numpy as np
from matplotlib import pyplot as plt

import manualbp as mb

DOT = {"boxstyle": "circle", "facecolor": "black", "edgecolor": "none", "alpha": 0.6}
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
T = np.array([[0], [1], [1], [0]], np.float32)  # XOR


def network(*bend):
    mb.manual_seed(0)
    return mb.Sequential(mb.Linear(2, 10), *bend, mb.Linear(10, 1))


def merged(net):
    """The one linear layer that does what a row of linear layers does."""
    W, b = np.eye(2), np.zeros(2)
    for layer in net:
        W, b = layer.W @ W, layer.W @ b + layer.b
    one = mb.Linear(2, 1)
    one.W, one.b = W, b
    return one


def train(net, steps=1000):
    """The loss before each step."""
    loss, optimizer, losses = mb.MSELoss(), mb.SGD(net.parameters(), lr=0.1), []
    for _ in range(steps):
        losses.append(loss(net(X), T))
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
    return losses


def figure():
    ticks = np.linspace(-0.3, 1.3, 33, dtype=np.float32)
    plane = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    fig, panels = plt.subplots(1, 2, figsize=(4.6, 2.5), sharey=True)
    for axes, bend, title in zip(
        panels,
        [(), (mb.ReLU(),)],
        ["linear, linear", "linear, ReLU, linear"],
        strict=True,
    ):
        net = network(*bend)
        train(net)
        y = net.predict(plane).reshape(33, 33)
        colours = axes.imshow(
            y, origin="lower", extent=(-0.3, 1.3) * 2, cmap="coolwarm", vmin=0, vmax=1
        )
        for x, t in zip(X, T[:, 0], strict=True):
            axes.text(*x, f"{t:.0f}", ha="center", va="center", color="white", bbox=DOT)
        axes.grid(visible=False)
        axes.set(title=title, xlabel="x₁", xticks=[0, 1], yticks=[0, 1])
    panels[0].set_ylabel("x₂")
    fig.colorbar(colours, ax=panels, shrink=0.75, label="y", ticks=[0, 0.5, 1])
    return fig
