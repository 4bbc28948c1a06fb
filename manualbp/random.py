"""The one source of randomness: initial weights and dropout keys are drawn from it, in the order of construction."""

from functools import cache

import numpy as np


@cache
def generator() -> np.random.Generator:
    """The library's Generator (PCG64), seeded from the operating system until ``manual_seed`` is called."""
    return np.random.default_rng()


def manual_seed(seed: int) -> None:
    """Start the library's Generator anew: the same seed and the same construction give the same weights, to the bit."""
    generator().bit_generator.state = np.random.default_rng(seed).bit_generator.state
