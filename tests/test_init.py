"""Initial weights: their size, their spread, and that a seed gives them again."""

import numpy as np
import pytest
from tolerances import assert_close

import manualbp as mb
from manualbp import init

SHAPE = (80, 50, 3, 3)  # fan_in 450, fan_out 720
UNIFORM = [
    (init.xavier_uniform, {}, np.sqrt(6 / (450 + 720))),
    (init.xavier_uniform, {"gain": 5 / 3}, 5 / 3 * np.sqrt(6 / (450 + 720))),
    (init.kaiming_uniform, {}, np.sqrt(6 / 450)),
    (init.kaiming_uniform, {"mode": "fan_out", "nonlinearity": "relu"}, np.sqrt(6 / 720)),
    (init.kaiming_uniform, {"slope": 5**0.5}, 1 / np.sqrt(450)),
    (init.kaiming_uniform, {"nonlinearity": "tanh"}, 5 / 3 * np.sqrt(3 / 450)),
    (init.lecun_uniform, {}, np.sqrt(3 / 450)),
]
NORMAL = [
    (init.xavier_normal, {}, np.sqrt(2 / (450 + 720))),
    (init.xavier_normal, {"gain": 2.0}, 2 * np.sqrt(2 / (450 + 720))),
    (init.kaiming_normal, {}, np.sqrt(2 / 450)),
    (init.kaiming_normal, {"mode": "fan_out", "nonlinearity": "linear"}, 1 / np.sqrt(720)),
    (init.lecun_normal, {}, 1 / np.sqrt(450)),
]
ALL = [make for make, options, _ in UNIFORM + NORMAL if not options] + [init.orthogonal]


@pytest.fixture(autouse=True)
def seed():
    mb.manual_seed(0)


@pytest.mark.parametrize(("make", "options", "bound"), UNIFORM)
def test_uniform_fills_its_range(make, options, bound):
    W = make(SHAPE, **options)
    assert W.shape == SHAPE
    assert 0.999 * bound < W.max() <= np.float32(bound)
    assert 0.999 * bound < -W.min() <= np.float32(bound)
    assert abs(W.mean()) < 0.02 * bound


@pytest.mark.parametrize(("make", "options", "std"), NORMAL)
def test_normal_has_its_spread(make, options, std):
    W = make(SHAPE, **options)
    assert W.shape == SHAPE
    assert W.std() == pytest.approx(std, rel=0.02)
    assert abs(W.mean()) < 0.02 * std
    assert W.max() > 3 * std


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 3, 2, 2), (30, 3, 2, 2)])
def test_orthogonal(shape):
    W = init.orthogonal(shape, gain=2.0, dtype=np.float64)
    assert W.shape == shape
    M = W.reshape(shape[0], -1) / 2
    product = M @ M.T if M.shape[0] <= M.shape[1] else M.T @ M
    assert_close(product, np.eye(len(product)), terms=max(M.shape))


@pytest.mark.parametrize("name", ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains_are_pytorchs(name, torch):
    slope = 0.2 if name == "leaky_relu" else None
    assert_close(init.gain(name, slope or 0.01), torch.nn.init.calculate_gain(name, slope))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (4, 3, 5, 2)])
def test_fans_are_pytorchs(shape, torch):
    assert init.fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_a_seed_gives_the_same_weights(make):
    mb.manual_seed(7)
    first, second = make((6, 4)), make((6, 4))
    mb.manual_seed(7)
    np.testing.assert_array_equal(make((6, 4)), first)
    assert (first != second).any()
    mb.manual_seed(8)
    assert (make((6, 4)) != first).any()


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_dtypes(make):
    mb.manual_seed(7)
    single = make((6, 4))
    mb.manual_seed(7)
    double = make((6, 4), dtype=np.float64)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(single, double.astype(np.float32))
    with pytest.raises(TypeError, match="float32 or float64"):
        make((6, 4), dtype=np.float16)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_a_vector_has_no_fans(make):
    with pytest.raises(ValueError, match=r"at least two axes, got shape \(5,\)"):
        make((5,))
    with pytest.raises(ValueError, match=r"not empty.*got shape \(5, 0\)"):
        make((5, 0))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"one of linear, sigmoid, .*got 'swish'"):
        init.kaiming_normal((3, 3), nonlinearity="swish")
    with pytest.raises(ValueError, match=r"'fan_in' or 'fan_out', got 'fan'"):
        init.kaiming_uniform((3, 3), mode="fan")


LAYERS = [
    ("Linear", (100, 60), {}, 100),
    ("Conv1d", (20, 30, 5), {}, 20 * 5),
    ("Conv2d", (16, 30, 3), {}, 16 * 9),
    ("Conv2d", (16, 30, (3, 5)), {"groups": 2}, 8 * 15),
    ("RNN", (20, 50), {}, 50),
    ("LSTM", (20, 50), {"num_layers": 2, "bidirectional": True}, 50),
    ("GRU", (20, 50), {}, 50),
]


@pytest.mark.parametrize(("name", "sizes", "options", "fan"), LAYERS)
def test_defaults_are_pytorchs(name, sizes, options, fan, torch):
    """Weights and biases fill ±1/√fan_in, or ±1/√hidden_size: the documented bounds, and what PyTorch draws."""
    torch.manual_seed(0)
    theirs, bound = getattr(torch.nn, name)(*sizes, **options).state_dict(), 1 / np.sqrt(fan)
    ours = getattr(mb, name)(*sizes, **options).state_dict()
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        assert 0.8 * bound < np.abs(value).max() <= np.float32(bound)
        assert 0.8 * bound < theirs[key].abs().max() <= np.float32(bound)
        assert value.std() == pytest.approx(bound / np.sqrt(3), rel=0.25)


def test_a_seed_gives_the_same_network_and_masks():
    x = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    outputs = []
    for _ in range(2):
        mb.manual_seed(3)
        outputs.append(mb.Sequential(mb.Linear(6, 20), mb.Dropout(0.5), mb.Linear(20, 2))(x))
    np.testing.assert_array_equal(*outputs)
