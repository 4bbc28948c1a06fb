"""The three words in one loop."""

import numpy as np
from matplotlib import pyplot as plt

import manualbp as mb
from manualbp.data import digits


def train(epochs=4, batch_size=32):
    """The loop of ``fit``. Returns the net, and the losses and sizes of all batches."""
    mb.manual_seed(0)
    data, rng = digits(), np.random.default_rng(0)
    net = mb.Sequential(mb.Flatten(), mb.Linear(64, 32), mb.ReLU(), mb.Linear(32, 10))
    loss, optimizer = mb.CrossEntropyLoss(), mb.SGD(net.parameters(), lr=0.1)
    losses, sizes = [], []
    for _epoch in range(epochs):  # an epoch: every sample once
        order = rng.permutation(len(data.x_train))  # in a new order
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]  # a batch: what one step sees
            losses.append(loss(net(data.x_train[batch]), data.y_train[batch]))
            sizes.append(len(batch))
            net.zero_grad()
            net.backward(loss.backward())
            optimizer.step()  # an iteration: one step
    return net, np.array(losses), np.array(sizes)


def figure():
    losses, sizes = train()[1:]
    per_epoch = len(losses) // 4
    means = [
        np.average(losses[i : i + per_epoch], weights=sizes[i : i + per_epoch])
        for i in range(0, len(losses), per_epoch)
    ]
    fig, axes = plt.subplots()
    axes.plot(
        np.arange(1, len(losses) + 1),
        losses,
        linewidth=0.8,
        label="of an iteration's batch",
    )
    axes.stairs(
        means,
        np.arange(5) * per_epoch,
        baseline=None,
        linewidth=2,
        color="C1",
        label="mean over an epoch",
    )
    axes.set(xlabel="iteration", ylabel="loss", xticks=np.arange(5) * per_epoch)
    axes.legend()
    return fig
