"""Pooling: the largest or the average value that a window sees in each channel."""

import numpy as np

from .kernel import kernel
from .window import fold, unfold


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


@max_pool2d.cpu
def max_pool2d_cpu(y, argmax, x, window):
    (kh, kw), (sh, sw), (ph, pw), _ = window
    N, C, H, W = x.shape
    Ho, Wo = y.shape[2:]
    for n in range(N):
        for c in range(C):
            for h in range(Ho):
                top, bottom = max(h * sh - ph, 0), min(h * sh - ph + kh, H)
                for w in range(Wo):
                    left, right = max(w * sw - pw, 0), min(w * sw - pw + kw, W)
                    best, place = x[n, c, top, left], top * W + left
                    for v in range(top, bottom):
                        for u in range(left, right):
                            value = x[n, c, v, u]
                            if value > best or (value != value and best == best):
                                best, place = value, v * W + u
                    y[n, c, h, w] = best
                    argmax[n, c, h, w] = place


@max_pool2d_backward.cpu
def max_pool2d_backward_cpu(dx, dy, argmax):
    N, C, Ho, Wo = dy.shape
    for n in range(N):
        for c in range(C):
            plane = dx[n, c].ravel()
            plane[:] = 0
            for h in range(Ho):
                for w in range(Wo):
                    plane[argmax[n, c, h, w]] += dy[n, c, h, w]


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
