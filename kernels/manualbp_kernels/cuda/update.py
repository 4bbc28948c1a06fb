"""Optimizer updates on a GPU: one pass over parameters, gradients and memories.

All blocks read the number of the step and only one thread may change it. Where one block does everything it does so at the
end, else a launch of its own does so before; ``counted`` says which.
"""

from __future__ import annotations

import numpy as np

from ..cpu.like import like
from ..update import adagrad, adam, rmsprop, sgd
from .device import ONE_BLOCK, THREADS, cover, cuda, device_function, grid


@grid
def count_step(step):
    """step += 1"""
    step[0] += 1


def launch(update, p, step, *arguments):
    """``update`` over the elements of p, with the step counted."""
    counted = p.size > ONE_BLOCK
    if counted:
        count_step[1, 1](step)
    update[cover(p.size) if counted else (1, THREADS)](p, step, *arguments, counted)


@device_function
def number_of(step, counted):
    """Of this step, from 1."""
    return step[0] if counted else step[0] + 1


@device_function
def finish(step, counted):
    """Count the step once every thread of the one block has read it."""
    if not counted:
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            step[0] += 1


@grid
def sgd_grid(p, step, v, g, hyper, nesterov, counted):
    one = g[0]
    lr, momentum, keep, decay = like(one, hyper[0]), like(one, hyper[1]), like(one, 1 - hyper[2]), like(one, hyper[3])
    begins = number_of(step, counted) == 1
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        d = g[i] + decay * p[i]
        if momentum != 0:
            v[i] = d if begins else momentum * v[i] + keep * d
            d = d + momentum * v[i] if nesterov else v[i]
        p[i] -= lr * d
    finish(step, counted)


@sgd.cuda
def sgd_cuda(p, v, step, g, hyper, nesterov):
    launch(sgd_grid, p, step, v, g, hyper, nesterov)


@grid
def adam_grid(p, step, m, v, g, hyper, decoupled, counted):
    rates = cuda.shared.array(2, np.float64)  # powers of float64 are costly: once a block
    if cuda.threadIdx.x == 0:
        t = number_of(step, counted)
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
    finish(step, counted)


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
def adagrad_grid(p, step, s, g, hyper, counted):
    one = g[0]
    rate = like(one, hyper[0] / (1 + (number_of(step, counted) - 1) * hyper[1]))
    decay, eps = like(one, hyper[2]), like(one, hyper[3])
    for i in range(cuda.grid(1), p.size, cuda.gridsize(1)):
        d = g[i] + decay * p[i]
        s[i] += d * d
        p[i] -= rate * (d / (np.sqrt(s[i]) + eps))
    finish(step, counted)


@adagrad.cuda
def adagrad_cuda(p, s, step, g, hyper):
    launch(adagrad_grid, p, step, s, g, hyper)
