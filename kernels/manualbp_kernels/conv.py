"""Convolution of (N, C, H, W) images and its two gradients, in groups: filter o sees the channels of its own group.

The loops take one image at a time and write its patches x̃ as a matrix of K = C/g·kh·kw rows and P = Ho·Wo columns, which
stays in the cache; convolution is then the product W x̃, its gradients δ x̃ᵀ and Wᵀ δ. Threads share the images, and for
the weights' gradient the channels, so that each sum is made by one thread and in one order.
"""

import numpy as np

from .cpu.gemm import OUTPUT, PARALLEL_WORK, ROW_BIAS, ZERO, gemm
from .cpu.jit import jit, num_threads, prange
from .kernel import kernel
from .matmul import scale
from .window import flat, fold, inside, unfold


@kernel
def conv2d(y, x, W, b, window):
    """y[n,o,h,w] = b[o] + Σ_c,i,j W[o,c,i,j] x̃[n,c,i,j,h,w]   (b may be None)"""
    patches, filters = _by_group(unfold(x, window, y.shape[2:]), W)
    y[...] = np.einsum("gocij,ngcijhw->ngohw", filters, patches, optimize=True).reshape(y.shape)
    if b is not None:
        y += b[:, None, None]


@kernel
def conv2d_input_gradient(dx, dy, W, window):
    """dx̃[n,c,i,j,h,w] = Σ_o W[o,c,i,j] dy[n,o,h,w], each added to the pixel it was read from"""
    N, C = dx.shape[:2]
    groups = C // W.shape[1]
    filters = W.reshape(groups, -1, *W.shape[1:])
    patches = np.einsum("gocij,ngohw->ngcijhw", filters, dy.reshape(N, groups, -1, *dy.shape[2:]), optimize=True)
    dx[...] = fold(patches.reshape(N, C, *W.shape[2:], *dy.shape[2:]), window, dx.shape)


@kernel
def conv2d_weight_gradient(dW, x, dy, window, beta):
    """dW[o,c,i,j] = β dW[o,c,i,j] + Σ_n,h,w dy[n,o,h,w] x̃[n,c,i,j,h,w]"""
    patches, filters = _by_group(unfold(x, window, dy.shape[2:]), dW)
    by_group = dy.reshape(dy.shape[0], filters.shape[0], -1, *dy.shape[2:])
    sums = np.einsum("ngohw,ngcijhw->gocij", by_group, patches, optimize=True).reshape(dW.shape)
    dW[...] = sums if beta == 0 else beta * dW + sums


@kernel
def sum_channels(s, x, beta):
    """s[c] = β s[c] + Σ_n,h,w x[n,c,h,w]"""
    s[...] = x.sum(axis=(0, 2, 3)) if beta == 0 else beta * s + x.sum(axis=(0, 2, 3))


def _by_group(patches, W):
    """Patches as (N, g, C/g, kh, kw, Ho, Wo) and filters as (g, O/g, C/g, kh, kw)."""
    groups = patches.shape[1] // W.shape[1]
    return (
        patches.reshape(patches.shape[0], groups, W.shape[1], *patches.shape[2:]),
        W.reshape(groups, -1, *W.shape[1:]),
    )


@jit
def unpack(geometry):
    kh, kw, sh, sw = geometry[0], geometry[1], geometry[2], geometry[3]
    return kh, kw, sh, sw, geometry[4], geometry[5], geometry[6], geometry[7]


@jit
def unfold_image(patches, x, first, last, geometry, Ho, Wo):
    """patches[(c,i,j), (h,w)] = x[c, h·sh + i·dh − ph, w·sw + j·dw − pw] for channels first ≤ c < last, 0 outside."""
    kh, kw, sh, sw, ph, pw, dh, dw = unpack(geometry)
    H, W = x.shape[1], x.shape[2]
    at = 0
    for c in range(first, last):
        for i in range(kh):
            for j in range(kw):
                shift = j * dw - pw
                left, right = inside(shift, sw, W, Wo)
                for h in range(Ho):
                    v = h * sh + i * dh - ph
                    row = patches[at : at + Wo]
                    at += Wo
                    if v < 0 or v >= H:
                        row[:] = 0
                        continue
                    row[:left] = 0
                    source = x[c, v]
                    if sw == 1:
                        for w in range(left, right):
                            row[w] = source[w + shift]
                    else:
                        for w in range(left, right):
                            row[w] = source[w * sw + shift]
                    row[right:] = 0


@jit
def fold_image(dx, patches, first, last, geometry, Ho, Wo):
    """dx[c, h·sh + i·dh − ph, w·sw + j·dw − pw] += patches[(c,i,j), (h,w)] for first ≤ c < last, inside the image."""
    kh, kw, sh, sw, ph, pw, dh, dw = unpack(geometry)
    H, W = dx.shape[1], dx.shape[2]
    at = 0
    for c in range(first, last):
        for i in range(kh):
            for j in range(kw):
                shift = j * dw - pw
                left, right = inside(shift, sw, W, Wo)
                for h in range(Ho):
                    v = h * sh + i * dh - ph
                    row = patches[at : at + Wo]
                    at += Wo
                    if v < 0 or v >= H:
                        continue
                    target = dx[c, v]
                    if sw == 1:
                        for w in range(left, right):
                            target[w + shift] += row[w]
                    else:
                        for w in range(left, right):
                            target[w * sw + shift] += row[w]


@jit
def convolve(y, x, W, start, bias, geometry, first, last):
    """``conv2d`` of the images first ≤ n < last."""
    O, Ho, Wo = y.shape[1:]
    Cg, P = W.shape[1], Ho * Wo
    groups = x.shape[1] // Cg
    Og, K = O // groups, W.size // O
    patches = np.empty(K * P, x.dtype)
    out, filters = y.ravel(), W.ravel()
    for n in range(first, last):
        for g in range(groups):
            unfold_image(patches, x[n], g * Cg, (g + 1) * Cg, geometry, Ho, Wo)
            gemm(Og, P, K, out, (n * O + g * Og) * P, P, filters, g * Og * K, K, 1, patches, 0, P, 1, start, bias, g * Og)


@jit
def convolve_back(dx, dy, W, geometry, first, last):
    """``conv2d_input_gradient`` of the images first ≤ n < last."""
    O, Ho, Wo = dy.shape[1:]
    Cg, P = W.shape[1], Ho * Wo
    groups = dx.shape[1] // Cg
    Og, K = O // groups, W.size // O
    patches = np.empty(K * P, dx.dtype)
    delta, filters = dy.ravel(), W.ravel()
    for n in range(first, last):
        scale(dx[n], 0)
        for g in range(groups):
            gemm(K, P, Og, patches, 0, P, filters, g * Og * K, 1, K, delta, (n * O + g * Og) * P, P, 1, ZERO, patches, 0)
            fold_image(dx[n], patches, g * Cg, (g + 1) * Cg, geometry, Ho, Wo)


@jit
def correlate(dW, x, dy, geometry, first, last):
    """``conv2d_weight_gradient`` added up for the channels first ≤ c < last of every filter, image after image."""
    N, O, Ho, Wo = dy.shape
    Cg, P = dW.shape[1], Ho * Wo
    groups = x.shape[1] // Cg
    Og, K = O // groups, dW.size // O
    taps = K // Cg
    columns = (last - first) * taps
    patches = np.empty(columns * P, x.dtype)
    delta, gradients = dy.ravel(), dW.ravel()
    for n in range(N):
        for g in range(groups):
            unfold_image(patches, x[n], g * Cg + first, g * Cg + last, geometry, Ho, Wo)
            to, of = g * Og * K + first * taps, (n * O + g * Og) * P
            gemm(Og, columns, P, gradients, to, K, delta, of, P, 1, patches, 0, 1, P, OUTPUT, patches, 0)


@jit(parallel=True)
def parallel_convolve(y, x, W, start, bias, geometry):
    threads = num_threads()
    for t in prange(threads):
        convolve(y, x, W, start, bias, geometry, t * len(x) // threads, (t + 1) * len(x) // threads)


@jit(parallel=True)
def parallel_convolve_back(dx, dy, W, geometry):
    threads = num_threads()
    for t in prange(threads):
        convolve_back(dx, dy, W, geometry, t * len(dy) // threads, (t + 1) * len(dy) // threads)


@jit(parallel=True)
def parallel_correlate(dW, x, dy, geometry):
    threads = num_threads()
    for t in prange(threads):
        correlate(dW, x, dy, geometry, t * dW.shape[1] // threads, (t + 1) * dW.shape[1] // threads)


@jit
def pays(y, W):
    """Whether a convolution of these outputs and weights is large enough to share out."""
    return num_threads() > 1 and y.size * (W.size // W.shape[0]) >= PARALLEL_WORK


@conv2d.cpu
def conv2d_cpu(y, x, W, b, window):
    start, bias = (ZERO, W.ravel()) if b is None else (ROW_BIAS, b)
    if len(x) > 1 and pays(y, W):
        parallel_convolve(y, x, W, start, bias, flat(window))
    else:
        convolve(y, x, W, start, bias, flat(window), 0, len(x))


@conv2d_input_gradient.cpu
def conv2d_input_gradient_cpu(dx, dy, W, window):
    if len(dx) > 1 and pays(dy, W):
        parallel_convolve_back(dx, dy, W, flat(window))
    else:
        convolve_back(dx, dy, W, flat(window), 0, len(dx))


@conv2d_weight_gradient.cpu
def conv2d_weight_gradient_cpu(dW, x, dy, window, beta):
    scale(dW, beta)
    if dW.shape[1] > 1 and pays(dy, dW):
        parallel_correlate(dW, x, dy, flat(window))
    else:
        correlate(dW, x, dy, flat(window), 0, dW.shape[1])


@sum_channels.cpu
def sum_channels_cpu(s, x, beta):
    N, C, H, W = x.shape
    scale(s, beta)
    planes = x.reshape(N * C, H * W)
    for p in range(N * C):
        plane, total = planes[p], x.dtype.type(0)
        for i in range(H * W):
            total += plane[i]
        s[p % C] += total
