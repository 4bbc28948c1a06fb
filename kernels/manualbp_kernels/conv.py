"""Convolution of (N, C, H, W) images and its two gradients, in groups: filter o sees the channels of its own group.

The loops take one image at a time and write its patches x̃ as a matrix of K = C/g·kh·kw rows and P = Ho·Wo columns, which
stays in the cache; convolution is then the product W x̃, its gradients δ x̃ᵀ and Wᵀ δ. Threads share the images, and for
the weights' gradient the channels, so that each sum is made by one thread and in one order.
"""

import numpy as np

from .cpu.gemm import BYTES, OUTPUT, PARALLEL_WORK, ROW_BIAS, ZERO, gemm
from .cpu.jit import jit, num_threads, prange
from .cpu.simd import VECTORS, add_row, copy_row
from .kernel import kernel
from .matmul import scale
from .window import flat, fold, unfold


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
def padded_size(x, geometry, Ho, Wo):
    """Height and width of an image with zeros around it, as far as the windows look; x is (…, H, W)."""
    kh, kw, sh, sw, ph, pw, dh, dw = unpack(geometry)
    return max(x.shape[2] + ph, (Ho - 1) * sh + (kh - 1) * dh + 1), max(x.shape[3] + pw, (Wo - 1) * sw + (kw - 1) * dw + 1)


@jit
def unpack(geometry):
    kh, kw, sh, sw = geometry[0], geometry[1], geometry[2], geometry[3]
    return kh, kw, sh, sw, geometry[4], geometry[5], geometry[6], geometry[7]


@jit
def pad(padded, x, geometry, Hp, Wp):
    """padded[c, v + ph, u + pw] = x[c, v, u], 0 around it."""
    ph, pw = geometry[4], geometry[5]
    C, H, W = x.shape
    padded[: C * Hp * Wp] = 0
    for c in range(C):
        for v in range(H):
            to = (c * Hp + v + ph) * Wp + pw
            for u in range(W):
                padded[to + u] = x[c, v, u]


@jit
def crop(x, padded, geometry, Hp, Wp):
    """x[c, v, u] = padded[c, v + ph, u + pw], the transpose of ``pad``."""
    ph, pw = geometry[4], geometry[5]
    C, H, W = x.shape
    for c in range(C):
        for v in range(H):
            of = (c * Hp + v + ph) * Wp + pw
            for u in range(W):
                x[c, v, u] = padded[of + u]


@jit
def unfold_image(patches, padded, C, geometry, Hp, Wp, Ho, Wo):
    """patches[(c,i,j), (h,w)] = padded[c, h·sh + i·dh, w·sw + j·dw]; a row is copied by the vector."""
    kh, kw, sh, sw, _, _, dh, dw = unpack(geometry)
    step = VECTORS * (BYTES // patches.itemsize)
    to = 0
    for c in range(C):
        for i in range(kh):
            for j in range(kw):
                for h in range(Ho):
                    of = (c * Hp + h * sh + i * dh) * Wp + j * dw
                    if sw == 1:
                        for w in range(0, Wo, step):
                            copy_row(patches, to + w, padded, of + w, min(step, Wo - w))
                    else:
                        for w in range(Wo):
                            patches[to + w] = padded[of + w * sw]
                    to += Wo


@jit
def fold_image(padded, patches, C, geometry, Hp, Wp, Ho, Wo):
    """padded[c, h·sh + i·dh, w·sw + j·dw] += patches[(c,i,j), (h,w)], from zero."""
    kh, kw, sh, sw, _, _, dh, dw = unpack(geometry)
    step = VECTORS * (BYTES // patches.itemsize)
    padded[: C * Hp * Wp] = 0
    of = 0
    for c in range(C):
        for i in range(kh):
            for j in range(kw):
                for h in range(Ho):
                    to = (c * Hp + h * sh + i * dh) * Wp + j * dw
                    if sw == 1:
                        for w in range(0, Wo, step):
                            add_row(padded, to + w, patches, of + w, min(step, Wo - w))
                    else:
                        for w in range(Wo):
                            padded[to + w * sw] += patches[of + w]
                    of += Wo


@jit
def convolve(y, x, W, start, bias, geometry, first, last):
    """``conv2d`` of the images first ≤ n < last."""
    O, Ho, Wo = y.shape[1:]
    Cg, P = W.shape[1], Ho * Wo
    groups = x.shape[1] // Cg
    Og, K = O // groups, W.size // O
    Hp, Wp = padded_size(x, geometry, Ho, Wo)
    padded, patches = np.empty(Cg * Hp * Wp, x.dtype), np.empty(K * P + BYTES, x.dtype)
    out, filters = y.ravel(), W.ravel()
    for n in range(first, last):
        for g in range(groups):
            pad(padded, x[n, g * Cg : (g + 1) * Cg], geometry, Hp, Wp)
            unfold_image(patches, padded, Cg, geometry, Hp, Wp, Ho, Wo)
            gemm(Og, P, K, out, (n * O + g * Og) * P, P, filters, g * Og * K, K, 1, patches, 0, P, 1, start, bias, g * Og)


@jit
def convolve_back(dx, dy, W, geometry, first, last):
    """``conv2d_input_gradient`` of the images first ≤ n < last."""
    O, Ho, Wo = dy.shape[1:]
    Cg, P = W.shape[1], Ho * Wo
    groups = dx.shape[1] // Cg
    Og, K = O // groups, W.size // O
    Hp, Wp = padded_size(dx, geometry, Ho, Wo)
    padded, patches = np.empty(Cg * Hp * Wp, dx.dtype), np.empty(K * P, dx.dtype)
    delta, filters = dy.ravel(), W.ravel()
    for n in range(first, last):
        for g in range(groups):
            gemm(K, P, Og, patches, 0, P, filters, g * Og * K, 1, K, delta, (n * O + g * Og) * P, P, 1, ZERO, patches, 0)
            fold_image(padded, patches, Cg, geometry, Hp, Wp, Ho, Wo)
            crop(dx[n, g * Cg : (g + 1) * Cg], padded, geometry, Hp, Wp)


@jit
def correlate(dW, x, dy, geometry, first, last):
    """``conv2d_weight_gradient`` added up for the channels first ≤ c < last of every filter, image after image."""
    N, O, Ho, Wo = dy.shape
    Cg, P = dW.shape[1], Ho * Wo
    groups = x.shape[1] // Cg
    Og, K = O // groups, dW.size // O
    taps = K // Cg
    columns = (last - first) * taps
    Hp, Wp = padded_size(x, geometry, Ho, Wo)
    padded, patches = np.empty((last - first) * Hp * Wp, x.dtype), np.empty(columns * P + BYTES, x.dtype)
    delta, gradients = dy.ravel(), dW.ravel()
    for n in range(N):
        for g in range(groups):
            pad(padded, x[n, g * Cg + first : g * Cg + last], geometry, Hp, Wp)
            unfold_image(patches, padded, last - first, geometry, Hp, Wp, Ho, Wo)
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
        s[p % C] += sum_plane(planes[p])


@jit(reorder=True)
def sum_plane(x):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total
