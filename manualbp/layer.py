"""Layer: the protocol that every layer follows, and what they all need.

A layer is a class with an explicit ``forward`` and an explicit ``backward``:

    y  = layer.forward(x)      also layer(x); keeps in ``cache`` what backward needs
    dx = layer.backward(dy)    adds to the parameters' gradients, returns ∂L/∂x, uses the cache up

``dθ`` always means ∂L/∂θ and has the shape of θ. Results are fresh arrays, with one exception: a layer that only gives
the same numbers another shape (Flatten, Reshape, LastStep with time first, Dropout in evaluation mode) may return x or dy
itself, or a view of it. None writes to them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy import ndarray

from .parameter import Parameter, gather
from .types import FLOATS, Array, DTypeLike, Form, Shape, as_array, float_dtype
from .workspace import Workspace


class Layer(Workspace):
    """The base of all layers. A subclass writes ``forward`` and ``backward`` and declares its parameters::

        class Scale(Layer):
            '''y = s · x'''
            s = Weight("scale")

            def __init__(self, size):
                super().__init__(np.float32)
                self.s = np.ones(size, np.float32)

            def forward(self, x):
                x = self.take(x)
                return self.give(self.s * x, cache=(x,))

            def backward(self, dy):
                (x,), dy = self.recall(dy)
                self.ds += (dy * x).sum(axis=0)
                return dy * self.s

    Attributes:
        training: True in training mode; in evaluation mode nothing is cached.
        cache: what ``backward`` will need, a tuple, or None.
        dtype: of the parameters; None for a layer without, which takes float32 and float64 alike.
    """

    weights: ClassVar[dict[str, str]] = {}  # attribute → PyTorch's name, filled in by Weight
    state: ClassVar[tuple[str, ...]] = ()  # attributes that hold untrained arrays, such as a random counter

    def __init__(self, dtype: DTypeLike | None = None) -> None:
        super().__init__()
        self.training = True
        self.cache: tuple[Any, ...] | None = None
        self.dtype: Any = None if dtype is None else float_dtype(dtype)
        self._given: Form = ((), None)
        self._input: Form = ((), None)
        self._output: Form = ((), None)

    def forward(self, x: Array) -> Array:
        """y from x."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dy: Array) -> Array:
        """∂L/∂x from ∂L/∂y; adds ∂L/∂θ to every parameter's gradient."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def backward_weights(self, dy: Array) -> None:
        """As ``backward``, for when nobody wants ∂L/∂x; a layer that can do so leaves its computation out."""
        self.backward(dy)

    def __call__(self, *args: Any, **kwargs: Any) -> Array:
        return self.forward(*args, **kwargs)

    # ------------------------------------------------------------------ what forward and backward begin and end with

    def take(self, x: Any, ndim: int = 0, form: str = "") -> Array:
        """``x`` as the contiguous float array that kernels need; copied only where it is not one already.

        ``ndim`` is the number of axes that are required (0: any) and ``form`` how they are called in the message.
        Raises TypeError for a wrong dtype and ValueError for a wrong number of axes or an empty batch. What an earlier
        forward has cached is gone, whatever becomes of this one.
        """
        self.cache = None
        if type(x) is not ndarray:
            x = self._array(x)
        if x.dtype is not self.dtype and x.dtype not in ((self.dtype,) if self.dtype else FLOATS):
            raise TypeError(
                f"{self} expects {self.dtype or 'float32 or float64'}, got {x.dtype}: "
                f'cast with x.astype("{self.dtype or "float32"}")'
                + (", or build the layers with dtype=np.float64" if x.dtype == np.float64 else "")
            )
        if ndim and x.ndim != ndim:
            raise self.misfit(form, x)
        if not x.size:
            raise ValueError(f"{self} got an empty array of shape {x.shape}: a batch holds at least one sample")
        return x if x.flags.carray else np.array(x, order="C")

    def take_with_output(self, x: Any) -> tuple[Array, Array]:
        """``take(x)``, and the array for y, of the shape that ``output_shape`` tells. ``forward`` then sets the cache itself.

        In a steady step x has the form it had last time, and one comparison stands for all that was looked at then.
        """
        shape, dtype = self._input
        if type(x) is ndarray and x.dtype is dtype and x.shape == shape and x.flags.carray:
            self.cache = None
        else:
            x = self.take(x)
            self._output = self.output_shape(x), x.dtype
            self._input = x.shape, x.dtype
        self._given = shape, dtype = self._output
        return x, self.empty("y", shape, dtype)

    def output_shape(self, x: Array) -> Shape:
        """The shape of y; raises ``misfit`` for an x of the wrong shape."""
        return x.shape

    def _array(self, x: Any) -> Array:
        """``x`` as an array; a list of numbers becomes one of our dtype."""
        try:
            array = as_array(x)
        except ValueError:
            raise TypeError(f"{self} expects an array, got a {type(x).__name__} whose rows differ in length") from None
        except TypeError as error:
            raise TypeError(f"{self}: {error}") from None
        if array.dtype == object and not isinstance(x, np.ndarray):
            raise TypeError(f"{self} expects an array, got a {type(x).__name__}")
        if isinstance(x, (list, tuple, float)) and array.dtype.kind in "fiu":
            array = array.astype(self.dtype or np.float32)
        return self.follow(array)

    def give(self, y: Array, cache: tuple[Any, ...]) -> Array:
        """Return ``y`` after keeping ``cache`` for backward (in training mode)."""
        self.cache = cache if self.training else None
        self._given = y.shape, y.dtype
        return y

    def recall(self, dy: Array) -> tuple[tuple[Any, ...], Array]:
        """The cache, which is then used up, and ``dy`` checked against the y it belongs to."""
        cache = self.cache
        if cache is None:
            why = (
                "each backward needs a forward of its own before it"
                if self.training
                else "in evaluation mode nothing is cached, call train() first"
            )
            raise RuntimeError(f"{self}: backward without a cached forward; {why}")
        shape, dtype = self._given
        if type(dy) is not ndarray:
            dy = self.here(as_array(dy, dtype))
        if dy.shape != shape:
            raise ValueError(f"{self}: ∂L/∂y must have the shape of y, {shape}, got {dy.shape}")
        if dy.dtype is not dtype and dy.dtype != dtype:
            raise TypeError(f"{self}: ∂L/∂y must have the dtype of y, {dtype}, got {dy.dtype}")
        self.cache = None
        return cache, dy if dy.flags.carray else np.array(dy, order="C")

    def misfit(self, expected: str, x: Array) -> ValueError:
        """The error for an x of the wrong shape."""
        return ValueError(f"{self} expects x of shape {expected}, got {x.shape}")

    # ------------------------------------------------------------------ parameters

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """The layers inside this one, by name."""
        return iter(())

    def modules(self) -> Iterator[Layer]:
        """This layer and all inside it, in order."""
        yield self
        for _, child in self.named_children():
            yield from child.modules()

    def parameters(self, prefix: str = "") -> list[Parameter]:
        """Every parameter with its gradient, own ones first, as arrays that share memory with the layer."""
        found = [
            Parameter(prefix + name, getattr(self, attribute), getattr(self, "d" + attribute))
            for attribute, name in self.weights.items()
            if getattr(self, attribute) is not None
        ]
        for name, child in self.named_children():
            found += child.parameters(f"{prefix}{name}.")
        return found

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for parameter in self.parameters():
            parameter.grad[...] = 0

    def state_dict(self) -> dict[str, Array]:
        """A copy of every parameter under PyTorch's name and with PyTorch's shape."""
        return {parameter.name: np.array(parameter.value) for parameter in self.parameters()}

    def load_state_dict(self, state: Mapping[str, Array], strict: bool = True) -> None:
        """Write ``state`` into the parameters; PyTorch's (as NumPy arrays) fits too. Values are cast to our dtype.

        Raises ValueError listing every missing, unknown and misshapen entry, with nothing changed. With
        ``strict=False`` missing and unknown ones are passed over.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"{self} expects a dictionary of arrays, as state_dict() gives, got a {type(state).__name__}")
        own = {parameter.name: parameter.value for parameter in self.parameters()}
        wrong = [
            f"{name}: expected shape {own[name].shape}, got {np.shape(value)}"
            for name, value in state.items()
            if name in own and np.shape(value) != own[name].shape
        ]
        if strict:
            wrong += [f"{name}: missing" for name in own if name not in state]
            wrong += [f"{name}: unknown" for name in state if name not in own]
        if wrong:
            raise ValueError(f"the state does not fit {self}:\n  " + "\n  ".join(wrong))
        fitting = {name: as_array(value) for name, value in state.items() if name in own}
        for name, value in fitting.items():
            if value.dtype.kind not in "fiu":
                raise TypeError(f"{name} must be an array of numbers, got dtype {value.dtype}")
        for name, value in fitting.items():
            own[name][...] = value

    # ------------------------------------------------------------------ modes and copies

    def train(self, mode: bool = True) -> Self:
        """Switch training mode on (or off) here and in all layers inside."""
        for layer in self.modules():
            layer.training = mode
            if not mode:
                layer.cache = None
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode: dropout passes everything, nothing is cached."""
        return self.train(False)

    def to(self, place: str) -> Self:
        """Move the layer and all inside to "cuda" or back to "cpu"; optimizers go with the parameters they hold.

        On the GPU inputs may be NumPy arrays, which are copied there, or anything with ``__cuda_array_interface__``, which is
        taken as it lies; results are arrays of the GPU and offer the same. RuntimeError if there is no GPU, with one line
        about what is missing.
        """
        from .device import move

        move(self, place)
        return self

    def forget(self) -> None:
        self._input = ((), None)

    def astype(self, dtype: DTypeLike) -> Self:
        """A copy of the layer, and of all inside, with parameters of another dtype. The original is left alone."""
        chosen = float_dtype(dtype)
        converted = copy.deepcopy(self)
        for layer in converted.modules():
            if layer.dtype is not None:
                layer.dtype = chosen
            for attribute in layer.weights:
                for name in (attribute, "d" + attribute):
                    if layer.__dict__[name] is not None:
                        layer.__dict__[name] = layer.__dict__[name].astype(chosen)
        gather(converted.modules())
        return converted

    def __getstate__(self) -> dict[str, Any]:
        """For copy and pickle: everything but the caches and buffers of a step in progress."""
        return {**super().__getstate__(), "cache": None, "_input": ((), None)}

    # ------------------------------------------------------------------ looks

    def describe(self) -> str:
        """What stands between the brackets of the repr."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"


def integer(value: Any, what: str, least: int | None = 1) -> int:
    """``value`` as an integer, of at least ``least``; ValueError that begins with ``what`` if it is none."""
    counts = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not counts or (least is not None and value < least):
        raise ValueError(f"{what} must be an integer{'' if least is None else f' of at least {least}'}, got {value!r}")
    return int(value)


def probability(p: Any, what: str) -> float:
    """``p`` as a float between 0 and 1; ValueError that begins with ``what`` if it is none."""
    if not isinstance(p, (int, float, np.integer, np.floating)) or not 0 <= p <= 1:
        raise ValueError(f"{what} must lie between 0 and 1, got {p!r}")
    return float(p)


def pair(value: int | Sequence[int], what: str, least: int = 0) -> tuple[int, int]:
    """``value`` as two integers, each at least ``least``: 3 is (3, 3)."""
    both = tuple(value) if isinstance(value, (Sequence, np.ndarray)) else (value, value)
    try:
        first, second = both
        return integer(first, what, least), integer(second, what, least)
    except ValueError:
        raise ValueError(f"{what} must be an integer of at least {least}, or two of them, got {value!r}") from None
