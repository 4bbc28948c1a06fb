"""Sigmoid, tanh and ReLU: values, slopes, and the same network with each of them."""

import numpy as np
from matplotlib import pyplot as plt

import manualbp as mb
from manualbp.data import digits

DIGITS = digits()
KINDS = {  # an activation and initial weights; None: those of the library
    "sigmoid, Xavier": (mb.Sigmoid, mb.init.xavier_normal),
    "sigmoid, 4 × Xavier": (
        mb.Sigmoid,
        lambda shape: mb.init.xavier_normal(shape, gain=4),
    ),
    "tanh, Xavier": (mb.Tanh, mb.init.xavier_normal),
    "ReLU, Kaiming": (mb.ReLU, mb.init.kaiming_normal),
    "ReLU, default": (mb.ReLU, None),
}


def slope(bend, x):
    """φ′(x) as the layer itself computes it: its backward pass with δ = 1."""
    bend(x)
    return bend.backward(np.ones_like(x))


def network(kind, hidden):
    """A reader of digits with so many hidden layers of 32 neurons."""
    bend, start = KINDS[kind]
    mb.manual_seed(0)
    layers = [mb.Flatten()]
    for inputs in [64, *(hidden - 1) * [32]]:
        layers += [mb.Linear(inputs, 32), bend()]
    net = mb.Sequential(*layers, mb.Linear(32, 10))
    for layer in net:
        if start and isinstance(layer, mb.Linear):
            layer.W, layer.b = start(layer.W.shape), np.zeros(layer.b.shape)
    return net


def learn(net, lr=0.1, epochs=15):
    """The share of held-out digits read right, after each epoch."""
    loss, optimizer = mb.CrossEntropyLoss(), mb.SGD(net.parameters(), lr=lr)
    options = {"epochs": epochs, "metrics": ("accuracy",), "seed": 0, "progress": False}
    x, t, *test = DIGITS
    history = net.fit(
        x, t, loss=loss, optimizer=optimizer, validation_data=test, **options
    )
    return history["val_accuracy"]


def dead(net):
    """The share of the first layer's neurons that say 0 to every training digit."""
    return float((net[:3].predict(DIGITS.x_train) == 0).all(axis=0).mean())


def one_sign(kind, batch):
    """In a new network, the share of the second layer's rows of dW that have one sign."""
    net, loss = network(kind, hidden=2), mb.CrossEntropyLoss()
    loss(net(DIGITS.x_train[:batch]), DIGITS.y_train[:batch])
    net.backward(loss.backward())
    dW = net[3].dW[net[3].dW.any(axis=1)]
    return float(((dW >= 0).all(axis=1) | (dW <= 0).all(axis=1)).mean())


def shapes():
    x = np.linspace(-5, 5, 201)
    fig, (values, slopes) = plt.subplots(2, 1, sharex=True, figsize=(4.6, 4.2))
    for bend in mb.Sigmoid(), mb.Tanh(), mb.ReLU():
        values.plot(x, bend(x), label=type(bend).__name__)
        slopes.plot(x, slope(bend, x))
    values.set(ylabel="φ(x)", ylim=(-1.2, 2.2))
    slopes.set(ylabel="φ′(x)", xlabel="x")
    values.legend()
    return fig


def learning():
    fig, axes = plt.subplots(figsize=(4.6, 3.4))
    for kind in KINDS:
        axes.plot(range(1, 16), learn(network(kind, hidden=5)), "o-", label=kind)
    axes.set(xlabel="epoch", ylabel="held-out digits read right", ylim=(0, 1))
    fig.legend(loc="outside lower center", ncols=2)
    return fig
