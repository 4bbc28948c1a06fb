"""RNN, and what all recurrent layers share: states, stacking, directions."""

import numpy as np
import pytest
from recurrence import assert_states_equal_pytorch

import manualbp as mb

RECURRENT = [mb.RNN, mb.LSTM, mb.GRU]
each_kind = pytest.mark.parametrize("kind", RECURRENT)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, True), (3, False)])
def test_states_equal_pytorch(torch, layers, bidirectional, batch_first, nonlinearity):
    options = {"nonlinearity": nonlinearity, "batch_first": batch_first, "bidirectional": bidirectional}
    assert_states_equal_pytorch(torch, mb.RNN(2, 3, layers, dtype="float64", **options), torch.nn.RNN(2, 3, layers, **options))


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_by_hand(backend):
    """h₁ = 2 · 1 + 1 = 3, h₂ = 2 · 2 + 1 + 0.5 · 3 = 6.5; one weight, so dW_ih = x₂ + 0.5 x₁ for dy = (0, 1)."""
    with mb.backend(backend):
        rnn = mb.RNN(1, 1, nonlinearity="relu")
        for parameter, value in zip(rnn.parameters(), (2, 0.5, 1, 0), strict=True):
            parameter.value[...] = value
        x = np.array([1, 2], np.float32).reshape(2, 1, 1)
        np.testing.assert_array_equal(rnn(x).ravel(), [3, 6.5])
        np.testing.assert_array_equal(rnn.backward(np.array([0, 1], np.float32).reshape(2, 1, 1)).ravel(), [1, 2])
        assert {p.name: p.grad.item() for p in rnn.parameters()} == {
            "weight_ih_l0": 2.5, "weight_hh_l0": 3, "bias_ih_l0": 1.5, "bias_hh_l0": 1.5,
        }  # fmt: skip
        assert rnn.h_n.item() == 6.5
        assert rnn.dh0.item() == 0.25


@each_kind
def test_two_directions_are_two_networks(kind):
    """The second half of the output is the same network run on the reversed sequence."""
    both = kind(2, 3, bidirectional=True)
    ahead, back = kind(2, 3), kind(2, 3)
    state = both.state_dict()
    ahead.load_state_dict({name: v for name, v in state.items() if not name.endswith("_reverse")})
    back.load_state_dict({name.removesuffix("_reverse"): v for name, v in state.items() if name.endswith("_reverse")})
    x = np.random.default_rng(0).standard_normal((5, 4, 2)).astype(np.float32)
    y = both(x)
    np.testing.assert_array_equal(y[..., :3], ahead(x))
    np.testing.assert_array_equal(y[..., 3:], back(x[::-1])[::-1])
    np.testing.assert_array_equal(both.h_n, np.concatenate([ahead.h_n, back.h_n]))


@each_kind
def test_a_sequence_in_two_parts(kind):
    """The final state of the first part is the initial one of the second; so are the gradients, the other way."""
    layer = kind(2, 3, dtype="float64")
    x, dy = np.random.default_rng(0).standard_normal((2, 6, 1, 3))
    x = x[..., :2].copy()
    whole, dx = layer(x), layer.backward(dy)
    expected = [p.grad.copy() for p in layer.parameters()]
    layer.zero_grad()

    def states(pattern):
        found = tuple(getattr(layer, pattern.format(name)) for name in layer.state_names)
        return found if len(found) > 1 else found[0]

    np.testing.assert_allclose(layer(x[:4]), whole[:4], rtol=1e-12)
    middle = states("{}_n")
    np.testing.assert_allclose(layer(x[4:], middle), whole[4:], rtol=1e-12)
    np.testing.assert_allclose(layer.backward(dy[4:]), dx[4:], rtol=1e-12)
    dmiddle = states("d{}0")
    layer(x[:4])
    np.testing.assert_allclose(layer.backward(dy[:4], dmiddle), dx[:4], rtol=1e-12)
    for parameter, gradient in zip(layer.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad, gradient, rtol=1e-12, atol=1e-14)


@each_kind
def test_batch_first_only_swaps_axes(kind):
    one, other = kind(2, 3, 2), kind(2, 3, 2, batch_first=True)
    other.load_state_dict(one.state_dict())
    x = np.random.default_rng(0).standard_normal((5, 4, 2)).astype(np.float32)
    y = one(x)
    np.testing.assert_array_equal(other(x.swapaxes(0, 1)).swapaxes(0, 1), y)
    np.testing.assert_array_equal(other.backward(y.swapaxes(0, 1)).swapaxes(0, 1), one.backward(y))


@each_kind
def test_dropout_lies_between_layers_and_only_while_training(kind):
    mb.manual_seed(0)
    wet, dry = kind(2, 8, 2, dropout=0.5), kind(2, 8, 2)
    dry.load_state_dict(wet.state_dict())
    x = np.ones((3, 4, 2), np.float32)
    assert (wet(x) != dry(x)).any()
    np.testing.assert_array_equal(wet.h_n[0], dry.h_n[0])
    np.testing.assert_array_equal(wet.eval()(x), dry(x))


@each_kind
def test_states_that_do_not_fit(kind):
    layer = kind(2, 3)
    x = np.ones((4, 5, 2), np.float32)
    good, short, double = (
        tuple(np.zeros(shape, dtype) for _ in layer.state_names)
        for shape, dtype in (((1, 5, 3), np.float32), ((1, 4, 3), np.float32), ((1, 5, 3), np.float64))
    )
    good, short, double = (s if len(s) > 1 else s[0] for s in (good, short, double))
    with pytest.raises(ValueError, match=rf"{kind.__name__}.*initial state h must have shape \(1, 5, 3\), got \(1, 4, 3\)"):
        layer(x, short)
    with pytest.raises(TypeError, match=rf"{kind.__name__}.*initial state h must have dtype float32, got float64"):
        layer(x, double)
    y = layer(x, good)
    with pytest.raises(ValueError, match=rf"{kind.__name__}.*gradient of the final state h must have shape"):
        layer.backward(np.ones_like(y), short)
    layer.backward(np.ones_like(y), good)


def test_relu_passes_nan():
    rnn = mb.RNN(1, 1, nonlinearity="relu")
    for backend in mb.backend("fast"), mb.backend("reference"):
        with backend:
            assert np.isnan(rnn(np.full((1, 1, 1), np.nan, np.float32))).all()


def test_arguments():
    with pytest.raises(ValueError, match="nonlinearity must be 'tanh' or 'relu', got 'sigmoid'"):
        mb.RNN(1, 1, nonlinearity="sigmoid")
    with pytest.raises(ValueError, match="GRU: num_layers must be an integer of at least 1, got 0"):
        mb.GRU(1, 1, 0)
    with pytest.raises(ValueError, match="LSTM: num_layers must be an integer of at least 1, got True"):
        mb.LSTM(1, 1, True)  # which was meant as bias
    for layers in (1, 2):
        with pytest.raises(ValueError, match=r"RNN: dropout must lie between 0 and 1, got 1\.5"):
            mb.RNN(1, 1, layers, dropout=1.5)
