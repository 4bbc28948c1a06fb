"""Flatten, Reshape, LastStep: the same numbers elsewhere."""

import numpy as np
import pytest

import manualbp as mb

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (mb.Flatten(), (2, 12)), (mb.Flatten(0), (24,)), (mb.Flatten(2), (2, 3, 4)), (mb.Flatten(0, 1), (6, 4)),
        (mb.Flatten(1, -2), (2, 3, 4)), (mb.Flatten(-2), (2, 12)), (mb.Reshape(12), (2, 12)), (mb.Reshape(-1), (2, 12)),
        (mb.Reshape(2, -1, 3), (2, 2, 2, 3)), (mb.Reshape((6, 2)), (2, 6, 2)),
    ],
)  # fmt: skip
def test_shapes(layer, shape):
    np.testing.assert_array_equal(layer(X), X.reshape(shape))
    np.testing.assert_array_equal(layer.backward(X.reshape(shape)), X)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Reshape\(5\) expects .* samples that fill \(5,\), got \(2, 3, 4\)"):
        mb.Reshape(5)(X)
    with pytest.raises(ValueError, match=r"Flatten\(.*\) expects .* axes 3 to -1, got \(2, 3, 4\)"):
        mb.Flatten(3)(X)
    with pytest.raises(ValueError, match=r"Flatten\(0, 3\) expects .* axes 0 to 3, got \(2, 3, 4\)"):
        mb.Flatten(0, 3)(X)


def test_arguments_are_integers():
    with pytest.raises(ValueError, match=r"Reshape: a length must be an integer of at least -1, got 1\.5"):
        mb.Reshape(1.5)
    with pytest.raises(ValueError, match="Reshape: a length must be an integer of at least -1, got -2"):
        mb.Reshape(-2, 3)
    with pytest.raises(ValueError, match=r"Reshape: one length may be -1, got \(-1, -1\)"):
        mb.Reshape(-1, -1)
    with pytest.raises(ValueError, match="Flatten: start_dim must be an integer, got 'a'"):
        mb.Flatten("a")
    assert mb.Reshape(np.int64(12))(X).shape == (2, 12)


@pytest.mark.parametrize("backend", ["fast", "reference"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_last_step(batch_first, backend):
    """The last step is passed on; the others get no gradient."""
    layer = mb.LastStep(batch_first)
    last = (slice(None), -1) if batch_first else (-1,)
    with mb.backend(backend):
        np.testing.assert_array_equal(layer(X), X[last])
        dx = layer.backward(X[last])
    expected = np.zeros_like(X)
    expected[last] = X[last]
    np.testing.assert_array_equal(dx, expected)
