"""How each layer makes its numbers: one class per kind, found by the type of the layer.

``forward`` and ``backward`` get what went into the layer and what came out of it, and return tables; the equations are
those of the layer's own file. A layer that has no class here is shown with its arrays alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

from ..layer import Layer
from ..layers import (
    ELU,
    SELU,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LastStep,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool2d,
    ReLU,
    Reshape,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from ..layers.relu import SELU_ALPHA, SELU_SCALE
from ..types import Array
from .expression import Expression, constant, exp, largest, log, positive, sigmoid, square, tanh, total
from .table import Index, Table, given, make


class Explainer:
    """What stands beside a layer while it runs. This base shows arrays without their terms.

    Attributes:
        formulas: of forward and of backward, in indices.
        parameters, gradients: by attribute, "W" and "W" again for dW.
    """

    formulas: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = (), ()

    def __init__(self, layer: Any, name: str) -> None:
        self.layer, self.name = layer, name
        self.parameters = {key: self.given(key, value) for key, value in self.arrays(layer)}
        self.gradients: dict[str, Table] = {}

    @classmethod
    def covers(cls, layer: Any) -> bool:
        """Whether the terms of this very layer can be written."""
        return True

    def arrays(self, layer: Layer, prefix: str = "") -> Iterator[tuple[str, Array]]:
        """The parameters (with prefix d: their gradients) by attribute, also those of layers inside."""
        for attribute in layer.weights:
            if getattr(layer, attribute) is not None:
                yield attribute, getattr(layer, prefix + attribute)
        for name, child in layer.named_children():
            yield from ((f"{key}{name}", value) for key, value in self.arrays(child, prefix))

    def given(self, symbol: str, values: Array) -> Table:
        return given(symbol, f"{self.name}.{symbol}", values)

    def make(self, symbol: str, values: Any, rule: Callable[[Index], Expression]) -> Table:
        return make(symbol, f"{self.name}.{symbol}", values, rule)

    def sums(self, symbol: str, values: Array, terms: dict[Index, list[Expression]]) -> Table:
        return self.make(symbol, values, lambda index: total(terms[index]))

    def forward(self, x: Table, y: Array) -> list[Table]:
        """Tables up to y, which is the last one."""
        return [self.given("y", y)]

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        """Tables up to dx, which is the last one; fills in ``gradients``."""
        for key, value in self.arrays(self.layer, "d"):
            self.gradients[key] = self.given(f"d{key}", value)
        return [*self.gradients.values(), self.given("dx", dx)]


# ---------------------------------------------------------------------- weights


class Weighted(Explainer):
    """y is a sum of products W · x. Each *link*, a place in y, one in W and one in x, hands a term to y, dW and dx."""

    def links(self, x: Table, y: Array) -> Iterator[tuple[Index, Index, Index]]:
        raise NotImplementedError

    def output(self, index: Index) -> int:
        """The o of b[o] for a place in y."""
        raise NotImplementedError

    def forward(self, x: Table, y: Array) -> list[Table]:
        self.x, self.linked = x, list(self.links(x, y))
        W, b = self.parameters["W"], self.parameters.get("b")
        terms: dict[Index, list[Expression]] = defaultdict(list)
        for at, weight, source in self.linked:
            terms[at].append(W[weight] * x[source])
        if b is not None:
            for at in np.ndindex(y.shape):
                terms[at].append(b[(self.output(at),)])
        return [self.sums("y", y, terms)]

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        W = self.parameters["W"]
        dW: dict[Index, list[Expression]] = defaultdict(list)
        back: dict[Index, list[Expression]] = defaultdict(list)
        for at, weight, source in self.linked:
            dW[weight].append(dy[at] * self.x[source])
            back[source].append(dy[at] * W[weight])
        self.gradients["W"] = self.sums("dW", self.layer.dW, dW)
        if "b" in self.parameters:
            db: dict[Index, list[Expression]] = defaultdict(list)
            for at in dy.indices():
                db[(self.output(at),)].append(dy[at])
            self.gradients["b"] = self.sums("db", self.layer.db, db)
        return [*self.gradients.values(), self.sums("dx", dx, back)]


class LinearExplainer(Weighted):
    formulas = (
        ("y[n,o] = Σ_i W[o,i] x[n,i] + b[o]",),
        ("dW[o,i] = Σ_n dy[n,o] x[n,i]", "db[o] = Σ_n dy[n,o]", "dx[n,i] = Σ_o dy[n,o] W[o,i]"),
    )

    def links(self, x: Table, y: Array) -> Iterator[tuple[Index, Index, Index]]:
        for *n, o in np.ndindex(y.shape):
            for i in range(x.shape[-1]):
                yield (*n, o), (o, i), (*n, i)

    def output(self, index: Index) -> int:
        return index[-1]


class ConvExplainer(Weighted):
    """Links by equation (1) of conv.py, without those to the padding, whose terms are 0."""

    formulas = (
        ("y[n,o,h,w] = Σ_c,i,j W[o,c,i,j] x[n,c,u,v] + b[o]", "u = h · stride + i · dilation − padding, v likewise"),
        (
            "dW[o,c,i,j] = Σ_n,h,w dy[n,o,h,w] x[n,c,u,v]",
            "db[o] = Σ_n,h,w dy[n,o,h,w]",
            "dx[n,c,u,v] = Σ dy[n,o,h,w] W[o,c,i,j]",
            "that sum is over the windows that see the pixel",
        ),
    )

    def links(self, x: Table, y: Array) -> Iterator[tuple[Index, Index, Index]]:
        layer, window, first = self.layer, self.layer.window, self.layer.first_axis
        inputs, outputs = layer.in_channels // layer.groups, layer.out_channels // layer.groups
        size = (1,) * first + x.shape[2:]
        for n, o, *at in np.ndindex(y.shape):
            full = (0,) * first + tuple(at)
            for c, *tap in np.ndindex(inputs, *window.kernel):
                pixel = tuple(
                    p * s + t * d - before
                    for p, s, t, d, before in zip(full, window.stride, tap, window.dilation, window.padding, strict=True)
                )
                if all(0 <= p < length for p, length in zip(pixel, size, strict=True)):
                    channel = o // outputs * inputs + c
                    yield (n, o, *at), (o, c, *tap[first:]), (n, channel, *pixel[first:])

    def output(self, index: Index) -> int:
        return index[1]


# ---------------------------------------------------------------------- every element by itself


class Elementwise(Explainer):
    """y = f(x) and dx = dy · f′, element by element."""

    def value(self, x: Expression) -> Expression:
        raise NotImplementedError

    def slope(self, x: Expression, y: Expression) -> Expression:
        raise NotImplementedError

    def forward(self, x: Table, y: Array) -> list[Table]:
        self.x, self.y = x, self.make("y", y, lambda i: self.value(x[i]))
        return [self.y]

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        return [self.make("dx", dx, lambda i: dy[i] * self.slope(self.x[i], self.y[i]))]


class SigmoidExplainer(Elementwise):
    formulas = ("y = σ(x) = 1 / (1 + exp(−x))",), ("dx = dy · y · (1 − y)",)

    def value(self, x: Expression) -> Expression:
        return sigmoid(x)

    def slope(self, x: Expression, y: Expression) -> Expression:
        return y * (1 - y)


class TanhExplainer(Elementwise):
    formulas = ("y = tanh(x)",), ("dx = dy · (1 − y²)",)

    def value(self, x: Expression) -> Expression:
        return tanh(x)

    def slope(self, x: Expression, y: Expression) -> Expression:
        return 1 - square(y)


class ReLUExplainer(Elementwise):
    formulas = ("y = max(0, x)",), ("dx = dy · [x > 0]",)

    def value(self, x: Expression) -> Expression:
        return largest([constant(0.0), x])

    def slope(self, x: Expression, y: Expression) -> Expression:
        return positive(x)


class LeakyReLUExplainer(Elementwise):
    formulas = ("y = x where x > 0, else s · x",), ("dx = dy where x > 0, else dy · s",)

    def value(self, x: Expression) -> Expression:
        return x if x.value > 0 else self.layer.negative_slope * x

    def slope(self, x: Expression, y: Expression) -> Expression:
        return constant(1.0 if x.value > 0 else self.layer.negative_slope)


class ELUExplainer(Elementwise):
    formulas = ("y = x where x > 0, else α · (exp(x) − 1)",), ("dx = dy where x > 0, else dy · α · exp(x)",)

    def value(self, x: Expression) -> Expression:
        return x if x.value > 0 else self.layer.alpha * (exp(x) - 1)

    def slope(self, x: Expression, y: Expression) -> Expression:
        return constant(1.0) if x.value > 0 else self.layer.alpha * exp(x)


class SELUExplainer(Elementwise):
    formulas = ("y = λ · x where x > 0, else λ · α · (exp(x) − 1)",), ("dx = dy · λ where x > 0, else dy · λ · α · exp(x)",)

    def value(self, x: Expression) -> Expression:
        return SELU_SCALE * x if x.value > 0 else SELU_SCALE * SELU_ALPHA * (exp(x) - 1)

    def slope(self, x: Expression, y: Expression) -> Expression:
        return constant(SELU_SCALE) if x.value > 0 else SELU_SCALE * SELU_ALPHA * exp(x)


class SiLUExplainer(Elementwise):
    formulas = ("y = x · σ(x)",), ("dx = dy · σ(x) · (1 + x · (1 − σ(x)))",)

    def value(self, x: Expression) -> Expression:
        return x * sigmoid(x)

    def slope(self, x: Expression, y: Expression) -> Expression:
        return sigmoid(x) * (constant(1.0) + x * (1 - sigmoid(x)))


class SoftplusExplainer(Elementwise):
    formulas = ("y = log(1 + exp(β · x)) / β, and x itself past the threshold",), ("dx = dy · σ(β · x)",)

    def value(self, x: Expression) -> Expression:
        layer = self.layer
        linear = layer.beta * x.value > layer.threshold
        return x if linear else log(constant(1.0) + exp(layer.beta * x)) / layer.beta

    def slope(self, x: Expression, y: Expression) -> Expression:
        layer = self.layer
        return constant(1.0) if layer.beta * x.value > layer.threshold else sigmoid(layer.beta * x)


class DropoutExplainer(Elementwise):
    formulas = ("y = m · x, m = 0 or 1 / (1 − p) by chance",), ("dx = dy · m",)

    def forward(self, x: Table, y: Array) -> list[Table]:
        m = self.given("m", self.layer.cache[0])
        self.mask = m
        return [m, self.make("y", y, lambda i: m[i] * x[i])]

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        return [self.make("dx", dx, lambda i: dy[i] * self.mask[i])]


# ---------------------------------------------------------------------- distributions


class SoftmaxExplainer(Explainer):
    formulas = ("y[k] = exp(x[k]) / Σ_j exp(x[j])",), ("dx[k] = y[k] · (dy[k] − Σ_j dy[j] · y[j])",)

    def row(self, index: Index) -> list[Index]:
        """All places that are normalised together with ``index``."""
        axis = self.layer.dim % len(index)
        return [(*index[:axis], k, *index[axis + 1 :]) for k in range(self.length)]

    def forward(self, x: Table, y: Array) -> list[Table]:
        self.length = x.shape[self.layer.dim]
        self.y = self.make("y", y, lambda i: self.value(x, i))
        return [self.y]

    def value(self, x: Table, i: Index) -> Expression:
        return exp(x[i]) / total(exp(x[j]) for j in self.row(i))

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        return [self.make("dx", dx, lambda i: self.slope(dy, i))]

    def slope(self, dy: Table, i: Index) -> Expression:
        return self.y[i] * (dy[i] - total(dy[j] * self.y[j] for j in self.row(i)))


class LogSoftmaxExplainer(SoftmaxExplainer):
    formulas = ("y[k] = x[k] − log(Σ_j exp(x[j]))",), ("dx[k] = dy[k] − exp(y[k]) · Σ_j dy[j]",)

    def value(self, x: Table, i: Index) -> Expression:
        return x[i] - log(total(exp(x[j]) for j in self.row(i)))

    def slope(self, dy: Table, i: Index) -> Expression:
        return dy[i] - exp(self.y[i]) * total(dy[j] for j in self.row(i))


# ---------------------------------------------------------------------- pooling


class PoolExplainer(Explainer):
    """Which pixels a window sees, without the padding."""

    def pixels(self, at: Index, shape: tuple[int, ...]) -> list[Index]:
        n, c, *place = at
        window = self.layer.window
        found = []
        for tap in np.ndindex(*window.kernel):
            pixel = tuple(p * s + t - b for p, s, t, b in zip(place, window.stride, tap, window.padding, strict=True))
            if all(0 <= p < length for p, length in zip(pixel, shape[2:], strict=True)):
                found.append((n, c, *pixel))
        return found


class MaxPoolExplainer(PoolExplainer):
    formulas = ("y = the largest x of its window",), ("dx = Σ dy over the windows whose maximum is this pixel",)

    def forward(self, x: Table, y: Array) -> list[Table]:
        self.chosen: dict[Index, list[Index]] = defaultdict(list)
        for at in np.ndindex(y.shape):
            self.chosen[max(self.pixels(at, x.shape), key=lambda p: x.values[p])].append(at)
        return [self.make("y", y, lambda at: largest(x[p] for p in self.pixels(at, x.shape)))]

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        return [self.make("dx", dx, lambda p: total(dy[at] for at in self.chosen[p]))]


class AvgPoolExplainer(PoolExplainer):
    formulas = ("y = Σ x / A, A the number of pixels in the window",), ("dx = Σ dy / A over the windows that see the pixel",)

    def area(self, seen: list[Index]) -> float:
        window = self.layer.window
        return float(window.kernel[0] * window.kernel[1] if self.layer.count_include_pad else len(seen))

    def forward(self, x: Table, y: Array) -> list[Table]:
        self.seen = {at: self.pixels(at, x.shape) for at in np.ndindex(y.shape)}
        return [self.make("y", y, lambda at: total(x[p] for p in self.seen[at]) / self.area(self.seen[at]))]

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        terms: dict[Index, list[Expression]] = defaultdict(list)
        for at, seen in self.seen.items():
            for pixel in seen:
                terms[pixel].append(dy[at] / self.area(seen))
        return [self.sums("dx", dx, terms)]


class GlobalAvgPoolExplainer(AvgPoolExplainer):
    formulas = ("y[n,c] = Σ_h,w x[n,c,h,w] / (H W)",), ("dx[n,c,h,w] = dy[n,c] / (H W)",)

    def pixels(self, at: Index, shape: tuple[int, ...]) -> list[Index]:
        return [(*at, *p) for p in np.ndindex(*shape[2:])]

    def area(self, seen: list[Index]) -> float:
        return float(len(seen))


# ---------------------------------------------------------------------- the same numbers elsewhere


class ReshapeExplainer(Explainer):
    formulas = ("y is x, read in the same order under another shape",), ("dx is dy under x's shape",)

    def forward(self, x: Table, y: Array) -> list[Table]:
        places = list(x.indices())
        return [self.make("y", y, lambda i: x[places[np.ravel_multi_index(i, y.shape)]])]

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        places = list(dy.indices())
        return [self.make("dx", dx, lambda i: dy[places[np.ravel_multi_index(i, dx.shape)]])]


class LastStepExplainer(Explainer):
    formulas = ("y is x at the last time step",), ("dx is dy at the last time step, 0 at all others",)

    def forward(self, x: Table, y: Array) -> list[Table]:
        time = self.time = int(self.layer.batch_first)
        last = self.last = x.shape[time] - 1
        return [self.make("y", y, lambda i: x[(*i[:time], last, *i[time:])])]

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        time = self.time
        return [self.make("dx", dx, lambda i: dy[(*i[:time], *i[time + 1 :])] if i[time] == self.last else constant(0.0))]


EXPLAINERS: dict[type[Layer], type[Explainer]] = {
    Linear: LinearExplainer, Conv1d: ConvExplainer, Conv2d: ConvExplainer,
    Sigmoid: SigmoidExplainer, Tanh: TanhExplainer, ReLU: ReLUExplainer, LeakyReLU: LeakyReLUExplainer, ELU: ELUExplainer,
    SELU: SELUExplainer,
    SiLU: SiLUExplainer, Softplus: SoftplusExplainer, Dropout: DropoutExplainer,
    Softmax: SoftmaxExplainer, LogSoftmax: LogSoftmaxExplainer,
    MaxPool2d: MaxPoolExplainer, AvgPool2d: AvgPoolExplainer, GlobalAvgPool2d: GlobalAvgPoolExplainer,
    Flatten: ReshapeExplainer, Reshape: ReshapeExplainer, LastStep: LastStepExplainer,
}  # fmt: skip
