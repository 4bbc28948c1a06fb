"""Threads: the same bits for any number of them, and no process dies: forked children, Python threads, other layers."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import manualbp as mb
from manualbp_kernels.matmul import linear, linear_backward_weights, matmul_nn


@pytest.fixture(autouse=True)
def as_before():
    before = mb.get_num_threads()
    yield
    mb.set_num_threads(before)


def train(seed=0):
    """Some steps of a network whose kernels are all large enough to be shared."""
    mb.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = mb.Sequential(
        mb.Conv2d(3, 24, 3, padding=1), mb.ReLU(), mb.MaxPool2d(2), mb.Conv2d(24, 16, 3), mb.Flatten(),
        mb.Linear(16 * 36, 130), mb.Reshape(13, 10), mb.LSTM(10, 32, batch_first=True), mb.GRU(32, 24), mb.RNN(24, 24),
        mb.Flatten(), mb.Linear(13 * 24, 10),
    )  # fmt: skip
    x, y = rng.standard_normal((37, 3, 16, 16)).astype(np.float32), rng.integers(0, 10, 37)
    loss, optimizer = mb.CrossEntropyLoss(), mb.Adam(net.parameters())
    for _ in range(3):
        loss(net(x), y)
        net.zero_grad()
        dx = net.backward(loss.backward())
        optimizer.step()
    return [dx.copy(), *net.state_dict().values()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_same_bits_for_any_number_of_threads():
    results = []
    for number in (1, 2, 3):
        mb.set_num_threads(number)
        results.append(train())
    assert same(results[0], results[1])
    assert same(results[0], results[2])


SIZES = [(1, 301, 523), (3, 1000, 131), (70, 133, 129), (331, 65, 100), (530, 257, 257), (2003, 3, 131), (6502, 1, 33)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_products_have_the_same_bits_for_any_number_of_threads(m, n, k, dtype):
    """Few rows or columns and many, none a multiple of anything: each share has ragged ends of its own."""
    rng = np.random.default_rng(0)
    x, W, b = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (n, k), (n,)))
    results = []
    for number in (1, 2, 3):
        mb.set_num_threads(number)
        y, dx, dW, db = np.empty((m, n), dtype), np.empty_like(x), np.zeros_like(W), np.zeros_like(b)
        linear(y, x, W, b)
        matmul_nn(dx, y, W, 0.0)
        linear_backward_weights(dW, db, y, x)
        results.append((y, dx, dW, db))
    assert same(results[0], results[1])
    assert same(results[0], results[2])


lock = threading.Lock()


def train_dense():
    """Twenty steps; the initial weights come from one generator, so these are drawn one network after another."""
    with lock:
        mb.manual_seed(1)
        net = mb.Sequential(mb.Linear(200, 300), mb.Tanh(), mb.Linear(300, 200), mb.ReLU(), mb.Linear(200, 10))
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((128, 200)).astype(np.float32), rng.integers(0, 10, 128)
    loss, optimizer = mb.CrossEntropyLoss(), mb.SGD(net.parameters(), lr=0.1)
    for _ in range(20):
        loss(net(x), y)
        net.zero_grad()
        net.backward(loss.backward())
        optimizer.step()
    return list(net.state_dict().values())


def test_python_threads_that_train_at_once_do_not_disturb_each_other():
    alone, together = train_dense(), []
    threads = [threading.Thread(target=lambda: together.append(train_dense())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(together) == 3
    assert all(same(alone, result) for result in together)


def job(_):
    mb.set_num_threads(2)  # in a forked child a wish that must not come true: OpenMP would end the process
    return train(), mb.get_num_threads()


def start_methods():
    return [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", start_methods())
def test_child_processes_work(method):
    mb.set_num_threads(2)
    expected = train()
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map(job, range(2))
    for got, threads in results:
        assert [k for k, pair in enumerate(zip(got, expected, strict=True)) if not np.array_equal(*pair)] == []
        assert method != "fork" or threads == 1


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib_workers_work(backend):
    joblib = pytest.importorskip("joblib", reason="joblib, which comes with scikit-learn, is not installed")
    expected = train_dense()
    with joblib.parallel_config(backend, n_jobs=2):
        results = joblib.Parallel()(joblib.delayed(train_dense)() for _ in range(3))
    assert all(same(expected, result) for result in results)


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True])
def test_a_number_of_threads_is_a_positive_integer(number):
    with pytest.raises(ValueError, match="number of threads"):
        mb.set_num_threads(number)


PROGRAM = """
import numpy as np, manualbp as mb
net = mb.Sequential(mb.Linear(300, 300), mb.ReLU(), mb.Linear(300, 2))
y = net(np.ones((100, 300), np.float32))
net.backward(np.ones_like(y))
print(np.isfinite(net[0].dW).all(), mb.get_num_threads(), mb.get_backend())
"""


def run(**variables):
    """What the program prints in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split()


def test_numbas_number_of_threads_is_respected():
    assert run(NUMBA_NUM_THREADS="1") == ["True", "1", "fast"]


def test_with_workqueue_alone_kernels_are_serial():
    assert run(NUMBA_THREADING_LAYER="workqueue") == ["True", "1", "fast"]


def test_without_a_compiler_the_definitions_run():
    assert run(NUMBA_DISABLE_JIT="1")[::2] == ["True", "reference"]


def test_without_a_writable_folder_nothing_is_kept_and_nothing_fails(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert run(NUMBA_CACHE_DIR=str(blocked))[0] == "True"
