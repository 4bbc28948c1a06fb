"""How each loss makes its numbers: the terms ℓ, their sum L, and ∂L/∂y. Equations as in the loss's own file."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from ..types import Array
from .expression import Expression, absolute, constant, exp, log, sign, square, total
from .table import Index, Table, given, make


class LossExplainer:
    """What stands beside a loss while it runs. This base shows its arrays without their terms."""

    formulas: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = (), ()

    def __init__(self, loss: Any) -> None:
        self.loss = loss

    def forward(self, y: Table, t: Table, value: float) -> list[Table]:
        """Tables up to L, which is the last one."""
        return [given("L", "loss.L", np.array(value))]

    def backward(self, dy: Array) -> Table:
        return given("dy", "loss.dy", dy)


class TermByTerm(LossExplainer):
    """One ℓ for each element; L is their sum or mean."""

    def term(self, y: Expression, t: Expression) -> Expression:
        raise NotImplementedError

    def slope(self, y: Expression, t: Expression) -> Expression:
        """dℓ/dy."""
        raise NotImplementedError

    def forward(self, y: Table, t: Table, value: float) -> list[Table]:
        self.y, self.t = y, t
        self.count = {"mean": float(y.values.size), "batchmean": float(y.shape[0])}.get(self.loss.reduction, 1.0)
        l = make("ℓ", "loss.ℓ", y.shape, lambda i: self.term(y[i], t[i]))
        return [l, make("L", "loss.L", np.array(value), lambda _: self.reduced(total(l[i] for i in l.indices())))]

    def backward(self, dy: Array) -> Table:
        return make("dy", "loss.dy", dy, lambda i: self.reduced(self.slope(self.y[i], self.t[i])))

    def reduced(self, e: Expression) -> Expression:
        return e / self.count if self.count != 1 else e


class MSEExplainer(TermByTerm):
    formulas = ("ℓ = (y − t)²", "L = Σ ℓ / n"), ("dy = 2 · (y − t) / n",)

    def term(self, y: Expression, t: Expression) -> Expression:
        return square(y - t)

    def slope(self, y: Expression, t: Expression) -> Expression:
        return 2.0 * (y - t)


class L1Explainer(TermByTerm):
    formulas = ("ℓ = |y − t|", "L = Σ ℓ / n"), ("dy = sign(y − t) / n",)

    def term(self, y: Expression, t: Expression) -> Expression:
        return absolute(y - t)

    def slope(self, y: Expression, t: Expression) -> Expression:
        return sign(y - t)


class HuberExplainer(TermByTerm):
    """Both Huber losses: SmoothL1 is Huber over β, with δ = β."""

    formulas = (
        ("ℓ = d² / 2 where |d| < δ, else δ · (|d| − δ / 2)", "with d = y − t", "L = Σ ℓ / n"),
        ("dy = d / n where |d| < δ, else δ · sign(d) / n",),
    )

    @property
    def delta(self) -> float:
        return float(self.loss.delta)

    def term(self, y: Expression, t: Expression) -> Expression:
        inside = abs(y.value - t.value) < self.delta
        return square(y - t) / 2 if inside else self.delta * (absolute(y - t) - self.delta / 2)

    def slope(self, y: Expression, t: Expression) -> Expression:
        return y - t if abs(y.value - t.value) < self.delta else self.delta * sign(y - t)


class SmoothL1Explainer(HuberExplainer):
    formulas = (
        ("ℓ = d² / (2 · β) where |d| < β, else |d| − β / 2", "with d = y − t", "L = Σ ℓ / n"),
        ("dy = d / β / n where |d| < β, else sign(d) / n",),
    )

    @property
    def delta(self) -> float:
        return float(self.loss.beta)

    def term(self, y: Expression, t: Expression) -> Expression:
        return super().term(y, t) / self.delta if self.delta else absolute(y - t)

    def slope(self, y: Expression, t: Expression) -> Expression:
        return super().slope(y, t) / self.delta if self.delta else sign(y - t)


class KLDivExplainer(TermByTerm):
    formulas = (
        ("ℓ = t · (log(t) − y)", "with log_target: ℓ = exp(t) · (t − y)", "L = Σ ℓ / n"),
        ("dy = −t / n", "with log_target: dy = −exp(t) / n"),
    )

    def term(self, y: Expression, t: Expression) -> Expression:
        if self.loss.log_target:
            return exp(t) * (t - y)
        return t * (log(t) - y) if t.value else constant(0.0)

    def slope(self, y: Expression, t: Expression) -> Expression:
        return -exp(t) if self.loss.log_target else -t


class BCEExplainer(TermByTerm):
    formulas = ("ℓ = −t · log(y) − (1 − t) · log(1 − y)", "L = Σ ℓ / n"), ("dy = (y − t) / (y · (1 − y)) / n",)

    def term(self, y: Expression, t: Expression) -> Expression:
        if not 0 < y.value < 1:
            return constant(min(100.0, 100.0 * abs(y.value - t.value)))  # the loss cuts each logarithm at −100
        return -(t * log(y)) - (1 - t) * log(1 - y)

    def slope(self, y: Expression, t: Expression) -> Expression:
        area = y * (1 - y)
        return (y - t) / (area if area.value > 1e-12 else constant(1e-12))


class BCEWithLogitsExplainer(TermByTerm):
    formulas = (
        ("ℓ = (1 − t) · y + (1 + (w − 1) · t) · log(1 + exp(−y))", "L = Σ ℓ / n"),
        ("dy = ((1 − t) − (1 + (w − 1) · t) · σ(−y)) / n",),
    )

    def forward(self, y: Table, t: Table, value: float) -> list[Table]:
        weights = np.broadcast_to(self.loss.pos_weight, y.shape)
        self.weights = {y[i].origin: float(weights[i]) for i in y.indices()}
        return super().forward(y, t, value)

    def scale(self, y: Expression, t: Expression) -> Expression:
        weight = self.weights[y.origin]
        return constant(1.0) if weight == 1 else constant(1.0) + (constant(weight) - 1) * t

    def term(self, y: Expression, t: Expression) -> Expression:
        return (1 - t) * y + self.scale(y, t) * log(constant(1.0) + exp(-y))

    def slope(self, y: Expression, t: Expression) -> Expression:
        return (1 - t) - self.scale(y, t) * (constant(1.0) / (constant(1.0) + exp(y)))


class NLLExplainer(LossExplainer):
    """q, the weights that the target puts on the classes, are the loss's own."""

    formulas: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = (
        ("ℓ = −Σ_k q[k] · y[k]", "L = Σ ℓ / n"),
        ("dy[k] = −q[k] / n",),
    )

    def forward(self, y: Table, t: Table, value: float) -> list[Table]:
        *before, q, _ = self.loss.cache
        self.norm, self.y = float(self.loss.norm()[0]), y
        self.q = given("q", "loss.q", q.reshape(y.shape))
        first = self.log_probabilities(*before)
        columns = (y.shape[0], *y.shape[2:])
        l = make("ℓ", "loss.ℓ", columns, self.term)
        total_ = make("L", "loss.L", np.array(value), lambda _: total(l[i] for i in l.indices()) / self.norm)
        return [*first, self.q, l, total_]

    def log_probabilities(self) -> list[Table]:
        self.logp = self.y
        return []

    def column(self, i: Index) -> list[Index]:
        """The places of all classes in column ``i``, the index of its ℓ."""
        return [(i[0], k, *i[1:]) for k in range(self.y.shape[1])]

    def term(self, i: Index) -> Expression:
        return -total(self.q[k] * self.logp[k] for k in self.column(i) if self.q.values[k])

    def backward(self, dy: Array) -> Table:
        return make("dy", "loss.dy", dy, lambda i: -self.q[i] / self.norm)


class CrossEntropyExplainer(NLLExplainer):
    formulas = (
        ("logp[k] = y[k] − log(Σ_j exp(y[j]))", "ℓ = −Σ_k q[k] · logp[k]", "L = Σ ℓ / n"),
        ("dy[k] = (exp(logp[k]) · Σ_j q[j] − q[k]) / n",),
    )

    def log_probabilities(self, logp: Array) -> list[Table]:  # type: ignore[override]
        y = self.y
        self.logp = make("logp", "loss.logp", logp.reshape(y.shape), lambda i: y[i] - log(self._sum(i)))
        return [self.logp]

    def _sum(self, i: Index) -> Expression:
        return total(exp(self.y[k]) for k in self.column((i[0], *i[2:])))

    def backward(self, dy: Array) -> Table:
        return make("dy", "loss.dy", dy, self.slope)

    def slope(self, i: Index) -> Expression:
        weight = total(self.q[k] for k in self.column((i[0], *i[2:])) if self.q.values[k])
        return (exp(self.logp[i]) * weight - self.q[i]) / self.norm


EXPLAINERS: dict[type[Loss], type[LossExplainer]] = {
    MSELoss: MSEExplainer, L1Loss: L1Explainer, BCELoss: BCEExplainer, BCEWithLogitsLoss: BCEWithLogitsExplainer,
    HuberLoss: HuberExplainer, SmoothL1Loss: SmoothL1Explainer, KLDivLoss: KLDivExplainer,
    NLLLoss: NLLExplainer, CrossEntropyLoss: CrossEntropyExplainer,
}  # fmt: skip
