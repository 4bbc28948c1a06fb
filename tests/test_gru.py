"""GRU: its gates, and where its reset gate acts."""

import numpy as np
import pytest
from recurrence import assert_states_equal_pytorch

import manualbp as mb


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, True), (3, False)])
def test_states_equal_pytorch(torch, layers, bidirectional, batch_first):
    options = {"batch_first": batch_first, "bidirectional": bidirectional}
    assert_states_equal_pytorch(torch, mb.GRU(2, 3, layers, dtype="float64", **options), torch.nn.GRU(2, 3, layers, **options))


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_gates(backend):
    """Order r, u, n: u open keeps the state; u and r shut leave n = tanh(b_in), without b_hn."""
    with mb.backend(backend):
        gru = mb.GRU(1, 1)
        for parameter in gru.parameters():
            parameter.value[...] = 0
        b_ih, b_hh = (p.value for p in gru.parameters()[2:])
        b_ih[...], b_hh[...] = [-100, 100, 0.5], [0, 0, 3]
        x, h0 = np.ones((20, 1, 1), np.float32), np.full((1, 1, 1), 0.25, np.float32)
        np.testing.assert_array_equal(gru(x, h0), 0.25)
        gru.backward(np.zeros_like(x), np.ones_like(h0))
        np.testing.assert_array_equal(gru.dh0, 1)
        b_ih[1] = -100
        np.testing.assert_allclose(gru(x, h0), np.tanh(0.5), rtol=1e-6)
