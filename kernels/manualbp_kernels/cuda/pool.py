"""Pooling on a GPU: a thread for each output going forward, for each pixel going back. Nobody adds to another's number."""

from __future__ import annotations

import numpy as np

from ..pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from .device import THREADS, choose, cover, cuda, device_function, grid

BANDS = choose(256, 3)  # of the outputs of a plane whose maxima are looked at together
PIXELS = choose(4096, 8)  # of a plane that one block serves


@device_function
def clipped(place, stride, padding, reach, size):
    """The pixels first ≤ v < last of an axis that the window sees at this place."""
    first = place * stride - padding
    return max(first, 0), min(first + reach, size)


@grid
def max_pool2d_grid(y, argmax, x, kernel, stride, padding):
    C, Ho, Wo = y.shape[1:]
    H, W = x.shape[2:]
    for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        plane, h, w = e // (Ho * Wo), e // Wo % Ho, e % Wo
        n, c = plane // C, plane % C
        top, bottom = clipped(h, stride[0], padding[0], kernel[0], H)
        left, right = clipped(w, stride[1], padding[1], kernel[1], W)
        best, place = x[n, c, top, left], top * W + left
        for v in range(top, bottom):
            for u in range(left, right):
                value = x[n, c, v, u]
                if value > best or (value != value and best == best):
                    best, place = value, v * W + u
        y[n, c, h, w] = best
        argmax[n, c, h, w] = place


@max_pool2d.cuda
def max_pool2d_cuda(y, argmax, x, window):
    max_pool2d_grid[cover(y.size)](y, argmax, x, window.kernel, window.stride, window.padding)


@grid
def max_pool2d_backward_grid(dx, dy, argmax, band_rows):
    """A block serves some pixels of a plane. Which outputs a pixel is the maximum of is looked up, in their order: first the
    bands of outputs between whose smallest and largest maximum it lies, in which there are few, then these themselves."""
    lowest = cuda.shared.array(BANDS, np.int32)
    highest = cuda.shared.array(BANDS, np.int32)
    C, H, W = dx.shape[1:]
    Ho, Wo = dy.shape[2:]
    n, c = cuda.blockIdx.x // C, cuda.blockIdx.x % C
    bands = (Ho + band_rows - 1) // band_rows
    for band in range(cuda.threadIdx.x, bands, THREADS):
        low, high = H * W, -1
        for h in range(band * band_rows, min((band + 1) * band_rows, Ho)):
            for w in range(Wo):
                low, high = min(low, argmax[n, c, h, w]), max(high, argmax[n, c, h, w])
        lowest[band], highest[band] = low, high
    cuda.syncthreads()
    first = cuda.blockIdx.y * PIXELS
    for pixel in range(first + cuda.threadIdx.x, min(first + PIXELS, H * W), THREADS):
        total = dx.dtype.type(0)
        for band in range(bands):
            if lowest[band] <= pixel <= highest[band]:
                for h in range(band * band_rows, min((band + 1) * band_rows, Ho)):
                    for w in range(Wo):
                        if argmax[n, c, h, w] == pixel:
                            total += dy[n, c, h, w]
        dx[n, c, pixel // W, pixel % W] = total


@max_pool2d_backward.cuda
def max_pool2d_backward_cuda(dx, dy, argmax):
    N, C, H, W = dx.shape
    blocks = N * C, -(-H * W // PIXELS)
    max_pool2d_backward_grid[blocks, THREADS](dx, dy, argmax, -(-dy.shape[2] // BANDS))


@device_function
def window_size(top, bottom, left, right, kernel, count_padding):
    if count_padding:
        return kernel[0] * kernel[1]
    return (bottom - top) * (right - left)


@grid
def avg_pool2d_grid(y, x, kernel, stride, padding, count_padding):
    C, Ho, Wo = y.shape[1:]
    H, W = x.shape[2:]
    for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        plane, h, w = e // (Ho * Wo), e // Wo % Ho, e % Wo
        n, c = plane // C, plane % C
        top, bottom = clipped(h, stride[0], padding[0], kernel[0], H)
        left, right = clipped(w, stride[1], padding[1], kernel[1], W)
        total = y.dtype.type(0)
        for v in range(top, bottom):
            for u in range(left, right):
                total += x[n, c, v, u]
        y[n, c, h, w] = total / y.dtype.type(window_size(top, bottom, left, right, kernel, count_padding))


@avg_pool2d.cuda
def avg_pool2d_cuda(y, x, window, count_padding):
    avg_pool2d_grid[cover(y.size)](y, x, window.kernel, window.stride, window.padding, count_padding)


@device_function
def seeing(pixel, stride, padding, reach, places):
    """The places first ≤ h < last from which the window sees this pixel of an axis."""
    first = (pixel + padding - reach + stride) // stride
    return max(first, 0), min((pixel + padding) // stride + 1, places)


@grid
def avg_pool2d_backward_grid(dx, dy, kernel, stride, padding, count_padding):
    C, H, W = dx.shape[1:]
    Ho, Wo = dy.shape[2:]
    for e in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        plane, v, u = e // (H * W), e // W % H, e % W
        n, c = plane // C, plane % C
        h_first, h_last = seeing(v, stride[0], padding[0], kernel[0], Ho)
        w_first, w_last = seeing(u, stride[1], padding[1], kernel[1], Wo)
        total = dx.dtype.type(0)
        for h in range(h_first, h_last):
            top, bottom = clipped(h, stride[0], padding[0], kernel[0], H)
            for w in range(w_first, w_last):
                left, right = clipped(w, stride[1], padding[1], kernel[1], W)
                size = window_size(top, bottom, left, right, kernel, count_padding)
                total += dy[n, c, h, w] / dx.dtype.type(size)
        dx[n, c, v, u] = total


@avg_pool2d_backward.cuda
def avg_pool2d_backward_cuda(dx, dy, window, count_padding):
    avg_pool2d_backward_grid[cover(dx.size)](dx, dy, window.kernel, window.stride, window.padding, count_padding)
