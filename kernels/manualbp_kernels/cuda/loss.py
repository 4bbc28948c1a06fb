"""Classification losses on a GPU; the losses of single elements come from their formulas, see ``pointwise.py``.

Predictions are (outer, K, inner): a *column* is the K numbers of one place.
"""

from __future__ import annotations

import math

import numpy as np

from ..cpu.functions import exp
from ..cpu.like import like
from ..loss import class_targets, cross_entropy_backward, nll, nll_backward, note_loss, probability_targets, product_or_zero
from .device import cover, cuda, grid
from .reduce import block_sum, with_sum


@grid
def class_targets_grid(total, q, t, weight, share, rest, ignore):
    K, inner = q.shape[1], q.shape[2]
    norm = np.float64(0)
    for i in range(cuda.grid(1), q.size, cuda.gridsize(1)):
        a, k, b = i // (K * inner), i // inner % K, i % inner
        c = t[a, b]
        counts, is_class = c != ignore, 0 <= c < K
        value = weight[k] * (share + rest if k == c else rest)
        value = value if is_class else like(value, math.nan)
        q[a, k, b] = value if counts else like(value, 0)
        if k == 0 and counts:
            norm += weight[min(max(c, 0), K - 1)]
    norm = block_sum(norm)
    if cuda.threadIdx.x == 0:
        total[cuda.blockIdx.x] = norm


@class_targets.cuda
def class_targets_cuda(q, norm, t, weight, smoothing, ignore):
    share, rest = q.dtype.type(1 - smoothing), q.dtype.type(smoothing / q.shape[1])
    with_sum(class_targets_grid, norm, q.size, q, t, weight, share, rest, ignore)


@grid
def probability_targets_grid(q, t, weight, share, rest):
    K, inner = q.shape[1], q.shape[2]
    for i in range(cuda.grid(1), q.size, cuda.gridsize(1)):
        a, k, b = i // (K * inner), i // inner % K, i % inner
        q[a, k, b] = weight[k] * (share * t[a, k, b] + rest)


@probability_targets.cuda
def probability_targets_cuda(q, t, weight, smoothing):
    share, rest = q.dtype.type(1 - smoothing), q.dtype.type(smoothing / q.shape[1])
    probability_targets_grid[cover(q.size)](q, t, weight, share, rest)


@grid
def nll_grid(total, l, logp, q):
    K, inner = q.shape[1], q.shape[2]
    s = np.float64(0)
    for i in range(cuda.grid(1), l.size, cuda.gridsize(1)):
        a, b = i // inner, i % inner
        term = like(q[a, 0, b], 0)
        for k in range(K):
            term -= product_or_zero(q[a, k, b], logp[a, k, b])
        l[a, b] = term
        s += term
    s = block_sum(s)
    if cuda.threadIdx.x == 0:
        total[cuda.blockIdx.x] = s


@nll.cuda
def nll_cuda(l, s, logp, q):
    with_sum(nll_grid, s, l.size, l, logp, q)


@grid
def nll_backward_grid(dx, q, norm):
    for i in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        dx[i] = -q[i] / like(q[i], norm[0])


@nll_backward.cuda
def nll_backward_cuda(dx, q, norm):
    nll_backward_grid[cover(dx.size)](dx.reshape(-1), q.reshape(-1), norm)


@grid
def cross_entropy_backward_grid(dx, logp, q, norm):
    outer, K, inner = q.shape
    for i in range(cuda.grid(1), outer * inner, cuda.gridsize(1)):
        a, b = i // inner, i % inner
        mass = like(q[a, 0, b], 0)
        for k in range(K):
            mass += q[a, k, b]
        n = like(mass, norm[0])
        for k in range(K):
            dx[a, k, b] = (exp(logp[a, k, b]) * mass - q[a, k, b]) / n


@cross_entropy_backward.cuda
def cross_entropy_backward_cuda(dx, logp, q, norm):
    cross_entropy_backward_grid[cover(q.shape[0] * q.shape[2])](dx, logp, q, norm)


@grid
def note_loss_grid(losses, sums, step, position, alarm, s, norm, samples):
    value = s[0] / norm[0] if norm[0] != 0 else math.nan
    losses[step[0] % losses.size] = value
    sums[0] += samples * value
    step[0] += 1
    position[0] += samples
    if value != value:
        alarm[0] = 1.0


@note_loss.cuda
def note_loss_cuda(losses, sums, step, position, alarm, s, norm, samples):
    note_loss_grid[1, 1](losses, sums, step, position, alarm, s, norm, samples)
