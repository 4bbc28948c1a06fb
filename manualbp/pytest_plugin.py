"""For pytest: the fixture ``gradcheck``, which fails a test where a backward is not the derivative of its forward.

def test_swish(gradcheck):
    gradcheck(Swish(), np.random.default_rng(0).normal(size=(4, 3)))
"""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from .gradcheck import Check
from .gradcheck import gradcheck as compare
from .layer import Layer
from .losses import Loss
from .types import Array


class Checker(Protocol):
    """What the fixture gives: ``manualbp.gradcheck`` with its arguments."""

    def __call__(self, layer: Layer | Loss, x: Array, target: Array | None = None, **options: Any) -> Check: ...


@pytest.fixture
def gradcheck() -> Checker:
    """``manualbp.gradcheck`` that fails the test, with a line for every array, where the gradients differ."""

    def check(layer: Layer | Loss, x: Array, target: Array | None = None, **options: Any) -> Check:
        __tracebackhide__ = True
        result = compare(layer, x, target, **options)
        if not result:
            pytest.fail(f"{layer!r}\n{result.report()}", pytrace=False)
        return result

    return check
