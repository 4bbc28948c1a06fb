"""What the simulator can see and a GPU would not say: races, and accesses outside an array. And what it forgives."""

import dis
from types import FunctionType

import numpy as np
import pytest
from cases import KERNELS as CASES
from cases import Draw
from simulator import ORDERS, Divergence, Race, scheduled

import manualbp as mb
from manualbp_kernels import KERNELS
from manualbp_kernels.cpu import functions, like
from manualbp_kernels.cpu.jit import Jit
from manualbp_kernels.cuda import DeviceArray, device
from manualbp_kernels.cuda.device import cuda, device_function, grid
from manualbp_kernels.cuda.memory import get
from manualbp_kernels.cuda.reduce import last_block

pytestmark = [
    pytest.mark.usefixtures("gpu"),
    pytest.mark.skipif(not device.simulated(), reason="orders and watches threads, which a real GPU does not allow"),
]
each_kernel = pytest.mark.parametrize("name", list(KERNELS))
each_order = pytest.mark.parametrize("order", ORDERS)
TOP = np.iinfo(np.int32).max // 3  # nonsense in the margins of integers


def case(name, seed):
    rng = np.random.default_rng(seed)
    small = lambda low, high: int(rng.integers(low, min(high, 9), endpoint=True))  # noqa: E731  (the simulator is slow)
    return CASES[name].arguments(Draw(rng, ("float32", "float64")[seed % 2], pick=small))


def run(name, arguments, make=DeviceArray.from_host):
    """The outputs of a kernel, as host arrays."""
    there = [make(a) if isinstance(a, np.ndarray) else a for a in arguments]
    KERNELS[name].form("cuda")(*there)
    return [np.asarray(a) for a in there[: CASES[name].outputs] if a is not None]


# ---------------------------------------------------------------------- orders and races


@pytest.mark.parametrize("seed", [0, 1])
@each_kernel
def test_every_order_of_threads_gives_the_same_bits(name, seed):
    arguments = case(name, seed)
    results = []
    for order in ORDERS:
        with scheduled(order):
            results.append([array.tobytes() for array in run(name, arguments)])
    assert results[0] == results[1] == results[2]


@grid
def reversed_in_blocks(y, x, patient):
    """Each block of four turns its numbers round."""
    turn_round(y, x, patient)


@device_function
def turn_round(y, x, patient):
    tile = cuda.shared.array(4, x.dtype)
    i = cuda.threadIdx.x
    tile[i] = x[cuda.grid(1)]
    if patient:
        cuda.syncthreads()
    y[cuda.grid(1)] = tile[3 - i]


def turned_round(patient):
    y = DeviceArray.from_host(np.full(8, np.nan, np.float32))
    reversed_in_blocks[2, 4](y, DeviceArray.from_host(np.arange(8, dtype=np.float32)), patient)
    return np.asarray(y)


@each_order
def test_a_missing_barrier_is_found(order):
    with scheduled(order):
        np.testing.assert_array_equal(turned_round(True), [3, 2, 1, 0, 7, 6, 5, 4])
        with pytest.raises(Race, match=r"thread \d of block 0 .* shared memory \(turn_round, line \d+\) while thread \d of"):
            turned_round(False)


def test_a_missing_barrier_changes_bits_with_the_order():
    """Also without looking at accesses: shared memory is NaN until it is written to."""
    results = []
    for order in ORDERS:
        with scheduled(order, watch=False):
            results.append(turned_round(False).tobytes())
    assert len(set(results)) == 3


@grid
def everybody_writes(y):
    y[0] = cuda.grid(1)


@grid
def reads_its_neighbour(y):
    y[cuda.grid(1)] = y[(cuda.grid(1) + 1) % 4]


@grid
def some_wait(y):
    if cuda.threadIdx.x > 0:
        cuda.syncthreads()
    y[cuda.threadIdx.x] = 0


@grid
def two_places(y):
    if cuda.threadIdx.x > 0:
        cuda.syncthreads()
    else:
        cuda.syncthreads()
    y[cuda.threadIdx.x] = 0


@grid
def beyond(y, at):
    if cuda.grid(1) == 0:
        y[at] = 1


@grid
def before(y, at):
    if cuda.grid(1) == 0:
        y[0] = get(y, at)


@grid
def sums_of_blocks(total, parts, tickets, patient):
    """The last block adds up what the others wrote; with no patience block 1 does, whoever is last."""
    if cuda.threadIdx.x == 0:
        parts[cuda.blockIdx.x] = 1
    last = last_block(tickets, 0, 3) if patient else cuda.blockIdx.x == 1
    if last and cuda.threadIdx.x == 0:
        total[0] = parts[0] + parts[1] + parts[2]


@each_order
def test_blocks_that_wait_for_the_last_one_are_no_race(order):
    total, parts = (DeviceArray.from_host(np.zeros(n)) for n in (1, 3))
    with scheduled(order):
        for _ in range(2):  # the tickets are as they were
            total.fill(0)
            sums_of_blocks[3, 2](total, parts, device.tickets(), True)
            assert total.item() == 3
        with pytest.raises(Race, match="global memory"):
            sums_of_blocks[3, 2](total, parts, device.tickets(), False)


@each_order
def test_other_mistakes_are_found(order):
    y = DeviceArray.from_host(np.zeros(4, np.float32))
    with scheduled(order):
        for blocks, threads in ((1, 4), (4, 1)):  # within a block and between blocks
            with pytest.raises(Race, match="writes to global memory"):
                everybody_writes[blocks, threads](y)
            with pytest.raises(Race, match="global memory"):
                reads_its_neighbour[blocks, threads](y)
        with pytest.raises(Divergence, match=r"some_wait, line \d+ and the end"):
            some_wait[1, 4](y)
        with pytest.raises(Divergence, match=r"two_places, line \d+ and two_places, line \d+"):
            two_places[1, 4](y)
        with pytest.raises(IndexError, match=r"index 4 of axis 0 with 4 elements, at beyond, line \d+"):
            beyond[1, 4](y, 4)
        with pytest.raises(IndexError, match="index -1 of axis 0"):
            before[1, 4](y, -1)
        beyond[1, 4](y, 3)  # and after all that it still works
    np.testing.assert_array_equal(np.asarray(y), [0, 0, 0, 1])


@grid
def sum_by_the_last(y, parts, tickets, fenced):
    """Each block writes a number; the one that draws the last ticket adds them up."""
    if cuda.threadIdx.x == 0:
        parts[cuda.blockIdx.x] = cuda.blockIdx.x
        if fenced:
            cuda.threadfence()
        if cuda.atomic.add(tickets, 0, 1) == cuda.gridDim.x - 1:
            total = y[0]
            for i in range(parts.size):
                total += parts[i]
            y[0] = total


@each_order
def test_a_missing_fence_before_a_ticket_is_found(order):
    y, parts = (DeviceArray.from_host(np.zeros(n, np.float32)) for n in (1, 4))
    with scheduled(order):
        sum_by_the_last[4, 2](y, parts, DeviceArray.from_host(np.zeros(1, np.int32)), True)
        assert np.asarray(y) == 6
        with pytest.raises(Race, match=r"reads global memory \(sum_by_the_last, line \d+\) while thread 0 of block"):
            sum_by_the_last[4, 2](y, parts, DeviceArray.from_host(np.zeros(1, np.int32)), False)
        with pytest.raises(TypeError, match="atomic addition of float32, at sum_by_the_last"):
            sum_by_the_last[4, 2](y, parts, DeviceArray.from_host(np.zeros(1, np.float32)), True)


# ---------------------------------------------------------------------- guard bands


class Bands:
    """Makes device arrays that lie inside larger ones, whose margins are NaN, or nonsense for integers."""

    def __init__(self, margin):
        self.margin, self.whole = margin, []

    def empty(self, shape, dtype):
        dtype = np.dtype(dtype)
        nonsense = np.nan if dtype.kind == "f" else TOP
        whole = DeviceArray(np.full(int(np.prod(shape)) + 2 * self.margin, nonsense).astype(dtype), None)
        self.whole.append((whole, shape))
        return whole[self.margin : len(whole) - self.margin].reshape(shape)

    def from_host(self, array):
        inside = self.empty(array.shape, array.dtype)
        inside.layout[...] = array
        return inside

    def assert_untouched(self):
        for whole, shape in self.whole:
            margins = np.concatenate([whole.layout[: self.margin], whole.layout[len(whole) - self.margin :]])
            nonsense = np.isnan(margins) if margins.dtype.kind == "f" else margins == np.array(TOP).astype(margins.dtype)
            assert nonsense.all(), f"something was written beside an array of shape {shape}"


@pytest.fixture(params=[16, 3], ids=["aligned", "unaligned"])
def bands(request, monkeypatch):
    """A margin of 16 numbers keeps the alignment that vector loads ask for, one of 3 does not."""
    made = Bands(request.param)
    monkeypatch.setattr(DeviceArray, "empty", made.empty)  # what a kernel needs in between lies between bands too
    device._scratch.cache_clear()
    yield made
    device._scratch.cache_clear()


@each_kernel
def test_nothing_is_read_or_written_beside_an_array(name, bands):
    for seed in range(2):
        arguments = case(name, seed)
        expected = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        KERNELS[name].definition(*expected)
        with scheduled(watch=False):
            results = run(name, arguments, bands.from_host)
        bands.assert_untouched()
        for result, wanted in zip(results, (a for a in expected[: CASES[name].outputs] if a is not None), strict=True):
            np.testing.assert_array_equal(np.isnan(result), np.isnan(wanted))


def test_a_touched_band_is_found(bands):
    y = bands.from_host(np.zeros((2, 3), np.float32))
    bands.whole[0][0].layout[bands.margin + 6] = 0
    with pytest.raises(AssertionError, match=r"beside an array of shape \(2, 3\)"):
        bands.assert_untouched()
    assert np.asarray(y).sum() == 0


# ---------------------------------------------------------------------- what the simulator forgives


def assert_callable_on_device(function, seen):
    names = [each.argval for each in dis.get_instructions(function) if each.opname == "LOAD_GLOBAL"]
    values = [function.__globals__.get(name) for name in names] + [c.cell_contents for c in function.__closure__ or ()]
    for value in values:
        translated = value in (like.like, functions.exp, functions.tanh, functions.erf)
        assert translated or not isinstance(value, FunctionType), (
            f"{function.__qualname__} calls {value.__qualname__}, which is no device_function"
        )
        if type(value) in (device.DeviceFunction, Jit) and value not in seen:
            seen.add(value)
            assert_callable_on_device(value.function, seen)


def test_grids_call_what_can_be_compiled_only():
    """A plain Python function is called by a simulated thread, and is an error for Numba's compiler."""
    for name in KERNELS:
        with device.launches(dry=True):
            run(name, case(name, 0))
    net = mb.Sequential(mb.Linear(3, 4), mb.ReLU()).to("cuda")  # a product that computes a ReLU with it
    with device.launches(dry=True) as made:
        net(np.ones((2, 3), np.float32))
    assert any("relu" in launch.grid.name for launch in made)
    for each in list(device.GRIDS.values()):
        assert_callable_on_device(each.function, set())


def helper(x):
    return x


@device_function
def calls_a_helper(x):
    return helper(x)


def test_a_plain_function_is_found():
    with pytest.raises(AssertionError, match="calls_a_helper calls helper, which is no device_function"):
        assert_callable_on_device(calls_a_helper.function, set())
