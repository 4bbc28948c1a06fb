"""Kernels on a GPU: the form of each says what its definition says; arrays and launches as they should be.

Simulated, unless MANUALBP_GPU=1 asks for a real one.
"""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from agreement import assert_agree, run
from cases import KERNELS as CASES
from cases import Draw
from networks import NO_WARNINGS
from tolerances import assert_close

import manualbp as mb
from manualbp_kernels import KERNELS
from manualbp_kernels.cuda import DeviceArray
from manualbp_kernels.cuda.device import choose, cover, cuda, device_function, grid, launches, simulated
from manualbp_kernels.cuda.reduce import sum_vector
from manualbp_kernels.elementwise import fill
from manualbp_kernels.loss import class_targets, mse
from manualbp_kernels.relu import relu, relu_backward

pytestmark = pytest.mark.usefixtures("gpu")

BETA = [name for name, kernel in KERNELS.items() if "beta" in kernel.parameters and kernel.parameters[-1] == "beta"]
DRAWS = [("float32", True, 0), ("float32", True, 1), ("float32", False, 2), ("float64", True, 3), ("float64", False, 4)]

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def on_device(name):
    """The kernel's form for a GPU as a function of host arrays, which it writes as if it ran on them."""

    def form(*arguments):
        there = [mb.to_device(a) if isinstance(a, np.ndarray) else a for a in arguments]
        assert KERNELS[name].form("cuda")(*there) is None
        for host, device in zip(arguments, there, strict=True):
            if isinstance(host, np.ndarray):
                host[...] = np.asarray(device)

    return form


@pytest.mark.parametrize(("dtype", "whole", "seed"), DRAWS)
@pytest.mark.parametrize("name", list(KERNELS))
def test_cuda_equals_definition(name, dtype, whole, seed):
    rng = np.random.default_rng(seed)
    draw = Draw(rng, dtype, whole, lambda low, high: int(rng.integers(low, min(high, low + 5), endpoint=True)))
    assert_agree(KERNELS[name], CASES[name], CASES[name].arguments(draw), on_device(name), whole)


@each_dtype
@pytest.mark.parametrize("name", BETA)
def test_beta(name, dtype):
    """β scales what the output held; with β = 0 that is not read."""
    rng = np.random.default_rng(0)
    arguments = CASES[name].arguments(Draw(rng, dtype, True, lambda low, high: int(rng.integers(low, min(high, 3) + 1))))[:-1]
    old, form = np.full_like(arguments[0], 3), on_device(name)
    new = run(form, [np.full_like(old, np.nan), *arguments[1:], 0.0])[0]
    assert np.isfinite(new).all()
    np.testing.assert_array_equal(run(form, [old, *arguments[1:], 1.0])[0], old + new)
    np.testing.assert_array_equal(run(form, [old, *arguments[1:], 0.5])[0], old / 2 + new)


@each_dtype
def test_nan_stays_nan(dtype):
    x = np.array([[np.nan, 1, -1, np.inf]], dtype)
    np.testing.assert_array_equal(run(on_device("relu"), (np.empty_like(x), x))[0], [[np.nan, 1, 0, np.inf]])
    np.testing.assert_array_equal(run(on_device("relu_backward"), (np.empty_like(x), np.ones_like(x), x))[0], [[1, 1, 0, 1]])
    np.testing.assert_array_equal(run(on_device("sum_rows"), (np.empty(4, dtype), x, 0.0))[0], x[0])
    q = np.empty((4, 3, 1), dtype)
    targets = np.array([[0], [3], [-1], [-100]])
    q = run(on_device("class_targets"), (q, np.empty(1), targets, np.ones(3, dtype), 0.0, -100))[0]
    assert np.isnan(q).all(axis=(1, 2)).tolist() == [False, True, True, False]


def test_a_sum_over_many_blocks_is_the_same_each_time():
    """And exact to float64, whatever the number of blocks."""
    y = np.random.default_rng(0).normal(size=(2, 97)).astype(np.float32)
    sums = []
    for _ in range(3):
        l, s = DeviceArray.empty(97, np.float32), DeviceArray.empty(1, np.float64)
        with launches() as made:
            mse(l, s, mb.to_device(y[0]), mb.to_device(y[1]))
        sums.append(s.item())
    assert len(made) == (2 if simulated() else 1)
    assert len(set(sums)) == 1
    assert_close(sums[0], np.asarray(l, np.float64).sum(), scale=np.asarray(l).sum())


# ---------------------------------------------------------------------- device arrays


@pytest.mark.parametrize(
    "index",
    [0, -1, np.int64(1), slice(1, 3), (slice(None), 2), (1, 2), (Ellipsis, 0), (slice(None), None), (slice(None, None, 2),)],
)
def test_views_are_numpys(index):
    host = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    device = mb.to_device(host)
    part = device[index]
    assert part.base is device
    assert (part.shape, part.strides, part.dtype) == (host[index].shape, host[index].strides, host.dtype)
    np.testing.assert_array_equal(np.asarray(part), host[index])
    part[...] = -1  # writes through
    host[index] = -1
    np.testing.assert_array_equal(np.asarray(device), host)


def test_an_element_is_a_view_too():
    device = mb.to_device(np.arange(3.0))
    assert float(device[1]) == 1
    device[1] = 7
    assert np.asarray(device).tolist() == [0, 7, 2]


@pytest.mark.parametrize("value", [2, [1, 2, 3], np.array([[1], [2]]), np.arange(6.0).reshape(2, 3)])
def test_writing_casts_and_broadcasts(value):
    host, device = np.zeros((2, 3), np.float32), mb.to_device(np.zeros((2, 3), np.float32))
    host[...] = value
    device[...] = value
    np.testing.assert_array_equal(np.asarray(device), host)
    turned = mb.to_device(np.zeros((2, 2, 3)))
    turned[:, 1] = mb.to_device(np.asarray(value, np.float64)) if np.ndim(value) else value
    np.testing.assert_array_equal(np.asarray(turned)[:, 1], host)
    assert not np.asarray(turned)[:, 0].any()


def test_rows_by_index():
    host = np.arange(12).reshape(4, 3)
    order = np.array([3, 1, 1])
    np.testing.assert_array_equal(np.asarray(mb.to_device(host)[order]), host[order])
    np.testing.assert_array_equal(np.asarray(mb.to_device(host[:, 0])[order]), host[order, 0])


def test_copies_are_copies():
    device = mb.to_device(np.arange(6, dtype=np.float32).reshape(2, 3))
    for other in (device.copy(), copy.deepcopy(device), pickle.loads(pickle.dumps(device)), device.astype(np.float32)):
        other.fill(9)
    assert np.asarray(device).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.asarray(device[:, 1:].ravel()).tolist() == [1, 2, 4, 5]
    assert np.asarray(device.astype(np.float64)).dtype == np.float64


def test_what_cannot_be_done_is_refused():
    device = mb.to_device(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(device, copy=False) if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else device.__array__(copy=False)
    with pytest.raises(ValueError, match="only contiguous device arrays are reshaped"):
        device[:, 1].reshape(2, 1)
    with pytest.raises(ValueError, match="negative strides"):
        np.asarray(device[::-1])
    with pytest.raises(TypeError, match=r"pointwise.relu takes arrays of the GPU, got a ndarray"):
        relu(device, np.zeros((2, 3)))


class Foreign:
    """An array of another library."""

    def __init__(self, array, **more):
        self.device = mb.to_device(array)
        self.__cuda_array_interface__ = {**self.device.__cuda_array_interface__, **more}


def test_arrays_of_other_libraries_are_taken_as_they_lie():
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    foreign = Foreign(host)
    ours = mb.to_device(foreign)
    ours[0, 0] = 50
    assert float(foreign.device[0, 0]) == 50, "not a copy"
    about = ours.__cuda_array_interface__
    assert about["data"] == foreign.__cuda_array_interface__["data"]
    assert (about["shape"], about["typestr"], about["version"]) == ((2, 3), "<f4", 3)
    turned = mb.to_device(Foreign(host, shape=(3, 2), strides=(4, 12)))
    np.testing.assert_array_equal(np.asarray(turned), host.T)
    with pytest.raises(TypeError, match="masked"):
        mb.to_device(Foreign(host, mask=foreign))


# ---------------------------------------------------------------------- grids


def test_a_grid_of_ones_own():
    @device_function
    def twice(x):
        return x + x

    @grid
    def doubled(y, x):
        for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
            y[i] = twice(x[i])

    x, y = mb.to_device(np.arange(11.0)), DeviceArray.empty(11, np.float64)
    with launches() as made:
        doubled[cover(11)](y, x)
    np.testing.assert_array_equal(np.asarray(y), 2 * np.arange(11))
    assert [launch.grid for launch in made] == [doubled]
    assert repr(doubled) == "<grid test_cuda.doubled>"


def test_tiles_are_small_in_the_simulator():
    assert choose(128, 4) == (4 if simulated() else 128)


@pytest.mark.parametrize("argument", [None, np.zeros(2)])
def test_a_grid_takes_no_host_arrays(argument):
    with pytest.raises(TypeError, match=r"reduce\.sum_vector takes arrays of the GPU, got a"):
        sum_vector[1, 1](argument, argument)


def test_without_a_gpu_one_line_says_what_is_missing():
    """No driver on most machines that run this; where there is one, no device is shown."""
    path = os.pathsep.join(str(Path(module.__file__).parents[1]) for module in (mb, sys.modules["manualbp_kernels"]))
    code = "import manualbp as mb\ntry: mb.Linear(2, 3).to('cuda')\nexcept RuntimeError as error: print(error)"
    done = subprocess.run(
        [sys.executable, *NO_WARNINGS, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": path, "NUMBA_ENABLE_CUDASIM": "0", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    assert line.startswith(("no CUDA driver", "no CUDA device"))
    assert "nvidia" in line.lower()


def test_the_host_alone_never_imports_cuda():
    path = os.pathsep.join(str(Path(module.__file__).parents[1]) for module in (mb, sys.modules["manualbp_kernels"]))
    code = (
        "import sys, numpy as np, manualbp as mb\n"
        "y = np.empty((2, 2), np.float32)\n"
        "mb.ReLU()(y)\n"
        "assert 'numba.cuda' not in sys.modules and 'manualbp_kernels.cuda.vocabulary' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


def test_kernels_run_where_their_output_lies():
    y, x = np.empty(3), np.array([-1.0, 0, 2])
    relu(y, x)
    there = DeviceArray.empty(3, np.float64)
    relu(there, mb.to_device(x))
    np.testing.assert_array_equal(np.asarray(there), y)
    with mb.backend("reference"):
        fill(there, 4.0)
    assert np.asarray(there).tolist() == [4, 4, 4]
    assert relu_backward.form("cuda") is relu_backward.form("cuda")
    assert class_targets.form("cuda") is not class_targets.form("cpu")
