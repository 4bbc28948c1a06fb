"""Convolution of (N, C, H, W) images and its two gradients, in groups: filter o sees the channels of its own group.

The loops take one image at a time and write its patches x̃ as a matrix of K = C/g·kh·kw rows and P = Ho·Wo columns;
convolution is then the product W x̃, its gradients δ x̃ᵀ and Wᵀ δ.
"""

import numpy as np

from .cpu.jit import jit
from .kernel import kernel
from .matmul import accumulate, scale
from .window import fold, unfold


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
def unfold_image(patches, x, window, Ho, Wo):
    """patches[(c,i,j), (h,w)] = x[c, h·sh + i·dh − ph, w·sw + j·dw − pw], 0 outside the image."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window
    C, H, W = x.shape
    row = 0
    for c in range(C):
        for i in range(kh):
            for j in range(kw):
                out = patches[row].reshape(Ho, Wo)
                row += 1
                for h in range(Ho):
                    v = h * sh + i * dh - ph
                    for w in range(Wo):
                        u = w * sw + j * dw - pw
                        out[h, w] = x[c, v, u] if 0 <= v < H and 0 <= u < W else 0


@jit
def fold_image(dx, patches, window, Ho, Wo):
    """dx[c, h·sh + i·dh − ph, w·sw + j·dw − pw] += patches[(c,i,j), (h,w)], inside the image."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window
    C, H, W = dx.shape
    row = 0
    for c in range(C):
        for i in range(kh):
            for j in range(kw):
                patch = patches[row].reshape(Ho, Wo)
                row += 1
                for h in range(Ho):
                    v = h * sh + i * dh - ph
                    if 0 <= v < H:
                        for w in range(Wo):
                            u = w * sw + j * dw - pw
                            if 0 <= u < W:
                                dx[c, v, u] += patch[h, w]


@conv2d.cpu
def conv2d_cpu(y, x, W, b, window):
    N, O, Ho, Wo = y.shape
    Cg = W.shape[1]
    groups = x.shape[1] // Cg
    Og = O // groups
    filters = W.reshape(O, -1)
    patches = np.empty((filters.shape[1], Ho * Wo), x.dtype)
    for n in range(N):
        for g in range(groups):
            unfold_image(patches, x[n, g * Cg : (g + 1) * Cg], window, Ho, Wo)
            out = y[n].reshape(O, -1)[g * Og : (g + 1) * Og]
            for o in range(Og):
                if b is None:
                    out[o] = 0
                else:
                    out[o] = b[g * Og + o]
            accumulate(out, filters[g * Og : (g + 1) * Og], patches)


@conv2d_input_gradient.cpu
def conv2d_input_gradient_cpu(dx, dy, W, window):
    N, O, Ho, Wo = dy.shape
    Cg = W.shape[1]
    groups = dx.shape[1] // Cg
    Og = O // groups
    filters = W.reshape(O, -1)
    patches = np.empty((filters.shape[1], Ho * Wo), dx.dtype)
    scale(dx, 0)
    for n in range(N):
        for g in range(groups):
            patches[...] = 0
            accumulate(patches, filters[g * Og : (g + 1) * Og].T, dy[n].reshape(O, -1)[g * Og : (g + 1) * Og])
            fold_image(dx[n, g * Cg : (g + 1) * Cg], patches, window, Ho, Wo)


@conv2d_weight_gradient.cpu
def conv2d_weight_gradient_cpu(dW, x, dy, window, beta):
    N, O, Ho, Wo = dy.shape
    Cg = dW.shape[1]
    groups = x.shape[1] // Cg
    Og = O // groups
    scale(dW, beta)
    gradients = dW.reshape(O, -1)
    patches = np.empty((gradients.shape[1], Ho * Wo), x.dtype)
    for n in range(N):
        for g in range(groups):
            unfold_image(patches, x[n, g * Cg : (g + 1) * Cg], window, Ho, Wo)
            delta = dy[n].reshape(O, -1)[g * Og : (g + 1) * Og]
            accumulate(gradients[g * Og : (g + 1) * Og], delta, patches.T.copy())


@sum_channels.cpu
def sum_channels_cpu(s, x, beta):
    N, C, H, W = x.shape
    scale(s, beta)
    for n in range(N):
        for c in range(C):
            total = x.dtype.type(0)
            for h in range(H):
                for w in range(W):
                    total += x[n, c, h, w]
            s[c] += total
