"""Layers, losses and optimizers on a GPU: the same numbers as on the host, from arrays that stay there."""

import copy
import pickle

import numpy as np
import pytest
from cases import LAYERS
from loss_cases import LOSSES, OPTIMIZERS
from networks import assert_equal, cnn, mlp, recurrent, weights
from tolerances import assert_close

import manualbp as mb
from manualbp.parameter import runs
from manualbp_kernels.cuda import DeviceArray
from manualbp_kernels.cuda.device import launches

pytestmark = pytest.mark.usefixtures("gpu")

# Layers whose sums and products stay exact on small integers, in whatever order they are added.
EXACT = ("Linear", "Conv", "MaxPool", "Flatten", "Reshape", "LastStep", "ReLU", "RNN relu")

each_layer = pytest.mark.parametrize("name", list(LAYERS))


def twins(name, whole=False):
    """The layer of a case on the host and the same one on the GPU, and an input for both."""
    layers = []
    for _ in range(2):
        mb.manual_seed(0)  # for the dropout keys
        layers.append(LAYERS[name].make())
    rng = np.random.default_rng(0)
    for parameter, twin in zip(*(layer.parameters() for layer in layers), strict=True):
        shape = parameter.value.shape
        parameter.value[...] = rng.integers(-1, 2, shape) if whole else rng.normal(0, 0.5, shape)
        twin.value[...] = parameter.value
    shape = LAYERS[name].shape
    x = rng.integers(-2, 3, shape) if whole else rng.normal(size=shape)
    return layers[0], layers[1].to("cuda"), x.astype(np.float32)


def step(layer, x):
    """y, ∂L/∂x and the parameters' gradients of L = Σ δ y for some whole δ."""
    y = layer(x)
    dy = np.random.default_rng(1).integers(-1, 2, y.shape).astype(y.dtype)
    return y, layer.backward(dy), *(p.grad for p in layer.parameters())


@each_layer
def test_a_layer_computes_the_same(name):
    host, device, x = twins(name)
    for one, other in zip(step(host, x), step(device, x), strict=True):
        assert type(other) is DeviceArray
        assert_close(np.asarray(other), one, terms=4)
    for a, b in zip(step(host, x), step(device, mb.to_device(x)), strict=True):  # gradients have added up
        assert_close(np.asarray(b), a, terms=8)


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith(EXACT)])
def test_whole_numbers_are_exact(name):
    host, device, x = twins(name, whole=True)
    for one, other in zip(step(host, x), step(device, x), strict=True):
        np.testing.assert_array_equal(np.asarray(other), one)


@each_layer
def test_a_layer_in_evaluation_keeps_nothing(name):
    host, device, x = twins(name)
    assert_close(np.asarray(device.eval()(x)), host.eval()(x), terms=4)
    assert device.cache is None
    with pytest.raises(RuntimeError, match="in evaluation mode nothing is cached"):
        device.backward(x)


@pytest.mark.parametrize("name", [name for name, case in LAYERS.items() if case.wrong])
def test_errors_are_the_hosts(name):
    host, device, _ = twins(name)
    for shape in LAYERS[name].wrong:
        with pytest.raises(ValueError, match=r".") as expected:
            host(np.ones(shape, np.float32))
        with pytest.raises(ValueError, match=r".") as got:
            device(np.ones(shape, np.float32))
        assert str(got.value) == str(expected.value)
    for wrong in ("text", [[1, 2], [3]], np.ma.array([[1.0]]), np.ones((2, 2), bool)):
        with pytest.raises(TypeError):
            device(wrong)


def test_inputs_are_taken_where_they_lie():
    """An array of the GPU is cached itself, not a copy; results are fresh as long as somebody holds them."""
    layer = mb.Linear(3, 2).to("cuda")
    x = mb.to_device(np.ones((4, 3), np.float32))
    y = layer(x)
    assert layer.cache[0] is x
    assert layer(x) is not y
    del y
    addresses = {layer(x).address for _ in range(3)}
    assert len(addresses) == 1, "and written again when nobody does"


def test_a_view_holds_a_result_too():
    layer = mb.Linear(3, 2).to("cuda")
    x = np.ones((4, 3), np.float32)
    part = layer(x)[0]
    before = np.asarray(part).copy()
    layer(2 * x)
    layer(3 * x)
    np.testing.assert_array_equal(np.asarray(part), before)


def test_other_layouts_are_copied():
    host, device, x = twins("Linear")
    turned = mb.to_device(np.ascontiguousarray(x.T))
    turned = DeviceArray(turned.layout.T, turned, turned)
    assert_close(np.asarray(device(turned)), host(x), terms=4)


# ---------------------------------------------------------------------- where things are


def test_data_decides_for_layers_without_parameters():
    layer, x = mb.ReLU(), np.array([[-1, 2]], np.float32)
    assert type(layer(mb.to_device(x))) is DeviceArray
    assert type(layer.backward(x)) is DeviceArray
    assert type(layer(x)) is np.ndarray
    assert type(layer.to("cuda")(x)) is DeviceArray
    assert type(layer(x)) is DeviceArray, "it was put there"
    assert type(layer) is not mb.ReLU
    assert type(layer.to("cpu")) is mb.ReLU


def test_a_layer_on_the_host_refuses_arrays_of_the_gpu():
    x = mb.to_device(np.ones((1, 2), np.float32))
    for layer in (mb.Linear(2, 3), mb.RNN(2, 3)):
        with pytest.raises(RuntimeError, match=r"is on the host and x on the GPU: move one to the other, net\.to\('cuda'\)"):
            layer(x)


def test_a_place_that_does_not_exist():
    with pytest.raises(ValueError, match="the place must be 'cpu' or 'cuda', got 'mars'"):
        mb.ReLU().to("mars")


@pytest.mark.parametrize("make", [mlp, lambda: cnn(mb), lambda: recurrent(mb)])
def test_there_and_back(make):
    """Every array is what it was, and parameters that lay side by side do so everywhere."""
    net = make()
    before, layout = weights(net), [len(group) for group, _, _ in runs(net.parameters())]
    for place, kind in (("cuda", DeviceArray), ("cuda", DeviceArray), ("cpu", np.ndarray)):
        assert net.to(place) is net
        assert all(type(a) is kind for p in net.parameters() for a in (p.value, p.grad))
        assert [len(group) for group, _, _ in runs(net.parameters())] == layout
        assert_equal(net.state_dict(), before)
    assert type(net) is mb.Sequential


def test_a_network_on_the_gpu_is_as_good_as_any(tmp_path):
    """state_dict, files, copies, pickles, casts, writing to parameters."""
    net, same = mlp(), weights(mlp())
    other = mlp(seed=1).to("cuda")
    mb.save_weights(net.to("cuda"), tmp_path / "weights")
    mb.load_weights(other, tmp_path / "weights")
    assert_equal(other.state_dict(), same)
    other = mlp(seed=1).to("cuda")
    other.load_state_dict(net.state_dict())
    for twin in (other, copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.astype("float64").astype("float32")):
        assert repr(twin) == repr(net)
        assert all(type(p.value) is DeviceArray for p in twin.parameters())
        assert_equal(twin.state_dict(), same)
        twin[0].W = np.zeros((6, 4))
        twin[0].b = mb.to_device(np.ones(6))
        assert not np.asarray(twin[0].W).any()
        assert np.asarray(twin[0].b).tolist() == [1] * 6
    assert_equal(net.state_dict(), same)
    assert len(runs(net.astype("float64").parameters())) == 1
    assert "Linear" in net.summary((5, 4))


def test_a_relu_is_computed_by_the_product_before_it():
    """One launch for both, and both arrays; by itself each is what it was, whatever was computed before."""
    for make, shape in ((lambda: mb.Linear(3, 2), (4, 3)), (lambda: mb.Conv2d(1, 2, 2), (2, 1, 3, 3))):
        net = mb.Sequential(make(), mb.ReLU())
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        middle = net[0](x)
        expected, dx = net(x), net.backward(middle)
        net.to("cuda")
        for _ in range(2):
            with launches() as made:
                y = net(x)
            assert len(made) == 1
            assert_close(np.asarray(net[1].cache[0]), middle, terms=4)
            assert_close(np.asarray(y), expected, terms=4)
            assert_close(np.asarray(net.backward(middle)), dx, terms=4)
        z = net[0](x)
        z[...] = -1  # the same memory as before, other numbers
        assert not np.asarray(net[1](z)).any()
        np.testing.assert_array_equal(np.asarray(y), np.asarray(net(x)), err_msg="what was given out is overwritten")


# ---------------------------------------------------------------------- losses


@pytest.mark.parametrize("case", LOSSES, ids=str)
def test_a_loss_computes_the_same(case):
    y, t = case.draw("float32")
    host, device = case.ours(), case.ours()
    for target in (t, mb.to_device(t)):
        expected, value = host(y, t), device(mb.to_device(y), target)
        assert isinstance(value, float if case.options["reduction"] != "none" else DeviceArray)
        assert_close(np.asarray(value, np.float32), np.asarray(expected, np.float32), terms=4)
        dy = device.backward()
        assert type(dy) is DeviceArray
        assert_close(np.asarray(dy), host.backward(), terms=4)
    assert_close(np.float32(device(y, t)), np.float32(host(y, t)))  # and back on the host
    assert type(device.backward()) is np.ndarray


def test_a_loss_without_a_reduction_takes_gradients():
    y, t, dl = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    host, device = mb.MSELoss("none"), mb.MSELoss("none")
    host(y, t)
    for given in (dl, mb.to_device(dl)):
        device(mb.to_device(y), t.tolist())
        gradient = device.backward(given)
    assert_close(np.asarray(gradient), host.backward(dl))


def test_a_loss_says_what_is_wrong_with_its_target():
    y = mb.to_device(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"expects classes from 0 to 2, the target is 3 at \(1,\)"):
        mb.CrossEntropyLoss()(y, np.array([0, 3]))
    with pytest.raises(ValueError, match=r"the target is NaN at \(0, 1\)"):
        mb.MSELoss()(y, np.array([[0, np.nan, 0], [0, 0, 0]], np.float32))
    with pytest.raises(ValueError, match="expects probabilities from 0 to 1"):
        mb.BCELoss()(mb.to_device(np.full((1, 1), 2, np.float32)), np.ones((1, 1), np.float32))
    with pytest.raises(ValueError, match="expects a target of the prediction's shape"):
        mb.MSELoss()(y, np.zeros((3, 2), np.float32))


# ---------------------------------------------------------------------- optimizers


@pytest.mark.parametrize("case", OPTIMIZERS, ids=str)
def test_an_optimizer_goes_with_its_network(case):
    """Two steps on the host, two on the GPU, two on the host again: memories, step counts and rates come along."""
    nets = [mlp(), mlp()]
    optimizers = [case.ours(net.parameters()) for net in nets]
    for number, place in enumerate(("cpu", "cpu", "cuda", "cuda", "cpu", "cpu")):
        nets[1].to(place)
        for net, optimizer in zip(nets, optimizers, strict=True):
            rng = np.random.default_rng(number)
            optimizer.zero_grad()
            assert not any(np.asarray(p.grad).any() for p in net.parameters())
            for p in net.parameters():
                p.grad[...] = rng.normal(size=p.grad.shape)
            optimizer.step()
            optimizer.lr *= 0.9
    assert optimizers[0].lr == optimizers[1].lr
    assert repr(optimizers[0]) == repr(optimizers[1])
    for one, other in (nets, optimizers):
        states = one.state_dict(), other.state_dict()
        assert states[0].keys() == states[1].keys()
        for name, value in states[0].items():
            if name.endswith(".step"):
                np.testing.assert_array_equal(states[1][name], value)
            else:
                assert_close(states[1][name], value, terms=4)


def test_an_optimizer_made_on_the_gpu():
    nets = [mlp(), mlp().to("cuda")]
    optimizers = [mb.Adam(net.parameters(), lr=0.1) for net in nets]
    for net, optimizer in zip(nets, optimizers, strict=True):
        for p in net.parameters():
            p.grad[...] = 1
        optimizer.step()
    restored = pickle.loads(pickle.dumps(optimizers[1]))
    assert_equal(restored.state_dict(), optimizers[1].state_dict())
    optimizers[0].load_state_dict(optimizers[1].state_dict())
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        assert_close(np.asarray(other.value), one.value)
