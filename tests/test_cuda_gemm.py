"""Products and convolutions on a GPU where the cases of ``test_cuda.py`` are too small: ragged tiles, chunks of p, phases."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator import ORDERS, scheduled
from tolerances import assert_close

import manualbp as mb
from manualbp_kernels import KERNELS
from manualbp_kernels.cuda import multiply
from manualbp_kernels.cuda.conv import _phases, alike
from manualbp_kernels.cuda.device import launches, simulated
from manualbp_kernels.cuda.gemm import Tile
from manualbp_kernels.cuda.multiply import CHUNK, REAL, SIMULATED, TILES, plan
from manualbp_kernels.window import Window

pytestmark = pytest.mark.usefixtures("gpu")
RNG = np.random.default_rng(5)


@pytest.fixture(params=TILES[4], ids=lambda tile: f"{tile.rows}x{tile.columns}")
def tile(request, monkeypatch):
    """The only one there is."""
    plan.cache_clear()
    monkeypatch.setattr(multiply, "TILES", {size: {request.param: 1.0} for size in TILES})
    yield request.param
    plan.cache_clear()


def whole(*shape, dtype="float32"):
    """Numbers whose products and sums are exact."""
    return RNG.integers(-2, 3, shape).astype(dtype)


def nan(*shape, dtype="float32"):
    return np.full(shape, np.nan, dtype)


def on_device(name, *arguments):
    """(the arguments as the kernel leaves them, the launches it took)"""
    there = [mb.to_device(a) if isinstance(a, np.ndarray) else a for a in arguments]
    with launches() as made:
        KERNELS[name].form("cuda")(*there)
    return [np.asarray(a) if isinstance(b, np.ndarray) else b for a, b in zip(there, arguments, strict=True)], made


def assert_exact(name, *arguments, outputs=1):
    """The definition's numbers, to the bit; returns the number of launches."""
    expected = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    KERNELS[name].definition(*expected)
    actual, made = on_device(name, *arguments)
    for one, other in zip(actual[:outputs], expected[:outputs], strict=True):
        np.testing.assert_array_equal(one, other)
    return len(made)


def operands(name, m, n, k, dtype="float32"):
    """A and B of a form."""
    a, b = {"matmul_nn": ((m, k), (k, n)), "matmul_nt": ((m, k), (n, k)), "matmul_tn": ((k, m), (k, n))}[name]
    return whole(*a, dtype=dtype), whole(*b, dtype=dtype)


FORMS = ("matmul_nn", "matmul_nt", "matmul_tn")
each_form = pytest.mark.parametrize("name", FORMS)


# ---------------------------------------------------------------------- tiles


@each_form
@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        (17, 33, 5),  # one row and one column more than whole tiles, one p more than a step
        (33, 15, 3),  # one column fewer, one p fewer
        (16, 32, 8),  # nothing is ragged
        (20, 36, 4),  # whole fours, but no whole tiles
    ],
)
@pytest.mark.usefixtures("tile")
def test_ragged_tiles(name, m, n, k):
    assert_exact(name, nan(m, n), *operands(name, m, n, k), 0.0)


@each_form
@pytest.mark.usefixtures("tile")
def test_ragged_tiles_of_doubles_and_beta(name):
    assert_exact(name, whole(18, 19, dtype="float64"), *operands(name, 18, 19, 6, "float64"), 0.5)


@each_form
def test_arrays_that_do_not_begin_at_a_whole_four(name):
    """A view one number into its memory cannot be read by fours."""
    A, B = operands(name, 8, 12, 4)
    expected = nan(8, 12)
    KERNELS[name].definition(expected, A, B, 0.0)
    shifted = [mb.to_device(np.concatenate((nan(1), a.ravel())))[1:].reshape(a.shape) for a in (nan(8, 12), A, B)]
    KERNELS[name].form("cuda")(*shifted, 0.0)
    np.testing.assert_array_equal(np.asarray(shifted[0]), expected)


def test_rows_along_several_axes():
    assert_exact("linear", nan(3, 7, 5), whole(3, 7, 6), whole(5, 6), whole(5))
    assert_exact("matmul_nn", nan(3, 7, 5), whole(3, 7, 6), whole(6, 5), 0.0)


# ---------------------------------------------------------------------- chunks of p

LONG = 3 * CHUNK + 1  # a product of few numbers, which is cut into chunks


@each_form
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_chunks_of_a_long_sum(name, beta):
    C = whole(5, 7) if beta else nan(5, 7)
    assert plan(5, 7, LONG, 1, True, 4).chunks > 1
    assert assert_exact(name, C, *operands(name, 5, 7, LONG), beta) == 1


@pytest.mark.usefixtures("tile")
def test_chunks_with_a_bias_and_with_sums_of_rows():
    assert assert_exact("linear", nan(5, 7), whole(5, LONG), whole(7, LONG), whole(7)) == 1
    weights = whole(18, 5), whole(18), whole(LONG, 18), whole(LONG, 5)  # two tiles of rows, several chunks
    assert assert_exact("linear_backward_weights", *weights, outputs=2) == 1


@pytest.mark.skipif(not simulated(), reason="orders blocks, which a real GPU does not allow")
def test_chunks_are_added_in_one_order_whichever_block_ends_last():
    A, B = RNG.standard_normal((5, LONG)), RNG.standard_normal((LONG, 7))
    results = []
    for order in ORDERS:
        with scheduled(order):
            results.append(on_device("matmul_nn", nan(5, 7, dtype="float64"), A, B, 0.0)[0][0])
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
    assert_close(results[0], A @ B, terms=abs(A) @ abs(B), scale=1.0)


@given(
    m=st.integers(1, 5000),
    n=st.integers(1, 5000),
    k=st.integers(0, 10**6),
    parts=st.integers(1, 8),
    cut=st.booleans(),
    size=st.sampled_from((4, 8)),
)
def test_chunks_cover_p_once(m, n, k, parts, cut, size):
    tile, chunk, chunks = plan(m, n, k, parts, cut, size)
    assert tile in TILES[size]
    assert chunk % tile.depth == 0
    assert (chunks - 1) * chunk < max(k, 1)
    assert chunks * chunk >= k
    assert cut or chunks == 1


@pytest.mark.parametrize("tile", [*REAL[4], *REAL[8], *SIMULATED])
def test_tiles_fit_their_threads(tile):
    """Squares share the tile out, each thread carries whole fours of either strip, and rows have a thread each."""
    assert tile.rows * tile.columns == tile.threads * 16 * tile.down * tile.across
    for lines in (tile.rows, tile.columns):
        assert lines * tile.depth <= 4 * tile.fours(lines) * tile.threads
        assert lines % (4 * tile.fours(lines)) == 0
    assert tile.depth % 4 == 0
    assert tile.rows <= tile.threads <= 1024


def test_a_tile_that_threads_cannot_share_out_is_refused():
    from manualbp_kernels.cuda.gemm import _carrier
    from manualbp_kernels.cuda.matmul import NN

    tile = Tile(8, 8, 16, 1, 1)
    with pytest.raises(ValueError, match="4 threads cannot share 8 × 16 numbers out by fours"):
        _carrier(NN.left(tile, np.float32, False), 8, tile, 12)


# ---------------------------------------------------------------------- convolution

WINDOWS = {
    "same": (Window((3, 3), (1, 1), (1, 1)), (6, 5), 1),
    "fours": (Window((2, 2)), (5, 5), 2),  # whole fours of pixels and of taps
    "stride": (Window((3, 2), (2, 1), (1, 0), (1, 2)), (7, 6), 2),
    "stride and dilation": (Window((3, 3), (2, 4), (2, 1), (2, 2)), (9, 8), 1),  # with and without a common factor
    "gaps": (Window((1, 2), (3, 3)), (7, 8), 1),  # pixels that no window sees
    "depthwise": (Window((3, 3), (1, 1), (1, 1)), (5, 4), 3),
}


def convolution(window, image, groups, channels=2, filters=3, samples=2):
    """x, W, b, dy."""
    places = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(image, window.kernel, window.stride, window.padding, window.dilation, strict=True)
    ]
    channels, filters = (1, 1) if groups == 3 else (channels, filters)
    x, W = whole(samples, groups * channels, *image), whole(groups * filters, channels, *window.kernel)
    return x, W, whole(groups * filters), whole(samples, groups * filters, *places)


@pytest.mark.parametrize("case", WINDOWS)
@pytest.mark.usefixtures("tile")
def test_convolution_and_its_gradients(case):
    assert_convolution(*WINDOWS[case])


@pytest.mark.parametrize("case", WINDOWS)
def test_convolution_of_samples_and_channels_by_fours(case, tile):
    """As many samples or channels as share a place, and twice as many."""
    window, image, groups = WINDOWS[case]
    assert_convolution(window, (*image[:1], 4), groups, samples=alike(tile))
    if groups < 3:
        assert_convolution(window, (3, 4), groups, channels=2 * alike(tile), samples=1)


def assert_convolution(window, image, groups, **sizes):
    x, W, b, dy = convolution(window, image, groups, **sizes)
    assert assert_exact("conv2d", nan(*dy.shape), x, W, b, window) == 1
    phases = np.prod([min(s, n) for s, n in zip(window.stride, image, strict=True)])
    assert assert_exact("conv2d_input_gradient", nan(*x.shape), dy, W, window) == phases
    assert assert_exact("conv2d_weight_gradient", whole(*W.shape), x, dy, window, 0.5) == 1
    assert assert_exact("conv2d_backward_weights", whole(*W.shape), whole(len(W)), x, dy, window, outputs=2) == 1


def test_convolution_with_many_filters_and_channels():
    """Several tiles in both directions, chunks of p in all three products."""
    x, W, b, dy = convolution(Window((2, 2)), (4, 5), 1, channels=19, filters=18, samples=1)
    window = Window((2, 2))
    assert_exact("conv2d", nan(*dy.shape), x, W, b, window)
    assert_exact("conv2d_input_gradient", nan(*x.shape), dy, W, window)
    assert_exact("conv2d_backward_weights", whole(*W.shape), whole(len(W)), x, dy, window, outputs=2)


def test_an_image_too_large_for_32_bits_is_refused(monkeypatch):
    monkeypatch.setattr("manualbp_kernels.cuda.conv.LARGEST", 10)
    x, W, b, dy = convolution(Window((1, 1)), (3, 4), 1)
    with pytest.raises(ValueError, match=r"up to 10 numbers, got shape \(2, 3, 3, 4\): use smaller batches"):
        on_device("conv2d", nan(*dy.shape), x, W, b, Window((1, 1)))


@given(
    size=st.integers(1, 12), kernel=st.integers(1, 5), stride=st.integers(1, 6), padding=st.integers(0, 4),
    dilation=st.integers(1, 6),
)  # fmt: skip
def test_phases_are_the_transpose_of_windows(size, kernel, stride, padding, dilation):
    """Every (pixel, tap, output) that a window connects is in one phase, and no other."""
    seen = [
        (phase.pixel + a * stride, phase.tap + i * phase.every, phase.sees + a + i * phase.tap_step)
        for phase in _phases(size, kernel, stride, padding, dilation)
        for a, i in product(range(phase.pixels), range(phase.taps))
    ]
    expected = {
        (h * stride + i * dilation - padding, i, h)
        for h, i in product(range(-40, 40), range(kernel))
        if 0 <= h * stride + i * dilation - padding < size
    }
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


# ---------------------------------------------------------------------- pooling and softmax


def test_maxima_of_pooling_anywhere():
    """Any output may have any pixel as its maximum, also the same one as many others, and planes of any size."""
    argmax = RNG.integers(0, 30, (2, 2, 7, 5)).astype(np.int32)
    argmax[0, 0] = 29
    assert_exact("max_pool2d_backward", nan(2, 2, 5, 6), whole(2, 2, 7, 5), argmax)


def test_softmax_of_large_numbers():
    x = np.array([[[1000.0], [999.0], [-1000.0], [998.0], [-np.inf]]], np.float32)
    expected = np.exp(np.array([0, -1, -np.inf, -2, -np.inf])) / np.exp([0, -1, -2]).sum()
    assert_close(on_device("softmax", nan(*x.shape), x)[0][0][0, :, 0], expected)
    assert_close(
        on_device("log_softmax", nan(*x.shape), x)[0][0][0, :, 0],
        x[0, :, 0] - 1000 - np.log(np.exp([0, -1, -2]).sum()),
        scale=2000,
    )
