"""fit, evaluate, predict: batches, order, validation, metrics, interruption, and refusing bad data before any step."""

import json
import os
import signal

import numpy as np
import pytest

import manualbp as mb
from manualbp.training import Interrupt


def network(seed=0):
    mb.manual_seed(seed)
    return mb.Sequential(mb.Linear(4, 8), mb.ReLU(), mb.Dropout(0.2), mb.Linear(8, 3))


def problem(samples=50, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, 4)).astype(np.float32)
    return x, x[:, :3].argmax(axis=1)


def fit(net, x, y, **options):
    defaults = {"loss": mb.CrossEntropyLoss(), "optimizer": mb.Adam(net.parameters(), 0.01), "progress": False, "seed": 0}
    return net.fit(x, y, **{**defaults, **options})


def test_it_learns_and_says_how_each_epoch_went():
    net, (x, y) = network(), problem(200)
    history = fit(net, x, y, epochs=30, batch_size=16, validation_data=problem(60, seed=1), metrics=("accuracy",))
    assert len(history) == 30
    assert set(history.epochs[0]) == {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["val_accuracy"][-1] > 0.8
    assert net.training


def test_same_seed_same_bits():
    runs = []
    for _ in range(2):
        net = network()
        fit(net, *problem(), epochs=3, batch_size=7)
        runs.append(net.state_dict())
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_fit_is_the_loop_written_out():
    x, y = problem()
    one, other = network(), network()
    fit(one, x, y, epochs=2, batch_size=16, shuffle=False)
    loss, optimizer = mb.CrossEntropyLoss(), mb.Adam(other.parameters(), 0.01)
    for _ in range(2):
        for start in range(0, len(x), 16):
            loss(other(x[start : start + 16]), y[start : start + 16])
            other.zero_grad()
            other.backward(loss.backward())
            optimizer.step()
    assert all(np.array_equal(a.value, b.value) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_every_sample_is_seen_once_an_epoch_and_the_average_is_over_samples():
    class Spy(mb.MSELoss):
        def forward(self, y, t):
            seen.append(t.copy())
            return super().forward(y, t)

    seen = []
    x = np.arange(10, dtype=np.float32)[:, None]
    net = mb.Sequential(mb.Linear(1, 1))
    net[0].W, net[0].b = [[1.0]], [0.0]
    history = net.fit(x, x + 1, loss=Spy(), optimizer=mb.SGD(net.parameters(), 0.0), batch_size=4, progress=False, seed=3)
    assert sorted(np.concatenate(seen).ravel().tolist()) == list(range(1, 11))
    assert [len(t) for t in seen] == [4, 4, 2]
    assert history["loss"] == pytest.approx([1.0])


def test_evaluate_and_predict_leave_the_network_alone_and_do_not_depend_on_the_batch_size():
    net, (x, y) = network(), problem()
    before = net.state_dict()
    outputs = net.predict(x, batch_size=7)
    assert np.allclose(outputs, net.predict(x), atol=1e-6)
    scores = net.evaluate(x, y, loss=mb.CrossEntropyLoss(), metrics=("accuracy",), batch_size=7)
    assert scores == pytest.approx(net.evaluate(x, y, loss=mb.CrossEntropyLoss(), metrics=("accuracy",)))
    assert scores["accuracy"] == np.mean(outputs.argmax(axis=1) == y)
    assert net.training
    assert all(np.array_equal(before[name], value) for name, value in net.state_dict().items())


def test_a_callback_sees_each_epoch_and_may_end_the_training():
    net, (x, y) = network(), problem()
    history = fit(net, x, y, epochs=10, callbacks=(lambda net, history: len(history) == 3,))
    assert len(history) == 3
    assert not history.interrupted


def test_own_metric():
    def hits(prediction, target):
        return float((prediction.argmax(axis=1) == target).sum()) / len(target)

    net, (x, y) = network(), problem()
    history = fit(net, x, y, metrics=("accuracy", hits))
    assert history["hits"] == history["accuracy"]


def test_control_c_ends_at_the_next_batch_and_keeps_what_was_learned():
    class Interrupting(mb.CrossEntropyLoss):
        calls = 0

        def forward(self, x, t):
            Interrupting.calls += 1
            if Interrupting.calls == 5:
                os.kill(os.getpid(), signal.SIGINT)
            return super().forward(x, t)

    net, (x, y) = network(), problem()
    before = net.state_dict()
    handler = signal.getsignal(signal.SIGINT)
    history = fit(net, x, y, loss=Interrupting(), epochs=100, batch_size=10)
    assert history.interrupted
    assert Interrupting.calls == 5
    assert len(history["loss"]) == 1
    with pytest.raises(KeyError, match="'val_loss' was not recorded, only loss, seconds"):
        history["val_loss"]
    assert len(history) == 1
    assert signal.getsignal(signal.SIGINT) is handler
    assert any(not np.array_equal(before[name], value) for name, value in net.state_dict().items())


def test_control_c_before_fit_is_not_forgotten():
    net, (x, y) = network(), problem()
    before = net.state_dict()
    with Interrupt() as outer:
        os.kill(os.getpid(), signal.SIGINT)
        history = fit(net, x, y)
        assert outer.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert history.interrupted
    assert not history.epochs
    assert all(np.array_equal(before[name], value) for name, value in net.state_dict().items())


def test_history_is_json(tmp_path):
    net, (x, y) = network(), problem()
    history = fit(net, x, y, epochs=2)
    history.save(tmp_path / "history.json")
    assert json.loads((tmp_path / "history.json").read_text())["epochs"] == history.epochs
    assert "2 epochs" in repr(history)


def nan_at(x, *index):
    x = x.copy()
    x[index] = np.nan
    return x


X, Y = problem()
BAD_DATA = {
    "fewer targets": ((X, Y[:-1]), ValueError, r"\(50, 4\) and \(49,\)"),
    "no samples": ((X[:0], Y[:0]), ValueError, "at least one sample"),
    "wrong width": ((X[:, :3], Y), ValueError, r"\(N, 4\), got \(1, 3\) · in layer 0"),
    "integers": ((X.astype(int), Y), TypeError, r"expects float32, got int64"),
    "float64": ((X.astype(float), Y), TypeError, r"expects float32, got float64.*astype"),
    "objects": ((X.astype(object), Y), TypeError, "object"),
    "complex": ((X.astype(complex), Y), TypeError, "complex"),
    "NaN inputs": ((nan_at(X, 49, 1), Y), ValueError, r"x is NaN at \(49, 1\)"),
    "infinite inputs": ((np.where(X > 2, np.inf, X), Y), ValueError, r"x is inf at \("),
    "masked inputs": ((np.ma.masked_array(X, X > 2), Y), TypeError, "masked arrays"),
    "class too large": ((X, np.where(np.arange(50) == 49, 3, Y)), ValueError, r"from 0 to 2, the target is 3 at \(49,\)"),
    "negative class": ((X, Y - 1), ValueError, "from 0 to 2"),
    "float classes": ((X, Y.astype(np.float32)), TypeError, "integers"),
    "NaN probabilities": ((X, nan_at(np.eye(3, dtype=np.float32)[Y], 49, 0)), ValueError, r"NaN at \(49, 0\)"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_is_refused_before_the_first_step(name):
    (x, y), kind, message = BAD_DATA[name]
    net = network()
    before = net.state_dict()
    with pytest.raises(kind, match=message):
        fit(net, x, y, batch_size=4)
    with pytest.raises(kind, match=message):
        fit(net, X, Y, batch_size=4, validation_data=(x, y))
    assert all(np.array_equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"batch_size": 2.5}, ValueError, "batch_size must be"),
        ({"metrics": ("precision",)}, ValueError, "precision"),
        ({"loss": mb.CrossEntropyLoss(reduction="none")}, ValueError, "a loss that is one number"),
        ({"loss": mb.MSELoss()}, ValueError, "prediction's shape"),
        ({"loss": "mse"}, TypeError, r"loss must be an object such as mb.MSELoss\(\), got 'mse'"),
        ({"optimizer": "sgd"}, TypeError, "optimizer must be an object such as"),
        ({"optimizer": mb.SGD(network().parameters())}, ValueError, "holds no parameter of this network"),
        ({"callbacks": print}, TypeError, "callbacks must be a tuple of functions"),
        ({"callbacks": (3,)}, TypeError, "callbacks must be a tuple of functions"),
        ({"metrics": (3,)}, ValueError, "metric must be a function"),
        ({"validation_data": X}, ValueError, r"must be a pair \(x, y\), got a ndarray"),
        ({"validation_data": (X, Y, Y)}, ValueError, r"must be a pair \(x, y\)"),
    ],
)
def test_bad_options_are_refused(options, kind, message):
    net = network()
    before = net.state_dict()
    with pytest.raises(kind, match=message):
        fit(net, X, Y, **options)
    assert all(np.array_equal(before[name], value) for name, value in net.state_dict().items())


def test_reading_only_views_and_other_orders_work():
    net, (x, y) = network(), problem()
    strided = np.asfortranarray(x)
    strided.flags.writeable = False
    fit(net, strided, y, epochs=1)
    assert np.array_equal(net.predict(strided), net.predict(x))


def test_evaluate_wants_one_number():
    with pytest.raises(ValueError, match="a loss that is one number"):
        network().evaluate(X, Y, loss=mb.CrossEntropyLoss(reduction="none"))


def test_accuracy_refuses_what_it_cannot_judge():
    with pytest.raises(ValueError, match="one output per class"):
        mb.Sequential(mb.Linear(4, 1)).evaluate(X, Y, metrics=("accuracy",))
