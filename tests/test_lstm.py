"""LSTM: its two states."""

import numpy as np
import pytest
from recurrence import assert_states_equal_pytorch

import manualbp as mb


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, True), (3, False)])
def test_states_equal_pytorch(torch, layers, bidirectional, batch_first):
    options = {"batch_first": batch_first, "bidirectional": bidirectional}
    assert_states_equal_pytorch(
        torch, mb.LSTM(2, 3, layers, dtype="float64", **options), torch.nn.LSTM(2, 3, layers, **options)
    )


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_gates(backend):
    """Order i, f, g, o: with i shut and f, o open the memory is kept; its gradient passes undiminished."""
    with mb.backend(backend):
        lstm = mb.LSTM(1, 1)
        for parameter in lstm.parameters():
            parameter.value[...] = 0
        lstm.parameters()[2].value[...] = [-100, 100, 5, 100]
        h0, c0 = np.zeros((2, 1, 1, 1), np.float32)
        c0[...] = 0.25
        y = lstm(np.ones((50, 1, 1), np.float32), (h0, c0))
        np.testing.assert_array_equal(lstm.c_n, c0)
        np.testing.assert_allclose(y, np.tanh(np.full_like(y, 0.25)), rtol=1e-6)
        lstm.backward(np.zeros_like(y), (h0, np.ones_like(c0)))
        np.testing.assert_array_equal(lstm.dc0, 1)


def test_the_state_is_a_pair():
    lstm = mb.LSTM(2, 3)
    with pytest.raises(ValueError, match=r"LSTM\(2 → 3\): the initial state is \(h, c\), got 1 arrays"):
        lstm(np.ones((4, 5, 2), np.float32), np.zeros((1, 5, 3), np.float32))
    y = lstm(np.ones((4, 5, 2), np.float32), (None, np.ones((1, 5, 3), np.float32)))
    with pytest.raises(ValueError, match=r"the gradient of the final state is \(h, c\), got 1 arrays"):
        lstm.backward(y, 0)
