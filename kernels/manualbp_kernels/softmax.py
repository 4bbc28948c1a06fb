"""Softmax over the middle axis of an (outer, K, inner) array. The largest logit is subtracted first: no overflow.

One group of K values is one column [a, :, b]; any axis of any array is the middle of such a view.
"""

import numpy as np

from .cpu.functions import exp
from .kernel import kernel


@kernel
def softmax(y, x):
    """y[a,k,b] = e^x[a,k,b] / Σ_j e^x[a,j,b]"""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y[...] = e / e.sum(axis=1, keepdims=True)


@softmax.cpu
def softmax_cpu(y, x):
    outer, K, inner = x.shape
    for a in range(outer):
        for b in range(inner):
            largest = x[a, 0, b]
            for k in range(1, K):
                largest = max(largest, x[a, k, b])
            total = x.dtype.type(0)
            for k in range(K):
                y[a, k, b] = exp(x[a, k, b] - largest)
                total += y[a, k, b]
            for k in range(K):
                y[a, k, b] /= total


@kernel
def softmax_backward(dx, dy, y):
    """dx[a,k,b] = y[a,k,b] (dy[a,k,b] − Σ_j dy[a,j,b] y[a,j,b])"""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))


@softmax_backward.cpu
def softmax_backward_cpu(dx, dy, y):
    outer, K, inner = y.shape
    for a in range(outer):
        for b in range(inner):
            dot = y.dtype.type(0)
            for k in range(K):
                dot += dy[a, k, b] * y[a, k, b]
            for k in range(K):
                dx[a, k, b] = y[a, k, b] * (dy[a, k, b] - dot)


@kernel
def log_softmax(y, x):
    """y[a,k,b] = x[a,k,b] − log Σ_j e^x[a,j,b]"""
    shifted = x - x.max(axis=1, keepdims=True)
    y[...] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


@log_softmax.cpu
def log_softmax_cpu(y, x):
    outer, K, inner = x.shape
    for a in range(outer):
        for b in range(inner):
            largest = x[a, 0, b]
            for k in range(1, K):
                largest = max(largest, x[a, k, b])
            total = x.dtype.type(0)
            for k in range(K):
                y[a, k, b] = x[a, k, b] - largest
                total += exp(y[a, k, b])
            log_total = np.log(total)
            for k in range(K):
                y[a, k, b] -= log_total


@kernel
def log_softmax_backward(dx, dy, y):
    """dx[a,k,b] = dy[a,k,b] − e^y[a,k,b] Σ_j dy[a,j,b]"""
    dx[...] = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)


@log_softmax_backward.cpu
def log_softmax_backward_cpu(dx, dy, y):
    outer, K, inner = y.shape
    for a in range(outer):
        for b in range(inner):
            total = y.dtype.type(0)
            for k in range(K):
                total += dy[a, k, b]
            for k in range(K):
                dx[a, k, b] = dy[a, k, b] - exp(y[a, k, b]) * total
