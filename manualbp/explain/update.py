"""How an optimizer makes its numbers: for each parameter θ the tables from its gradient g to its new value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from ..types import Array
from .expression import Expression, constant, sqrt, square
from .table import Index, Table, given, make

Memories = dict[str, Array]
Rule = Callable[[Any, Table, Table, Memories, Array], list[Table]]


def plain(lr: float, theta: Table, g: Table, new: Array) -> Table:
    """θ ← θ − η dθ."""
    return make(theta.symbol + "′", f"update.{theta.origin}", new, lambda i: theta[i] - constant(lr) * g[i])


def _sgd(opt: SGD, theta: Table, g: Table, memories: Memories, new: Array) -> list[Table]:
    own = f"update.{theta.origin}"
    if not opt.momentum and not opt.weight_decay:
        return [plain(opt.lr, theta, g, new)]
    step = _decayed(opt.weight_decay, theta, g)
    if not opt.momentum:
        return [make(theta.symbol + "′", own, new, lambda i: theta[i] - opt.lr * step(i))]
    old = given("v", f"{own}.v", memories["momentum_buffer"])
    first = not memories["step"][0]

    def velocity(i: Index) -> Expression:
        return step(i) if first else opt.momentum * old[i] + (1 - opt.dampening) * step(i)

    v = make("v′", f"{own}.v′", theta.shape, velocity)
    if opt.nesterov:
        after = make(theta.symbol + "′", own, new, lambda i: theta[i] - opt.lr * (step(i) + opt.momentum * v[i]))
    else:
        after = make(theta.symbol + "′", own, new, lambda i: theta[i] - opt.lr * v[i])
    return [v, after] if first else [old, v, after]


def _decayed(decay: float, theta: Table, g: Table) -> Callable[[Index], Expression]:
    """g + λθ."""
    return lambda i: g[i] + decay * theta[i] if decay else g[i]


def _adam(opt: Adam, theta: Table, g: Table, memories: Memories, new: Array) -> list[Table]:
    own = f"update.{theta.origin}"
    t = int(memories["step"][0]) + 1
    step = _decayed(0.0 if opt.decoupled else opt.weight_decay, theta, g)
    m0, v0 = given("m", f"{own}.m", memories["exp_avg"]), given("v", f"{own}.v", memories["exp_avg_sq"])
    m = make("m′", f"{own}.m′", theta.shape, lambda i: opt.beta1 * m0[i] + (constant(1.0) - opt.beta1) * step(i))
    v = make("v′", f"{own}.v′", theta.shape, lambda i: opt.beta2 * v0[i] + (constant(1.0) - opt.beta2) * square(step(i)))

    def moved(i: Index) -> Expression:
        kept = theta[i] * (1 - constant(opt.lr) * opt.weight_decay) if opt.decoupled and opt.weight_decay else theta[i]
        rate = opt.lr * (m[i] / (1 - opt.beta1**t))
        return kept - rate / (sqrt(v[i] / (1 - opt.beta2**t)) + opt.eps)

    return [m0, v0, m, v, make(theta.symbol + "′", own, new, moved)]


def _rmsprop(opt: RMSprop, theta: Table, g: Table, memories: Memories, new: Array) -> list[Table]:
    own, step = f"update.{theta.origin}", _decayed(opt.weight_decay, theta, g)
    s0 = given("s", f"{own}.s", memories["square_avg"])
    s = make("s′", f"{own}.s′", theta.shape, lambda i: opt.alpha * s0[i] + (constant(1.0) - opt.alpha) * square(step(i)))
    made, spread = [s0, s], s.__getitem__
    if opt.centered:
        m0 = given("m", f"{own}.m", memories["grad_avg"])
        m = make("m′", f"{own}.m′", theta.shape, lambda i: opt.alpha * m0[i] + (constant(1.0) - opt.alpha) * step(i))
        made, spread = [*made, m0, m], lambda i: s[i] - square(m[i])

    def scaled(i: Index) -> Expression:
        return step(i) / (sqrt(spread(i)) + opt.eps)

    if opt.momentum:
        v0 = given("v", f"{own}.v", memories["momentum_buffer"])
        v = make("v′", f"{own}.v′", theta.shape, lambda i: opt.momentum * v0[i] + scaled(i))
        return [*made, v0, v, make(theta.symbol + "′", own, new, lambda i: theta[i] - opt.lr * v[i])]
    return [*made, make(theta.symbol + "′", own, new, lambda i: theta[i] - opt.lr * scaled(i))]


def _adagrad(opt: Adagrad, theta: Table, g: Table, memories: Memories, new: Array) -> list[Table]:
    own, step = f"update.{theta.origin}", _decayed(opt.weight_decay, theta, g)
    rate = opt.lr / (1 + int(memories["step"][0]) * opt.lr_decay)
    s0 = given("s", f"{own}.s", memories["sum"])
    s = make("s′", f"{own}.s′", theta.shape, lambda i: s0[i] + square(step(i)))
    return [s0, s, make(theta.symbol + "′", own, new, lambda i: theta[i] - rate * step(i) / (sqrt(s[i]) + opt.eps))]


RULES: dict[type[Optimizer], Rule] = {SGD: _sgd, Adam: _adam, AdamW: _adam, RMSprop: _rmsprop, Adagrad: _adagrad}

FORMULAS: dict[type[Optimizer], tuple[str, ...]] = {
    SGD: ("θ′ = θ − η · dθ", "with momentum: v′ = μ · v + (1 − τ) · g, θ′ = θ − η · v′"),
    Adam: (
        "m′ = β₁ · m + (1 − β₁) · g", "v′ = β₂ · v + (1 − β₂) · g²",
        "θ′ = θ − η · (m′ / (1 − β₁ᵗ)) / (√(v′ / (1 − β₂ᵗ)) + ε)",
    ),
    RMSprop: ("s′ = α · s + (1 − α) · g²", "v′ = μ · v + g / (√s′ + ε)", "θ′ = θ − η · v′"),
    Adagrad: ("s′ = s + g²", "θ′ = θ − η / (1 + (t − 1) · κ) · g / (√s′ + ε)"),
}  # fmt: skip
FORMULAS[AdamW] = (*FORMULAS[Adam], "and θ · (1 − η · λ) in place of θ")


def explain_update(optimizer: Optimizer, theta: Table, g: Table, memories: Memories, new: Array) -> list[Table]:
    """The tables of one parameter's update; its new values alone for an optimizer whose rule is not written here."""
    rule = RULES.get(type(optimizer))
    if rule is None:
        return [given(theta.symbol + "′", f"update.{theta.origin}", np.array(new))]
    return rule(optimizer, theta, g, memories, new)
