"""Initial weights: all equal, too small, too large, Xavier's, Kaiming's."""

import numpy as np
from matplotlib import pyplot as plt

import manualbp as mb
from manualbp.data import digits

WIDTH, DEPTH = 128, 20
STARTS = {
    "σ = 0.01": lambda shape: mb.init.normal(shape, 0, 0.01),
    "σ = 1": lambda shape: mb.init.normal(shape, 0, 1),
    "Xavier": mb.init.xavier_normal,
    "Kaiming": mb.init.kaiming_normal,
}


def reader(bend, hidden=16, value=None):
    """A reader of digits; its parameters are drawn as usual, or all have one value."""
    mb.manual_seed(0)
    net = mb.Sequential(
        mb.Flatten(), mb.Linear(64, hidden), bend(), mb.Linear(hidden, 10)
    )
    if value is not None:
        for parameter in net.parameters():
            parameter.value[...] = value
    return net


def learn(net, epochs=30):
    """Train, and return the loss on the training data."""
    data, loss = digits(), mb.CrossEntropyLoss()
    adam, (x, t) = mb.Adam(net.parameters(), lr=0.01), data[:2]
    net.fit(x, t, loss=loss, optimizer=adam, epochs=epochs, seed=0, progress=False)
    return net.evaluate(x, t, loss=loss)["loss"]


def different(net):
    """How many neurons of the hidden layer are not copies of another, to five digits."""
    return len(np.unique(net[1].W.round(5), axis=0))


def sizes(bend, start):
    """The root mean square of each layer's output, and of its ∂L/∂x on the way back."""
    mb.manual_seed(0)
    rng = np.random.default_rng(0)
    signal, delta = rng.standard_normal((2, 200, WIDTH))
    layers, forward, backward = [], [], []
    for _ in range(DEPTH):
        layers.append(
            mb.Sequential(mb.Linear(WIDTH, WIDTH, bias=False, dtype=np.float64), bend())
        )
        layers[-1][0].W = start((WIDTH, WIDTH))
        signal = layers[-1](signal)
        forward.append(np.sqrt(np.mean(signal**2)))
    for layer in reversed(layers):
        delta = layer.backward(delta)
        backward.insert(0, np.sqrt(np.mean(delta**2)))
    return np.array(forward), np.array(backward)


def figure():
    fig, panels = plt.subplots(2, 1, sharex=True, figsize=(4.6, 4.6))
    for axes, bend in zip(panels, (mb.Tanh, mb.ReLU), strict=True):
        for name, start in STARTS.items():
            axes.semilogy(range(1, DEPTH + 1), sizes(bend, start)[0], "o-", label=name)
        axes.set(
            title=bend.__name__, ylabel="size of the output", xticks=[1, 5, 10, 15, 20]
        )
    panels[1].set_xlabel("layer")
    panels[1].legend(ncols=2)
    return fig
