"""An MLP, a CNN and an RNN at three tasks, each of which fits one of them."""

from functools import cache

import numpy as np
from matplotlib import pyplot as plt

import manualbp as mb
from manualbp.data import digits

# ---------------------------------------------------- images: which digit?


def sheet(images, down=2, right=2):
    """The 8×8 digits on a 12×12 sheet of paper, in its middle if nothing else is said."""
    large = np.zeros((len(images), 1, 12, 12), np.float32)
    large[:, :, down : down + 8, right : right + 8] = images
    return large


def moved(images):
    """Every digit four times: a pixel above or below the middle, and beside it."""
    return np.concatenate(
        [sheet(images, down, right) for down in (1, 3) for right in (1, 3)]
    )


def mixed(images):
    """All pixels in one random order, the same for each image: a table of 144 columns."""
    order = np.random.default_rng(0).permutation(144)
    return sheet(images).reshape(-1, 144)[:, order].reshape(-1, 1, 12, 12)


def image_networks():
    mb.manual_seed(0)
    return {
        "MLP": mb.Sequential(
            mb.Flatten(), mb.Linear(144, 32), mb.ReLU(), mb.Linear(32, 10)
        ),
        "CNN": mb.Sequential(
            mb.Conv2d(1, 8, 3, padding=1),
            mb.ReLU(),
            mb.Conv2d(8, 16, 3, padding=1),
            mb.ReLU(),
            mb.Conv2d(16, 16, 3, padding=1),
            mb.ReLU(),
            mb.GlobalAvgPool2d(),
            mb.Linear(16, 10),
        ),
        "RNN": mb.Sequential(  # reads row by row
            mb.Reshape(12, 12),
            mb.RNN(12, 32, batch_first=True),
            mb.LastStep(batch_first=True),
            mb.Linear(32, 10),
        ),
    }


# ---------------------------------------------------- sequences: which sign came last?


def sequences(count, share, seed):
    """24 steps a sequence; a ``share`` of them is A, as many are B, the rest nothing."""
    rng = np.random.default_rng(seed)
    signs = rng.choice(3, size=(count, 24), p=[1 - 2 * share, share, share])
    signs[:, 0] = rng.integers(1, 3, count)  # there is always one
    last = [row[row > 0][-1] - 1 for row in signs]
    return np.stack([signs == 1, signs == 2], axis=2).astype(np.float32), np.array(last)


def sequence_networks():
    mb.manual_seed(0)
    return {
        "MLP": mb.Sequential(
            mb.Flatten(), mb.Linear(48, 32), mb.ReLU(), mb.Linear(32, 2)
        ),
        "CNN": mb.Sequential(  # a window of five steps
            mb.Reshape(1, 24, 2),
            mb.Conv2d(1, 32, (5, 2)),
            mb.ReLU(),
            mb.GlobalAvgPool2d(),
            mb.Linear(32, 2),
        ),
        "RNN": mb.Sequential(
            mb.RNN(2, 16, batch_first=True),
            mb.LastStep(batch_first=True),
            mb.Linear(16, 2),
        ),
    }


# ---------------------------------------------------- the experiment


def learn(net, x, t, *tests):
    """Train for 20 epochs; the share of right answers in each test."""
    loss, optimizer = mb.CrossEntropyLoss(), mb.Adam(net.parameters(), lr=0.01)
    net.fit(x, t, loss=loss, optimizer=optimizer, epochs=20, seed=0, progress=False)
    return [net.evaluate(*test, metrics=("accuracy",))["accuracy"] for test in tests]


@cache
def scores():
    """Per test the share of right answers of MLP, CNN and RNN."""
    x, t, x_test, t_test = digits()
    in_place, elsewhere = (sheet(x_test), t_test), (moved(x_test), np.tile(t_test, 4))
    often, seldom = sequences(500, 0.2, seed=1), sequences(500, 0.03, seed=2)
    images, table, signs = (
        [learn(net, *data, *tests) for net in networks().values()]
        for networks, data, *tests in (
            (image_networks, (sheet(x), t), in_place, elsewhere),
            (image_networks, (mixed(x), t), (mixed(x_test), t_test)),
            (sequence_networks, sequences(1000, 0.2, seed=0), often, seldom),
        )
    )
    names = (
        "digits in place",
        "digits moved",
        "pixels mixed",
        "last sign",
        "last sign, rare",
    )
    tests = (
        *zip(*images, strict=True),
        *zip(*table, strict=True),
        *zip(*signs, strict=True),
    )
    return dict(zip(names, tests, strict=True))


def figure():
    tasks = scores()
    fig, axes = plt.subplots(figsize=(4.6, 3.6))
    for k, name in enumerate(("MLP", "CNN", "RNN")):
        axes.barh(
            np.arange(5) + 0.27 * (k - 1),
            [score[k] for score in tasks.values()],
            0.25,
            label=name,
        )
    axes.set(yticks=range(5), yticklabels=tasks, xlabel="right answers", xlim=(0, 1))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    fig.legend(loc="outside lower center", ncols=3)
    return fig
