"""The case table: every public layer and every kernel, once or more, with what the tests need to run it.

A new layer or kernel is one entry here, and every generic test runs over it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import manualbp as mb
from manualbp_kernels import conv, elementwise, gelu, loss, matmul, pool, random, recurrent, relu, sigmoid, softmax, update
from manualbp_kernels.window import Window

KERNEL_MODULES = (conv, elementwise, gelu, loss, matmul, pool, random, recurrent, relu, sigmoid, softmax, update)


class LayerCase(NamedTuple):
    """A layer in float32, a shape of x that fits, PyTorch's module for it (made from ``torch.nn``), shapes that do not fit."""

    make: Callable[[], mb.Layer]
    shape: tuple[int, ...]
    twin: Callable[[Any], Any] | None = None
    wrong: tuple[tuple[int, ...], ...] = ()


IMAGE = (2, 4, 7, 6)
NOT_IMAGES = ((4, 7), (2, 4, 7), (2, 5, 7, 6), (2, 4, 1, 1))
NOT_SEQUENCES = ((4, 3), (5, 2, 4), (5, 2, 3, 1))

LAYERS = {
    "Linear": LayerCase(lambda: mb.Linear(3, 5), (4, 3), lambda nn: nn.Linear(3, 5), ((4, 5), (3, 4), (4,))),
    "Linear no bias": LayerCase(lambda: mb.Linear(3, 1, bias=False), (1, 3), lambda nn: nn.Linear(3, 1, bias=False)),
    "Linear axes": LayerCase(lambda: mb.Linear(3, 2), (2, 5, 3), lambda nn: nn.Linear(3, 2)),
    "Conv2d": LayerCase(lambda: mb.Conv2d(4, 3, 3), IMAGE, lambda nn: nn.Conv2d(4, 3, 3), NOT_IMAGES),
    "Conv2d window": LayerCase(
        lambda: mb.Conv2d(4, 2, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), bias=False), IMAGE,
        lambda nn: nn.Conv2d(4, 2, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), bias=False),
    ),
    "Conv2d same": LayerCase(
        lambda: mb.Conv2d(4, 2, (4, 3), padding="same", dilation=(1, 2)), IMAGE,
        lambda nn: nn.Conv2d(4, 2, (4, 3), padding="same", dilation=(1, 2)),
    ),
    "Conv2d groups": LayerCase(lambda: mb.Conv2d(4, 6, 2, groups=2), IMAGE, lambda nn: nn.Conv2d(4, 6, 2, groups=2)),
    "Conv2d depthwise": LayerCase(
        lambda: mb.Conv2d(4, 4, 3, padding=1, groups=4), IMAGE, lambda nn: nn.Conv2d(4, 4, 3, padding=1, groups=4)
    ),
    "Conv1d": LayerCase(
        lambda: mb.Conv1d(4, 3, 3, stride=2, padding=1), (2, 4, 9), lambda nn: nn.Conv1d(4, 3, 3, stride=2, padding=1),
        ((4, 9), (2, 3, 9), (2, 4, 9, 1)),
    ),
    "Conv1d same": LayerCase(
        lambda: mb.Conv1d(4, 2, 4, padding="same", dilation=2, groups=2), (2, 4, 9),
        lambda nn: nn.Conv1d(4, 2, 4, padding="same", dilation=2, groups=2),
    ),
    "MaxPool2d": LayerCase(lambda: mb.MaxPool2d(2), IMAGE, lambda nn: nn.MaxPool2d(2), ((4, 7), (2, 4, 7), (2, 4, 1, 1))),
    "MaxPool2d window": LayerCase(
        lambda: mb.MaxPool2d((3, 2), stride=(1, 2), padding=1), IMAGE, lambda nn: nn.MaxPool2d((3, 2), stride=(1, 2), padding=1)
    ),
    "AvgPool2d": LayerCase(lambda: mb.AvgPool2d(2), IMAGE, lambda nn: nn.AvgPool2d(2), ((4, 7), (2, 4, 7), (2, 4, 1, 1))),
    "AvgPool2d window": LayerCase(
        lambda: mb.AvgPool2d(3, stride=(2, 1), padding=1), IMAGE, lambda nn: nn.AvgPool2d(3, stride=(2, 1), padding=1)
    ),
    "AvgPool2d inside": LayerCase(
        lambda: mb.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE,
        lambda nn: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    ),
    "GlobalAvgPool2d": LayerCase(
        mb.GlobalAvgPool2d, IMAGE, lambda nn: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), ((2, 4), (2, 4, 7))
    ),
    "Flatten": LayerCase(mb.Flatten, IMAGE, lambda nn: nn.Flatten(), ((4,),)),
    "Flatten axes": LayerCase(lambda: mb.Flatten(0, 2), IMAGE, lambda nn: nn.Flatten(0, 2)),
    "Reshape": LayerCase(lambda: mb.Reshape(3, -1), (2, 12), lambda nn: nn.Unflatten(1, (3, -1)), ((2, 10),)),
    "LastStep": LayerCase(mb.LastStep, (5, 2, 3), None, ((5, 3),)),
    "LastStep batch_first": LayerCase(lambda: mb.LastStep(batch_first=True), (2, 5, 3), None, ((5, 3),)),
    "ReLU": LayerCase(mb.ReLU, (4, 5), lambda nn: nn.ReLU()),
    "LeakyReLU": LayerCase(lambda: mb.LeakyReLU(0.2), (4, 5), lambda nn: nn.LeakyReLU(0.2)),
    "ELU": LayerCase(lambda: mb.ELU(0.7), (4, 5), lambda nn: nn.ELU(0.7)),
    "SELU": LayerCase(mb.SELU, (4, 5), lambda nn: nn.SELU()),
    "Sigmoid": LayerCase(mb.Sigmoid, (4, 5), lambda nn: nn.Sigmoid()),
    "Tanh": LayerCase(mb.Tanh, (4, 5), lambda nn: nn.Tanh()),
    "Softplus": LayerCase(mb.Softplus, (4, 5), lambda nn: nn.Softplus()),
    "Softplus steep": LayerCase(lambda: mb.Softplus(3.0, 2.0), (4, 5), lambda nn: nn.Softplus(3.0, 2.0)),
    "SiLU": LayerCase(mb.SiLU, (4, 5), lambda nn: nn.SiLU()),
    "GELU": LayerCase(mb.GELU, (4, 5), lambda nn: nn.GELU()),
    "GELU tanh": LayerCase(lambda: mb.GELU("tanh"), (4, 5), lambda nn: nn.GELU("tanh")),
    "Softmax": LayerCase(mb.Softmax, (4, 5), lambda nn: nn.Softmax(-1), ((),)),
    "Softmax dim 1": LayerCase(lambda: mb.Softmax(1), (2, 3, 4), lambda nn: nn.Softmax(1), ((2,),)),
    "LogSoftmax": LayerCase(mb.LogSoftmax, (4, 5), lambda nn: nn.LogSoftmax(-1), ((),)),
    "LogSoftmax dim 0": LayerCase(lambda: mb.LogSoftmax(0), (4, 5), lambda nn: nn.LogSoftmax(0)),
    "Dropout": LayerCase(mb.Dropout, (4, 5)),
    "Dropout none": LayerCase(lambda: mb.Dropout(0.0), (4, 5), lambda nn: nn.Dropout(0.0)),
    "RNN": LayerCase(lambda: mb.RNN(3, 4), (5, 2, 3), lambda nn: nn.RNN(3, 4), NOT_SEQUENCES),
    "RNN relu": LayerCase(
        lambda: mb.RNN(3, 4, 2, "relu", bidirectional=True), (5, 2, 3),
        lambda nn: nn.RNN(3, 4, 2, "relu", bidirectional=True),
    ),
    "RNN dropout": LayerCase(lambda: mb.RNN(3, 4, 3, dropout=0.5, batch_first=True), (2, 5, 3)),
    "LSTM": LayerCase(lambda: mb.LSTM(3, 4), (5, 2, 3), lambda nn: nn.LSTM(3, 4), NOT_SEQUENCES),
    "LSTM deep": LayerCase(
        lambda: mb.LSTM(3, 2, 2, batch_first=True, bidirectional=True), (2, 5, 3),
        lambda nn: nn.LSTM(3, 2, 2, batch_first=True, bidirectional=True),
    ),
    "LSTM no bias": LayerCase(lambda: mb.LSTM(3, 4, bias=False), (5, 2, 3), lambda nn: nn.LSTM(3, 4, bias=False)),
    "GRU": LayerCase(lambda: mb.GRU(3, 4), (5, 2, 3), lambda nn: nn.GRU(3, 4), NOT_SEQUENCES),
    "GRU deep": LayerCase(
        lambda: mb.GRU(3, 2, 2, bias=False, batch_first=True, bidirectional=True), (2, 5, 3),
        lambda nn: nn.GRU(3, 2, 2, bias=False, batch_first=True, bidirectional=True),
    ),
}  # fmt: skip


class Draw:
    """Makes a kernel's arguments: sizes from ``pick(low, high)``, arrays from ``rng``.

    With ``whole`` all values are integers from −2 to 2 and all coefficients dyadic, so that sums and products of them are
    exact in float32 whatever their order; else they are normally distributed.
    """

    def __init__(self, rng, dtype, whole=False, pick=None):
        self.rng, self.dtype, self.whole = rng, np.dtype(dtype), whole
        self.pick = pick or (lambda low, high: int(rng.integers(low, high, endpoint=True)))

    def sizes(self, count, high=9):
        return tuple(self.pick(1, high) for _ in range(count))

    def rows(self):
        """A number of rows or columns: often few, for which products have loops of their own."""
        return self.pick(1, (4, 40)[self.pick(0, 1)])

    def __call__(self, *shape):
        values = self.rng.integers(-2, 3, shape) if self.whole else self.rng.standard_normal(shape)
        return np.asarray(values, self.dtype)

    def between(self, low, high, *shape):
        return self.rng.uniform(low, high, shape).astype(self.dtype)

    def unwritten(self, *shape):
        """An output. What a kernel does not write is seen: it stays NaN."""
        return np.full(shape, np.nan, self.dtype)

    def maybe(self, array):
        """``array`` or None."""
        return array if self.pick(0, 1) else None

    def flag(self):
        return bool(self.pick(0, 1))

    def beta(self):
        return (0.0, 1.0, 0.5)[self.pick(0, 2)]

    def accumulator(self, *shape):
        """(output, β): with β = 0 the output is not to be read."""
        beta = self.beta()
        return (self(*shape) if beta else self.unwritten(*shape)), beta

    def window(self, dilation=2):
        """A window with its padding, an image (H, W) it fits into, and the number of places (Ho, Wo)."""
        axes = []
        for _ in range(2):
            kernel, stride = self.pick(1, 3), self.pick(1, (1, 3)[self.pick(0, 1)])  # mostly 1, which has loops of its own
            padding, step = self.pick(0, kernel // 2), self.pick(1, dilation)
            reach = step * (kernel - 1) + 1
            size = self.pick(max(1, reach - padding), 7)
            axes.append((kernel, stride, padding, step, size, (size + 2 * padding - reach) // stride + 1))
        kernel, stride, padding, step, image, places = zip(*axes, strict=True)
        return Window(kernel, stride, padding, step), image, places


class KernelCase(NamedTuple):
    """How to call a kernel.

    Attributes:
        arguments: from a Draw.
        outputs: how many arguments, the first ones, are written.
        exact: whether compiled loops and definition agree to the bit on whole numbers.
        linear: whether the definition applied to |arguments| is Σ|terms|.
        total: whether the second output is the sum of the first one.
    """

    arguments: Callable[[Draw], tuple[Any, ...]]
    outputs: int = 1
    exact: bool = True
    linear: bool = False
    total: bool = False


def _elementwise(inputs, *constants):
    def arguments(d):
        shape = d.sizes(2)
        return d.unwritten(*shape), *(d(*shape) for _ in range(inputs)), *constants

    return arguments


def _with_total(arguments):
    """A loss, with room for the sum of its terms behind the terms."""

    def with_total(d):
        l, *inputs = arguments(d)
        return l, d.unwritten(1), *inputs

    return with_total


def _product(left, right):
    """A matrix product; ``left`` and ``right`` say where the sizes (i, j, p) go."""

    def arguments(d):
        size = dict(zip("ijp", (d.rows(), *d.sizes(2, 40)), strict=True))
        C, beta = d.accumulator(size["i"], size["j"])
        return C, d(*(size[s] for s in left)), d(*(size[s] for s in right)), beta

    return arguments


def _linear(d):
    N, I, O = d.rows(), d.rows(), d.rows()
    return d.unwritten(N, O), d(N, I), d(O, I), d.maybe(d(O))


def _linear_backward_weights(d):
    N, I, O = d.rows(), d.rows(), d.rows()
    return d(O, I), d.maybe(d(O)), d(N, O), d(N, I)


def _sum_rows(d):
    N, O = d.sizes(2)
    s, beta = d.accumulator(O)
    return s, d(N, O), beta


def _sum_channels(d):
    N, C, H, W = d.sizes(4, 5)
    s, beta = d.accumulator(C)
    return s, d(N, C, H, W), beta


def _conv(d):
    """x, y, W, b, window."""
    window, image, places = d.window()
    N, groups, C, O = d.sizes(4, 3)
    return d(N, groups * C, *image), d(N, groups * O, *places), d(groups * O, C, *window.kernel), d(groups * O), window


def _conv2d(d):
    x, y, W, b, window = _conv(d)
    return d.unwritten(*y.shape), x, W, d.maybe(b), window


def _conv2d_input_gradient(d):
    x, dy, W, _, window = _conv(d)
    return d.unwritten(*x.shape), dy, W, window


def _conv2d_weight_gradient(d):
    x, dy, W, _, window = _conv(d)
    dW, beta = d.accumulator(*W.shape)
    return dW, x, dy, window, beta


def _conv2d_backward_weights(d):
    x, dy, W, b, window = _conv(d)
    return W, d.maybe(b), x, dy, window


def _pool(d):
    """x, y, window."""
    window, image, places = d.window(dilation=1)
    channels = d.sizes(2, 3)
    return d(*channels, *image), d(*channels, *places), window


def _max_pool2d(d):
    x, y, window = _pool(d)
    return d.unwritten(*y.shape), np.full(y.shape, -7, np.int32), x, window


def _max_pool2d_backward(d):
    N, C, H, W, Ho, Wo = d.sizes(6, 4)
    return d.unwritten(N, C, H, W), d(N, C, Ho, Wo), d.rng.integers(0, H * W, (N, C, Ho, Wo)).astype(np.int32)


def _avg_pool2d(d):
    x, y, window = _pool(d)
    return d.unwritten(*y.shape), x, window, d.flag()


def _avg_pool2d_backward(d):
    """Whole numbers are divided by powers of two only: then shares add up exactly."""
    x, dy, window = _pool(d)
    count_padding = d.flag()
    if d.whole:
        window, count_padding = window._replace(kernel=(2, 1), padding=(1, 0)), True
        dy = d(*x.shape[:2], x.shape[2] // window.stride[0] + 1, (x.shape[3] - 1) // window.stride[1] + 1)
    return d.unwritten(*x.shape), dy, window, count_padding


def _softmax(inputs):
    def arguments(d):
        shape = d.sizes(3)
        return d.unwritten(*shape), *(d(*shape) for _ in range(inputs))

    return arguments


def _dropout(d):
    shape = d.sizes(2)
    state = d.rng.integers(0, 2**64, 2, np.uint64, endpoint=False)
    return d.unwritten(*shape), d.unwritten(*shape), state, d(*shape), (0.0, 0.1, 0.5, 1.0)[d.pick(0, 3)]


def _fill(d):
    return d.unwritten(*d.sizes(2)), 3.0


def _swap_axes(d):
    i, j, k = d.sizes(3)
    return d.unwritten(j, i, k), d(i, j, k)


def _put_columns(d):
    i, j, k, before, after = d.sizes(5, 4)
    return d(i, j, before + k + after), d(i, j, k), before


def _take_columns(d):
    i, j, k, before, after = d.sizes(5, 4)
    return d.unwritten(i, j, k), d(i, j, before + k + after), before


def _take_step(d):
    n, t, k = d.sizes(3)
    return d.unwritten(n, k), d(n, t, k), d.pick(0, t - 1)


def _take_rows(d):
    n, k, more = d.sizes(3)
    order = np.array([d.pick(0, n - 1) for _ in range(n + more)])
    return d.unwritten(n, k), d(n, k), order, np.array([d.pick(0, more)])


def _note_loss(d):
    losses, step = d(3).astype(np.float64), np.array([d.pick(0, 2)])
    return (
        losses,
        d(1).astype(np.float64),
        step,
        np.array([4]),
        np.zeros(1),
        d(1).astype(np.float64),
        np.array([4.0]),
        d.pick(1, 9),
    )


def _put_step(d):
    n, t, k = d.sizes(3)
    return d.unwritten(n, t, k), d(n, k), d.pick(0, t - 1)


def _recurrent(d, gates):
    """T, N, H, and a function that makes W and b; few steps, so that whole numbers stay small."""
    T, N, H = d.pick(1, 3), d.pick(1, 9), d.pick(1, 13)
    return T, N, H, d(gates * H, H), d.maybe(d(gates * H))


def _rnn(d):
    T, N, H, W, b = _recurrent(d, 1)
    return d.unwritten(T + 1, N, H), d(T, N, H), W, b, d(N, H), d.whole or d.flag(), d.flag()


def _rnn_backward(d):
    T, N, H, W, _ = _recurrent(d, 1)
    outputs = d.unwritten(T, N, H), d.unwritten(N, H)
    return *outputs, d(T, N, H), d(N, H), d(T + 1, N, H), W, d.whole or d.flag(), d.flag()


def _lstm(d):
    T, N, H, W, b = _recurrent(d, 4)
    outputs = d.unwritten(T + 1, N, H), d.unwritten(T + 1, N, H), d.unwritten(T, N, 4 * H)
    return *outputs, d(T, N, 4 * H), W, b, d(N, H), d(N, H), d.flag()


def _lstm_backward(d):
    T, N, H, W, _ = _recurrent(d, 4)
    outputs = d.unwritten(T, N, 4 * H), d.unwritten(N, H), d.unwritten(N, H)
    return *outputs, d(T, N, H), d(N, H), d(N, H), d(T + 1, N, H), d.between(0, 1, T, N, 4 * H), W, d.flag()


def _gru(d):
    T, N, H, W, b = _recurrent(d, 3)
    outputs = d.unwritten(T + 1, N, H), d.unwritten(T, N, 3 * H), d.unwritten(T, N, H)
    return *outputs, d(T, N, 3 * H), W, b, d(N, H), d.flag()


def _gru_backward(d):
    T, N, H, W, _ = _recurrent(d, 3)
    outputs = d.unwritten(T, N, 3 * H), d.unwritten(T, N, 3 * H), d.unwritten(N, H)
    states = d(T + 1, N, H), d.between(0, 1, T, N, 3 * H), d(T, N, H)
    return *outputs, d(T, N, H), d(N, H), *states, W, d.flag()


def _optimizer(memory, counter, hyper, *flags):
    """p, ``memory`` arrays of the optimizer, a step counter if there is one, g, hyper; flags drawn where asked for."""

    def arguments(d):
        (size,) = d.sizes(1)
        state = tuple(abs(d(size)) for _ in range(memory))
        steps = (np.array([d.pick(0, 2)]),) if counter else ()
        settings = np.array([choices[d.pick(0, len(choices) - 1)] for choices in hyper], np.float64)
        return d(size), *state, *steps, d(size), settings, *(d.flag() for _ in flags)

    return arguments


def _rmsprop(d):
    """The mean of squares, at least 1 above the square of the mean: a variance near 0 would magnify roundings."""
    p, _, mean, v, g, hyper = _optimizer(3, False, ([0.1], [0.9], [1e-8], [0.0, 0.1], [0.0, 0.9]))(d)
    return p, mean * mean + 1, mean, v, g, hyper, d.flag()


def _probabilities(*constants, inputs=2):
    def arguments(d):
        shape = d.sizes(2)
        return d.unwritten(*shape), *(d.between(0.05, 0.95, *shape) for _ in range(inputs)), *constants

    return arguments


def _kl_div(d):
    shape, logarithm = d.sizes(2), d.flag()
    return d.unwritten(*shape), d(*shape), d.between(0.05, 0.95, *shape), logarithm


def _kl_div_backward(d):
    shape = d.sizes(2)
    return d.unwritten(*shape), d(*shape), not d.whole and d.flag(), 0.25


def _class_targets(d):
    outer, K, inner = d.sizes(3)
    classes = d.rng.integers(0, K, (outer, inner))
    classes[d.rng.random((outer, inner)) < 0.2] = -100
    return d.unwritten(outer, K, inner), np.full(1, np.nan), classes, abs(d(K)), 0.0 if d.whole else 0.1, -100


def _probability_targets(d):
    outer, K, inner = d.sizes(3)
    return d.unwritten(outer, K, inner), d(outer, K, inner), abs(d(K)), 0.0 if d.whole else 0.1


def _nll(d):
    outer, K, inner = d.sizes(3)
    return d.unwritten(outer, inner), d(outer, K, inner), d(outer, K, inner)


def _nll_backward(d):
    shape = d.sizes(3)
    return d.unwritten(*shape), d(*shape), np.array([4.0])


def _cross_entropy_backward(d):
    shape = d.sizes(3)
    return d.unwritten(*shape), d(*shape), d(*shape), np.array([4.0])


KERNELS = {
    # products and convolutions
    "matmul_nn": KernelCase(_product("ip", "pj"), linear=True),
    "matmul_nt": KernelCase(_product("ip", "jp"), linear=True),
    "matmul_tn": KernelCase(_product("pi", "pj"), linear=True),
    "linear": KernelCase(_linear, linear=True),
    "linear_backward_weights": KernelCase(_linear_backward_weights, outputs=2, linear=True),
    "sum_rows": KernelCase(_sum_rows, linear=True),
    "conv2d": KernelCase(_conv2d, linear=True),
    "conv2d_input_gradient": KernelCase(_conv2d_input_gradient, linear=True),
    "conv2d_weight_gradient": KernelCase(_conv2d_weight_gradient, linear=True),
    "sum_channels": KernelCase(_sum_channels, linear=True),
    "conv2d_backward_weights": KernelCase(_conv2d_backward_weights, outputs=2, linear=True),
    # pooling
    "max_pool2d": KernelCase(_max_pool2d, outputs=2),
    "max_pool2d_backward": KernelCase(_max_pool2d_backward, linear=True),
    "avg_pool2d": KernelCase(_avg_pool2d, linear=True),
    "avg_pool2d_backward": KernelCase(_avg_pool2d_backward, linear=True),
    # elements
    "fill": KernelCase(_fill),
    "multiply": KernelCase(_elementwise(2)),
    "add": KernelCase(_elementwise(2)),
    "copy": KernelCase(_elementwise(1)),
    "swap_axes": KernelCase(_swap_axes),
    "put_columns": KernelCase(_put_columns),
    "take_columns": KernelCase(_take_columns),
    "take_step": KernelCase(_take_step),
    "put_step": KernelCase(_put_step),
    "take_rows": KernelCase(_take_rows),
    "note_loss": KernelCase(_note_loss, outputs=5),
    "relu": KernelCase(_elementwise(1)),
    "relu_backward": KernelCase(_elementwise(2)),
    "leaky_relu": KernelCase(_elementwise(1, 0.25)),
    "leaky_relu_backward": KernelCase(_elementwise(2, 0.25)),
    "elu": KernelCase(_elementwise(1, 0.75, 1.5), exact=False),
    "elu_backward": KernelCase(_elementwise(2, 0.75, 1.5), exact=False),
    "sigmoid": KernelCase(_elementwise(1), exact=False),
    "sigmoid_backward": KernelCase(_elementwise(2)),
    "tanh": KernelCase(_elementwise(1), exact=False),
    "tanh_backward": KernelCase(_elementwise(2)),
    "softplus": KernelCase(_elementwise(1, 2.0, 3.0), exact=False),
    "softplus_backward": KernelCase(_elementwise(2, 2.0, 3.0), exact=False),
    "silu": KernelCase(_elementwise(1), exact=False),
    "silu_backward": KernelCase(_elementwise(2), exact=False),
    "gelu": KernelCase(_elementwise(1), exact=False),
    "gelu_backward": KernelCase(_elementwise(2), exact=False),
    "gelu_tanh": KernelCase(_elementwise(1), exact=False),
    "gelu_tanh_backward": KernelCase(_elementwise(2), exact=False),
    # classes
    "softmax": KernelCase(_softmax(1), exact=False),
    "softmax_backward": KernelCase(_softmax(2)),
    "log_softmax": KernelCase(_softmax(1), exact=False),
    "log_softmax_backward": KernelCase(_softmax(2), exact=False),
    "dropout": KernelCase(_dropout, outputs=3),
    # recurrence
    "rnn": KernelCase(_rnn),
    "rnn_backward": KernelCase(_rnn_backward, outputs=2),
    "lstm": KernelCase(_lstm, outputs=3, exact=False),
    "lstm_backward": KernelCase(_lstm_backward, outputs=3, exact=False),
    "gru": KernelCase(_gru, outputs=3, exact=False),
    "gru_backward": KernelCase(_gru_backward, outputs=3, exact=False),
    # losses
    "mse": KernelCase(_with_total(_elementwise(2)), outputs=2, total=True),
    "mse_backward": KernelCase(_elementwise(2, 0.25)),
    "l1": KernelCase(_with_total(_elementwise(2)), outputs=2, total=True),
    "l1_backward": KernelCase(_elementwise(2, 0.25)),
    "huber": KernelCase(_with_total(_elementwise(2, 1.5, 2.0)), outputs=2, total=True),
    "huber_backward": KernelCase(_elementwise(2, 1.5, 0.25)),
    "bce": KernelCase(_with_total(_probabilities()), outputs=2, exact=False, total=True),
    "bce_backward": KernelCase(_probabilities(0.25), exact=False),
    "bce_logits": KernelCase(_with_total(_elementwise(3)), outputs=2, exact=False, total=True),
    "bce_logits_backward": KernelCase(_elementwise(3, 0.25), exact=False),
    "kl_div": KernelCase(_with_total(_kl_div), outputs=2, exact=False, total=True),
    "kl_div_backward": KernelCase(_kl_div_backward),
    "class_targets": KernelCase(_class_targets, outputs=2),
    "probability_targets": KernelCase(_probability_targets),
    "nll": KernelCase(_with_total(_nll), outputs=2, total=True),
    "nll_backward": KernelCase(_nll_backward),
    "cross_entropy_backward": KernelCase(_cross_entropy_backward, exact=False),
    # updates
    "sgd": KernelCase(_optimizer(1, True, ([0.5], [0.0, 0.5], [0.0, 0.25], [0.0, 0.5]), "nesterov"), outputs=3),
    "adam": KernelCase(
        _optimizer(2, True, ([0.1], [0.9], [0.99], [1e-8], [0.0, 0.1]), "decoupled"), outputs=4, exact=False
    ),
    "rmsprop": KernelCase(_rmsprop, outputs=4, exact=False),
    "adagrad": KernelCase(_optimizer(1, True, ([0.1], [0.0, 0.1], [0.0, 0.1], [1e-8])), outputs=3, exact=False),
}  # fmt: skip
