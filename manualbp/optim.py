"""SGD, Adam, AdamW, RMSprop, Adagrad: from gradients to a step

With θ a parameter, g = ∂L/∂θ its gradient, η the learning rate, λ the weight decay and t the number of the step:

SGD        g ← g + λθ;  v ← μv + (1 − τ) g  (v = g in the first step);  θ ← θ − η v
           Nesterov: θ ← θ − η (g + μv)                                          Sutskever et al. (2013)
Adam       g ← g + λθ;  m ← β₁m + (1 − β₁) g;  v ← β₂v + (1 − β₂) g²;
           θ ← θ − η m̂ / (√v̂ + ε),  m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)           Kingma and Ba (2015), algorithm 1
AdamW      θ ← θ − ηλθ instead of g ← g + λθ, then as Adam                       Loshchilov and Hutter (2019)
RMSprop    g ← g + λθ;  s ← αs + (1 − α) g²;  v ← μv + g / (√s + ε);  θ ← θ − η v
           centered: √(s − ḡ²) with ḡ ← αḡ + (1 − α) g                           Hinton (2012), lecture 6; Graves (2013)
Adagrad    g ← g + λθ;  s ← s + g²;  θ ← θ − η/(1 + (t − 1) κ) · g / (√s + ε)    Duchi et al. (2011)

All start with m = v = s = 0. Arguments, defaults and the order of operations are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from inspect import getattr_static
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np

from manualbp_kernels.cuda import DeviceArray
from manualbp_kernels.elementwise import fill
from manualbp_kernels.update import adagrad, adam, rmsprop, sgd

from .layer import Layer
from .parameter import Parameter, runs
from .types import FLOATS, Array, beside

ARRAYS = np.ndarray, DeviceArray

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]


class Hyper:
    """A number that may change between steps: ``opt.lr = 0.01``. It lives in the optimizer's array ``hyper``."""

    def __init__(self, least: float = 0.0, below: float = np.inf) -> None:
        self.least, self.below = least, below

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        names: tuple[str, ...] = getattr(owner, "names", ())
        self.index = len(names)
        owner.names = (*names, name)  # type: ignore[attr-defined]

    def __get__(self, optimizer: Optimizer, owner: type) -> float:
        return float(optimizer.hyper[self.index])

    def __set__(self, optimizer: Optimizer, value: float) -> None:
        self.check(optimizer, value)
        optimizer.hyper[self.index] = value

    def check(self, optimizer: Optimizer, value: Any) -> None:
        """TypeError or ValueError for a value that makes no sense."""
        if not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{type(optimizer).__name__}: {self.name} must be a number, got {value!r}")
        if not self.least <= value < self.below:
            limit = f" and below {self.below:g}" if np.isfinite(self.below) else ""
            raise ValueError(f"{type(optimizer).__name__}: {self.name} must be at least {self.least:g}{limit}, got {value}")


class Optimizer:
    """The base of all optimizers: updates the arrays of ``parameters`` in place, those side by side in one pass.

    Args:
        parameters: what ``net.parameters()`` gives.

    ``memory`` names the arrays of the parameters' size that an optimizer keeps between steps.
    """

    names: ClassVar[tuple[str, ...]] = ()
    memory: ClassVar[tuple[str, ...]] = ()

    def __init__(self, parameters: Iterable[Parameter], **hyper: float) -> None:
        if isinstance(parameters, Layer) or not isinstance(parameters, Iterable):
            raise TypeError(f"{type(self).__name__} expects what net.parameters() gives, got a {type(parameters).__name__}")
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__} got no parameters")
        if not all(isinstance(p, Parameter) for p in self.parameters):
            raise TypeError(
                f"{type(self).__name__} expects what net.parameters() gives, got {type(self.parameters[0]).__name__}"
            )
        if len({id(p.value) for p in self.parameters}) < len(self.parameters):
            raise ValueError(f"{type(self).__name__} got a parameter twice")
        for parameter in self.parameters:
            _check(parameter, type(self).__name__)
        self.hyper = beside(self.parameters[0].value, (len(self.names),), np.float64)
        for name in self.names:
            setattr(self, name, hyper[name])
        self._bind()

    def _bind(self) -> None:
        """Lay out memory along the parameters: one (parameters, values, gradients, memories, step count) per run."""
        self._runs = [
            (
                group,
                values,
                gradients,
                [beside(values, values.shape, values.dtype, self.initial(name)) for name in self.memory],
                beside(values, (1,), np.int64),
            )
            for group, values, gradients in runs(self.parameters)
        ]
        _alive.add(self)

    def initial(self, name: str) -> float:
        """What a memory starts from."""
        return 0.0

    def step(self) -> None:
        """θ ← θ − …, once, from the gradients as they are."""
        for _, values, gradients, memories, step in self._runs:
            self.update(values, gradients, memories, step)

    def update(self, p: Array, g: Array, memories: list[Array], step: Array) -> None:
        """One step for one run of parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to zero."""
        for _, _, gradients, _, _ in self._runs:
            fill(gradients, 0.0)

    def state_dict(self) -> dict[str, Array]:
        """A copy of all that changes from step to step, in arrays: hyper-parameters, step counts, memories by parameter."""
        return {name: np.array(array) for name, array in self._state()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on from a saved state; ValueError listing what does not fit, with nothing changed."""
        if not isinstance(state, Mapping):
            raise TypeError(f"{self} expects a dictionary of arrays, as state_dict() gives, got a {type(state).__name__}")
        own = self.state_dict()
        wrong = [f"{name}: missing" for name in own if name not in state]
        wrong += [f"{name}: unknown" for name in state if name not in own]
        wrong += [
            f"{name}: expected shape {own[name].shape}, got {np.shape(value)}"
            for name, value in state.items()
            if name in own and np.shape(value) != own[name].shape
        ]
        if wrong:
            raise ValueError(f"the state does not fit {self}:\n  " + "\n  ".join(wrong))
        fitting = {name: np.asarray(state[name], array.dtype) for name, array in own.items()}
        for name, value in zip(self.names, fitting["hyper"], strict=True):
            getattr_static(self, name).check(self, value)
        for name, array in self._state():
            array[...] = fitting[name]

    def _state(self) -> Iterator[tuple[str, Array]]:
        """What changes from step to step, by name and not copied. Parameters of one name are told apart by their number."""
        yield "hyper", self.hyper
        names = [p.name for p in self.parameters]
        labels = (name if names.count(name) == 1 else f"{name}#{i}" for i, name in enumerate(names))
        for group, _, _, memories, step in self._runs:
            end = 0
            for parameter, label in zip(group, labels, strict=False):
                begin, end = end, end + parameter.value.size
                yield f"{label}.step", step
                for name, memory in zip(self.memory, memories, strict=True):
                    yield f"{label}.{name}", memory[begin:end].reshape(parameter.value.shape)

    def __getstate__(self) -> dict[str, Any]:
        own = {key: value for key, value in self.__dict__.items() if key != "_runs"}
        return {**own, "_saved": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.pop("_saved")
        self.__dict__.update(state)
        self._bind()
        self.load_state_dict(saved)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name):g}' for name in self.names)})"


_alive: WeakSet[Optimizer] = WeakSet()


def follow_parameters(moved: Mapping[int, tuple[Array, Array]]) -> None:
    """Let every optimizer go on with the new arrays where it holds old ones: ``moved`` has both, by the old one's id."""
    for optimizer in list(_alive):
        if any(id(p.value) in moved for p in optimizer.parameters):
            state = optimizer.state_dict()
            optimizer.parameters = [
                Parameter(p.name, moved.get(id(p.value), (None, p.value))[1], moved.get(id(p.grad), (None, p.grad))[1])
                for p in optimizer.parameters
            ]
            optimizer.hyper = beside(optimizer.parameters[0].value, optimizer.hyper.shape, np.float64)
            optimizer._bind()
            optimizer.load_state_dict(state)


def _check(parameter: Parameter, optimizer: str) -> None:
    """An update writes in place and checks no bounds: value and gradient must be two of a kind, and writable."""
    name, value, grad = parameter
    if not all(isinstance(a, ARRAYS) and a.dtype in FLOATS and a.flags.carray for a in (value, grad)):
        raise TypeError(f"{optimizer}: {name} must be contiguous, writable arrays of float32 or float64")
    if value.shape != grad.shape or value.dtype != grad.dtype:
        wanted, got = f"{value.dtype} {value.shape}", f"{grad.dtype} {grad.shape}"
        raise ValueError(f"{optimizer}: the gradient of {name} must be as its value, {wanted}, got {got}")


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for.

    Args:
        parameters: ``net.parameters()``.
        lr: η. momentum: μ. dampening: τ. weight_decay: λ. nesterov: look ahead (needs momentum, no dampening).
    """

    lr, momentum, dampening, weight_decay = Hyper(), Hyper(), Hyper(-np.inf), Hyper()
    memory = ("momentum_buffer",)

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: nesterov needs a momentum and no dampening")
        self.nesterov = bool(nesterov)
        super().__init__(parameters, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay)

    def update(self, p: Array, g: Array, memories: list[Array], step: Array) -> None:
        sgd(p, memories[0], step, g, self.hyper, self.nesterov)


class Adam(Optimizer):
    """Adam: steps of the size η, whatever the size of the gradients.

    Args:
        parameters: ``net.parameters()``.
        lr: η. betas: β₁ and β₂. eps: ε. weight_decay: λ, added to the gradient.
    """

    lr, beta1, beta2, eps, weight_decay = Hyper(), Hyper(0, 1), Hyper(0, 1), Hyper(), Hyper()
    memory = ("exp_avg", "exp_avg_sq")
    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay)

    def update(self, p: Array, g: Array, memories: list[Array], step: Array) -> None:
        adam(p, *memories, step, g, self.hyper, self.decoupled)


class AdamW(Adam):
    """Adam with the weight decay outside the gradient: θ ← θ − ηλθ. Arguments as Adam, but λ = 0.01."""

    decoupled = True

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)


class RMSprop(Optimizer):
    """RMSprop: the gradient over its recent root mean square.

    Args:
        parameters: ``net.parameters()``.
        lr: η. alpha: α. eps: ε. weight_decay: λ. momentum: μ. centered: subtract the mean gradient's square.
    """

    lr, alpha, eps, weight_decay, momentum = Hyper(), Hyper(), Hyper(), Hyper(), Hyper()
    memory = ("square_avg", "grad_avg", "momentum_buffer")

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        self.centered = bool(centered)
        super().__init__(parameters, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)

    def update(self, p: Array, g: Array, memories: list[Array], step: Array) -> None:
        rmsprop(p, *memories, g, self.hyper, self.centered)


class Adagrad(Optimizer):
    """Adagrad: the gradient over the root of the sum of all its squares so far.

    Args:
        parameters: ``net.parameters()``.
        lr: η. lr_decay: κ. weight_decay: λ. initial_accumulator_value: what s starts from. eps: ε.
    """

    lr, lr_decay, weight_decay, eps = Hyper(), Hyper(), Hyper(), Hyper()
    memory = ("sum",)

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        if not initial_accumulator_value >= 0:
            raise ValueError(f"Adagrad: initial_accumulator_value must not be negative, got {initial_accumulator_value}")
        self.initial_accumulator_value = float(initial_accumulator_value)
        super().__init__(parameters, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)

    def initial(self, name: str) -> float:
        return self.initial_accumulator_value

    def update(self, p: Array, g: Array, memories: list[Array], step: Array) -> None:
        adagrad(p, memories[0], step, g, self.hyper)
