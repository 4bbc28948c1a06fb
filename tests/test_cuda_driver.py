"""Launching on a real GPU, without one: what the driver would be told, and the machine code that is kept on disk.

A stand-in for the driver writes down its calls. What it would launch is not run.
"""

import ctypes
import struct
import sys
import threading

import numpy as np
import pytest

from manualbp_kernels import KERNELS
from manualbp_kernels.cpu.jit import kernel_folder
from manualbp_kernels.cuda import DeviceArray, cache, device, driver
from manualbp_kernels.cuda.device import GRIDS, Grid, device_function, grid

CODE = "name", b"machine\ncode"


class Driver:
    """Answers each call with the next code, else with success, and notes the launches: (function, sizes, slots)."""

    def __init__(self, slots=0):
        self.slots, self.answers, self.loaded, self.launched, self.bound = slots, [], [], [], 0

    def current_context(self):
        self.bound += 1

    def cuModuleLoadData(self, loaded, image):
        self.loaded.append(image)
        return 0

    def cuModuleGetFunction(self, function, loaded, name):
        function._obj.value = len(self.loaded)
        return 0

    def cuLaunchKernel(self, function, *sizes_and_places):
        *sizes, places, _ = sizes_and_places
        read = [ctypes.string_at(places[i], 8) for i in range(len(places))]
        self.launched.append((function.value, tuple(sizes), b"".join(read)))
        return self.answers.pop(0) if self.answers else 0

    def cuDriverGetVersion(self, number):
        number._obj.value = 13000
        return 0

    def cuGetErrorString(self, code, said):
        said._obj.value = b"what it says"
        return 0


@pytest.fixture
def fake(monkeypatch):
    """The driver's stand-in, for launches by a library that takes it for real; nothing is compiled."""
    fake = Driver()
    monkeypatch.setattr(driver, "_driver", lambda: fake)
    monkeypatch.setattr(driver, "module", lambda: fake)
    monkeypatch.setattr(device, "simulated", lambda: False)
    monkeypatch.setattr(cache, "machine_code", lambda grid, types: CODE)
    return fake


def array(shape, dtype="float32", order="C"):
    """As on a GPU: its memory is the host's, but nobody touches it."""
    return DeviceArray(np.zeros(shape, dtype, order), None)


def described(a):
    return (0, 0, a.size, a.itemsize, a.address, *a.shape, *a.strides)


def test_arguments_are_written_down_value_by_value(fake):
    """As Numba's compiled code takes them: an array is two pointers that it has no use for, and what describes it."""
    made = Grid(lambda: None, "made")
    x, y = array((3, 4)), array(5, "float64")
    made[(2, 3), 32](x, 7, y, 0.5, True, (1, 2), np.float32(0.25))
    ((function, sizes, slots),) = fake.launched
    values = (*described(x), 7, *described(y), 0.5, True, 1, 2, 0.25)
    expected = struct.pack("=9q q 7q d ?7x 2q f4x".replace(" ", ""), *values)
    assert slots == expected
    assert (function, sizes) == (1, (2, 3, 1, 32, 1, 1, 0, None))
    assert fake.loaded == [CODE[1]]


def test_each_combination_of_kinds_is_loaded_once(fake):
    made = Grid(lambda: None, "made")
    for x in (array(3), array(4), array(3, "float64"), array((2, 2)), array((2, 2), order="F")[1:], array(9)):
        made[1, 1](x, 2)
    made[1, 1](array(3), 2.0)
    assert [function for function, *_ in fake.launched] == [1, 1, 2, 3, 4, 1, 5]


def test_another_context_loads_the_code_again(fake):
    made = Grid(lambda: None, "made")
    made[1, 1](3)
    fake.answers = [driver.ANOTHER_CONTEXT[0]]
    made[1, 1](4)
    assert fake.bound == 1
    assert [(function, slots) for function, _, slots in fake.launched] == [
        (1, struct.pack("q", 3)), (1, struct.pack("q", 4)), (2, struct.pack("q", 4)),
    ]  # fmt: skip


def test_what_the_driver_refuses_is_said(fake):
    made = Grid(lambda: None, "made")
    fake.answers = [1]
    with pytest.raises(RuntimeError, match=r"CUDA error 1 at the launch of name with \(7, 1, 1\) blocks of .* what it says"):
        made[7, 32](3)
    with pytest.raises(TypeError, match=r"made takes arrays of the GPU, numbers and tuples of numbers, got a str"):
        made[7, 32]("three")


def test_the_drivers_version(fake):
    assert driver.version() == 13000


def test_threads_do_not_mix_their_arguments(fake):
    made = Grid(lambda: None, "made")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda n=n: [made[n, 1](n, n, n) for _ in range(300)]) for n in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(fake.launched) == 4 * 300
    assert all(slots == struct.pack("3q", *[sizes[0]] * 3) for _, sizes, slots in fake.launched)


# ---------------------------------------------------------------------- on disk


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """The number of times that something was compiled; kept in a new folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_compiler", lambda: ("some compiler", (9, 0)))
    times = []
    monkeypatch.setattr(Grid, "compile", lambda self, types: times.append(self.name) or CODE)
    return times


def some_grid():
    KERNELS["relu"].form("cuda")
    return GRIDS["pointwise.relu"]


def test_code_is_compiled_once_for_each_combination_of_types(counted):
    for types in ("float32",), ("float32",), ("float64",), ("float32",):
        assert cache.machine_code(some_grid(), types) == CODE
    assert len(counted) == 2
    assert len(list(kernel_folder("cuda").iterdir())) == 2


@pytest.mark.parametrize("damage", [lambda code: b"", lambda code: code[:-1], lambda code: b"x" + code, lambda code: code[9:]])
def test_a_damaged_file_is_compiled_again(counted, damage):
    for _ in range(2):
        assert cache.machine_code(some_grid(), ()) == CODE
        (file,) = kernel_folder("cuda").iterdir()
        file.write_bytes(damage(file.read_bytes()))
    assert len(counted) == 2


def test_without_a_place_to_keep_it_code_is_compiled_each_time(counted, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    for _ in range(2):
        assert cache.machine_code(some_grid(), ()) == CODE
    assert len(counted) == 2


def test_a_users_grid_is_not_kept(counted):
    """Nor one that calls a user's function: the fingerprint of the sources would not notice a change."""

    @device_function
    def twice(x):
        return x + x

    @grid
    def doubled(y):
        y[0] = twice(y[0])

    for _ in range(2):
        assert cache.machine_code(doubled, ()) == CODE
    assert len(counted) == 2
    assert not cache.belongs_here(doubled.function)
    assert cache.belongs_here(some_grid().function)
    assert not kernel_folder("cuda").exists()
    assert kernel_folder("cuda") != kernel_folder(), "the processor's"


def test_an_attribute_is_not_a_name_of_the_module():
    """``erf`` calls ``math.erf``: on a GPU it must not be translated into a call of itself."""
    from manualbp_kernels.cpu import functions

    assert device.used(functions.erf) == {"math": functions.math}
