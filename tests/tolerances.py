"""How far two computations of the same number may be apart. Every tolerance of the tests is here.

Two correct evaluations of Σ terms in one precision differ by rounding alone, which is at most

    K · eps · Σ|terms|        eps = 1.2e-7 in float32, 2.2e-16 in float64

K = 16 allows for the roundings of each term (a product, an exponential) and for the order in which they are added.
"""

import numpy as np

K = 16

GRADCHECK = 1e-7  # relative error of a hand-written derivative against central differences in float64
CURVE = 1e-5  # relative difference of two loss curves over 100 steps
LAST_PLACE = 3.1  # units of the last digit that docs/questions shows: training carries on how a processor rounds
STEPS = 0.5  # the terms of a weight after twenty optimizer steps with given gradients: K/2 roundings of its size


def bound(dtype, terms, scale=1.0):
    """K · eps · Σ|terms|, where ``terms`` is that sum, or the number of terms and ``scale`` the size of one."""
    return K * np.finfo(dtype).eps * terms * scale


def assert_close(actual, expected, terms=1, scale=None):
    """|actual − expected| ≤ K · eps · terms · scale everywhere; infinities and NaN must be in the same places.

    ``terms`` is how many numbers were added up for one element, ``scale`` how large each may be: the largest
    |expected|, at least 1, if not given. eps is that of the coarser of the two dtypes.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    if scale is None:
        scale = max(1.0, float(np.abs(expected[finite]).max(initial=0.0)))
    coarser = max(actual.dtype, expected.dtype, key=_eps)
    apart = np.abs(np.where(finite, actual, 0).astype(np.float64) - np.where(finite, expected, 0))
    worst = float((apart - bound(coarser, terms, scale)).max(initial=-np.inf))
    assert worst <= 0, f"off by {apart.max():.3g}, more than {np.max(bound(coarser, terms, scale)):.3g}"


def _eps(dtype):
    return np.finfo(dtype).eps if dtype.kind == "f" else 0.0
