"""Sequential: layers one after another.

Forward    x₀ = x,  xₖ = layerₖ(xₖ₋₁),  y = x_K                                  (1)
Backward   The chain rule, last layer first: δ_K = ∂L/∂y,  δₖ₋₁ = layerₖ.backward(δₖ) = ∂L/∂xₖ₋₁          (2)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from manualbp_kernels.elementwise import fill

from .layer import Layer
from .parameter import gather, runs
from .types import Array, Shape

if TYPE_CHECKING:
    from .explain import Explanation
    from .inference import Predictor
    from .losses import Loss
    from .metrics import Metric
    from .optim import Optimizer
    from .training import Callback, History


class Sequential(Layer):
    """A network of layers in a row, itself a layer. ``net[1]`` is a layer, ``net[:2]`` a network sharing two of them.

    The parameters of all layers are moved side by side in memory. A layer without parameters may appear twice (the
    second time it is a copy); one with parameters may not: it has one cache and one gradient.
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                hint = "; pass them one by one: Sequential(*layers)" if isinstance(layer, (list, tuple)) else ""
                hint = f"; did you mean {layer.__name__}()?" if isinstance(layer, type) else hint
                raise TypeError(f"Sequential: layer {i} must be a Layer, got {layer!r}{hint}")
        self.layers = tuple(_once(layers))
        gather(self.modules())

    def __call__(self, x: Array) -> Array:
        return self.forward(x)

    def forward(self, x: Array) -> Array:
        try:
            for layer in self.layers:
                x = layer.forward(x)  # (1)
        except (ValueError, TypeError, RuntimeError) as error:
            for module in self.modules():  # or a later backward would mix this forward with an earlier one
                module.cache = None
            raise self._located(error, layer) from None
        return x

    def backward(self, dy: Array) -> Array:
        try:
            for layer in reversed(self.layers):
                dy = layer.backward(dy)  # (2)
        except (ValueError, TypeError, RuntimeError) as error:
            raise self._located(error, layer) from None
        return dy

    def backward_weights(self, dy: Array) -> None:
        """``backward`` down to the first layer with parameters, where it ends: the input's gradient is left out."""
        before, first, after = self._around_first
        try:
            for layer in after:
                dy = layer.backward(dy)  # (2)
            for layer in first:
                layer.backward_weights(dy)
        except (ValueError, TypeError, RuntimeError) as error:
            raise self._located(error, layer) from None
        for layer in before:
            layer.cache = None

    def zero_grad(self) -> None:
        for gradient in self._gradients:
            fill(gradient, 0.0)

    @cached_property
    def _gradients(self) -> list[Array]:
        return [gradient for _, _, gradient in runs(self.parameters())]

    @cached_property
    def _around_first(self) -> tuple[tuple[Layer, ...], tuple[Layer, ...], tuple[Layer, ...]]:
        """The layers before the first one with parameters; that one; those after it, last one first."""
        first = next((i for i, layer in enumerate(self.layers) if layer.parameters()), 0)
        return self.layers[:first], self.layers[first : first + 1], self.layers[:first:-1]

    def _located(self, error: Exception, layer: Layer) -> Exception:
        """The same error, saying in which layer it arose."""
        error.args = (f"{error} · in layer {self.layers.index(layer)} of Sequential",)
        return error

    # ------------------------------------------------------------------ training, as functions in training.py

    def fit(
        self,
        x: Array,
        y: Array,
        *,
        loss: Loss,
        optimizer: Optimizer,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        validation_data: tuple[Array, Array] | None = None,
        metrics: tuple[str | Metric, ...] = (),
        callbacks: tuple[Callback, ...] = (),
        seed: int | None = None,
        progress: bool = True,
    ) -> History:
        """Train; see ``training.fit``."""
        from .training import fit

        return fit(
            self, x, y, loss=loss, optimizer=optimizer, epochs=epochs, batch_size=batch_size, shuffle=shuffle,
            validation_data=validation_data, metrics=metrics, callbacks=callbacks, seed=seed, progress=progress,
        )  # fmt: skip

    def evaluate(
        self, x: Array, y: Array, *, loss: Loss | None = None, metrics: tuple[str | Metric, ...] = (), batch_size: int = 256
    ) -> dict[str, float]:
        """Loss and metrics over (x, y) in evaluation mode; see ``training.evaluate``."""
        from .training import evaluate

        return evaluate(self, x, y, loss=loss, metrics=metrics, batch_size=batch_size)

    def predict(self, x: Array, batch_size: int = 256) -> Array:
        """The network's outputs for x in evaluation mode; see ``training.predict``."""
        from .training import predict

        return predict(self, x, batch_size)

    @cached_property
    def predictor(self) -> Predictor:
        """Makes the predictions that need nothing of Python."""
        from .inference import Predictor

        return Predictor(self)

    def summary(self, shape: Shape | None = None) -> str:
        """A table of layers, output shapes, parameters and cache bytes; see ``summary.summary``."""
        from .summary import summary

        return summary(self, shape)

    def explain(self, x: Array, t: Array, loss: Loss, optimizer: Optimizer | float = 0.1) -> Explanation:
        """One training step of a small network with every number and its terms; see ``explain.explain``."""
        from .explain import explain

        return explain(self, x, t, loss, optimizer)

    # ------------------------------------------------------------------ a sequence of layers

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        return ((str(i), layer) for i, layer in enumerate(self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def forget(self) -> None:
        for made in ("_gradients", "predictor"):
            self.__dict__.pop(made, None)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key not in ("_gradients", "predictor")}

    def __repr__(self) -> str:
        inside = "".join(f"  {i}: {layer!r}\n".replace("\n", "\n  ")[:-2] for i, layer in enumerate(self.layers))
        return f"Sequential(\n{inside})" if self.layers else "Sequential()"


def _once(layers: tuple[Layer, ...]) -> Iterator[Layer]:
    """The layers, a copy in place of one that came before; ValueError if that is impossible."""
    places: dict[int, int] = {}
    for i, layer in enumerate(layers):
        if id(layer) in places and not layer.parameters():
            yield copy.deepcopy(layer)
            continue
        for module in layer.modules():
            if places.setdefault(id(module), i) != i:
                raise ValueError(
                    f"Sequential: {module} stands at {places[id(module)]} and at {i}, but has one cache and one gradient; "
                    f"build two layers, and copy weights with load_state_dict"
                )
        yield layer
