"""What the tests of recorded steps share: the state that a step changes, a step written out, XOR, layers of one's own."""

import numpy as np

import manualbp as mb
from manualbp_kernels.elementwise import multiply


def state(net, optimizer):
    counters = {f"{m}.{s}": getattr(m, s).copy() for m in net.modules() for s in m.state}
    return {**net.state_dict(), **optimizer.state_dict(), **counters, **{"d" + p.name: p.grad.copy() for p in net.parameters()}}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name, strict=True)


def step(net, loss, optimizer, x, y):
    value = loss(net(x), y)
    optimizer.zero_grad()
    net.backward_weights(loss.backward())
    optimizer.step()
    return value


def xor():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return x, np.array([[0], [1], [1], [0]], np.float32)


def xor_parts():
    mb.manual_seed(0)
    net = mb.Sequential(mb.Linear(2, 10), mb.ReLU(), mb.Linear(10, 1))
    return net, mb.MSELoss(), mb.SGD(net.parameters(), lr=0.1)


class Scale(mb.Layer):
    """y = s x, in NumPy."""

    s = mb.Weight("scale")
    recordable = True

    def __init__(self, size):
        super().__init__(np.float32)
        self.s = np.full(size, 2, np.float32)

    def forward(self, x):
        x = self.take(x)
        return self.give(self.s * x, cache=(x,))

    def backward(self, dy):
        (x,), dy = self.recall(dy)
        self.ds += (dy * x).sum(axis=0)
        return dy * self.s


class Twice(mb.Layer):
    """y = x x by a kernel."""

    recordable = True

    def forward(self, x):
        x = self.take(x)
        y = self.empty("y", x.shape, x.dtype)
        multiply(y, x, x)
        return self.give(y, cache=(x,))

    def backward(self, dy):
        (x,), dy = self.recall(dy)
        dx = self.empty("dx", x.shape, x.dtype)
        multiply(dx, dy, x)
        return dx
