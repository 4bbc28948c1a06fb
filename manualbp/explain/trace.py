"""explain: run one training step on float64 copies of the real layers and keep what every stage made.

The layers' own ``forward`` and ``backward`` compute the numbers; the explainers beside them write down, for each number,
the formula that it comes from.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..layer import Layer
from ..losses import Loss
from ..optim import Optimizer
from ..parameter import Parameter
from ..types import Array, as_array
from . import layers, losses
from .layers import Explainer
from .losses import LossExplainer
from .recurrent import RECURRENT
from .table import Table, given
from .update import FORMULAS, explain_update, plain

if TYPE_CHECKING:
    from ..sequential import Sequential

MOST_NUMBERS = 600  # in one array
MOST_TERMS = 30_000  # leaves of all expressions of a stage


@dataclass(frozen=True)
class Stage:
    """One station of the step: what was read here that nothing computed (inputs, parameters), and what was made.

    Attributes:
        phase: "forward", "loss", "backward" or "update".
        name: of the layer, "0"; "" for loss and update.
        title: the layer as it calls itself.
        formulas: in indices.
    """

    phase: str
    name: str
    title: str
    formulas: tuple[str, ...]
    given: tuple[Table, ...]
    made: tuple[Table, ...]


@dataclass(frozen=True)
class Explanation:
    """One training step, stage by stage; ``print`` it, show it in a notebook, or write it with ``to_…`` or ``save``."""

    stages: tuple[Stage, ...]
    loss: float

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self) -> str:
        """Every formula, with its symbols, with its numbers, and its result, for a terminal."""
        from .text import text

        return text(self)

    def to_html(self) -> str:
        """A page that needs nothing but itself: step with the arrow keys, point at a number to see its terms."""
        from .html import page

        return page(self)

    def to_latex(self) -> str:
        """A document for LaTeX (amsmath)."""
        from .latex import document

        return document(self)

    def to_dict(self) -> dict[str, Any]:
        """The same as nested dictionaries, for json.dumps; numbers in full precision. See ``data.py`` for the form."""
        from .data import data

        return data(self)

    def to_json(self) -> str:
        import json

        return json.dumps(self.to_dict(), ensure_ascii=False)

    def save(self, path: str | Path) -> None:
        """Write to a file in the form that its ending names: .html, .tex, .json or .txt."""
        path = Path(path)
        writers = {".html": self.to_html, ".tex": self.to_latex, ".json": self.to_json, ".txt": self.to_text}
        if path.suffix not in writers:
            raise ValueError(f"an explanation is saved as {', '.join(writers)}, got {path.name!r}")
        path.write_text(writers[path.suffix]() + "\n", encoding="utf-8")

    def _repr_html_(self) -> str:
        from .html import frame

        return frame(self)


def explain(net: Sequential, x: Array, t: Array, loss: Loss, optimizer: Optimizer | float = 0.1) -> Explanation:
    """One training step on (x, t), number by number. Network, loss and optimizer are copied and left as they are.

    Args:
        net: a small network; of layers without an explainer (``explain/layers.py``) only the arrays are shown.
        x, t: a batch as ``fit`` takes it, best of one sample.
        loss: with reduction "mean" or "sum".
        optimizer: one that holds the network's parameters, with what it remembers of earlier steps; or a learning rate η
            for θ ← θ − η dθ.

    Everything is computed in float64. Raises ValueError for a network too large to be read.
    """
    if not isinstance(loss, Loss):
        raise TypeError(f"explain expects a loss, such as MSELoss(), got {loss!r}")
    if loss.reduction == "none":
        raise ValueError("explain needs a loss that is one number: reduction 'mean' or 'sum', got 'none'")
    if not any(True for _ in _leaves(net, "")):
        raise ValueError("explain got a network without layers")
    for parameter in net.parameters():
        _check_size(parameter.name, parameter.value)
    step = _Step(net, loss, optimizer)
    stages = [*step.forward(_float64(x)), *step.lossy(_float64(t)), *step.backward(), step.update()]
    return Explanation(tuple(stages), step.value)


class _Step:
    """The copies, and the explainers beside them."""

    def __init__(self, net: Sequential, loss: Loss, optimizer: Optimizer | float) -> None:
        self.net: Sequential = net.astype(np.float64).train()
        self.net.zero_grad()
        self.loss, self.optimizer = copy.deepcopy(loss), optimizer
        if isinstance(optimizer, Optimizer):
            self.optimizer = _moved(optimizer, net, self.net)
        elif not isinstance(optimizer, (int, float, np.integer, np.floating)) or isinstance(optimizer, bool):
            raise TypeError(f"explain expects an optimizer or a learning rate, got {optimizer!r}")
        self.explainers = [_explainer(layer, name) for name, layer in _leaves(self.net, "")]

    def forward(self, values: Array) -> Iterator[Stage]:
        self.y = given("x", "x", values)
        for beside in self.explainers:
            x = self.y.called("x")
            y = beside.layer.forward(np.array(x.values) if x.origin != "x" else values)
            _check_size(f"layer {beside.name}'s output", y)
            made = beside.forward(x, y)
            self.y = made[-1]
            yield _stage("forward", beside, (x, *beside.parameters.values()), made)

    def lossy(self, target: Array) -> Iterator[Stage]:
        beside: LossExplainer = losses.EXPLAINERS.get(type(self.loss), LossExplainer)(self.loss)
        y, t = self.y.called("y"), given("t", "t", target)
        self.value = float(self.loss(y.values, target))
        made = beside.forward(y, t, self.value)
        yield _checked(Stage("loss", "", repr(self.loss), beside.formulas[0], (y, t), tuple(made)))
        self.dy = beside.backward(self.loss.backward())
        yield _checked(Stage("backward", "", repr(self.loss), beside.formulas[1], (y, t), (self.dy,)))

    def backward(self) -> Iterator[Stage]:
        for beside in reversed(self.explainers):
            dy = self.dy.called("dy")
            made = beside.backward(dy, beside.layer.backward(dy.values))
            self.dy = made[-1]
            yield _stage("backward", beside, (dy,), made)

    def update(self) -> Stage:
        made: list[Table] = []
        read: list[Table] = []
        for (value, grad, memories), (theta, g) in zip(self._updated(), self._tables(), strict=True):
            read += [theta, g]
            if isinstance(self.optimizer, Optimizer):
                made += explain_update(self.optimizer, theta, g, memories, value) if memories is not None else []
            else:
                made.append(plain(float(self.optimizer), theta, g, value - float(self.optimizer) * grad))
        title = repr(self.optimizer) if isinstance(self.optimizer, Optimizer) else f"gradient descent, η = {self.optimizer:g}"
        formulas = FORMULAS.get(type(self.optimizer), ("θ′ = θ − η · dθ",) if not isinstance(self.optimizer, Optimizer) else ())  # type: ignore[arg-type]
        return _checked(Stage("update", "", title, formulas, tuple(read), tuple(made)))

    def _tables(self) -> Iterator[tuple[Table, Table]]:
        """Each parameter and its gradient; where two layers call theirs W, told apart by their origin."""
        for beside in self.explainers:
            for key, theta in beside.parameters.items():
                yield theta, beside.gradients[key]

    def _updated(self) -> Iterator[tuple[Array, Array, dict[str, Array] | None]]:
        """Each parameter's new values, its gradient, and what the optimizer remembered of it before the step."""
        before: dict[str, Array] = {}
        held: dict[int, str] = {}
        if isinstance(self.optimizer, Optimizer):
            before = self.optimizer.state_dict()
            names = [p.name for p in self.optimizer.parameters]
            labels = [n if names.count(n) == 1 else f"{n}#{i}" for i, n in enumerate(names)]
            held = {id(p.value): label for p, label in zip(self.optimizer.parameters, labels, strict=True)}
            self.optimizer.step()
        for parameter in self.net.parameters():
            label = held.get(id(parameter.value))
            kept = None if label is None else {k[len(label) + 1 :]: v for k, v in before.items() if k.startswith(label + ".")}
            yield parameter.value, parameter.grad, kept


def _leaves(layer: Layer, name: str) -> Iterator[tuple[str, Layer]]:
    """The layers of a network by name, those of a Sequential inside it one by one."""
    if not hasattr(layer, "layers"):
        yield name, layer
        return
    for child_name, child in layer.named_children():
        yield from _leaves(child, f"{name}.{child_name}" if name else child_name)


def _explainer(layer: Layer, name: str) -> Explainer:
    kinds = {**layers.EXPLAINERS, **RECURRENT}
    kind = kinds.get(type(layer), Explainer)
    return (kind if kind.covers(layer) else Explainer)(layer, name)


def _stage(phase: str, beside: Explainer, read: tuple[Table, ...], made: list[Table]) -> Stage:
    formulas = beside.formulas[phase == "backward"] or ((type(beside.layer).__doc__ or "").strip().partition("\n")[0],)
    return _checked(Stage(phase, beside.name, repr(beside.layer), formulas, read, tuple(made)))


def _checked(stage: Stage) -> Stage:
    for table in (*stage.given, *stage.made):
        _check_size(f"{table.symbol} of {stage.title}", table.values)
        if not np.isfinite(table.values).all():
            raise ValueError(f"{table.symbol} of {stage.title} has a NaN or an infinity, which no terms explain")
    terms = sum(1 for table in stage.made for e in table.made.values() for _ in e.leaves())
    if terms > MOST_TERMS:
        raise ValueError(f"{stage.title} has {terms:,} terms, explain shows at most {MOST_TERMS:,}; {_ADVICE}")
    return stage


_ADVICE = "give it one sample, x[:1], or explain a smaller network of the same kind"


def _check_size(what: str, array: Array) -> None:
    if array.size > MOST_NUMBERS:
        raise ValueError(f"{what} has {array.size:,} numbers, explain shows at most {MOST_NUMBERS} in one array; {_ADVICE}")


def _float64(x: Any) -> Array:
    """Floats in float64, a copy; integers (classes) as they are."""
    array = as_array(x)
    wide = array.astype(np.float64) if array.dtype.kind == "f" or isinstance(x, (list, tuple, float)) else np.array(array)
    _check_size("the batch", wide)
    return wide


def _moved(optimizer: Optimizer, net: Sequential, copied: Sequential) -> Optimizer:
    """A copy of the optimizer, with all that it remembers, that holds the copy's parameters."""
    twin = {id(old.value): new for old, new in zip(net.parameters(), copied.parameters(), strict=True)}
    if any(id(p.value) not in twin for p in optimizer.parameters):
        raise ValueError(f"{optimizer} holds parameters that are not this network's: build it with net.parameters()")
    parameters = [Parameter(p.name, *twin[id(p.value)][1:]) for p in optimizer.parameters]
    moved: Optimizer = object.__new__(type(optimizer))
    moved.__setstate__({**optimizer.__getstate__(), "parameters": parameters, "hyper": optimizer.hyper.copy()})
    return moved
