"""Sequential: the chain rule over layers, names and states, copies, modes, whole training steps."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import RNG, X, assert_equal, cnn, mlp, recurrent, train, weights
from tolerances import assert_close

import manualbp as mb
from manualbp.parameter import runs

# ---------------------------------------------------------------------- a chain


def test_forward_and_backward_are_the_chain_by_hand():
    net, twin = mlp(), mlp()
    a, relu, (b, tanh) = twin
    np.testing.assert_array_equal(net(X), tanh(b(relu(a(X)))))
    dy = RNG.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(net.backward(dy), a.backward(relu.backward(b.backward(tanh.backward(dy)))))
    for ours, by_hand in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(ours.grad, by_hand.grad)
        assert ours.grad.any()


def test_gradients_accumulate_until_they_are_zeroed():
    net = mlp()
    for times in (1, 2, 3):
        net.backward(np.ones_like(net(X)))
        if times == 1:
            once = [p.grad.copy() for p in net.parameters()]
        for parameter, gradient in zip(net.parameters(), once, strict=True):
            assert_close(parameter.grad, times * gradient, terms=times)
    net.zero_grad()
    assert not any(p.grad.any() for p in net.parameters())


def test_an_empty_network_is_the_identity():
    net = mb.Sequential()
    assert net(X) is X
    assert net.backward(X) is X
    assert net.parameters() == []
    assert repr(net) == "Sequential()"


def test_indexing_and_iteration():
    net = mlp()
    assert len(net) == 3
    assert isinstance(net[0], mb.Linear)
    assert net[-1] is net[2]
    assert list(net) == [net[0], net[1], net[2]]
    with pytest.raises(IndexError):
        net[3]


def test_a_slice_is_a_network_of_the_same_layers():
    net = mlp()
    head = net[:2]
    assert isinstance(head, mb.Sequential)
    assert head[0] is net[0]
    np.testing.assert_array_equal(head(X), net[1](net[0](X)))
    before = weights(net)
    train(head, mb.SGD(head.parameters(), lr=0.1))
    after = weights(net)
    assert (after["0.weight"] != before["0.weight"]).any()
    np.testing.assert_array_equal(after["2.0.weight"], before["2.0.weight"])
    np.testing.assert_array_equal(head[0].W, net[0].W)


def test_looks():
    assert repr(mlp()) == (
        "Sequential(\n  0: Linear(4 → 6)\n  1: ReLU()\n  2: Sequential(\n    0: Linear(6 → 3)\n    1: Tanh()\n  )\n)"
    )


# ---------------------------------------------------------------------- names and states


@pytest.mark.parametrize("build", [cnn, recurrent])
def test_names_and_shapes_are_pytorchs(build, torch):
    theirs = build(torch.nn).state_dict()
    assert {p.name: p.value.shape for p in build(mb).parameters()} == {k: tuple(v.shape) for k, v in theirs.items()}
    assert list(build(mb).state_dict()) == list(theirs)


def test_weights_go_both_ways(torch):
    ours, theirs = cnn(mb), cnn(torch.nn)
    x = RNG.normal(size=(2, 1, 8, 8)).astype(np.float32)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    assert_close(ours(x), theirs(torch.tensor(x)).detach().numpy(), terms=36)
    other = cnn(torch.nn)
    other.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})
    assert_close(other(torch.tensor(x)).detach().numpy(), ours(x), terms=36)


def test_tensors_fit_as_they_are(torch):
    ours, theirs = recurrent(mb), recurrent(torch.nn)
    ours.load_state_dict(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], value.numpy())


def test_a_state_is_a_copy():
    net = mlp()
    state = net.state_dict()
    state["0.weight"][...] = 7
    assert not (net[0].W == 7).any()
    net.load_state_dict(state)
    state["0.weight"][...] = 8
    assert (net[0].W == 7).all()


def test_a_state_is_cast_to_the_networks_dtype():
    net = mlp()
    net.load_state_dict(mlp("float64", seed=1).state_dict())
    assert net[0].W.dtype == np.float32
    assert_equal(weights(net), weights(mlp(seed=1)))


def test_everything_that_does_not_fit_is_listed_and_nothing_changes():
    net = mlp()
    before, state = weights(net), mlp(seed=1).state_dict()
    del state["0.bias"]
    state |= {"0.weight": np.zeros((4, 6)), "1.weight": np.zeros(1), "2.0.bias": np.zeros(())}
    with pytest.raises(ValueError, match="does not fit Sequential") as error:
        net.load_state_dict(state)
    lines = {line.strip() for line in str(error.value).splitlines()}
    assert lines >= {
        "0.bias: missing", "1.weight: unknown",
        "0.weight: expected shape (6, 4), got (4, 6)", "2.0.bias: expected shape (3,), got ()",
    }  # fmt: skip
    assert not any(line.startswith("2.0.weight") for line in lines)
    assert_equal(weights(net), before)


def test_missing_and_unknown_entries_may_be_passed_over():
    net = mlp()
    before = weights(net)
    net.load_state_dict({"0.bias": np.ones(6), "extra": np.ones(2)}, strict=False)
    assert (net[0].b == 1).all()
    np.testing.assert_array_equal(net[0].W, before["0.weight"])
    with pytest.raises(ValueError, match=r"0.bias: expected shape \(6,\)"):
        net.load_state_dict({"0.bias": np.ones(5)}, strict=False)


@pytest.mark.parametrize("kind", [object, complex, bool, str])
def test_a_state_holds_numbers(kind):
    net = mlp()
    before = weights(net)
    state = mlp(seed=1).state_dict() | {"2.0.bias": np.ones(3).astype(kind)}
    with pytest.raises(TypeError, match=r"2.0.bias must be an array of numbers, got dtype"):
        net.load_state_dict(state)
    assert_equal(weights(net), before)


def test_a_state_is_a_dictionary():
    for wrong in (None, [1, 2]):
        with pytest.raises(TypeError, match="expects a dictionary of arrays"):
            mlp().load_state_dict(wrong)


# ---------------------------------------------------------------------- modes and copies


def test_modes_reach_every_layer():
    net = mb.Sequential(mb.Dropout(0.9), mb.Sequential(mb.Dropout(0.9)), mb.GRU(4, 4, num_layers=2, dropout=0.9))
    assert net.eval() is net
    assert not any(layer.training for layer in net.modules())
    np.testing.assert_array_equal(net[:2](X), X)
    assert net.train() is net
    assert all(layer.training for layer in net.modules())
    assert (net[:2](X) != X).any()


def test_evaluation_keeps_no_cache():
    net = mlp()
    net(X)
    assert net[0].cache is not None
    net.eval()
    assert net[0].cache is None
    net(X)
    assert net[0].cache is None
    with pytest.raises(RuntimeError, match=r"evaluation mode.*train\(\).*in layer 2 of Sequential"):
        net.backward(np.ones((5, 3), np.float32))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["deepcopy", "pickle"])
def test_copies_are_whole_and_apart(copied):
    net = mb.Sequential(mlp(), mb.Dropout(0.5))
    net(X)
    net.eval()
    twin = copied(net)
    assert repr(twin) == repr(net)
    assert not twin.training
    assert_equal(weights(twin), weights(net))
    before = weights(net)
    net.train()
    twin.train()
    np.testing.assert_array_equal(twin(X), net(X))
    train(twin, mb.Adam(twin.parameters()))
    assert_equal(weights(net), before)
    assert all((twin.state_dict()[name] != value).any() for name, value in before.items())


def test_a_copy_has_no_cache():
    net = mlp()
    net(X)
    with pytest.raises(RuntimeError, match="backward without a cached forward"):
        copy.deepcopy(net).backward(np.ones((5, 3), np.float32))
    net.backward(np.ones((5, 3), np.float32))


def test_astype_is_a_copy_that_trains():
    net = mlp()
    net.backward(np.ones_like(net(X)))
    before = weights(net)
    double = net.astype(np.float64)
    assert {p.value.dtype for p in double.parameters()} == {p.grad.dtype for p in double.parameters()} == {np.dtype("f8")}
    assert len(runs(double.parameters())) == 1
    assert_close(double(X.astype(np.float64)).astype(np.float32), net(X), terms=6)
    double.zero_grad()
    assert not any(p.grad.any() for p in double.parameters())
    assert all(p.grad.any() for p in net.parameters())
    train(double, mb.SGD(double.parameters(), lr=0.1))
    assert_equal(weights(net), before)
    with pytest.raises(TypeError, match="float32 or float64"):
        net.astype(np.int32)


# ---------------------------------------------------------------------- bad input


def test_an_error_says_in_which_layer():
    net = mb.Sequential(mb.Linear(4, 6), mb.ReLU(), mb.Linear(5, 1))
    with pytest.raises(ValueError, match=r"^Linear\(5 → 1\) expects x of shape \(N, 5\), got \(5, 6\) · in layer 2 of Seq"):
        net(X)
    with pytest.raises(ValueError, match=r"got \(5, 6\) · in layer 2 of Sequential · in layer 1 of Sequential$"):
        mb.Sequential(mb.ReLU(), net)(X)
    with pytest.raises(TypeError, match=r"got float64: cast with .* · in layer 0 of Sequential"):
        net(X.astype(np.float64))


def test_a_failed_forward_leaves_no_cache_behind():
    """Not even in the layers that it did not reach."""
    net = mlp()
    net(X)
    with pytest.raises(ValueError, match="layer 0"):
        net(X[:, :3])
    gradients = [p.grad.copy() for p in net.parameters()]
    with pytest.raises(RuntimeError, match="without a cached forward"):
        net.backward(np.ones((5, 3), np.float32))
    for parameter, before in zip(net.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad, before)


def test_an_error_of_backward_says_in_which_layer():
    net = mlp()
    with pytest.raises(RuntimeError, match=r"Tanh.*without a cached forward.* · in layer 1 of Sequential · in layer 2 of Seq"):
        net.backward(np.ones((5, 3), np.float32))
    net(X)
    with pytest.raises(ValueError, match=r"\(5, 3\), got \(5, 2\) · in layer 1 of Sequential · in layer 2 of Sequential"):
        net.backward(np.ones((5, 2), np.float32))


@pytest.mark.parametrize(("wrong", "message"), [
    (mb.ReLU, r"layer 1 must be a Layer, got <class.*did you mean ReLU\(\)\?"),
    (np.tanh, "layer 1 must be a Layer, got <ufunc"),
    (mb.MSELoss(), r"layer 1 must be a Layer, got MSELoss\(\)"),
    ([mb.ReLU()], r"layer 1 must be a Layer, got \[ReLU\(\)\]; pass them one by one"),
])  # fmt: skip
def test_only_layers_are_taken(wrong, message):
    with pytest.raises(TypeError, match=message):
        mb.Sequential(mb.Linear(4, 3), wrong)


def test_a_layer_with_parameters_may_stand_only_once():
    a = mb.Linear(4, 4)
    with pytest.raises(ValueError, match=r"Linear\(4 → 4\) stands at 0 and at 2"):
        mb.Sequential(a, mb.ReLU(), a)
    with pytest.raises(ValueError, match=r"Linear\(4 → 4\) stands at 0 and at 1"):
        mb.Sequential(a, mb.Sequential(mb.ReLU(), a))
    relu = mb.ReLU()
    with pytest.raises(ValueError, match=r"ReLU\(\) stands at 0 and at 1"):
        mb.Sequential(mb.Sequential(mb.Linear(4, 4), relu), mb.Sequential(mb.Linear(4, 4), relu))


def test_a_layer_without_parameters_may_stand_twice():
    relu = mb.Tanh()
    mb.manual_seed(0)
    net = mb.Sequential(mb.Linear(4, 4), relu, mb.Linear(4, 4), relu)
    check = mb.gradcheck(net, X)
    assert check, str(check)
    assert net[1] is relu


# ---------------------------------------------------------------------- PyTorch, whole steps


def test_the_input_gradient_is_pytorchs(torch):
    ours, theirs = cnn(mb), cnn(torch.nn)
    ours.load_state_dict(theirs.state_dict())
    x = RNG.normal(size=(2, 1, 8, 8)).astype(np.float32)
    X = torch.tensor(x, requires_grad=True)
    y, Y = ours(x), theirs(X)
    dy = RNG.normal(size=y.shape).astype(np.float32)
    Y.backward(torch.tensor(dy))
    assert_close(ours.backward(dy), X.grad.numpy(), terms=36)
    for parameter, tensor in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(parameter.grad, tensor.grad.numpy(), terms=100)


SMOOTH = ["Tanh", "Sigmoid", "SiLU", "Softplus"]
KINKED = ["ReLU", "LeakyReLU", "ELU"]
LOSSES = [
    ("MSELoss", {}, "numbers"), ("MSELoss", {"reduction": "sum"}, "numbers"),
    ("BCEWithLogitsLoss", {}, "chances"), ("CrossEntropyLoss", {}, "classes"),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "reduction": "sum"}, "classes"),
    ("HuberLoss", {"delta": 0.7}, "numbers"), ("SmoothL1Loss", {}, "numbers"),
]  # fmt: skip
# A large ε keeps g/(√g² + ε) from turning the last bit of a tiny gradient into a step of full size.
OPTIMIZERS = [
    ("SGD", {"lr": 0.02}), ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "eps": 0.1}), ("AdamW", {"lr": 0.01, "eps": 0.1}),
    ("RMSprop", {"lr": 0.01, "eps": 0.1, "momentum": 0.5}), ("Adagrad", {"lr": 0.05, "eps": 0.1}),
]  # fmt: skip


@st.composite
def trainings(draw):
    """(layer sizes, activations, loss, optimizer, dtype, batch, seed): in float32 nothing that jumps within a rounding."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    sizes = draw(st.lists(st.integers(1, 8), min_size=2, max_size=4))
    sizes[-1] = max(sizes[-1], 2)
    activations = draw(st.lists(st.sampled_from(SMOOTH if dtype == np.float32 else SMOOTH + KINKED), min_size=3, max_size=3))
    loss, optimizer = draw(st.sampled_from(LOSSES)), draw(st.sampled_from(OPTIMIZERS))
    return sizes, activations, loss, optimizer, dtype, draw(st.integers(1, 6)), draw(st.integers(0, 999))


def build(nn, sizes, activations, **dtype):
    layers = []
    for inputs, outputs, activation in zip(sizes, sizes[1:], activations, strict=False):
        layers += [nn.Linear(inputs, outputs, **dtype), getattr(nn, activation)()]
    return nn.Sequential(*layers[:-1])


def targets(rng, kind, shape, dtype):
    if kind == "classes":
        return rng.integers(0, shape[1], shape[0])
    return (rng.normal(size=shape) if kind == "numbers" else rng.uniform(size=shape)).astype(dtype)


@settings(deadline=None, max_examples=30)
@given(training=trainings())
def test_five_steps_of_any_network_are_pytorchs(torch, training):
    sizes, activations, (loss_name, loss_options, kind), (name, options), dtype, N, seed = training
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, sizes[0])).astype(dtype)
    t = targets(rng, kind, (N, sizes[-1]), dtype)
    mb.manual_seed(seed)
    net, loss = build(mb, sizes, activations, dtype=dtype), getattr(mb, loss_name)(**loss_options)
    theirs = build(torch.nn, sizes, activations, dtype=getattr(torch, np.dtype(dtype).name))
    theirs.load_state_dict({key: torch.tensor(value) for key, value in net.state_dict().items()})
    optimizer, criterion = getattr(mb, name)(net.parameters(), **options), getattr(torch.nn, loss_name)(**loss_options)
    stepper = getattr(torch.optim, name)(theirs.parameters(), **options)
    terms = N * sum(sizes)
    for step in range(1, 6):
        value = loss(net(x), t)
        net.zero_grad()
        dx = net.backward(loss.backward())
        X = torch.tensor(x, requires_grad=True)
        expected = criterion(theirs(X), torch.tensor(t))
        stepper.zero_grad()
        expected.backward()
        assert_close(dtype(value), expected.detach().numpy(), terms=step * terms)
        assert_close(dx, X.grad.numpy(), terms=step * terms)
        for parameter, tensor in zip(net.parameters(), theirs.parameters(), strict=True):
            assert_close(parameter.grad, tensor.grad.numpy(), terms=step * terms)
        optimizer.step()
        stepper.step()
    for parameter, tensor in zip(net.parameters(), theirs.parameters(), strict=True):
        assert_close(parameter.value, tensor.detach().numpy(), terms=5 * terms)


@pytest.mark.parametrize(
    ("layers", "sample"),
    [
        (lambda: (mb.Reshape(1, 6, 6), mb.Conv2d(1, 3, 3), mb.ReLU(), mb.Flatten(), mb.Linear(48, 2)), (36,)),
        (lambda: (mb.RNN(5, 4), mb.Flatten(), mb.Linear(12, 2)), (3, 5)),
        (lambda: (mb.LSTM(5, 4, num_layers=2, bidirectional=True), mb.Flatten(), mb.Linear(24, 2)), (3, 5)),
        (lambda: (mb.GRU(5, 4, bidirectional=True, batch_first=True), mb.Flatten(), mb.Linear(24, 2)), (3, 5)),
    ],
    ids=["Conv2d", "RNN", "LSTM", "GRU"],
)
def test_backward_weights_is_backward_without_the_inputs_gradient(layers, sample):
    net = mb.Sequential(*layers())
    x = np.random.default_rng(0).standard_normal((4, *sample)).astype(np.float32)
    dy = np.ones((4, 2), np.float32)
    net(x)
    net.backward(dy)
    expected = [p.grad.copy() for p in net.parameters()]
    net.zero_grad()
    net(x)
    assert net.backward_weights(dy) is None
    assert all(np.array_equal(p.grad, g) for p, g in zip(net.parameters(), expected, strict=True))
    assert all(layer.cache is None for layer in net)
    with pytest.raises(RuntimeError, match=f"in layer {len(net) - 1} of Sequential"):
        net.backward_weights(dy)
