"""Optimizer updates: one call, one pass over parameters, gradients and the optimizer's own memory.

``hyper`` (float64) holds what a user may change between steps, ``step`` (int64) counts the updates. Both are arrays,
so that the same call serves every step. Coefficients are formed in float64 and then rounded to the parameters' dtype.
"""

import math

import numpy as np

from .cpu.jit import jit, num_threads, prange
from .cpu.pointwise import PARALLEL_PASS
from .kernel import kernel


@kernel
def sgd(p, v, step, g, hyper, nesterov):
    """g += λp;  v = g at first, then μv + (1 − τ) g;  p −= η (g + μv if Nesterov, else v; without momentum g)"""
    lr, momentum, _, decay, keep = _cast(p, *hyper, 1 - hyper[2])
    step[0] += 1
    g = g + decay * p
    if momentum != 0:
        v[...] = g if step[0] == 1 else momentum * v + keep * g
        g = g + momentum * v if nesterov else v
    p -= lr * g


@kernel
def adam(p, m, v, step, g, hyper, decoupled):
    """g += λp, or (decoupled) p −= ηλp;  m += (1 − β₁)(g − m);  v = β₂v + (1 − β₂) g²;
    p −= η/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)"""
    step[0] += 1
    lr, beta1, beta2, eps, decay = hyper
    rate, root = lr / (1 - beta1 ** step[0]), math.sqrt(1 - beta2 ** step[0])
    rate, root, slow1, beta2, slow2, eps, shrink, decay = _cast(
        p, rate, root, 1 - beta1, beta2, 1 - beta2, eps, 1 - lr * decay, decay
    )
    if decoupled:
        p *= shrink
    else:
        g = g + decay * p
    m += slow1 * (g - m)
    v[...] = beta2 * v + slow2 * g * g
    p -= rate * (m / (np.sqrt(v) / root + eps))


@kernel
def rmsprop(p, s, mean, v, g, hyper, centered):
    """g += λp;  s = αs + (1 − α) g²;  (centered) ḡ += (1 − α)(g − ḡ), s − ḡ² under the root;
    v = μv + g / (√s + ε);  p −= ηv"""
    lr, alpha, eps, decay, momentum, keep = _cast(p, *hyper, 1 - hyper[1])
    g = g + decay * p
    s[...] = alpha * s + keep * g * g
    if centered:
        mean += keep * (g - mean)
        direction = g / (np.sqrt(s - mean * mean) + eps)
    else:
        direction = g / (np.sqrt(s) + eps)
    if momentum > 0:
        v[...] = momentum * v + direction
        direction = v
    p -= lr * direction


@kernel
def adagrad(p, s, step, g, hyper):
    """g += λp;  s += g²;  p −= η/(1 + (t − 1) κ) · g / (√s + ε)"""
    step[0] += 1
    lr, lr_decay, decay, eps = hyper
    rate, decay, eps = _cast(p, lr / (1 + (step[0] - 1) * lr_decay), decay, eps)
    g = g + decay * p
    s += g * g
    p -= rate * (g / (np.sqrt(s) + eps))


def _cast(p, *coefficients):
    return [p.dtype.type(c) for c in coefficients]


# The loops over parameters first ≤ i < last; SGD's and Adam's are shared between threads where there are many.


@jit
def sgd_part(p, v, g, lr, momentum, keep, decay, begins, nesterov, first, last):
    p, v, g = p[first:last], v[first:last], g[first:last]
    if momentum == 0:
        for i in range(p.size):
            p[i] -= lr * (g[i] + decay * p[i])
        return
    for i in range(p.size):
        d = g[i] + decay * p[i]
        v[i] = d if begins else momentum * v[i] + keep * d
        p[i] -= lr * (d + momentum * v[i] if nesterov else v[i])


@jit(parallel=True)
def sgd_shared(p, v, g, lr, momentum, keep, decay, begins, nesterov):
    threads = num_threads()
    for t in prange(threads):
        first, last = t * p.size // threads, (t + 1) * p.size // threads
        sgd_part(p, v, g, lr, momentum, keep, decay, begins, nesterov, first, last)


@sgd.cpu
def sgd_cpu(p, v, step, g, hyper, nesterov):
    cast = p.dtype.type
    lr, momentum, keep, decay = cast(hyper[0]), cast(hyper[1]), cast(1 - hyper[2]), cast(hyper[3])
    step[0] += 1
    if p.size < PARALLEL_PASS or num_threads() == 1:
        sgd_part(p, v, g, lr, momentum, keep, decay, step[0] == 1, nesterov, 0, p.size)
    else:
        sgd_shared(p, v, g, lr, momentum, keep, decay, step[0] == 1, nesterov)


@jit
def adam_part(p, m, v, g, rate, root, slow1, beta2, slow2, eps, shrink, decay, first, last):
    p, m, v, g = p[first:last], m[first:last], v[first:last], g[first:last]
    for i in range(p.size):
        p[i] *= shrink
        d = g[i] + decay * p[i]
        m[i] += slow1 * (d - m[i])
        v[i] = beta2 * v[i] + slow2 * d * d
        p[i] -= rate * (m[i] / (np.sqrt(v[i]) / root + eps))


@jit(parallel=True)
def adam_shared(p, m, v, g, rate, root, slow1, beta2, slow2, eps, shrink, decay):
    threads = num_threads()
    for t in prange(threads):
        first, last = t * p.size // threads, (t + 1) * p.size // threads
        adam_part(p, m, v, g, rate, root, slow1, beta2, slow2, eps, shrink, decay, first, last)


@adam.cpu
def adam_cpu(p, m, v, step, g, hyper, decoupled):
    cast = p.dtype.type
    step[0] += 1
    lr, eps, decay = hyper[0], cast(hyper[3]), cast(0 if decoupled else hyper[4])
    rate, root = cast(lr / (1 - hyper[1] ** step[0])), cast(math.sqrt(1 - hyper[2] ** step[0]))
    slow1, beta2, slow2 = cast(1 - hyper[1]), cast(hyper[2]), cast(1 - hyper[2])
    shrink = cast(1 - lr * hyper[4] if decoupled else 1)
    if p.size < PARALLEL_PASS or num_threads() == 1:
        adam_part(p, m, v, g, rate, root, slow1, beta2, slow2, eps, shrink, decay, 0, p.size)
    else:
        adam_shared(p, m, v, g, rate, root, slow1, beta2, slow2, eps, shrink, decay)


@rmsprop.cpu
def rmsprop_cpu(p, s, mean, v, g, hyper, centered):
    cast = p.dtype.type
    lr, alpha, eps, decay, momentum = (
        cast(hyper[0]), cast(hyper[1]), cast(hyper[2]), cast(hyper[3]), cast(hyper[4]),
    )  # fmt: skip
    keep = cast(1 - hyper[1])
    for i in range(p.size):
        d = g[i] + decay * p[i]
        s[i] = alpha * s[i] + keep * d * d
        variance = s[i]
        if centered:
            mean[i] += keep * (d - mean[i])
            variance -= mean[i] * mean[i]
        d /= np.sqrt(variance) + eps
        if momentum > 0:
            v[i] = momentum * v[i] + d
            d = v[i]
        p[i] -= lr * d


@adagrad.cpu
def adagrad_cpu(p, s, step, g, hyper):
    cast = p.dtype.type
    step[0] += 1
    rate = cast(hyper[0] / (1 + (step[0] - 1) * hyper[1]))
    decay, eps = cast(hyper[2]), cast(hyper[3])
    for i in range(p.size):
        d = g[i] + decay * p[i]
        s[i] += d * d
        p[i] -= rate * (d / (np.sqrt(s[i]) + eps))
