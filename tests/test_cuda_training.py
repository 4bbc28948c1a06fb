"""Training on a GPU: step for step the host's numbers, and a counted number of launches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import NO_WARNINGS, weights
from tolerances import assert_close

import manualbp as mb
from manualbp.examples.mlp import network as mlp_network
from manualbp.examples.rnn import data as rnn_data
from manualbp.examples.rnn import network as rnn_network
from manualbp.examples.xor import X, Y
from manualbp.examples.xor import network as xor_network
from manualbp_kernels.cuda import DeviceArray

pytestmark = pytest.mark.usefixtures("gpu")

# Launches of one training step (forward, loss, zero_grad, backward, step) of the seeds' networks on a GPU.
LAUNCHES = {"xor": 10, "line": 6, "worked": 13, "mlp": 10, "cnn": 24, "rnn": 22}


def tiny_cnn():
    return mb.Sequential(
        mb.Conv2d(1, 2, 3, padding=1), mb.ReLU(), mb.MaxPool2d(2), mb.Conv2d(2, 3, 3, padding=1), mb.ReLU(), mb.MaxPool2d(2),
        mb.Flatten(), mb.Linear(3, 4), mb.ReLU(), mb.Linear(4, 3),
    )  # fmt: skip


def images(samples=5):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 1, 4, 4)).astype(np.float32), rng.integers(0, 3, samples)


def columns(samples=5):
    rng = np.random.default_rng(0)
    return rng.normal(size=(samples, 10)).astype(np.float32), rng.normal(size=(samples, 1)).astype(np.float32)


def sequences():
    return rnn_data(samples=3, steps=4)


CASES = {
    "xor": (xor_network, lambda: (X, Y), mb.MSELoss, lambda p: mb.SGD(p, lr=0.1)),
    "mlp": (mlp_network, columns, mb.MSELoss, lambda p: mb.Adam(p, lr=0.05)),
    "cnn": (tiny_cnn, images, mb.CrossEntropyLoss, lambda p: mb.SGD(p, lr=0.1, momentum=0.9)),
    "rnn": (rnn_network, sequences, mb.MSELoss, lambda p: mb.SGD(p, lr=0.1)),
}
each_network = pytest.mark.parametrize("name", list(CASES))


def build(name, place):
    mb.manual_seed(0)
    network, data, loss, optimizer = CASES[name]
    net = network().to(place)
    return net, *data(), loss(), optimizer(net.parameters())


def steps(name, place, count=4):
    net, x, y, loss, optimizer = build(name, place)
    values = []
    for _ in range(count):
        values.append(loss(net(x), y))
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
    return values, net.state_dict()


@each_network
def test_training_computes_the_hosts_numbers(name):
    (expected, there), (values, state) = steps(name, "cpu"), steps(name, "cuda")
    assert_close(np.float32(values), np.float32(expected), terms=4)
    for key, value in there.items():
        assert_close(state[key], value, terms=16)


def test_a_step_on_whole_numbers_is_exact():
    """A network whose sums stay exact, and a rate that is a power of two."""
    states = []
    for place in ("cpu", "cuda"):
        net, x, _, _, _ = build("cnn", "cpu")
        rng = np.random.default_rng(1)
        for p in net.parameters():
            p.value[...] = rng.integers(-1, 2, p.value.shape)
        net.to(place)
        optimizer, loss = mb.SGD(net.parameters(), lr=0.25), mb.MSELoss("sum")
        y = net(np.sign(x).round())
        loss(y, np.ones(y.shape, np.float32))
        net.backward(loss.backward())
        optimizer.step()
        states.append(net.state_dict())
    for key, value in states[0].items():
        np.testing.assert_array_equal(states[1][key], value)


@each_network
@pytest.mark.parametrize("where", ["host", "device"])
def test_fit(name, where):
    """History, weights and the shuffled order are the host's; the data may lie on either side."""
    histories, states = [], []
    for place in ("cpu", "cuda"):
        net, x, y, loss, optimizer = build(name, place)
        if place == "cuda" and where == "device":
            x, y = mb.to_device(x), mb.to_device(y)
        metrics = ("accuracy",) if name == "cnn" else ()
        history = net.fit(
            x, y, loss=loss, optimizer=optimizer, epochs=2, batch_size=2, validation_data=(x, y), metrics=metrics, seed=0,
            progress=False,
        )  # fmt: skip
        histories.append(history)
        states.append(weights(net.to("cpu")))
    assert histories[1].path.startswith("stepwise: ")
    for quantity in histories[0].epochs[0].keys() - {"seconds"}:
        assert_close(np.float32(histories[1][quantity]), np.float32(histories[0][quantity]), terms=4)
    for key, value in states[0].items():
        assert_close(states[1][key], value, terms=16)


def test_fit_says_that_it_goes_step_by_step():
    net, x, y, loss, optimizer = build("xor", "cuda")
    history = net.fit(x, y, loss=loss, optimizer=optimizer, epochs=4, batch_size=1, progress=False)
    assert history.path == "stepwise: arrays on a GPU are trained step by step"
    with pytest.raises(ValueError, match="arrays on a GPU are trained step by step"):
        mb.record(net, loss, optimizer, x, y)
    with pytest.raises(ValueError, match="arrays on a GPU are trained step by step"):
        mb.record(net, x=x)


def test_predict_and_evaluate():
    """Predictions come to the host, like every number that is asked for."""
    net, x, y, loss, _ = build("cnn", "cpu")
    expected, scores = net.predict(x, 2), net.evaluate(x, y, loss=loss, metrics=("accuracy",), batch_size=2)
    net.to("cuda")
    for data, target in ((x, y), (mb.to_device(x), mb.to_device(y))):
        predicted = net.predict(data, 2)
        assert type(predicted) is np.ndarray
        assert_close(predicted, expected, terms=4)
        for name, value in net.evaluate(data, target, loss=loss, metrics=("accuracy",), batch_size=2).items():
            assert_close(np.float32(value), np.float32(scores[name]))
    assert type(net(x)) is DeviceArray


def test_bad_data_are_refused_before_the_first_step():
    net, x, y, loss, optimizer = build("xor", "cuda")
    before = net.state_dict()
    x = mb.to_device(x)
    x[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"x is NaN at \(1, 0\)"):
        net.fit(x, y, loss=loss, optimizer=optimizer, progress=False)
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


# ---------------------------------------------------------------------- launches

COUNT = """
import os, json, sys
os.environ["NUMBA_ENABLE_CUDASIM"] = "0"
import manualbp_kernels.cuda.device as device
import manualbp_kernels.cuda.vocabulary
os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # from here on: the constants above are those of a real GPU
import numpy as np, manualbp as mb
import manualbp.examples
cnn, mlp, rnn, worked, xor = (sys.modules[f"manualbp.examples.{name}"] for name in ("cnn", "mlp", "rnn", "worked", "xor"))

def one_weight():
    return mb.Sequential(mb.Linear(1, 1, bias=False))

ones = np.ones
STEPS = {
    "xor": (xor.network, xor.X, xor.Y, mb.MSELoss()),
    "line": (one_weight, ones((1, 1), np.float32), ones((1, 1), np.float32), mb.MSELoss()),
    "worked": (worked.network, worked.X, worked.T, mb.MSELoss()),
    "mlp": (mlp.network, *mlp.data(), mb.MSELoss()),
    "cnn": (cnn.network, ones((8, 1, 28, 28), np.float32), np.zeros(8, int), mb.CrossEntropyLoss()),
    "rnn": (rnn.network, *rnn.data(), mb.MSELoss()),
}
made = {}
for name, (network, x, y, loss) in STEPS.items():
    net = network().to("cuda")
    optimizer, x, y = mb.SGD(net.parameters()), mb.to_device(x), mb.to_device(y)
    with device.launches(dry=True) as launches:
        loss(net(x), y)
        net.zero_grad()
        net.backward_weights(loss.backward())
        optimizer.step()
    made[name] = [launch.grid.name for launch in launches]
print(json.dumps(made))
"""


def test_launches_of_a_training_step():
    """At the sizes and with the tiles of a real GPU; the launches are noted and not made."""
    path = os.pathsep.join(str(Path(module.__file__).parents[1]) for module in (mb, sys.modules["manualbp_kernels"]))
    done = subprocess.run(
        [sys.executable, *NO_WARNINGS, "-c", COUNT], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert {name: len(launches) for name, launches in made.items()} == LAUNCHES, made
    assert LAUNCHES["cnn"] < 25
