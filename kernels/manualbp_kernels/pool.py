"""Pooling: the largest or the average value that a window sees in each channel."""

import numpy as np

from .cpu.jit import jit, num_threads, prange
from .cpu.pointwise import PARALLEL_PASS
from .cpu.simd import lanes, max_of_four
from .kernel import kernel
from .window import flat, fold, unfold


@kernel
def max_pool2d(y, argmax, x, window):
    """y[n,c,h,w] = max_i,j x̃[n,c,i,j,h,w]; argmax is the pixel v·W + u it came from, the first one of equals"""
    N, C, H, W = x.shape
    size = y.shape[2:]
    values = unfold(x, window, size, fill=-np.inf).reshape(N, C, -1, *size)
    pixels = unfold(np.arange(H * W).reshape(1, 1, H, W), window, size, fill=-1).reshape(1, 1, -1, *size)
    first = np.where(values.max(axis=2) == -np.inf, (pixels >= 0).argmax(axis=2), values.argmax(axis=2))[:, :, None]
    y[...] = np.take_along_axis(values, first, axis=2)[:, :, 0]
    argmax[...] = np.take_along_axis(np.broadcast_to(pixels, values.shape), first, axis=2)[:, :, 0]


@kernel
def max_pool2d_backward(dx, dy, argmax):
    """dx[n,c,v,u] = Σ dy[n,c,h,w] over the outputs (h,w) whose maximum is pixel (v,u)"""
    N, C, H, W = dx.shape
    planes = np.zeros((N * C, H * W), dx.dtype)
    np.add.at(planes, (np.arange(N * C)[:, None], argmax.reshape(N * C, -1)), dy.reshape(N * C, -1))
    dx[...] = planes.reshape(dx.shape)


@kernel
def avg_pool2d(y, x, window, count_padding):
    """y[n,c,h,w] = Σ_i,j x̃[n,c,i,j,h,w] / size, the window's area or (count_padding false) its part in the image"""
    y[...] = unfold(x, window, y.shape[2:]).sum(axis=(2, 3)) / _sizes(x, window, y, count_padding)


@kernel
def avg_pool2d_backward(dx, dy, window, count_padding):
    """dx̃[n,c,i,j,h,w] = dy[n,c,h,w] / size, each added to the pixel it was read from"""
    share = (dy / _sizes(dx, window, dy, count_padding)).astype(dx.dtype)
    patches = np.broadcast_to(share[:, :, None, None], (*share.shape[:2], *window.kernel, *share.shape[2:]))
    dx[...] = fold(patches, window, dx.shape)


def _sizes(x, window, y, count_padding):
    """The divisor of each window."""
    if count_padding:
        return x.dtype.type(window.kernel[0] * window.kernel[1])
    return unfold(np.ones((1, 1, *x.shape[2:]), x.dtype), window, y.shape[2:]).sum(axis=(2, 3))


@jit
def max_pool_planes(y, argmax, x, geometry, first, last):
    """``max_pool2d`` of the planes first ≤ p < last of (planes, H, W) arrays."""
    kh, kw, sh, sw, ph, pw = geometry[0], geometry[1], geometry[2], geometry[3], geometry[4], geometry[5]
    H, W = x.shape[1], x.shape[2]
    Ho, Wo = y.shape[1], y.shape[2]
    halving = kh == 2 and kw == 2 and sh == 2 and sw == 2 and ph == 0 and pw == 0
    flat_y, flat_argmax, flat_x, step = y.ravel(), argmax.ravel(), x.ravel(), lanes(x)
    for p in range(first, last):
        for h in range(Ho):
            if halving:
                of, to = (p * H + 2 * h) * W, (p * Ho + h) * Wo
                for w in range(0, Wo, step):
                    upper, at = of + 2 * w, 2 * (h * W + w)
                    # A whole vector where there is room: what is too much the next row overwrites.
                    room = to + w + step <= last * Ho * Wo and upper + W + 2 * step <= last * H * W
                    n = step if room else min(step, Wo - w)
                    max_of_four(flat_y, to + w, flat_argmax, flat_x, upper, upper + W, at, W, n)
                continue
            top, bottom = max(h * sh - ph, 0), min(h * sh - ph + kh, H)
            for w in range(Wo):
                left, right = max(w * sw - pw, 0), min(w * sw - pw + kw, W)
                best, place = x[p, top, left], top * W + left
                for v in range(top, bottom):
                    for u in range(left, right):
                        value = x[p, v, u]
                        wins = (value > best) | ((value != value) & (best == best))
                        best, place = value if wins else best, v * W + u if wins else place
                y[p, h, w] = best
                argmax[p, h, w] = place


@jit(parallel=True)
def parallel_max_pool(y, argmax, x, geometry):
    threads = num_threads()
    for t in prange(threads):
        max_pool_planes(y, argmax, x, geometry, t * len(x) // threads, (t + 1) * len(x) // threads)


@max_pool2d.cpu
def max_pool2d_cpu(y, argmax, x, window):
    N, C, H, W = x.shape
    Ho, Wo = y.shape[2:]
    planes = (y.reshape(N * C, Ho, Wo), argmax.reshape(N * C, Ho, Wo), x.reshape(N * C, H, W))
    if x.size >= PARALLEL_PASS and num_threads() > 1:
        parallel_max_pool(planes[0], planes[1], planes[2], flat(window))
    else:
        max_pool_planes(planes[0], planes[1], planes[2], flat(window), 0, N * C)


@jit
def max_pool_back_planes(dx, dy, argmax, first, last):
    """``max_pool2d_backward`` of the planes first ≤ p < last of (planes, pixels) arrays."""
    for p in range(first, last):
        dx[p] = 0
        for i in range(dy.shape[1]):
            dx[p, argmax[p, i]] += dy[p, i]


@jit(parallel=True)
def parallel_max_pool_back(dx, dy, argmax):
    threads = num_threads()
    for t in prange(threads):
        max_pool_back_planes(dx, dy, argmax, t * len(dx) // threads, (t + 1) * len(dx) // threads)


@max_pool2d_backward.cpu
def max_pool2d_backward_cpu(dx, dy, argmax):
    planes = dx.shape[0] * dx.shape[1]
    rows = (dx.reshape(planes, -1), dy.reshape(planes, -1), argmax.reshape(planes, -1))
    if dx.size >= PARALLEL_PASS and num_threads() > 1:
        parallel_max_pool_back(rows[0], rows[1], rows[2])
    else:
        max_pool_back_planes(rows[0], rows[1], rows[2], 0, planes)


@avg_pool2d.cpu
def avg_pool2d_cpu(y, x, window, count_padding):
    (kh, kw), (sh, sw), (ph, pw), _ = window
    N, C, H, W = x.shape
    Ho, Wo = y.shape[2:]
    for n in range(N):
        for c in range(C):
            for h in range(Ho):
                top, bottom = max(h * sh - ph, 0), min(h * sh - ph + kh, H)
                for w in range(Wo):
                    left, right = max(w * sw - pw, 0), min(w * sw - pw + kw, W)
                    total = x.dtype.type(0)
                    for v in range(top, bottom):
                        for u in range(left, right):
                            total += x[n, c, v, u]
                    size = kh * kw if count_padding else (bottom - top) * (right - left)
                    y[n, c, h, w] = total / x.dtype.type(size)


@avg_pool2d_backward.cpu
def avg_pool2d_backward_cpu(dx, dy, window, count_padding):
    (kh, kw), (sh, sw), (ph, pw), _ = window
    N, C, H, W = dx.shape
    Ho, Wo = dy.shape[2:]
    dx[...] = 0
    for n in range(N):
        for c in range(C):
            for h in range(Ho):
                top, bottom = max(h * sh - ph, 0), min(h * sh - ph + kh, H)
                for w in range(Wo):
                    left, right = max(w * sw - pw, 0), min(w * sw - pw + kw, W)
                    size = kh * kw if count_padding else (bottom - top) * (right - left)
                    share = dy[n, c, h, w] / dy.dtype.type(size)
                    for v in range(top, bottom):
                        for u in range(left, right):
                            dx[n, c, v, u] += share
