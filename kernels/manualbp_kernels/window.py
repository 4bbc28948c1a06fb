"""The geometry of a sliding window, one value for forward and backward, and its reading in NumPy."""

from typing import NamedTuple

import numpy as np

from .cpu.jit import jit


class Window(NamedTuple):
    """Where a window looks: output (h, w) and tap (i, j) see input (h·sh + i·dh − ph, w·sw + j·dw − pw).

    ``padding`` is what lies before the image (top, left); what lies after it follows from the output's size.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


def unfold(x, window, size, fill=0):
    """The patches x̃[n,c,i,j,h,w] = x[n, c, h·sh + i·dh − ph, w·sw + j·dw − pw], and ``fill`` outside the image."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window
    N, C, H, W = x.shape
    Ho, Wo = size
    padded = np.full((N, C, *_padded_size(window, size, (H, W))), fill, x.dtype)
    padded[:, :, ph : ph + H, pw : pw + W] = x
    patches = np.empty((N, C, kh, kw, Ho, Wo), x.dtype)
    for i in range(kh):
        for j in range(kw):
            patches[:, :, i, j] = padded[:, :, i * dh :, j * dw :][:, :, : Ho * sh : sh, : Wo * sw : sw]
    return patches


def fold(patches, window, shape):
    """The transpose of ``unfold``: every patch element is added back to the place it came from."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window
    N, C, H, W = shape
    Ho, Wo = patches.shape[4:]
    padded = np.zeros((N, C, *_padded_size(window, (Ho, Wo), (H, W))), patches.dtype)
    for i in range(kh):
        for j in range(kw):
            padded[:, :, i * dh :, j * dw :][:, :, : Ho * sh : sh, : Wo * sw : sw] += patches[:, :, i, j]
    return padded[:, :, ph : ph + H, pw : pw + W]


def _padded_size(window, size, image):
    """Height and width of the padded image: all that a window touches, plus room to write whole strides."""
    return tuple(max(n + p, (o - 1) * s + (k - 1) * d + s) for k, s, p, d, o, n in zip(*window, size, image, strict=True))


@jit
def flat(window):
    """The window as an array of eight numbers, which parallel loops can be handed."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = window
    return np.array((kh, kw, sh, sw, ph, pw, dh, dw))
