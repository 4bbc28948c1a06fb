"""What RNN, LSTM and GRU share: layers on top of each other, one or two directions, initial and final states.

The formulas are in ``rnn.py``, ``lstm.py`` and ``gru.py``, each for one *sweep*: one layer read in one direction.
Here sweeps are stacked:

Shapes     x (T, N, D), or (N, T, D) with batch_first    y likewise with H in place of D, or 2H in two directions
           states h0, h_n (layers · directions, N, H), in the order layer 0, layer 0 reversed, layer 1, …
Forward    layer k reads the output of layer k − 1; two directions stand side by side: y[t,n] = (y⃗[t,n], y⃖[t,n])   (1)
Backward   each direction gets its half of δ = ∂L/∂y; both read the same x, so their gradients add up:
             dx = dx⃗ + dx⃖                                                                                          (2)
Cache      the number of samples N; each sweep keeps its own
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from manualbp_kernels.elementwise import add, copy, fill, put_columns, swap_axes, take_columns

from .. import init
from ..layer import Layer, integer, probability
from ..parameter import Fixed, Parameter, Weight
from ..types import Array, DTypeLike, as_array
from .dropout import Dropout


class Sweep(Layer):
    """One layer of a recurrent network read in one direction, time first.

    W_ih (G·H, D), W_hh (G·H, H), b_ih and b_hh (G·H,), G gates; all start uniform in ±1/√H, as PyTorch's.
    """

    W_ih = Weight("weight_ih")
    W_hh = Weight("weight_hh")
    b_ih = Weight("bias_ih")
    b_hh = Weight("bias_hh")
    input_size, hidden_size = Fixed(), Fixed()
    dW_ih: Array
    dW_hh: Array
    db_ih: Array
    db_hh: Array
    gates: ClassVar[int] = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool, reverse: bool, dtype: DTypeLike) -> None:
        super().__init__(dtype)
        self.input_size, self.hidden_size, self.reverse = input_size, hidden_size, reverse
        rows = self.gates * hidden_size
        self.W_ih = init.default((rows, input_size), hidden_size, self.dtype)
        self.W_hh = init.default((rows, hidden_size), hidden_size, self.dtype)
        self.b_ih = init.default((rows,), hidden_size, self.dtype) if bias else None
        self.b_hh = init.default((rows,), hidden_size, self.dtype) if bias else None

    def sweep(self, x: Array, initial: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """(y, final states) from x (T, N, D) and the initial states (N, H)."""
        raise NotImplementedError

    def sweep_back(self, dy: Array, dfinal: tuple[Array, ...], input_wanted: bool) -> tuple[Any, tuple[Array, ...]]:
        """(∂L/∂x, ∂L/∂initial states) from ∂L/∂y and ∂L/∂final states; None for ∂L/∂x if nobody wants it."""
        raise NotImplementedError

    def before_and_after(self, states: Array) -> tuple[Array, Array]:
        """Of T + 1 states, the T before each step and the T after it."""
        return (states[1:], states[:-1]) if self.reverse else (states[:-1], states[1:])

    def describe(self) -> str:
        return f"{self.input_size} → {self.hidden_size}" + (", reversed" if self.reverse else "")


class Recurrent(Layer):
    """A stack of sweeps. Arguments and their order are PyTorch's.

    Args:
        input_size: D, the length of x's last axis.
        hidden_size: H.
        num_layers: how many layers read one another's output.
        bias: whether there are b_ih and b_hh.
        batch_first: x is (N, T, D) instead of (T, N, D).
        dropout: probability of a Dropout between layers.
        bidirectional: a second sweep per layer, from the last step to the first.
        dtype: float32 or float64.
    """

    input_size, hidden_size, num_layers, directions = Fixed(), Fixed(), Fixed(), Fixed()
    sweep_class: ClassVar[type[Sweep]]
    state_names: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = "float32",
    ) -> None:
        super().__init__(dtype)
        own = type(self).__name__
        self.input_size = integer(input_size, f"{own}: input_size")
        self.hidden_size = integer(hidden_size, f"{own}: hidden_size")
        self.num_layers = integer(num_layers, f"{own}: num_layers")
        self.batch_first, self.directions = bool(batch_first), 1 + bool(bidirectional)
        self.stack = [
            [self.new_sweep(self._width(k), bias, bool(d)) for d in range(self.directions)] for k in range(self.num_layers)
        ]
        p = probability(dropout, f"{own}: dropout")
        self.dropouts = [Dropout(p) for _ in range(self.num_layers - 1)] if p else []

    def new_sweep(self, input_size: int, bias: bool, reverse: bool) -> Sweep:
        return self.sweep_class(input_size, self.hidden_size, bias, reverse, self.dtype)

    def _width(self, k: int) -> int:
        """The length of the last axis of what layer k reads."""
        return int(self.hidden_size * self.directions if k else self.input_size)

    def forward(self, x: Array, state: Any = None) -> Array:
        """y from x and the initial state (zeros if None); afterwards ``h_n`` (``c_n``) hold the final state."""
        x = self.take(x, 3, self._form())
        if x.shape[2] != self.input_size:
            raise self.misfit(self._form(), x)
        N = x.shape[1 - self.batch_first]
        initial = self._states(state, N, "the initial state")
        final = tuple(self.allocate(s.shape, s.dtype) for s in initial)
        y = self._swap("x", x)
        for k, sweeps in enumerate(self.stack):
            outputs = []
            for d, sweep in enumerate(sweeps):
                at = k * self.directions + d
                output, ends = sweep.sweep(y, tuple(s[at] for s in initial))
                outputs.append(output)
                for whole, end in zip(final, ends, strict=True):
                    copy(whole[at], end)
            y = self._side_by_side(k, outputs)  # (1)
            if self.dropouts and k < self.num_layers - 1:
                y = self.dropouts[k].forward(y)
        for name, whole in zip(self.state_names, final, strict=True):
            setattr(self, f"{name}_n", whole)
        return self.give(self._swap("y", y), cache=(N,))

    def backward(self, dy: Array, dstate: Any = None) -> Array:
        """∂L/∂x from ∂L/∂y and, if the final state was used too, ∂L/∂(final state); sets ``dh0`` (``dc0``)."""
        dx: Array = self._backward(dy, dstate, input_wanted=True)
        return dx

    def backward_weights(self, dy: Array, dstate: Any = None) -> None:
        self._backward(dy, dstate, input_wanted=False)

    def _backward(self, dy: Array, dstate: Any, input_wanted: bool) -> Any:
        if self.cache is not None:
            dfinal = self._states(dstate, self.cache[0], "the gradient of the final state")
        _, dy = self.recall(dy)
        dinitial = tuple(self.allocate(s.shape, s.dtype) for s in dfinal)
        dy = self._swap("dy", dy)
        for k in reversed(range(self.num_layers)):
            if self.dropouts and k < self.num_layers - 1:
                dy = self.dropouts[k].backward(dy)
            dxs = []
            for d, sweep in enumerate(self.stack[k]):
                at = k * self.directions + d
                final = tuple(s[at] for s in dfinal)
                dx, starts = sweep.sweep_back(self._half(k, d, dy), final, input_wanted or k > 0)
                dxs.append(dx)
                for whole, start in zip(dinitial, starts, strict=True):
                    copy(whole[at], start)
            dy = dxs[0]
            if self.directions == 2 and dy is not None:
                dy = self.empty(f"dx{k}", dxs[0].shape, self.dtype)
                add(dy, dxs[0], dxs[1])  # (2)
        for name, whole in zip(self.state_names, dinitial, strict=True):
            setattr(self, f"d{name}0", whole)
        return self._swap("dx", dy) if input_wanted else None

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        for k, sweeps in enumerate(self.stack):
            for d, sweep in enumerate(sweeps):
                yield f"_l{k}{'_reverse' * d}", sweep
        for k, dropout in enumerate(self.dropouts):
            yield f"dropout{k}", dropout

    def parameters(self, prefix: str = "") -> list[Parameter]:
        """Every parameter, named as PyTorch does: weight_ih_l0, …, bias_hh_l1_reverse."""
        return [
            Parameter(prefix + own.name + suffix, own.value, own.grad)
            for suffix, child in self.named_children()
            for own in child.parameters()
        ]

    def _form(self) -> str:
        return f"(N, T, {self.input_size})" if self.batch_first else f"(T, N, {self.input_size})"

    def _states(self, given: Any, N: int, what: str) -> tuple[Array, ...]:
        """One array (layers · directions, N, H) per state, zeros for None."""
        shape = (self.num_layers * self.directions, N, self.hidden_size)
        several = len(self.state_names) > 1
        parts = ((None,) * len(self.state_names) if given is None else _parts(given)) if several else (given,)
        if len(parts) != len(self.state_names):
            raise ValueError(f"{self}: {what} is ({', '.join(self.state_names)}), got {len(parts)} arrays")
        arrays = []
        for name, part in zip(self.state_names, parts, strict=True):
            array = self.empty(f"zero {name}", shape, self.dtype) if part is None else as_array(part)
            if array.shape != shape:
                raise ValueError(f"{self}: {what} {name} must have shape {shape}, got {array.shape}")
            if array.dtype != self.dtype:
                raise TypeError(f"{self}: {what} {name} must have dtype {self.dtype}, got {array.dtype}")
            if part is None:
                fill(array, 0.0)
            arrays.append(array if array.flags.carray else np.array(array, order="C"))
        return tuple(arrays)

    def _swap(self, name: str, x: Array) -> Array:
        """Between (N, T, D) outside and (T, N, D) inside, where batch_first asks for it."""
        if not self.batch_first:
            return x
        if 1 in x.shape[:2]:  # nothing changes its place
            return x.reshape(x.shape[1], x.shape[0], x.shape[2])
        swapped = self.empty(f"{name} swapped", (x.shape[1], x.shape[0], x.shape[2]), x.dtype)
        swap_axes(swapped, x)
        return swapped

    def _side_by_side(self, k: int, outputs: list[Array]) -> Array:
        if self.directions == 1:
            return outputs[0]
        T, N, H = outputs[0].shape
        y = self.empty(f"y{k}", (T, N, 2 * H), self.dtype)
        for d, output in enumerate(outputs):
            put_columns(y, output, d * H)
        return y

    def _half(self, k: int, d: int, dy: Array) -> Array:
        if self.directions == 1:
            return dy
        half = self.empty(f"dy{k}{d}", (*dy.shape[:2], self.hidden_size), self.dtype)
        take_columns(half, dy, d * self.hidden_size)
        return half

    def describe(self) -> str:
        text = f"{self.input_size} → {self.hidden_size}"
        text += f", {self.num_layers} layers" if self.num_layers > 1 else ""
        text += ", bidirectional" if self.directions == 2 else ""
        text += ", no bias" if self.stack[0][0].b_ih is None else ""
        text += f", dropout {self.dropouts[0].describe()}" if self.dropouts else ""
        return text + (", batch_first" if self.batch_first else "")


def _parts(state: Any) -> tuple[Any, ...]:
    return tuple(state) if isinstance(state, (tuple, list)) else (state,)


def rows(x: Array) -> Array:
    """(T, N, D) as (T·N, D): all time steps of all samples as the rows of one matrix."""
    return x.reshape(math.prod(x.shape[:2]), -1)
