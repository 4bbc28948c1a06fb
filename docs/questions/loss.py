"""What can be minimised, and what a saturated neuron learns from two losses."""

import numpy as np
from matplotlib import pyplot as plt

import manualbp as mb
from manualbp.data import digits

LOSSES = {"squared error": mb.MSELoss, "cross-entropy": mb.BCELoss}


def gradient(loss, z, t=0.0):
    """∂L/∂z of a sigmoid neuron that should say t, for each z by itself."""
    neuron, loss = mb.Sigmoid(), loss(reduction="sum")
    loss(neuron(z), np.full_like(z, t))
    return neuron.backward(loss.backward())


def steps_to_learn(loss, z, lr=1.0):
    """Steps until a neuron that begins with w = z, b = 0 says less than 0.1 to x = 1."""
    net, loss = mb.Sequential(mb.Linear(1, 1, dtype=np.float64), mb.Sigmoid()), loss()
    net[0].W, net[0].b = [[z]], [0.0]
    optimizer = mb.SGD(net.parameters(), lr=lr)
    x, t = np.ones((1, 1)), np.zeros((1, 1))
    for step in range(10_000):
        if net(x).item() < 0.1:
            return step
        loss(net(x), t)
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
    return None


def along_a_line(ticks):
    """Loss and share of errors of a trained reader, its weights moved along a line."""
    mb.manual_seed(0)
    x, t, x_test, t_test = digits()
    net, loss = mb.Sequential(mb.Flatten(), mb.Linear(64, 10)), mb.CrossEntropyLoss()
    optimizer = mb.SGD(net.parameters(), lr=0.1)
    net.fit(x, t, loss=loss, optimizer=optimizer, epochs=5, seed=0, progress=False)
    W, way = net[1].W.copy(), np.random.default_rng(0).normal(size=(10, 64))
    losses, errors = [], []
    for s in ticks:
        net[1].W = W + s * way
        found = net.evaluate(x_test[:50], t_test[:50], loss=loss, metrics=("accuracy",))
        losses.append(found["loss"])
        errors.append(1 - found["accuracy"])
    return losses, errors


def figure():
    z = np.linspace(-8, 8, 161)
    fig, axes = plt.subplots()
    for name, loss in LOSSES.items():
        axes.plot(z, gradient(loss, z), label=name)
    axes.set(xlabel="z", ylabel="∂L/∂z for t = 0")
    axes.legend()
    return fig


def stairs():
    ticks = np.linspace(-0.5, 0.5, 201)
    losses, errors = along_a_line(ticks)
    fig, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(4.6, 4.0))
    above.plot(ticks, losses)
    above.set(ylabel="cross-entropy")
    below.plot(ticks, errors, drawstyle="steps-mid", color="C1")
    below.set(
        ylabel="share of errors",
        xlabel="way along a random direction from the trained weights",
    )
    return fig
