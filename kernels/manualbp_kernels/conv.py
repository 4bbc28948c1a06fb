"""Convolution of (N, C, H, W) images and its two gradients, in groups: filter o sees the channels of its own group.

Written as matrices a convolution is the product W x̃ of K = C/g·kh·kw patch rows and P = Ho·Wo columns, its gradients are
δ x̃ᵀ and Wᵀ δ. The patches are never written out: with zeros around the image, row (c,i,j) of x̃ is the image itself read
from tap (i,j) of channel c on, and the tile of ``gemm.py`` takes where its rows begin from a table: see ``cpu/patches.py``.
The input's gradient is the same thing: δ with zeros around it, the filters turned by 180°, which is one more table.
With many filters the product is computed as its transpose, x̃ᵀ Wᵀ: then pixels have a table too, so that windows may lie
any steps apart, and none is computed that no output needs. Only two things write patches out, image by image: the input's
gradient if there are strides, and groups of one filter with strides.
"""

import numpy as np

from .cpu.gemm import (
    COLUMN_BIAS,
    KC,
    MC,
    OUTPUT,
    PARALLEL_WORK,
    ROW_BIAS,
    ZERO,
    block,
    even_share,
    gemm,
    pack,
    packed_size,
    panel_of,
    put_turned,
)  # fmt: skip
from .cpu.jit import jit, num_threads, prange
from .cpu.patches import (
    crop,
    multiples,
    pad,
    padded_size,
    pixel_table,
    tap_table,
    turned,
    unfold_image,
    unpack,
    zeros_around,
)  # fmt: skip
from .cpu.pointwise import PARALLEL_PASS, sum_of
from .cpu.simd import lanes
from .kernel import kernel
from .matmul import scale
from .window import flat, fold, unfold

FEW_IMAGES = 4  # images from which on it pays to lay the filters out in panels


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


@kernel
def conv2d_backward_weights(dW, db, x, dy, window):
    """dW[o,c,i,j] += Σ_n,h,w dy[n,o,h,w] x̃[n,c,i,j,h,w];  db[o] += Σ_n,h,w dy[n,o,h,w], if there is a bias"""
    conv2d_weight_gradient.definition(dW, x, dy, window, 1)
    if db is not None:
        sum_channels.definition(db, dy, 1)


def _by_group(patches, W):
    """Patches as (N, g, C/g, kh, kw, Ho, Wo) and filters as (g, O/g, C/g, kh, kw)."""
    groups = patches.shape[1] // W.shape[1]
    return (
        patches.reshape(patches.shape[0], groups, W.shape[1], *patches.shape[2:]),
        W.reshape(groups, -1, *W.shape[1:]),
    )


# ---------------------------------------------------------------------- loops


@jit
def slide(y, x, W, rows, steps, start, bias, window, share):
    """y[n,o,h,w] = s + Σ_k W[rows[o] + steps[k]] x̃[n,k,h,w], k = (c,i,j), for the images and filters of ``share``.

    ``rows`` are those of one group; the next group's weights lie behind its own.
    """
    filters, strided = len(rows), window[2] != 1 or window[3] != 1
    full_vectors = 4 * filters >= 3 * -(-filters // lanes(x)) * lanes(x)  # mostly
    if filters > 1 and (strided or (full_vectors and len(x) >= FEW_IMAGES)):
        slide_pixels(y, x, W, rows, steps, start, bias, window, share)
    else:
        slide_filters(y, x, W, rows, steps, start, bias, window, share)


@jit
def slide_pixels(y, x, W, rows, steps, start, bias, window, share):
    """``slide`` as yᵀ = x̃ᵀ Wᵀ: the rows of the product are pixels, any steps apart, and none is computed in vain."""
    (O, Ho, Wo), (H, width) = y.shape[1:], x.shape[2:]
    first_image, last_image, first, last = share[0], share[1], share[2], share[3]
    P, Og, columns = Ho * Wo, len(rows), last - first
    groups = O // Og
    C = x.shape[1] // groups
    Hp, Wp = padded_size(x, window, Ho, Wo)
    taps, pixels = tap_table(C, window, Hp, Wp), pixel_table(window, Wp, Ho, Wo)
    whole = Hp == H and Wp == width  # nothing around the image
    out, image, flat_bias = y.ravel(), x.ravel(), bias.ravel()
    padded = image if whole else zeros_around(C, Hp, Wp, x)
    K, panel = len(taps), panel_of(columns, lanes(x))
    depths, several = even_share(K, KC), even_share(P, MC)
    weights, group_size = filter_panels(W.ravel(), groups, W.size // groups, rows[first:last], steps, panel)
    steps = multiples(K, panel)
    sums = np.empty(several * columns, x.dtype)
    for n in range(first_image, last_image):
        for g in range(groups):
            of, to = (n * groups + g) * C * H * width, (n * O + g * Og + first) * P
            if not whole:
                pad(padded, image, of, C, H, width, window, Hp, Wp)
                of = 0
            for p in range(0, P, several):
                some = pixels[p : p + several]
                for k in range(0, K, depths):
                    begin = OUTPUT if k > 0 else ZERO if start == ZERO else COLUMN_BIAS
                    block(
                        len(some), columns, min(depths, K - k), panel, sums, 0, columns, padded, of, some, taps[k:],
                        weights, g * group_size + k * panel, K, steps, begin, flat_bias, g * Og + first,
                    )  # fmt: skip
                put_turned(out, to + p, P, sums, len(some), columns)


@jit
def filter_panels(W, groups, group_size, rows, steps, panel):
    """The weights W[g·group_size + rows[j] + steps[k]], row k and column j, in panels; and how many lie in a group's."""
    K, size = len(steps), -(-len(rows) // panel) * panel * len(steps)
    panels = np.empty(groups * size, W.dtype)
    for g in range(groups):
        for j in range(len(rows)):
            to, of = g * size + j // panel * panel * K + j % panel, g * group_size + rows[j]
            for k in range(K):
                panels[to + k * panel] = W[of + steps[k]]
    return panels, size


@jit
def slide_filters(y, x, W, rows, steps, start, bias, window, share):
    """``slide`` as y = W x̃: the rows of the product are filters. A group of one filter may have strides."""
    (O, Ho, Wo), (H, width) = y.shape[1:], x.shape[2:]
    first_image, last_image, first, last = share[0], share[1], share[2], share[3]
    P, Og = Ho * Wo, len(rows)
    groups = O // Og
    C = x.shape[1] // groups
    Hp, Wp = padded_size(x, window, Ho, Wo)
    taps = tap_table(C, window, Hp, Wp)
    whole = Hp == H and Wp == width  # nothing around the image
    strided = window[2] != 1 or window[3] != 1
    pitch, step = Wo if strided else Wp, lanes(x)  # pitch: from one row of outputs to the next
    columns = (Ho - 1) * pitch + Wo
    if pitch != Wo and not whole:  # whole vectors: there is room behind the zeros
        columns = -(-columns // step) * step
    out, image, weights, flat_bias = y.ravel(), x.ravel(), W.ravel(), bias.ravel()
    padded = image if whole else zeros_around(C, Hp, Wp, x)
    patches = np.empty(len(taps) * P if strided else 0, x.dtype)
    sums = out if pitch == Wo else np.empty((last - first) * columns, x.dtype)
    offsets = multiples(len(taps), P) if strided else taps
    panel, depths = panel_of(columns, lanes(x)), even_share(len(taps), KC)
    rows, group_size = rows[first:last], W.size // groups
    for n in range(first_image, last_image):
        for g in range(groups):
            of, to = (n * groups + g) * C * H * width, (n * O + g * Og + first) * P
            if not whole:
                pad(padded, image, of, C, H, width, window, Hp, Wp)
                of = 0
            if strided:
                unfold_image(patches, padded, of, taps, window, Wp, Ho, Wo)
                of = 0
            begin, stride = (to, P) if pitch == Wo else (0, columns)
            source, w0, b0 = (patches if strided else padded), g * group_size, g * Og + first
            if Og == 1:  # depthwise: a tile would compute seven filters that are not there
                if last > first:
                    row, s0 = sums[begin : begin + columns], flat_bias[b0] if start == ROW_BIAS else flat_bias.dtype.type(0)
                    add_taps(row, weights, w0, steps, source, of, offsets, s0)
            for k in range(0, len(taps) if Og > 1 else 0, depths):
                depth = min(depths, len(taps) - k)
                block(
                    last - first, columns, depth, panel, sums, begin, stride, weights, w0, rows, steps[k:],
                    source, of, 1, offsets[k:], start if k == 0 else OUTPUT, flat_bias, b0,
                )  # fmt: skip
            if pitch != Wo:
                for o in range(last - first):
                    crop(out, to + o * P, Wo, sums, o * columns, pitch, Ho)


@jit
def add_taps(y, W, w0, steps, x, x0, offsets, s):
    """y[p] = s + Σ_k W[w0 + steps[k]] x[x0 + offsets[k] + p]: one filter, three taps at a time."""
    n, K = len(y), len(offsets)
    y[:] = s
    whole = K - K % 3
    for k in range(0, whole, 3):
        a, b, c = W[w0 + steps[k]], W[w0 + steps[k + 1]], W[w0 + steps[k + 2]]
        u, v, w = x0 + offsets[k], x0 + offsets[k + 1], x0 + offsets[k + 2]
        xa, xb, xc = x[u : u + n], x[v : v + n], x[w : w + n]
        for p in range(n):
            y[p] += a * xa[p] + b * xb[p] + c * xc[p]
    for k in range(whole, K):
        a, u = W[w0 + steps[k]], x0 + offsets[k]
        xa = x[u : u + n]
        for p in range(n):
            y[p] += a * xa[p]


@jit
def fold_images(dx, dy, W, window, first, last):
    """``conv2d_input_gradient`` of the images first ≤ n < last for any stride: Wᵀ δ, and each patch added to its place."""
    O, Ho, Wo = dy.shape[1:]
    C, P = W.shape[1], Ho * Wo
    groups = dx.shape[1] // C
    Og, K = O // groups, W.size // O
    H, width = dx.shape[2:]
    Hp, Wp = padded_size(dx, window, Ho, Wo)
    padded, patches = np.empty(C * Hp * Wp, dx.dtype), np.empty(K * P, dx.dtype)
    taps = tap_table(C, window, Hp, Wp)
    out, delta, filters = dx.ravel(), dy.ravel(), W.ravel()
    for n in range(first, last):
        for g in range(groups):
            gemm(K, P, Og, patches, 0, P, filters, g * Og * K, 1, K, delta, (n * O + g * Og) * P, P, 1, ZERO, patches, 0)
            padded[:] = 0
            of = 0
            for k in range(K):
                for h in range(Ho):
                    to = taps[k] + h * window[2] * Wp
                    for w in range(Wo):
                        padded[to + w * window[3]] += patches[of + w]
                    of += Wo
            for c in range(C):
                to = ((n * groups + g) * C + c) * H * width
                crop(out, to, width, padded, (c * Hp + window[4]) * Wp + window[5], Wp, H)


@jit
def correlate(dW, x, dy, window, first, last):
    """``conv2d_weight_gradient`` of the filters first ≤ o < last of each group, added up image after image as x̃ δᵀ."""
    N, O, Ho, Wo = dy.shape
    H, width = x.shape[2:]
    C, P, columns = dW.shape[1], Ho * Wo, last - first
    groups = x.shape[1] // C
    Og, K = O // groups, dW.size // O
    Hp, Wp = padded_size(x, window, Ho, Wo)
    taps, pixels, panel = tap_table(C, window, Hp, Wp), pixel_table(window, Wp, Ho, Wo), panel_of(columns, lanes(x))
    steps, depths = multiples(P, panel), even_share(P, KC)
    whole = Hp == H and Wp == width
    image, delta, gradients = x.ravel(), dy.ravel(), dW.ravel()
    padded = image if whole else zeros_around(C, Hp, Wp, x)
    turned_delta = np.empty(packed_size(P, columns, panel), x.dtype)
    sums = np.zeros(groups * K * columns, x.dtype)
    for n in range(N):
        for g in range(groups):
            of = (n * groups + g) * C * H * width
            if not whole:
                pad(padded, image, of, C, H, width, window, Hp, Wp)
                of = 0
            pack(turned_delta, 0, panel, delta, (n * O + g * Og + first) * P, 1, P, P, columns)
            for p in range(0, P, depths):
                block(
                    K, columns, min(depths, P - p), panel, sums, g * K * columns, columns, padded, of, taps, pixels[p:],
                    turned_delta, p * panel, P + 1, steps, OUTPUT, sums, 0,
                )  # fmt: skip
    for g in range(groups):
        for o in range(columns):
            for k in range(K):
                gradients[(g * Og + first + o) * K + k] += sums[(g * K + k) * columns + o]


@jit
def correlate_depthwise(dW, x, dy, window, first, last):
    """``correlate`` with stride 1 and one filter a group, of the groups first ≤ g < last: a dot product for each tap.

    δ is laid out as wide as the image with its zeros, so that both are read straight on.
    """
    N, O, Ho, Wo = dy.shape
    H, width = x.shape[2:]
    C, K = dW.shape[1], dW.size // O
    Hp, Wp = padded_size(x, window, Ho, Wo)
    taps, columns = tap_table(C, window, Hp, Wp), (Ho - 1) * Wp + Wo
    padded, spread = zeros_around(C, Hp, Wp, x), zeros_around(1, Ho, Wp, x)
    apart = np.zeros_like(window)  # no padding: δ's rows only move apart
    image, delta, gradients = x.ravel(), dy.ravel(), dW.ravel()
    for n in range(N):
        for g in range(first, last):
            pad(padded, image, (n * O + g) * C * H * width, C, H, width, window, Hp, Wp)
            pad(spread, delta, (n * O + g) * Ho * Wo, 1, Ho, Wo, apart, Ho, Wp)
            for k in range(K):
                gradients[g * K + k] += dot(spread[:columns], padded[taps[k] : taps[k] + columns])


@jit(reorder=True)
def dot(a, b):
    """Σ_i a[i] b[i]"""
    total = a.dtype.type(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


# ---------------------------------------------------------------------- shared out


@jit
def share_of(t, threads, N, filters):
    """(images, filters) of thread t: some of the images, or some of the filters where images are few."""
    if N // threads >= 4:
        return np.array((t * N // threads, (t + 1) * N // threads, 0, filters))
    return np.array((0, N, t * filters // threads, (t + 1) * filters // threads))


@jit(parallel=True)
def parallel_slide(y, x, W, rows, steps, start, bias, window):
    threads = num_threads()
    for t in prange(threads):
        slide(y, x, W, rows, steps, start, bias, window, share_of(t, threads, len(x), len(rows)))


@jit(parallel=True)
def parallel_fold_images(dx, dy, W, window):
    threads = num_threads()
    for t in prange(threads):
        fold_images(dx, dy, W, window, t * len(dy) // threads, (t + 1) * len(dy) // threads)


@jit(parallel=True)
def parallel_correlate(dW, x, dy, window, filters):
    threads = num_threads()
    for t in prange(threads):
        correlate(dW, x, dy, window, t * filters // threads, (t + 1) * filters // threads)


@jit(parallel=True)
def parallel_correlate_depthwise(dW, x, dy, window):
    threads = num_threads()
    for t in prange(threads):
        correlate_depthwise(dW, x, dy, window, t * len(dW) // threads, (t + 1) * len(dW) // threads)


@jit
def pays(y, W):
    """Whether a convolution of these outputs and weights is large enough to share out."""
    return num_threads() > 1 and y.size * (W.size // W.shape[0]) >= PARALLEL_WORK


@jit
def shared_slide(y, x, W, rows, steps, start, bias, window, large):
    if large:
        parallel_slide(y, x, W, rows, steps, start, bias, window)
    else:
        slide(y, x, W, rows, steps, start, bias, window, share_of(0, 1, len(x), len(rows)))


@conv2d.cpu
def conv2d_cpu(y, x, W, b, window):
    start, bias = (ZERO, W.ravel()) if b is None else (ROW_BIAS, b)
    K = W.size // len(W)
    rows = multiples(len(W) * W.shape[1] // x.shape[1], K)
    shared_slide(y, x, W, rows, multiples(K, 1), start, bias, flat(window), pays(y, W))


@conv2d_input_gradient.cpu
def conv2d_input_gradient_cpu(dx, dy, W, window):
    geometry = flat(window)
    kh, kw, sh, sw, ph, pw, dh, dw = unpack(geometry)
    back = np.array((kh, kw, 1, 1, dh * (kh - 1) - ph, dw * (kw - 1) - pw, dh, dw))
    if sh == 1 and sw == 1 and back[4] >= 0 and back[5] >= 0:
        C, K = W.shape[1], W.size // len(W)
        steps = turned(kh * kw, dy.shape[1] * C // dx.shape[1], K)
        shared_slide(dx, dy, W, multiples(C, kh * kw), steps, ZERO, W.ravel(), back, pays(dy, W))
    elif len(dx) > 1 and pays(dy, W):
        parallel_fold_images(dx, dy, W, geometry)
    else:
        fold_images(dx, dy, W, geometry, 0, len(dx))


@conv2d_weight_gradient.cpu
def conv2d_weight_gradient_cpu(dW, x, dy, window, beta):
    scale(dW, beta)
    filters = len(dW) * dW.shape[1] // x.shape[1]
    if filters == 1 and len(dW) > 1 and window.stride == (1, 1):
        if pays(dy, dW):
            parallel_correlate_depthwise(dW, x, dy, flat(window))
        else:
            correlate_depthwise(dW, x, dy, flat(window), 0, len(dW))
    elif pays(dy, dW):
        parallel_correlate(dW, x, dy, flat(window), filters)
    else:
        correlate(dW, x, dy, flat(window), 0, filters)


@jit
def add_channels(s, x, first, last):
    """``sum_channels`` of the channels first ≤ c < last, each sample's plane by itself."""
    N, C, H, W = x.shape
    planes = x.reshape(N, C, H * W)
    for n in range(N):
        for c in range(first, last):
            s[c] += sum_of(planes[n, c])


@jit(parallel=True)
def parallel_add_channels(s, x):
    threads = num_threads()
    for t in prange(threads):
        add_channels(s, x, t * len(s) // threads, (t + 1) * len(s) // threads)


@sum_channels.cpu
def sum_channels_cpu(s, x, beta):
    scale(s, beta)
    if x.size >= PARALLEL_PASS and num_threads() > 1:
        parallel_add_channels(s, x)
    else:
        add_channels(s, x, 0, len(s))


@conv2d_backward_weights.cpu
def conv2d_backward_weights_cpu(dW, db, x, dy, window):
    conv2d_weight_gradient_cpu(dW, x, dy, window, 1.0)
    if db is not None:
        sum_channels_cpu(db, dy, 1.0)
