"""fit and fit_many: replayed, from Python, and side by side, equal to the bit."""

import os
import signal
import threading

import numpy as np
import pytest
from recorded import Scale, assert_same, state, xor, xor_parts

import manualbp as mb
from manualbp import program as programs
from manualbp import steps, training


def fitted(replay, monkeypatch, make=None, **options):
    """The network's state and the history, by one way or the other."""
    monkeypatch.setattr(steps, "WORTH_RECORDING", 0 if replay else 10**9)
    mb.manual_seed(3)
    net = make() if make else mb.Sequential(mb.Linear(3, 8), mb.Tanh(), mb.Dropout(0.2), mb.Linear(8, 2))
    optimizer = mb.Adam(net.parameters(), lr=0.01)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((23, 3)).astype(np.float32), rng.integers(0, 2, 23).astype(np.int32)
    if options.pop("schedule", False):
        options["callbacks"] = (lambda net, history: setattr(optimizer, "lr", 0.5 * optimizer.lr),)
    history = net.fit(
        x, y, loss=mb.CrossEntropyLoss(), optimizer=optimizer, seed=1, progress=False,
        **{"epochs": 6, "batch_size": 5, **options},
    )  # fmt: skip
    assert history.path == ("replayed" if replay else "stepwise: fewer than 1000000000 steps")
    kept = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in history.epochs]
    return state(net, optimizer), kept


def early(net, history):
    return len(history) == 4


def other_dropout(net, history):
    net[2].p = 0.1 * len(history)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False},
        {"batch_size": 23, "epochs": 70},
        {"batch_size": 100, "epochs": 70, "shuffle": False},
        {"batch_size": 1, "epochs": 40},
        {"metrics": ("accuracy",)},
        {"validation_data": (np.ones((3, 3), np.float32), np.array([0, 1, 1])), "metrics": ("accuracy",)},
        {"callbacks": (early,)},
        {"callbacks": (other_dropout,)},
        {"schedule": True},
    ],
    ids=str,
)
def test_fit_both_ways(options, monkeypatch):
    (one, history), (other, replayed) = (fitted(replay, monkeypatch, **dict(options)) for replay in (False, True))
    assert_same(one, other)
    assert history == replayed


def test_fit_says_why_it_goes_stepwise():
    net = mb.Sequential(mb.Linear(2, 3), Scale(3), mb.Linear(3, 1))
    twin = mb.Sequential(mb.Linear(2, 3), Scale(3), mb.Linear(3, 1))
    twin.load_state_dict(net.state_dict())
    options = {"loss": mb.MSELoss(), "batch_size": 2, "progress": False, "seed": 0}
    history = net.fit(*xor(), optimizer=mb.SGD(net.parameters(), lr=0.1), epochs=20, **options)
    assert history.path == "stepwise: the step computes something by other means than kernels"
    with mb.backend("fast"):
        optimizer = mb.SGD(twin.parameters(), lr=0.1)
        Scale.recordable = False
        try:
            other = twin.fit(*xor(), optimizer=optimizer, epochs=20, **options)
        finally:
            Scale.recordable = True
    assert "class of your own" in other.path
    assert history["loss"] == other["loss"]
    assert_same(net.state_dict(), twin.state_dict())


def test_a_target_that_explains_a_nan_is_an_error_in_a_replay_too():
    net = mb.Sequential(mb.Linear(1, 1))
    net[0].W, net[0].b = np.ones((1, 1)), np.zeros(1)
    x = np.full((40, 1), 0.5, np.float32)
    x[30] = 2
    with pytest.raises(ValueError, match="probabilities from 0 to 1"):
        net.fit(
            x, np.full((40, 1), 0.5, np.float32), loss=mb.BCELoss(), optimizer=mb.SGD(net.parameters(), lr=0.0),
            batch_size=1, shuffle=False, progress=False,
        )  # fmt: skip


@pytest.fixture
def ctrl_c():
    """``ctrl_c.start()``: half a second later somebody presses it. A shell's background jobs ignore it: not here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    yield timer
    timer.join()
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_replay(ctrl_c):
    net, loss, optimizer = xor_parts()
    x, y = np.repeat(xor()[0], 20000, axis=0), np.repeat(xor()[1], 20000, axis=0)
    ctrl_c.start()
    history = net.fit(x, y, loss=loss, optimizer=optimizer, batch_size=1, epochs=10**6, progress=False)
    assert history.interrupted
    assert history.path == "replayed"


def test_ctrl_c_ends_a_run_after_a_whole_step(ctrl_c):
    net, loss, _ = xor_parts()
    optimizer = mb.Adam(net.parameters())
    program = mb.record(net, loss, optimizer, *xor())
    ctrl_c.start()
    with pytest.raises(KeyboardInterrupt):
        program.run(10**8)
    twin, loss, _ = xor_parts()
    other = mb.Adam(twin.parameters())
    mb.record(twin, loss, other, *xor()).run(int(optimizer.state_dict()["0.weight.step"][0]))
    assert_same(state(net, optimizer), state(twin, other))


class Bar:
    """Counts what it is told."""

    def __init__(self, total, title, unit, progress):
        self.total, self.updates = total, []

    def __enter__(self):
        bars.append(self)
        return self

    def __exit__(self, *error):
        pass

    def update(self, steps=1):
        self.updates.append(steps)

    def set_postfix(self, values):
        assert "loss" in values


bars = []


@pytest.mark.parametrize(("samples", "epochs", "batch_size"), [(6000, 2, 1), (6, 3000, 6)])
def test_the_bar_keeps_moving(samples, epochs, batch_size, monkeypatch):
    bars.clear()
    monkeypatch.setattr(training, "_bar", Bar)
    monkeypatch.setattr(steps, "SLICE", 1e-3)
    monkeypatch.setattr(programs, "SLICE", 1e-3)
    x, y = (np.resize(a, (samples, a.shape[1])) for a in xor())
    net, loss, optimizer = xor_parts()
    net.fit(x, y, loss=loss, optimizer=optimizer, seed=0, epochs=epochs, batch_size=batch_size)
    assert all(sum(bar.updates) == bar.total for bar in bars)
    assert sum(bar.total for bar in bars) == epochs * samples // batch_size
    assert sum(len(bar.updates) for bar in bars) > 5


# ---------------------------------------------------------------------- many at once


def jobs(number, **options):
    """Networks from several seeds, with data and options in common."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 3)).astype(np.float32), rng.standard_normal((12, 1)).astype(np.float32)
    for seed in range(number):
        mb.manual_seed(seed)
        net = mb.Sequential(mb.Linear(3, 6), mb.Tanh(), mb.Dropout(0.1), mb.Linear(6, 1))
        optimizer = mb.Adam(net.parameters(), lr=0.01 / (1 + seed))
        yield mb.Job(net, x, y, loss=mb.MSELoss(), optimizer=optimizer, seed=seed, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 500, "batch_size": 12, "shuffle": False},
        {"epochs": 60, "batch_size": 4},
        {"epochs": 20, "batch_size": 5, "metrics": (lambda y, t: float(abs(y - t).max()),)},
        {
            "epochs": 20, "batch_size": 5, "callbacks": (lambda net, history: len(history) == 15,),
            "validation_data": (np.ones((2, 3), np.float32), np.zeros((2, 1), np.float32)),
        },
    ],
    ids=lambda options: f"batch {options['batch_size']}, {len(options)} options",
)  # fmt: skip
def test_side_by_side_they_end_as_one_by_one(options):
    together, alone = list(jobs(7, **options)), list(jobs(7, **options))
    histories = mb.fit_many(together, progress=False)
    for one, other, history in zip(alone, together, histories, strict=True):
        arguments = {name: value for name, value in vars(one).items() if name != "net"}
        expected = one.net.fit(**arguments, progress=False)
        assert_same(state(one.net, one.optimizer), state(other.net, other.optimizer))
        assert history.path == expected.path == "replayed"
        assert [{**epoch, "seconds": 0} for epoch in history.epochs] == [{**epoch, "seconds": 0} for epoch in expected.epochs]


def test_jobs_that_share_something_are_refused():
    one, other = jobs(2)
    for name in ("net", "loss", "optimizer"):
        shared = {**vars(other), name: getattr(one, name)}
        if name == "net":
            shared["optimizer"] = mb.SGD(one.net.parameters())
        with pytest.raises(ValueError, match="jobs 0 and 1 share"):
            mb.fit_many([one, mb.Job(**shared)], progress=False)
    with pytest.raises(TypeError, match="expected a list of"):
        mb.fit_many([vars(one)], progress=False)


def test_all_jobs_are_looked_at_before_the_first_step():
    good, bad = jobs(2)
    bad = mb.Job(**{**vars(bad), "x": np.full((12, 3), np.nan, np.float32)})
    before = state(good.net, good.optimizer)
    with pytest.raises(ValueError, match="x is NaN"):
        mb.fit_many([good, bad], progress=False)
    assert_same(before, state(good.net, good.optimizer))


def test_an_error_in_one_job_ends_all():
    def fail(net, history):
        raise RuntimeError("enough")

    one, other = jobs(2, epochs=10**9, batch_size=4)
    with pytest.raises(RuntimeError, match="enough"):
        mb.fit_many([one, mb.Job(**{**vars(other), "callbacks": (fail,)})], progress=False)


def test_ctrl_c_ends_all_jobs(ctrl_c):
    ctrl_c.start()
    histories = mb.fit_many(jobs(5, epochs=10**9, batch_size=4, shuffle=False), progress=False)
    assert all(history.interrupted for history in histories)
    assert histories[0]["loss"]
    assert not histories[4].epochs
