"""JAX: a training step is one function under ``jit`` that gives its weights away, a whole run is ``lax.scan`` over it.

Matrices lie as JAX's users have them, (in, out): at batch 1 that is twice as fast as PyTorch's way round.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .. import works
from ..works import Arrays, Operation, Prediction, TrainingStep, WholeRun
from . import Running, Unable

Weights = dict[str, jax.Array]
State = tuple[Weights, Any]  # weights and the optimizer's memory


# ---------------------------------------------------------------------- networks


def forward(layers: works.Layers, weights: Weights, x: jax.Array) -> jax.Array:
    for i, layer in enumerate(layers):
        own = {name: weights[f"{i}.{name}"] for name in works.shapes(layer)}
        x = apply(layer, own, x)
    return x


def apply(layer: Any, w: Weights, x: jax.Array) -> jax.Array:
    match layer:
        case works.Linear():
            return x @ w["weight"] + w["bias"]
        case works.Conv2d():
            return convolve(x, w["weight"]) + w["bias"][:, None, None]
        case works.MaxPool2d():
            return max_pool(x)
        case works.Flatten():
            return x.reshape(len(x), -1)
        case works.ReLU():
            return jax.nn.relu(x)
        case works.Sigmoid():
            return jax.nn.sigmoid(x)
        case works.LastStep():
            return x[:, -1]
        case works.RNN() | works.LSTM() | works.GRU():
            return sweep(layer, w, x)
    raise Unable(f"JAX has no {layer}")


def convolve(x: jax.Array, W: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, W, (1, 1), ((1, 1), (1, 1)), dimension_numbers=("NCHW", "OIHW", "NCHW"))


def max_pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def sweep(layer: works.Recurrent, w: Weights, x: jax.Array) -> jax.Array:
    """(N, T, D) → (N, T, H); what the inputs add to the gates is one product for all steps."""
    zeros = jnp.zeros((len(x), layer.hidden_size), x.dtype)
    start = (zeros, zeros) if isinstance(layer, works.LSTM) else zeros
    inputs = x.swapaxes(0, 1) @ w["weight_ih_l0"] + w["bias_ih_l0"]
    cell = partial(CELLS[type(layer)], w["weight_hh_l0"], w["bias_hh_l0"])
    return lax.scan(cell, start, inputs)[1].swapaxes(0, 1)


def rnn_cell(W: jax.Array, b: jax.Array, h: jax.Array, a: jax.Array) -> tuple[jax.Array, jax.Array]:
    h = jnp.tanh(a + h @ W + b)
    return h, h


def lstm_cell(W: jax.Array, b: jax.Array, state: Any, a: jax.Array) -> tuple[Any, jax.Array]:
    h, c = state
    i, f, g, o = jnp.split(a + h @ W + b, 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def gru_cell(W: jax.Array, b: jax.Array, h: jax.Array, a: jax.Array) -> tuple[jax.Array, jax.Array]:
    (ar, az, an), (br, bz, bn) = jnp.split(a, 3, axis=1), jnp.split(h @ W + b, 3, axis=1)
    r, z = jax.nn.sigmoid(ar + br), jax.nn.sigmoid(az + bz)
    h = (1 - z) * jnp.tanh(an + r * bn) + z * h
    return h, h


CELLS: dict[Any, Callable[..., Any]] = {works.RNN: rnn_cell, works.LSTM: lstm_cell, works.GRU: gru_cell}


# ---------------------------------------------------------------------- losses and optimizers


def mean_squared_error(y: jax.Array, t: jax.Array) -> jax.Array:
    return jnp.mean((y - t) ** 2)


def cross_entropy(y: jax.Array, t: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], axis=1))


LOSSES = {"MSELoss": mean_squared_error, "CrossEntropyLoss": cross_entropy}


def sgd(lr: float, weights: Weights, memory: Any, gradients: Weights) -> State:
    return jax.tree.map(lambda p, g: p - lr * g, weights, gradients), memory


def adam(lr: float, weights: Weights, memory: Any, gradients: Weights) -> State:
    step, m, v = memory
    step += 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
    rate, root = lr / (1 - 0.9**step), jnp.sqrt(1 - 0.999**step)
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), weights, m, v), (step, m, v)


def adam_memory(weights: Weights) -> Any:
    return jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights)


UPDATES = {"SGD": sgd, "Adam": adam}
MEMORIES: dict[Any, Callable[[Weights], Any]] = {sgd: lambda weights: (), adam: adam_memory}


# ---------------------------------------------------------------------- training


def training(work: TrainingStep) -> tuple[State, Callable[[State, Any], tuple[State, jax.Array]]]:
    """The initial state, and (state, batch) → (state, loss), not compiled yet."""
    weights = {name: jnp.asarray(native(value)) for name, value in work.weights().items()}
    loss, update = LOSSES[work.loss], UPDATES[work.optimizer]

    def step(state: State, batch: Any) -> tuple[State, jax.Array]:
        (weights, memory), (x, y) = state, batch
        value, gradients = jax.value_and_grad(lambda w: loss(forward(work.layers, w, x), y))(weights)
        return update(work.lr, weights, memory, gradients), value

    return (weights, MEMORIES[update](weights)), step


def training_step(work: TrainingStep) -> Running:
    state, step = training(work)
    x, y = work.data()
    return repeated(state, step, (jnp.asarray(x[0]), jnp.asarray(y[0])))


def whole_run(work: WholeRun) -> Running:
    state, step = training(work)
    x, y = work.data()
    return repeated(state, lambda state, batches: lax.scan(step, state, batches), (jnp.asarray(x), jnp.asarray(y)))


def prediction(work: Prediction) -> Running:
    (weights, _), _ = training(work)
    x = jnp.asarray(work.data()[0][0])
    compiled = jax.jit(lambda weights, x: forward(work.layers, weights, x))

    def call() -> jax.Array:
        return jax.block_until_ready(compiled(weights, x))

    return Running(call, lambda: {"output": np.array(call())})


def repeated(state: State, function: Callable[..., Any], data: Any) -> Running:
    compiled = jax.jit(function, donate_argnums=0)

    def step() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(compiled(state, data))

    return Running(step, lambda: {name: native(np.array(value)) for name, value in state[0].items()})


def native(matrix: Any) -> Any:
    """(out, in) ↔ (in, out); filters and biases stay."""
    return matrix.T if matrix.ndim == 2 else matrix


# ---------------------------------------------------------------------- operations


def operation(work: Operation) -> Running:
    if work.call not in OPERATIONS:
        raise Unable(f"JAX has no {work.call}")
    with jax.enable_x64(work.dtype == "float64"):
        inputs = [jnp.asarray(array) for array in work.inputs().values()]
        if work.call in UPDATES_ALONE:
            return updating(work.call, *inputs)
        compiled = jax.jit(OPERATIONS[work.call]).lower(*inputs).compile()
    return Running(lambda: compiled(*inputs).block_until_ready(), lambda: {"output": np.asarray(compiled(*inputs))})


def updating(name: str, p: jax.Array, g: jax.Array) -> Running:
    update, weights = UPDATES_ALONE[name], {"p": p}
    memory = MEMORIES[update](weights)
    running = repeated((weights, memory), lambda state, g: (update(works.UPDATE_RATE, *state, {"p": g}), None), g)

    def result() -> Arrays:
        running.step()
        return {"output": native(running.result()["p"])}

    return Running(running.step, result)


def conv2d_input_gradient(dy: jax.Array, W: jax.Array) -> jax.Array:
    x = jnp.zeros((len(dy), W.shape[1], *dy.shape[2:]), dy.dtype)
    return jax.vjp(lambda x: convolve(x, W), x)[1](dy)[0]


def conv2d_weight_gradient(x: jax.Array, dy: jax.Array) -> jax.Array:
    W = jnp.zeros((dy.shape[1], x.shape[1], 3, 3), x.dtype)
    return jax.vjp(lambda W: convolve(x, W), W)[1](dy)[0]


UPDATES_ALONE: dict[str, Callable[..., State]] = {"sgd": sgd, "adam": adam}
OPERATIONS: dict[str, Callable[..., Any]] = {
    "matmul": jnp.matmul,
    "conv2d": lambda x, W, b: convolve(x, W) + b[:, None, None],
    "conv2d_input_gradient": conv2d_input_gradient,
    "conv2d_weight_gradient": conv2d_weight_gradient,
    "max_pool2d": max_pool,
    "max_pool2d_backward": lambda x, dy: jax.vjp(max_pool, x)[1](dy)[0],
    "softmax": lambda x: jax.nn.softmax(x, axis=1),
    "add": jnp.add,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": partial(jax.nn.gelu, approximate=False),
    **UPDATES_ALONE,
}
