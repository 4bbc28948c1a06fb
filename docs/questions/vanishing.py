"""The gradient of each weight matrix in stacks of 1 to 20 sigmoid layers."""

import numpy as np
from matplotlib import pyplot as plt

import manualbp as mb

WIDTH = 64
SAMPLES = 100


def stack(depth, bend=mb.Sigmoid, start=None):
    """``depth`` times Linear and bend; ``start`` makes the weights, if given."""
    mb.manual_seed(0)
    layers = [
        layer
        for _ in range(depth)
        for layer in (mb.Linear(WIDTH, WIDTH, dtype=np.float64), bend())
    ]
    for linear in layers[::2]:
        if start:
            linear.W, linear.b = start(linear.W.shape), np.zeros(WIDTH)
    return mb.Sequential(*layers)


def run(net):
    """Forward and backward, random x and ∂L/∂y; returns |∂L/∂x| ÷ |∂L/∂y|."""
    rng = np.random.default_rng(0)
    net(rng.standard_normal((SAMPLES, WIDTH)))
    dy = rng.standard_normal((SAMPLES, WIDTH)) / SAMPLES
    return np.linalg.norm(net.backward(dy)) / np.linalg.norm(dy)


def gradient_norms(net):
    """|dW| of each linear layer, first layer first."""
    run(net)
    return np.array(
        [np.linalg.norm(layer.dW) for layer in net if isinstance(layer, mb.Linear)]
    )


def orthogonal(gain):
    """Weights that turn a vector, and make it ``gain`` times as long."""
    return lambda shape: mb.init.orthogonal(shape, gain)


def figure():
    fig, axes = plt.subplots()
    for depth in (1, 5, 10, 15, 20):
        axes.semilogy(
            range(1, depth + 1), gradient_norms(stack(depth)), "o-", label=f"{depth}"
        )
    relu = stack(20, mb.ReLU, mb.init.kaiming_normal)
    axes.semilogy(
        range(1, 21), gradient_norms(relu), "--", color="grey", label="20, ReLU"
    )
    axes.set(xlabel="layer, 1 is the first", ylabel="|dW|", xticks=[1, 5, 10, 15, 20])
    axes.legend(title="layers")
    return fig
