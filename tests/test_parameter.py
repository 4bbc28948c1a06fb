"""Parameters: side by side in memory, never moved while somebody holds them, written in place."""

import numpy as np
import pytest
from networks import X, assert_equal, cnn, mlp, recurrent, train, weights

import manualbp as mb
from manualbp.parameter import runs


def test_parameters_lie_side_by_side():
    for net in (mb.Sequential(mb.Linear(4, 6), mb.ReLU(), mb.Linear(6, 3)), recurrent(mb)):
        ((group, values, gradients),) = runs(net.parameters())
        assert len(group) == len(net.parameters())
        assert values.size == gradients.size == sum(p.value.size for p in net.parameters())
        values[...], gradients[...] = 3, 4
        assert all((p.value == 3).all() and (p.grad == 4).all() for p in net.parameters())


def test_a_network_inside_keeps_its_own_place():
    assert [len(group) for group, _, _ in runs(cnn(mb).parameters())] == [2, 3]


def test_gathering_keeps_the_values():
    mb.manual_seed(0)
    a, b = mb.Linear(4, 6), mb.Linear(6, 3)
    before = [p.value.copy() for p in a.parameters() + b.parameters()]
    a.dW[...] = 5
    net = mb.Sequential(a, mb.ReLU(), b)
    for parameter, value in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.value, value)
    assert (net[0].dW == 5).all()
    assert not net[2].dW.any()


@pytest.mark.parametrize("hold", [lambda a: a.W, lambda a: a.W[0], lambda a: a.dW, lambda a: a.parameters()])
def test_an_array_that_is_held_does_not_move(hold):
    a, b = mb.Linear(4, 6), mb.Linear(6, 3)
    before = a.W.ctypes.data, a.dW.ctypes.data
    held = hold(a)
    net = mb.Sequential(a, mb.ReLU(), b)
    assert (a.W.ctypes.data, a.dW.ctypes.data) == before
    assert len(held)
    train(net, mb.SGD(net.parameters(), lr=0.1))
    assert_equal(weights(net[:2]), {"0.weight": a.W, "0.bias": a.b})


def test_a_held_array_sees_the_training():
    a = mb.Linear(4, 3)
    W = a.W
    before = W.copy()
    net = mb.Sequential(a)
    train(net, mb.SGD(net.parameters(), lr=0.1))
    assert W is a.W
    assert (before != W).any()


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_older_optimizer_trains_a_network_that_is_built_later(wrapped):
    mb.manual_seed(0)
    a = mb.Sequential(mb.Linear(4, 6)) if wrapped else mb.Linear(4, 6)
    optimizer = mb.SGD(a.parameters(), lr=0.1)
    net = mb.Sequential(a, mb.ReLU(), mb.Linear(6, 3))
    before = weights(net)
    train(net, optimizer)
    after = weights(net)
    changed = [name for name in after if (after[name] != before[name]).any()]
    assert changed == (["0.0.weight", "0.0.bias"] if wrapped else ["0.weight", "0.bias"])


def test_an_inner_network_zeroes_its_own_gradients():
    inner = mb.Sequential(mb.Linear(4, 6))
    inner.zero_grad()
    net = mb.Sequential(inner, mb.Linear(6, 3))
    net.backward(np.ones_like(net(X)))
    inner.zero_grad()
    assert not inner[0].dW.any()
    assert net[1].dW.any()


def test_assigning_writes_in_place():
    net = mlp()
    optimizer, address = mb.SGD(net.parameters(), lr=1.0), net[0].W.ctypes.data
    net[0].W = np.full((6, 4), 2.0)
    net[0].db = np.ones(6)
    net[0].b = [1, 2, 3, 4, 5, 6]
    assert net[0].W.ctypes.data == address
    assert net[0].W.dtype == np.float32
    optimizer.step()
    np.testing.assert_array_equal(net[0].W, np.full((6, 4), 2.0))
    np.testing.assert_array_equal(net[0].b, [0, 1, 2, 3, 4, 5])
    net[0].W *= 2
    assert (net[0].W == 4).all()


@pytest.mark.parametrize("attribute", ["W", "dW"])
def test_assigning_another_shape_is_refused(attribute):
    net = mlp()
    for wrong in (np.ones((4, 6)), 1.0, None):
        with pytest.raises(ValueError, match=rf"Linear\(4 → 6\).{attribute} has shape \(6, 4\)"):
            setattr(net[0], attribute, wrong)


def test_assigning_what_is_no_number_is_refused():
    net = mlp()
    before = weights(net)
    for wrong in (np.full((6, 4), 1j), np.full((6, 4), None), np.full((6, 4), "a")):
        with pytest.raises(TypeError, match=r"Linear\(4 → 6\).W must be numbers"):
            net[0].W = wrong
    assert_equal(weights(net), before)


def test_a_layer_built_without_a_bias_stays_without():
    layer = mb.Linear(4, 6, bias=False)
    layer.b = None
    with pytest.raises(ValueError, match=r"Linear\(4 → 6, no bias\) was built without b"):
        layer.b = np.ones(7)
    assert layer.b is None


class Own(mb.Layer):
    """A user's layer whose weight is what the user gave."""

    s = mb.Weight("scale")

    def __init__(self, s):
        super().__init__(np.float32)
        self.s = s

    def forward(self, x):
        return self.give(x * self.s, cache=(x,))

    def backward(self, dy):
        (x,), dy = self.recall(dy)
        self.ds += (dy * x).sum(axis=0)
        return dy * self.s


@pytest.mark.parametrize("view", [np.transpose, lambda s: s.T[:, ::-1], lambda s: s.reshape(5, 4)])
def test_a_weight_of_any_layout_is_trained(view):
    layer = Own(view(np.ones((4, 5), np.float32)))
    for optimizer in (mb.SGD(layer.parameters(), lr=1.0), mb.SGD(mb.Sequential(layer).parameters(), lr=1.0)):
        layer.ds = np.ones((5, 4))
        before = layer.s.copy()
        optimizer.step()
        np.testing.assert_array_equal(layer.s, before - 1)


def test_the_array_that_a_weight_came_from_stays():
    given = np.ones(4, np.float32)
    layer = Own(given)
    layer.ds = np.ones(4)
    mb.SGD(layer.parameters(), lr=1.0).step()
    np.testing.assert_array_equal(given, 1)
    np.testing.assert_array_equal(layer.s, 0)


@pytest.mark.parametrize("wrong", [np.ones(3, int), np.ones(3, complex), [1, 2], np.ones(3, np.float16), "W"])
def test_a_weight_holds_floats(wrong):
    with pytest.raises(TypeError, match=r"Own.s must be float32 or float64"):
        Own(wrong)
