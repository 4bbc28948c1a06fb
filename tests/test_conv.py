"""Conv2d, Conv1d: the geometry of windows, and convolution against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import manualbp as mb


def ones(layer):
    """The layer with all weights 1 and no bias: each output counts what its window sees."""
    layer.W = np.ones_like(layer.W)
    layer.b = np.zeros_like(layer.b)
    return layer


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_by_hand(backend):
    """It is a cross-correlation: the filter is not turned round."""
    with mb.backend(backend):
        conv = mb.Conv2d(1, 1, 2)
        conv.W, conv.b = [[[[1, 2], [3, 4]]]], [10]
        np.testing.assert_array_equal(conv([[[[1.0, 0, 0], [0, 0, 1], [0, 2, 0]]]]), [[[[11, 14], [18, 18]]]])
        dx = conv.backward([[[[1.0, 0], [0, 1]]]])
        np.testing.assert_array_equal(dx, [[[[1, 2, 0], [3, 5, 2], [0, 3, 4]]]])
        np.testing.assert_array_equal(conv.dW, [[[[1, 1], [2, 0]]]])
        np.testing.assert_array_equal(conv.db, [2])


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(*[st.integers(1, 2)] * 3), st.tuples(*[st.integers(1, 3)] * 2), st.tuples(*[st.integers(1, 3)] * 2),
    st.tuples(*[st.integers(0, 3)] * 2), st.tuples(*[st.integers(1, 2)] * 2), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_equals_the_sum_over_taps(channels, kernel, stride, padding, dilation, seed):
    """Formulas (1) and (2), six loops, in integers: equality."""
    groups, C, O = channels
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    H, W = (max(1, r - 2 * p) + seed % 4 for r, p in zip(reach, padding, strict=True))
    rng = np.random.default_rng(seed)
    conv = mb.Conv2d(groups * C, groups * O, kernel, stride, padding, dilation, groups)
    conv.W, conv.b = rng.integers(-2, 3, conv.W.shape), rng.integers(-2, 3, conv.b.shape)
    x = rng.integers(-2, 3, (1, groups * C, H, W)).astype(np.float32)
    padded = np.pad(x[0], [(0, 0), *((p, p) for p in padding)])
    y = conv(x)[0]
    for o, h, w in np.ndindex(y.shape):
        top, left, first = h * stride[0], w * stride[1], o // O * C
        seen = padded[first : first + C, top : top + reach[0] : dilation[0], left : left + reach[1] : dilation[1]]
        assert y[o, h, w] == conv.b[o] + (conv.W[o] * seen).sum()


def test_same_padding_has_its_odd_zero_after():
    """A window of 2 needs one zero: below and to the right, as PyTorch has it."""
    conv = ones(mb.Conv2d(1, 1, 2, padding="same"))
    np.testing.assert_array_equal(conv(np.ones((1, 1, 2, 3), np.float32))[0, 0], [[4, 4, 2], [2, 2, 1]])
    conv = ones(mb.Conv1d(1, 1, 4, padding="same"))
    np.testing.assert_array_equal(conv(np.ones((1, 1, 5), np.float32))[0, 0], [3, 4, 4, 3, 2])


def test_valid_padding_is_none():
    x = np.ones((1, 1, 4, 4), np.float32)
    assert mb.Conv2d(1, 1, 3, padding="valid")(x).shape == (1, 1, 2, 2)


def test_pixels_that_no_window_sees_get_no_gradient():
    conv = ones(mb.Conv1d(1, 1, 1, stride=3))
    conv(np.ones((1, 1, 6), np.float32))
    np.testing.assert_array_equal(conv.backward([[[1.0, 2.0]]])[0, 0], [1, 0, 0, 2, 0, 0])


def test_groups_do_not_see_each_other():
    conv = mb.Conv2d(4, 2, 1, groups=2)
    x = np.ones((1, 4, 1, 1), np.float32)
    conv(x)
    dx = conv.backward(np.array([1, 0], np.float32).reshape(1, 2, 1, 1))
    assert dx[0, :2].all()
    assert not dx[0, 2:].any()
    assert not conv.dW[1].any()


def test_conv1d_is_conv2d_of_height_one():
    line, image = mb.Conv1d(2, 3, 3, 2, 1), mb.Conv2d(2, 3, (1, 3), (1, 2), (0, 1))
    image.W, image.b = line.W[:, :, None], line.b
    x = np.random.default_rng(0).standard_normal((2, 2, 7)).astype(np.float32)
    y = line(x)
    np.testing.assert_array_equal(y, image(x[:, :, None])[:, :, 0])
    np.testing.assert_array_equal(line.backward(y), image.backward(y[:, :, None])[:, :, 0])
    np.testing.assert_array_equal(line.dW, image.dW[:, :, 0])


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(mb.Conv2d(1, 32, 3, padding=1)) == "Conv2d(1 → 32, 3×3, padding 1)"
    assert repr(mb.Conv2d(4, 2, (4, 3), padding="same", dilation=(1, 2))) == (
        "Conv2d(4 → 2, 4×3, padding (1, 2)×2, dilation 1×2)"
    )
    assert repr(mb.Conv1d(4, 2, 3, stride=2, padding=1, groups=2, bias=False)) == (
        "Conv1d(4 → 2, 3, stride 2, padding 1, groups 2, no bias)"
    )


def test_sizes_may_be_any_two_integers():
    for two in ((2, 3), [2, 3], np.array([2, 3])):
        assert mb.Conv2d(1, 1, two).window.kernel == (2, 3)


def test_conv1d_takes_tuples_of_one():
    layer = mb.Conv1d(2, 3, (3,), stride=(2,), padding=(1,), dilation=[1])
    assert layer.window == mb.Conv1d(2, 3, 3, 2, 1, 1).window
    with pytest.raises(ValueError, match=r"Conv1d: stride must be an integer of at least 1, got \(1, 2\)"):
        mb.Conv1d(2, 3, 3, stride=(1, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 2.5}, "Conv2d: in_channels must be an integer of at least 1, got 2.5"),
        ({"out_channels": "6"}, "Conv2d: out_channels must be an integer of at least 1, got '6'"),
        ({"groups": 3}, "in_channels 4 and out_channels 6 must be multiples of groups 3"),
        ({"groups": 0}, "Conv2d: groups must be an integer of at least 1, got 0"),
        ({"padding": "same", "stride": 2}, "padding='same' needs stride 1"),
        ({"padding": "full"}, "'same' or 'valid', got 'full'"),
        ({"padding": -1}, "Conv2d: padding must be an integer of at least 0"),
        ({"stride": 0}, "stride must be an integer of at least 1"),
        ({"dilation": (1, 2, 3)}, "dilation must be an integer of at least 1, or two"),
        ({"kernel_size": 2.5}, "kernel_size must be an integer"),
    ],
    ids=str,
)
def test_windows_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        mb.Conv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **arguments})


GEOMETRIES = {
    "one filter": mb.Conv2d(16, 1, 3, padding=1),
    "two filters": mb.Conv2d(16, 2, 3, padding=1),
    "1×1": mb.Conv2d(24, 12, 1),
    "depthwise": mb.Conv2d(24, 24, 3, padding=1, groups=24),
    "depthwise with strides": mb.Conv2d(24, 24, 3, 2, 1, groups=24),
    "groups": mb.Conv2d(24, 12, 3, padding=1, groups=3),
    "groups of many filters": mb.Conv2d(12, 48, 3, padding=1, groups=3),
    "strides": mb.Conv2d(8, 20, 3, 2, 1),
    "groups with strides": mb.Conv2d(12, 15, 3, (1, 2), 1, groups=3),
    "few windows": mb.Conv2d(8, 16, (18, 17)),
    "many taps": mb.Conv2d(70, 16, 3, padding=2, dilation=2),
    "many channels": mb.Conv2d(70, 9, 3, padding=1),
    "more padding than reach": mb.Conv2d(4, 20, 2, padding=3),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("images", [1, 3, 13])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_large_ones_equal_the_definition_for_any_number_of_threads(geometry, images, dtype):
    """In integers: the loops share images, or filters where images are few, and some geometries have loops of their own."""
    conv, rng, results = GEOMETRIES[geometry].astype(dtype), np.random.default_rng(0), []
    conv.W, conv.b = rng.integers(-2, 3, conv.W.shape), rng.integers(-2, 3, conv.b.shape)
    x = rng.integers(-2, 3, (images, conv.in_channels, 21, 19)).astype(dtype)
    before = mb.get_num_threads()
    for backend, threads in (("reference", 1), ("fast", 1), ("fast", 2), ("fast", 3)):
        mb.set_num_threads(threads)
        with mb.backend(backend):
            y = conv(x)
            conv.zero_grad()
            dx = conv.backward(np.sign(y))
            results.append([y.copy(), dx.copy(), conv.dW.copy(), conv.db.copy()])
    mb.set_num_threads(before)
    for other in results[1:]:
        for one, array in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(array, one)
