"""Where the patches of an image lie, so that a convolution can be a matrix product that reads them in place.

    image with its zeros   ┌ · · · · · ┐     row (i,j) = (0,0)   · · · · · · a b c · · d e f …
      (Wp = 5 pixels wide) │ · a b c · │     row (i,j) = (0,1)   · · · · · a b c · · d e f · …     one number further
                           │ · d e f · │     row (i,j) = (1,0)   · a b c · · d e f · · …           Wp numbers further
                           └ · · · · · ┘     column h·Wp + w is output (h,w); columns with w ≥ Wo are thrown away

A window is eight numbers (window.flat): kh, kw, strides sh, sw, padding ph, pw, dilation dh, dw.
"""

import numpy as np

from .gemm import BYTES
from .jit import jit
from .simd import copy_part, copy_row, lanes


@jit
def padded_size(x, window, Ho, Wo):
    """Height and width of an image with zeros around it, as far as the windows look; x is (…, H, W)."""
    kh, kw, sh, sw, ph, pw, dh, dw = unpack(window)
    return max(x.shape[2] + ph, (Ho - 1) * sh + (kh - 1) * dh + 1), max(x.shape[3] + pw, (Wo - 1) * sw + (kw - 1) * dw + 1)


@jit
def unpack(window):
    kh, kw, sh, sw = window[0], window[1], window[2], window[3]
    return kh, kw, sh, sw, window[4], window[5], window[6], window[7]


@jit
def tap_table(C, window, Hp, Wp):
    """Where in a padded image tap (c,i,j) of the first window lies."""
    kh, kw, _, _, _, _, dh, dw = unpack(window)
    taps = np.empty(C * kh * kw, np.int64)
    for k in range(len(taps)):
        c, i, j = k // (kh * kw), k // kw % kh, k % kw
        taps[k] = (c * Hp + i * dh) * Wp + j * dw
    return taps


@jit
def pixel_table(window, Wp, Ho, Wo):
    """How far from the first window, in a padded image, window (h,w) lies."""
    pixels = np.empty(Ho * Wo, np.int64)
    for p in range(len(pixels)):
        pixels[p] = p // Wo * window[2] * Wp + p % Wo * window[3]
    return pixels


@jit
def multiples(size, step):
    """0, step, 2 step, …"""
    table = np.empty(size, np.int64)
    for i in range(size):
        table[i] = i * step
    return table


@jit
def turned(taps, channels, K):
    """Where in W[·,c] the weight of tap (o,i,j) lies when the filters are turned by 180°; K numbers a filter."""
    table = np.empty(channels * taps, np.int64)
    for k in range(len(table)):
        table[k] = k // taps * K + taps - 1 - k % taps
    return table


@jit
def zeros_around(C, Hp, Wp, x):
    """Room for ``pad``; the zeros are written once, only what lies between them changes."""
    return np.zeros(C * Hp * Wp + BYTES, x.dtype)


@jit
def pad(padded, x, x0, C, H, W, window, Hp, Wp):
    """padded[c, v + ph, u + pw] = x[c, v, u], C planes from x[x0]. A vector too many is written: zeros, before their pixels."""
    step = lanes(x)
    for c in range(C):
        for v in range(H):
            to, of = (c * Hp + v + window[4]) * Wp + window[5], x0 + (c * H + v) * W
            for u in range(0, W, step):
                copy_row(padded, to + u, x, of + u, min(step, W - u))


@jit
def crop(y, y0, width, padded, p0, stride, rows):
    """Row r of y (width numbers, one after another) is row r of ``padded`` (stride numbers apart)."""
    step = lanes(y)
    end, source_end = rows * width, (rows - 1) * stride + width
    for r in range(rows):
        for w in range(0, width, step):
            to, of = r * width + w, r * stride + w
            # A whole vector where there is room: what is too much the next row overwrites.
            n = step if to + step <= end and of + step <= source_end else min(step, width - w)
            copy_part(y, y0 + to, padded, p0 + of, n)


@jit
def unfold_image(patches, padded, p0, taps, window, Wp, Ho, Wo):
    """patches[k, (h,w)] = padded[taps[k] + h·sh·Wp + w·sw]."""
    sh, sw = window[2], window[3]
    to = 0
    for k in range(len(taps)):
        for h in range(Ho):
            of = p0 + taps[k] + h * sh * Wp
            for w in range(Wo):
                patches[to + w] = padded[of + w * sw]
            to += Wo
