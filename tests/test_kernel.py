"""Kernels: the contract, and that definition and compiled loops say the same."""

import os
import subprocess
import sys

import numpy as np
import pytest
from agreement import assert_agree, run
from cases import KERNELS as CASES
from cases import Draw
from hypothesis import given, settings
from hypothesis import strategies as st

import manualbp as mb
from manualbp_kernels import KERNELS, Kernel, backend, get_backend, kernel, look_everywhere, set_backend
from manualbp_kernels.cpu.jit import Jit
from manualbp_kernels.elementwise import copy, fill
from manualbp_kernels.loss import class_targets
from manualbp_kernels.matmul import matmul_nn, sum_rows
from manualbp_kernels.pool import max_pool2d
from manualbp_kernels.random import dropout, philox
from manualbp_kernels.relu import relu, relu_backward
from manualbp_kernels.window import Window, fold, unfold

DTYPES = ("float32", "float64")
BETA = [name for name, kernel in KERNELS.items() if "beta" in kernel.parameters and kernel.parameters[-1] == "beta"]

each_kernel = pytest.mark.parametrize("name", list(KERNELS))
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def scratch():
    """Removes the kernels that a test defines."""
    before = dict(KERNELS)
    yield
    KERNELS.clear()
    KERNELS.update(before)


# ---------------------------------------------------------------------- definition and compiled form agree


@each_dtype
@each_kernel
@settings(deadline=None, max_examples=25)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), whole=st.booleans())
def test_compiled_equals_definition(name, dtype, data, seed, whole):
    """To the bit on small integers wherever the operation is exact, else within K · eps · Σ|terms|."""
    kernel, case = KERNELS[name], CASES[name]
    draw = Draw(np.random.default_rng(seed), dtype, whole, lambda low, high: data.draw(st.integers(low, high)))
    assert_agree(kernel, case, case.arguments(draw), kernel.form("cpu"), whole)


SIZES = [(131, 133, 137), (257, 70, 530), (70, 257, 530), (530, 257, 257), (37, 1030, 19), (70, 25, 600), (301, 3, 70)]
LOW = [(m, 133, 137) for m in (5, 6, 7, 9, 10, 11, 13)]  # rows that leave tiles of every height


@each_dtype
@pytest.mark.parametrize(("m", "n", "k"), SIZES + LOW)
def test_products_of_any_size_equal_their_definitions(m, n, k, dtype):
    """Beyond the sizes at which A and B are packed and the sum over p is cut, none a multiple of a tile: to the bit."""
    draw = Draw(np.random.default_rng(0), dtype, whole=True)
    products = {
        "matmul_nn": (draw(m, n), draw(m, k), draw(k, n), 1.0),
        "matmul_nt": (draw(m, n), draw(m, k), draw(n, k), 1.0),
        "matmul_tn": (draw(m, n), draw(k, m), draw(k, n), 1.0),
        "linear": (draw.unwritten(m, n), draw(m, k), draw(n, k), draw(n)),
        "linear_backward_weights": (draw(m, n), draw(m), draw(k, m), draw(k, n)),
    }
    for name, arguments in products.items():
        expected, actual = run(KERNELS[name].definition, arguments), run(KERNELS[name].form("cpu"), arguments)
        for one, other in zip(expected, actual, strict=True):
            np.testing.assert_array_equal(other, one, err_msg=name)


@pytest.mark.parametrize("width", [16, 64])
def test_vectors_of_any_width(width):
    """On a host of other vectors the tiles and panels are others: the products above again, with that width."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "test_products_of_any_size"]
    environment = {**os.environ, "MANUALBP_VECTOR_BYTES": str(width)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def side_by_side(arguments, backwards, gap):
    """Copies of the arrays, ``gap`` bytes apart, the first one first or last."""
    places = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray)]
    memory, end = np.empty(sum(arguments[i].nbytes + gap + 16 for i in places), np.uint8), 0
    moved = list(arguments)
    for i in places[::-1] if backwards else places:
        a = arguments[i]
        moved[i] = memory[end : end + a.nbytes].view(a.dtype).reshape(a.shape)
        moved[i][...] = a
        end += -(-a.nbytes // 16) * 16 + gap
    return moved


@each_dtype
@each_kernel
def test_bits_do_not_depend_on_where_arrays_lie(name, dtype):
    """LLVM's loops look whether arrays are too near each other for vectors; both of their ways must give the same."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        arguments = CASES[name].arguments(Draw(rng, dtype, False, lambda low, high: int(rng.integers(low, high + 1))))
        results = []
        for backwards, gap in ((False, 256), (True, 0), (True, 16), (False, 0)):
            moved = side_by_side(arguments, backwards, gap)
            KERNELS[name].form("cpu")(*moved)
            results.append([a.tobytes() for a in moved if isinstance(a, np.ndarray)])
        assert all(result == results[0] for result in results)


@each_dtype
@pytest.mark.parametrize("name", BETA)
def test_beta(name, dtype):
    """β scales what the output held; with β = 0 that is not read."""
    arguments = CASES[name].arguments(Draw(np.random.default_rng(0), dtype, whole=True))[:-1]
    old = np.full_like(arguments[0], 3)
    nan = np.full_like(old, np.nan)
    for form in (KERNELS[name].definition, KERNELS[name].form("cpu")):
        new = run(form, [nan, *arguments[1:], 0.0])[0]
        assert np.isfinite(new).all()
        np.testing.assert_array_equal(run(form, [old, *arguments[1:], 1.0])[0], old + new)
        np.testing.assert_array_equal(run(form, [old, *arguments[1:], 0.5])[0], old / 2 + new)


@each_dtype
def test_nan_stays_nan(dtype):
    """No fast-math flag promises that there are none."""
    x = np.array([[np.nan, 1, -1, np.inf]], dtype)
    for form in (relu.definition, relu.form("cpu")):
        np.testing.assert_array_equal(run(form, (np.empty_like(x), x))[0], [[np.nan, 1, 0, np.inf]])
    for form in (relu_backward.definition, relu_backward.form("cpu")):
        np.testing.assert_array_equal(run(form, (np.empty_like(x), np.ones_like(x), x))[0], [[1, 1, 0, 1]])
    for form in (sum_rows.definition, sum_rows.form("cpu")):
        np.testing.assert_array_equal(run(form, (np.empty(4, dtype), x, 0.0))[0], x[0])


@each_dtype
def test_max_pool_of_ties_infinities_and_nan(dtype):
    """The first of equals; padding never wins; a NaN does."""
    x = np.array([[[[-np.inf, -np.inf], [-np.inf, -np.inf]], [[1, 1], [1, 1]], [[5, np.nan], [7, np.nan]]]], dtype)
    for form in (max_pool2d.definition, max_pool2d.form("cpu")):
        y, argmax = np.empty((1, 3, 2, 2), dtype), np.empty((1, 3, 2, 2), np.int32)
        form(y, argmax, x, Window((2, 2), (1, 1), (1, 1)))
        np.testing.assert_array_equal(argmax[0, :2], [[[0, 0], [0, 0]]] * 2)
        np.testing.assert_array_equal(argmax[0, 2], [[0, 1], [2, 1]])
        np.testing.assert_array_equal(y[0, :, 0, 1], [-np.inf, 1, np.nan])


@each_dtype
def test_a_class_that_does_not_exist_becomes_nan(dtype):
    targets, norm = np.array([[0], [3], [-1], [-100]]), np.empty(1)
    for form in (class_targets.definition, class_targets.form("cpu")):
        q = np.empty((4, 3, 1), dtype)
        form(q, norm, targets, np.ones(3, dtype), 0.0, -100)
        assert np.isnan(q).all(axis=(1, 2)).tolist() == [False, True, True, False]
        np.testing.assert_array_equal(q[0, :, 0], [1, 0, 0])
        np.testing.assert_array_equal(q[3, :, 0], [0, 0, 0])


@settings(deadline=None, max_examples=25)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_fold_is_the_transpose_of_unfold(data, seed):
    """Σ fold(p) · x = Σ p · unfold(x), for any window."""
    draw = Draw(np.random.default_rng(seed), "float64", True, lambda low, high: data.draw(st.integers(low, high)))
    window, image, places = draw.window()
    x, patches = draw(2, 3, *image), draw(2, 3, *window.kernel, *places)
    assert (fold(patches, window, x.shape) * x).sum() == (patches * unfold(x, window, places)).sum()


# ---------------------------------------------------------------------- random numbers


def philox4x32(counter, key):
    """Philox4x32-10 as published, in Python's integers: 128 bits of counter, 64 of key."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_known_answers(counter, key, words):
    """The vectors of Random123 (kat_vectors); the first has a counter that fits into our 64 bits."""
    assert philox4x32(counter, key) == words
    if counter[2:] == [0, 0]:
        assert [int(w) for w in philox(np.uint64(0), np.uint64(0))] == words


@given(counter=st.integers(0, 2**64 - 1), key=st.integers(0, 2**64 - 1))
def test_philox_equals_the_published_algorithm(counter, key):
    words = philox4x32([counter & 0xFFFFFFFF, counter >> 32, 0, 0], [key & 0xFFFFFFFF, key >> 32])
    assert [int(w) for w in philox(np.uint64(counter), np.uint64(key))] == words


def test_dropout_draws_from_its_own_place_in_the_stream():
    """One call over 24 elements is two calls over 8 and 16: what matters is the counter, not how it was reached."""
    x = np.ones(24)
    for form in (dropout.definition, dropout.form("cpu")):
        whole, parts, mask = np.empty(24), np.empty(24), np.empty(24)
        form(whole, mask, np.array([7, 0], np.uint64), x, 0.5)
        state = np.array([7, 0], np.uint64)
        form(parts[:8], mask[:8], state, x[:8], 0.5)
        assert state[1] == 2
        form(parts[8:], mask[8:], state, x[8:], 0.5)
        np.testing.assert_array_equal(whole, parts)
        words = [w for block in range(6) for w in philox4x32([block, 0, 0, 0], [7, 0])]
        np.testing.assert_array_equal(whole, [0 if w < 2**31 else 2 for w in words])


# ---------------------------------------------------------------------- the contract


def test_a_call_runs_the_form_of_the_backend(scratch):
    """Compiled loops normally, the definition under "reference"; the change takes effect at once, and is undone."""

    @kernel
    def which(y):
        """y[0] = 1 in the definition, 2 in the loops"""
        y[0] = 1

    @which.cpu
    def which_cpu(y):
        y[0] = 2

    y = np.zeros(1)
    which(y)
    assert y == 2
    with backend("reference"):
        assert get_backend() == "reference"
        which(y)
        assert y == 1
        with backend("fast"):
            which(y)
            assert y == 2
        which(y)
        assert y == 1
    assert get_backend() == "fast"
    which(y)
    assert y == 2


def test_backend_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), backend("reference"):
        raise ZeroDivisionError
    assert get_backend() == "fast"


def test_set_backend():
    set_backend("reference")
    assert mb.get_backend() == "reference"
    set_backend("fast")
    with pytest.raises(ValueError, match="fast, reference, got 'slow'"):
        set_backend("slow")
    assert get_backend() == "fast"


def test_other_parameter_names_are_refused(scratch):
    @kernel
    def twice(y, x):
        """y = 2 x"""

    with pytest.raises(TypeError, match=r"cpu form of twice takes \('y', 'z'\)"):

        @twice.cpu
        def twice_cpu(y, z): ...

    with pytest.raises(TypeError, match=r"cuda form of twice takes \('x', 'y'\)"):

        @twice.cuda
        def twice_cuda(x, y): ...

    with pytest.raises(TypeError, match=r"scalar form of twice takes \('y',\)"):

        @twice.scalar()
        def twice_scalar(y): ...

    assert not twice.forms


def test_a_missing_form_is_an_error_and_no_slow_path(scratch):
    @kernel
    def lonely(y):
        """y = 0"""
        y[...] = 0

    with pytest.raises(NotImplementedError, match="kernel lonely has no implementation for cpu"):
        lonely(np.empty(1))
    with backend("reference"):
        lonely(np.empty(1))
    with pytest.raises(NotImplementedError, match="kernel lonely has no implementation for cuda"):
        lonely(memoryview(b"not an array of the host"))


def test_an_array_elsewhere_goes_to_its_own_form(scratch):
    """Whatever is not a NumPy array goes to the GPU, under every backend."""
    calls = []

    @kernel
    def away(y):
        """y = 0"""

    @away.cuda
    def away_cuda(y):
        calls.append(y)

    away("device array")
    with backend("reference"):
        away("another")
    assert calls == ["device array", "another"]


def test_loops_in_the_place_of_the_choice_can_be_given_up(scratch, monkeypatch):
    """Once it has run, a compiled kernel asks no more where its arrays lie, until some may lie elsewhere."""
    monkeypatch.setattr(sys.modules["manualbp_kernels.kernel"], "_only_host", True)  # and put back afterwards
    calls = []

    @kernel
    def both(y):
        """y = 1"""

    @both.cpu
    def both_cpu(y):
        y[0] = 1

    @both.cuda
    def both_cuda(y):
        calls.append(y)

    y = np.zeros(1)
    both(y)
    assert y == 1
    assert type(both).__call__ is not Kernel.__call__
    look_everywhere()
    y[0] = 0
    both(y)
    both("device array")
    assert y == 1
    assert calls == ["device array"]
    assert type(both).__call__ is Kernel.__call__


def test_kernels_do_not_share_what_a_call_runs():
    """Each has its own class, or the first call of one would replace them all."""
    y = np.zeros(2)
    fill(y, 1.0)
    copy(np.empty(2), y)
    assert type(fill) is not type(copy)
    assert type(fill).__call__ is not type(copy).__call__


def test_a_name_is_defined_once(scratch):
    def copy(y, x):
        """y = x"""

    with pytest.raises(TypeError, match="kernel copy is defined twice"):
        kernel(copy)


def test_a_kernel_shows_its_formula():
    assert repr(matmul_nn) == "matmul_nn(C, A, B, beta): C[i,j] = β C[i,j] + Σ_p A[i,p] B[p,j]"
    assert all(isinstance(k, Kernel) and k.__doc__ and isinstance(k.form("cpu"), Jit) for k in KERNELS.values())
