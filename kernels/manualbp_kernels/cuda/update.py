"""Optimizer updates on a GPU: one launch, one pass over parameters, gradients and memories.

All blocks read the number of the step, and the last one to finish counts it.
"""

from __future__ import annotations

import numpy as np

from ..cpu.like import like
from ..update import adagrad, adam, rmsprop, sgd
from .device import cover, cuda, device_function, grid, tickets
from .reduce import last_block


def launch(update, p, *arguments):
    """``update`` over the elements of p, as many blocks as that takes."""
    update[cover(p.size)](p, *arguments, tickets())


@device_function
def count(step, tickets):
    """step += 1, once every block has read it."""
    if last_block(tickets, 0, cuda.gridDim.x) and cuda.threadIdx.x == 0:
        step[0] += 1


@grid
def sgd_grid(p, step, v, g, hyper, nesterov, tickets):
    one = g[0]
    lr, momentum, keep, decay = like(one, hyper[0]), like(one, hyper[1]), like(one, 1 - hyper[2]), like(one, hyper[3])
    begins = step[0] == 0
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        d = g[i] + decay * p[i]
        if momentum != 0:
            v[i] = d if begins else momentum * v[i] + keep * d
            d = d + momentum * v[i] if nesterov else v[i]
        p[i] -= lr * d
    count(step, tickets)


@sgd.cuda
def sgd_cuda(p, v, step, g, hyper, nesterov):
    launch(sgd_grid, p, step, v, g, hyper, nesterov)


@grid
def adam_grid(p, step, m, v, g, hyper, decoupled, tickets):
    rates = cuda.shared.array(2, np.float64)  # powers of float64 are costly: once a block
    if cuda.threadIdx.x == 0:
        t = step[0] + 1
        rates[0] = hyper[0] / (1 - hyper[1] ** t)
        rates[1] = np.sqrt(1 - hyper[2] ** t)
    cuda.syncthreads()
    one = g[0]
    rate, root, slow1, beta2 = like(one, rates[0]), like(one, rates[1]), like(one, 1 - hyper[1]), like(one, hyper[2])
    slow2, eps, decay = like(one, 1 - hyper[2]), like(one, hyper[3]), like(one, 0 if decoupled else hyper[4])
    shrink = like(one, 1 - hyper[0] * hyper[4] if decoupled else 1)
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        value = p[i] * shrink
        d = g[i] + decay * value
        m[i] += slow1 * (d - m[i])
        v[i] = beta2 * v[i] + slow2 * d * d
        p[i] = value - rate * (m[i] / (np.sqrt(v[i]) / root + eps))
    count(step, tickets)


@adam.cuda
def adam_cuda(p, m, v, step, g, hyper, decoupled):
    launch(adam_grid, p, step, m, v, g, hyper, decoupled)


@grid
def rmsprop_grid(p, s, mean, v, g, hyper, centered):
    one = g[0]
    lr, alpha, eps, decay = like(one, hyper[0]), like(one, hyper[1]), like(one, hyper[2]), like(one, hyper[3])
    momentum, keep = like(one, hyper[4]), like(one, 1 - hyper[1])
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
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


@rmsprop.cuda
def rmsprop_cuda(p, s, mean, v, g, hyper, centered):
    rmsprop_grid[cover(p.size)](p, s, mean, v, g, hyper, centered)


@grid
def adagrad_grid(p, step, s, g, hyper, tickets):
    one = g[0]
    rate = like(one, hyper[0] / (1 + step[0] * hyper[1]))
    decay, eps = like(one, hyper[2]), like(one, hyper[3])
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        d = g[i] + decay * p[i]
        s[i] += d * d
        p[i] -= rate * (d / (np.sqrt(s[i]) + eps))
    count(step, tickets)


@adagrad.cuda
def adagrad_cuda(p, s, step, g, hyper):
    launch(adagrad_grid, p, step, s, g, hyper)
