"""What can be minimised, and what a saturated neuron gets from the squared error and from cross-entropy."""

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
    """How many steps of gradient descent a neuron with x = 1, w = z, b = 0 and target 0 needs until it says less than 0.1."""
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
    """Loss and share of errors of a linear reader of digits, as all its weights are scaled from none to twice trained."""
    mb.manual_seed(0)
    data, net, loss = digits(), mb.Sequential(mb.Flatten(), mb.Linear(64, 10)), mb.CrossEntropyLoss()
    net.fit(
        data.x_train, data.y_train, loss=loss, optimizer=mb.SGD(net.parameters(), lr=0.1), epochs=5, seed=0, progress=False
    )
    start, W = np.random.default_rng(0).normal(size=(10, 64)), net[1].W.copy()
    losses, errors = [], []
    for s in ticks:
        net[1].W = W + s * start
        found = net.evaluate(data.x_test[:50], data.y_test[:50], loss=loss, metrics=("accuracy",))
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
    below.set(ylabel="share of errors", xlabel="way along a random direction from the trained weights")
    return fig
