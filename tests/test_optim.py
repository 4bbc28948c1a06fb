"""Every optimizer against PyTorch's, saved and resumed, in one run of memory and in several."""

import copy
import math
import pickle

import numpy as np
import pytest
from loss_cases import OPTIMIZERS
from tolerances import STEPS, assert_close

import manualbp as mb
from manualbp.parameter import runs

each_optimizer = pytest.mark.parametrize("case", OPTIMIZERS, ids=str)
each_backend = pytest.mark.parametrize("backend", ["fast", "reference"])
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = ((3, 4), (3,), (2, 3), (2,))


def network(dtype=np.float64, seed=0):
    mb.manual_seed(seed)
    return mb.Sequential(mb.Linear(4, 3, dtype=dtype), mb.Tanh(), mb.Linear(3, 2, dtype=dtype))


def gradients(steps, dtype=np.float64, seed=0):
    """For each step one gradient per parameter of ``network``."""
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=shape).astype(dtype) for shape in SHAPES] for _ in range(steps)]


def train(parameters, optimizer, given):
    for step in given:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad[...] = gradient
        optimizer.step()


def values(parameters):
    return [p.value.copy() for p in parameters]


def assert_equal(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_optimizer_has_a_case():
    assert {case.name for case in OPTIMIZERS} == set(mb.optim.__all__) - {"Optimizer"}


# ---------------------------------------------------------------------- PyTorch


class Theirs:
    """PyTorch's optimizer on a copy of some parameters."""

    def __init__(self, torch, case, parameters):
        self.torch = torch
        self.parameters = [self.torch.tensor(p.value, requires_grad=True) for p in parameters]
        self.optimizer = case.torchs(torch, self.parameters)

    def train(self, given):
        for step in given:
            for parameter, gradient in zip(self.parameters, step, strict=True):
                parameter.grad = self.torch.tensor(gradient)
            self.optimizer.step()

    def assert_close_to(self, parameters):
        for parameter, theirs in zip(parameters, self.parameters, strict=True):
            assert_close(parameter.value, theirs.detach().numpy(), terms=STEPS)


@each_backend
@each_dtype
@each_optimizer
def test_twenty_steps_are_pytorchs(case, dtype, backend, torch):
    parameters = network(dtype).parameters()
    theirs, given = Theirs(torch, case, parameters), gradients(20, dtype)
    with mb.backend(backend):
        train(parameters, case.ours(parameters), given)
    theirs.train(given)
    theirs.assert_close_to(parameters)


@each_optimizer
def test_a_changed_learning_rate_is_pytorchs(case, torch):
    parameters = network().parameters()
    theirs, ours, given = Theirs(torch, case, parameters), case.ours(parameters), gradients(10)
    train(parameters, ours, given[:5])
    theirs.train(given[:5])
    ours.lr = theirs.optimizer.param_groups[0]["lr"] = 0.007
    assert ours.lr == 0.007
    train(parameters, ours, given[5:])
    theirs.train(given[5:])
    theirs.assert_close_to(parameters)


@each_optimizer
def test_no_gradient_is_pytorchs_too(case, torch):
    """Zeros are the one place where 0/0 lurks."""
    parameters = network().parameters()
    theirs, given = Theirs(torch, case, parameters), [[np.zeros(shape) for shape in SHAPES]] * 3
    train(parameters, case.ours(parameters), given)
    theirs.train(given)
    theirs.assert_close_to(parameters)


# ---------------------------------------------------------------------- definitions, by hand


def test_sgd_by_hand():
    parameter = mb.Parameter("w", np.array([1.0, 2.0]), np.array([10.0, -10.0]))
    mb.SGD([parameter], lr=0.5).step()
    np.testing.assert_array_equal(parameter.value, [-4, 7])
    np.testing.assert_array_equal(parameter.grad, [10, -10])


def by_formula(o, name, p, given):
    """The head of optim.py for one number, in plain Python."""
    m = v = mean = 0.0
    s = getattr(o, "initial_accumulator_value", 0.0)
    for t, g in enumerate(given, 1):
        if name == "AdamW":
            p -= o.lr * o.weight_decay * p
        else:
            g += o.weight_decay * p
        if name == "SGD":
            v = g if t == 1 else o.momentum * v + (1 - o.dampening) * g
            p -= o.lr * (g + o.momentum * v if o.nesterov else v if o.momentum else g)
        elif name == "Adagrad":
            s += g * g
            p -= o.lr / (1 + (t - 1) * o.lr_decay) * g / (math.sqrt(s) + o.eps)
        elif name == "RMSprop":
            s, mean = o.alpha * s + (1 - o.alpha) * g * g, o.alpha * mean + (1 - o.alpha) * g
            v = o.momentum * v + g / (math.sqrt(s - mean * mean if o.centered else s) + o.eps)
            p -= o.lr * v
        else:
            m, v = o.beta1 * m + (1 - o.beta1) * g, o.beta2 * v + (1 - o.beta2) * g * g
            p -= o.lr * m / (1 - o.beta1**t) / (math.sqrt(v / (1 - o.beta2**t)) + o.eps)
    return p


@each_optimizer
def test_five_steps_by_the_formula(case):
    given = [1.5, -0.5, 2.0, 0.25, -1.0]
    parameter = mb.Parameter("w", np.array([0.75]), np.zeros(1))
    optimizer = case.ours([parameter])
    train([parameter], optimizer, [[g] for g in given])
    np.testing.assert_allclose(parameter.value, by_formula(optimizer, case.name, 0.75, given), rtol=1e-12)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "Adagrad"])
def test_an_adaptive_first_step_knows_only_the_sign(name):
    ones, tens = (mb.Parameter("w", np.zeros(2), np.array([1.0, -1.0]) * size) for size in (1, 10))
    for parameter in (ones, tens):
        getattr(mb, name)([parameter], lr=0.1).step()
    assert_close(ones.value, tens.value, scale=1e10)  # ε = 1e-8 is not quite nothing
    np.testing.assert_array_equal(np.sign(ones.value), [-1, 1])


@each_backend
def test_sgd_is_exact_on_small_integers(backend):
    parameter = mb.Parameter("w", np.array([8, 4], np.float32), np.array([2, -4], np.float32))
    optimizer = mb.SGD([parameter], lr=0.5, momentum=0.5)
    with mb.backend(backend):
        optimizer.step()
        optimizer.step()
    np.testing.assert_array_equal(parameter.value, [8 - 1 - 1.5, 4 + 2 + 3])


@each_optimizer
def test_zero_grad(case):
    net = network()
    train(net.parameters(), optimizer := case.ours(net.parameters()), gradients(1))
    optimizer.zero_grad()
    assert not any(p.grad.any() for p in net.parameters())


# ---------------------------------------------------------------------- saved and resumed


@each_optimizer
def test_resuming_is_the_same_as_going_on(case):
    parameters, given = network().parameters(), gradients(12)
    optimizer = case.ours(parameters)
    train(parameters, optimizer, given[:5])
    saved, weights = optimizer.state_dict(), values(parameters)
    optimizer.lr *= 0.5
    train(parameters, optimizer, given[5:])

    resumed = network(seed=1).parameters()
    for parameter, weight in zip(resumed, weights, strict=True):
        parameter.value[...] = weight
    other = getattr(mb, case.name)(resumed, **case.options | {"lr": 7.0})
    other.load_state_dict(saved)
    assert other.lr == case.ours(parameters).lr
    other.lr *= 0.5
    train(resumed, other, given[5:])
    assert_equal(values(resumed), values(parameters))


@each_optimizer
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))], ids=["deepcopy", "pickle"])
def test_copies_stay_together_and_apart_from_the_original(case, copied):
    net, given = network(), gradients(10)
    optimizer = case.ours(net.parameters())
    train(net.parameters(), optimizer, given[:5])
    before = values(net.parameters())
    twin, twins_optimizer = copied((net, optimizer))
    train(twin.parameters(), twins_optimizer, given[5:])
    assert_equal(values(net.parameters()), before)
    train(net.parameters(), optimizer, given[5:])
    assert_equal(values(twin.parameters()), values(net.parameters()))


@each_optimizer
def test_scattered_parameters_train_as_those_side_by_side(case):
    together, given = network(), gradients(6)
    mb.manual_seed(0)
    layers = mb.Linear(4, 3, dtype=np.float64), mb.Linear(3, 2, dtype=np.float64)
    apart = layers[0].parameters() + layers[1].parameters()
    assert len(runs(together.parameters())) == 1
    assert len(runs(apart)) == 4
    for parameters in (together.parameters(), apart):
        train(parameters, case.ours(parameters), given)
    assert_equal(values(apart), values(together.parameters()))


def test_scattered_parameters_of_one_name_are_saved_apart():
    layers, given = (mb.Linear(4, 3, dtype=np.float64), mb.Linear(3, 2, dtype=np.float64)), gradients(6)
    parameters = layers[0].parameters() + layers[1].parameters()
    optimizer = mb.Adam(parameters)
    train(parameters, optimizer, given[:3])
    twins, twins_optimizer = copy.deepcopy((layers, optimizer))
    train(parameters, optimizer, given[3:])
    train(twins[0].parameters() + twins[1].parameters(), twins_optimizer, given[3:])
    assert_equal(values(twins_optimizer.parameters), values(parameters))
    assert len(optimizer.state_dict()) == 1 + 3 * 4


def test_part_of_a_network_can_be_trained():
    net = network()
    before = values(net.parameters())
    train(net[2].parameters(), mb.SGD(net[2].parameters(), lr=0.1), [gradients(1)[0][2:]])
    after = values(net.parameters())
    assert_equal(after[:2], before[:2])
    assert all((a != b).all() for a, b in zip(after[2:], before[2:], strict=True))


def test_dtypes_side_by_side_are_trained_each_in_its_own():
    net = mb.Sequential(mb.Linear(4, 3), mb.Linear(3, 2, dtype=np.float64))
    before = values(net.parameters())
    given = gradients(1)
    train(net.parameters(), mb.SGD(net.parameters(), lr=0.5), given)
    for parameter, old, gradient in zip(net.parameters(), before, given[0], strict=True):
        assert parameter.value.dtype == old.dtype
        assert_close(parameter.value, (old - 0.5 * gradient).astype(old.dtype))


def test_loading_a_state_that_does_not_fit_changes_nothing():
    parameters = network().parameters()
    optimizer = mb.Adam(parameters)
    train(parameters, optimizer, gradients(2))
    before = optimizer.state_dict()
    wrong = {name: value + 1 for name, value in before.items() if name != "0.weight.exp_avg"}
    wrong |= {"extra": np.zeros(1), "2.bias.exp_avg_sq": np.zeros(5)}
    with pytest.raises(ValueError, match="does not fit Adam") as error:
        optimizer.load_state_dict(wrong)
    for line in ("0.weight.exp_avg: missing", "extra: unknown", "2.bias.exp_avg_sq: expected shape (2,), got (5,)"):
        assert line in str(error.value)
    with pytest.raises(ValueError, match="invalid literal"):
        optimizer.load_state_dict({name: value + 1 for name, value in before.items()} | {"2.bias.step": np.array(["x"])})
    assert_equal(optimizer.state_dict().values(), before.values())


def test_a_saved_state_is_a_copy():
    parameters = network().parameters()
    optimizer = mb.Adam(parameters)
    saved = optimizer.state_dict()
    train(parameters, optimizer, gradients(1))
    assert saved["0.weight.step"] == 0
    assert not saved["0.weight.exp_avg"].any()


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", sorted({case.name for case in OPTIMIZERS}))
def test_parameters_are_checked(name):
    make, net = getattr(mb, name), network()
    with pytest.raises(ValueError, match=f"{name} got no parameters"):
        make([])
    with pytest.raises(ValueError, match=f"{name} got a parameter twice"):
        make(net.parameters() + net[0].parameters())
    with pytest.raises(TypeError, match=rf"{name} expects what net.parameters\(\) gives, got a Sequential"):
        make(net)
    with pytest.raises(TypeError, match="lr must be a number, got 'fast'"):
        make(net.parameters(), lr="fast")


@pytest.mark.parametrize(
    ("value", "grad", "kind"),
    [
        (np.ones(9), np.ones(3), ValueError),
        (np.ones(3), np.ones(3, np.float32), ValueError),
        (np.ones(3, int), np.ones(3, int), TypeError),
        (np.ones((3, 3))[::2], np.ones((2, 3)), TypeError),
        (np.broadcast_to(1.0, 3), np.ones(3), TypeError),
        ([1.0], [1.0], TypeError),
    ],
)
def test_values_and_gradients_must_go_together(value, grad, kind):
    with pytest.raises(kind, match=r"SGD: .*w must be"):
        mb.SGD([mb.Parameter("w", value, grad)])


def test_a_state_is_checked_before_anything_changes():
    optimizer = mb.SGD(network().parameters(), lr=0.5)
    state = optimizer.state_dict()
    with pytest.raises(ValueError, match="SGD: lr must be at least 0, got -1"):
        optimizer.load_state_dict({**state, "hyper": -np.ones(4), "0.weight.step": np.ones(1, int)})
    with pytest.raises(TypeError, match="expects a dictionary of arrays"):
        optimizer.load_state_dict(None)
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


WRONG = [
    (mb.SGD, {"lr": -0.1}, "lr"), (mb.SGD, {"lr": np.nan}, "lr"), (mb.SGD, {"lr": np.inf}, "lr"),
    (mb.SGD, {"momentum": -1}, "momentum"), (mb.SGD, {"weight_decay": -1}, "weight_decay"),
    (mb.SGD, {"nesterov": True}, "nesterov"), (mb.SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov"),
    (mb.Adam, {"betas": (1.0, 0.9)}, "beta1"), (mb.Adam, {"betas": (0.9, 1.0)}, "beta2"),
    (mb.Adam, {"betas": (-0.1, 0.9)}, "beta1"), (mb.Adam, {"eps": -1e-8}, "eps"), (mb.Adam, {"lr": -1}, "lr"),
    (mb.AdamW, {"weight_decay": -1}, "weight_decay"), (mb.AdamW, {"lr": -1}, "lr"),
    (mb.RMSprop, {"alpha": -0.1}, "alpha"), (mb.RMSprop, {"momentum": -0.1}, "momentum"), (mb.RMSprop, {"lr": -1}, "lr"),
    (mb.Adagrad, {"lr_decay": -1}, "lr_decay"), (mb.Adagrad, {"lr": -1}, "lr"),
    (mb.Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "options", "named"), WRONG)
def test_options_are_checked(make, options, named):
    with pytest.raises(ValueError, match=f"{make.__name__}: {named}"):
        make(network().parameters(), **options)


def test_options_are_checked_when_they_change():
    optimizer = mb.Adam(network().parameters())
    with pytest.raises(ValueError, match="Adam: lr must be at least 0, got -1"):
        optimizer.lr = -1
    with pytest.raises(ValueError, match=r"Adam: beta2 must be at least 0 and below 1, got 1\.5"):
        optimizer.beta2 = 1.5
    assert (optimizer.lr, optimizer.beta2) == (1e-3, 0.999)


def test_a_nan_gradient_is_a_nan_weight():
    net = network()
    given = gradients(1)
    given[0][1][2] = np.nan
    train(net.parameters(), mb.Adam(net.parameters()), given)
    assert np.isnan(net[0].b).tolist() == [False, False, True]
    assert np.isfinite(net[0].W).all()


def test_an_optimizer_without_a_formula_says_so():
    class Nothing(mb.Optimizer):
        pass

    with pytest.raises(NotImplementedError, match="Nothing has no update"):
        Nothing(network().parameters()).step()


def test_a_users_own_optimizer():
    class SignDescent(mb.Optimizer):
        lr = mb.optim.Hyper()

        def update(self, p, g, memories, step):
            p -= self.lr * np.sign(g)

    net = network()
    before, given = values(net.parameters()), gradients(1)
    train(net.parameters(), SignDescent(net.parameters(), lr=0.25), given)
    assert_equal(values(net.parameters()), [b - 0.25 * np.sign(g) for b, g in zip(before, given[0], strict=True)])


def test_looks():
    assert repr(mb.SGD(network().parameters(), lr=0.1)) == "SGD(lr=0.1, momentum=0, dampening=0, weight_decay=0)"
