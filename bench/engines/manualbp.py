"""manualbp, used as its README says; operations call the kernels below the layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import manualbp as mb
from manualbp_kernels import conv, elementwise, gelu, matmul, pool, relu, sigmoid, softmax
from manualbp_kernels.window import Window

from ..works import UPDATE_RATE, Array, Operation, Prediction, TrainingStep, WholeRun
from . import Running, Unable


def build(work: TrainingStep) -> tuple[mb.Sequential, mb.losses.Loss, mb.Optimizer]:
    net = mb.Sequential(*(getattr(mb, type(layer).__name__)(**layer._asdict()) for layer in work.layers))
    net.load_state_dict(work.weights())
    return net, getattr(mb, work.loss)(), getattr(mb, work.optimizer)(net.parameters(), lr=work.lr)


def training_step(work: TrainingStep) -> Running:
    (x,), (y,) = work.data()
    net, loss, optimizer = build(work)

    def step() -> None:
        loss(net(x), y)
        net.zero_grad()
        net.backward_weights(loss.backward())
        optimizer.step()

    return Running(step, net.state_dict)


def whole_run(work: WholeRun) -> Running:
    x, y = (array.reshape(-1, *array.shape[2:]) for array in work.data())
    net, loss, optimizer = build(work)
    program = mb.record(net, loss, optimizer, x, y, batch_size=work.batch)
    steps = len(x) // work.batch

    def run() -> None:
        program.run(steps)

    return Running(run, net.state_dict)


def prediction(work: Prediction) -> Running:
    (x,), _ = work.data()
    infer = mb.record(build(work)[0], x=x)
    return Running(lambda: infer(x), lambda: {"output": infer(x)})


def operation(work: Operation) -> Running:
    if work.call not in OPERATIONS:
        raise Unable(f"manualbp has no {work.call}")
    call = OPERATIONS[work.call](**work.inputs())
    return Running(call, lambda: {"output": call()})


# ---------------------------------------------------------------------- operations: arrays → a call that returns the output

Call = Callable[[], Array]
WINDOW = Window((3, 3), padding=(1, 1))
HALVING = Window((2, 2), stride=(2, 2))


def product(A: Array, B: Array) -> Call:
    return into(np.empty((len(A), B.shape[1]), A.dtype), matmul.matmul_nn, A, B, 0.0)


def conv2d(x: Array, W: Array, b: Array) -> Call:
    return into(np.empty((len(x), len(W), *x.shape[2:]), x.dtype), conv.conv2d, x, W, b, WINDOW)


def conv2d_input_gradient(dy: Array, W: Array) -> Call:
    return into(np.empty((len(dy), W.shape[1], *dy.shape[2:]), dy.dtype), conv.conv2d_input_gradient, dy, W, WINDOW)


def conv2d_weight_gradient(x: Array, dy: Array) -> Call:
    dW = np.empty((dy.shape[1], x.shape[1], *WINDOW.kernel), x.dtype)
    return into(dW, conv.conv2d_weight_gradient, x, dy, WINDOW, 0.0)


def max_pool2d(x: Array) -> Call:
    y, argmax = halves(x)
    return into(y, pool.max_pool2d, argmax, x, HALVING)


def max_pool2d_backward(x: Array, dy: Array) -> Call:
    y, argmax = halves(x)
    pool.max_pool2d(y, argmax, x, HALVING)
    return into(np.empty_like(x), pool.max_pool2d_backward, dy, argmax)


def halves(x: Array) -> tuple[Array, Array]:
    size = (*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
    return np.empty(size, x.dtype), np.empty(size, np.int32)


def rows_softmax(x: Array) -> Call:
    y = np.empty_like(x)

    def call() -> Array:
        softmax.softmax(y[..., None], x[..., None])
        return y

    return call


def sgd(p: Array, g: Array) -> Call:
    return updating(p, mb.SGD([mb.Parameter("p", p, g)], lr=UPDATE_RATE))


def adam(p: Array, g: Array) -> Call:
    return updating(p, mb.Adam([mb.Parameter("p", p, g)], lr=UPDATE_RATE))


def updating(p: Array, optimizer: mb.Optimizer) -> Call:
    def call() -> Array:
        optimizer.step()
        return p

    return call


def into(output: Array, kernel: Callable[..., None], *args: object) -> Call:
    """The kernel with its output in place."""

    def call() -> Array:
        kernel(output, *args)
        return output

    return call


OPERATIONS: dict[str, Callable[..., Call]] = {
    "matmul": product,
    "conv2d": conv2d,
    "conv2d_input_gradient": conv2d_input_gradient,
    "conv2d_weight_gradient": conv2d_weight_gradient,
    "max_pool2d": max_pool2d,
    "max_pool2d_backward": max_pool2d_backward,
    "softmax": rows_softmax,
    "add": lambda a, b: into(np.empty_like(a), elementwise.add, a, b),
    "relu": lambda x: into(np.empty_like(x), relu.relu, x),
    "tanh": lambda x: into(np.empty_like(x), sigmoid.tanh, x),
    "gelu": lambda x: into(np.empty_like(x), gelu.gelu, x),
    "sgd": sgd,
    "adam": adam,
}
