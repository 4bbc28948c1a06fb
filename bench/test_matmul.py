"""The matrix product, float32: ours, NumPy's BLAS, PyTorch's.

``pytest bench --benchmark-only -k matmul`` prints them side by side. Unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE first, if
the environment has them: they slow NumPy down.
"""

import numpy as np
import pytest

from manualbp_kernels.matmul import matmul_nn

SHAPES = [(n, n, n) for n in (32, 64, 128, 129, 256, 257, 512, 1024)] + [(25088, 64, 288), (64, 784, 128)]
rng = np.random.default_rng(0)


def ours(C, A, B):
    return lambda: matmul_nn(C, A, B, 0.0)


def numpy(C, A, B):
    return lambda: np.matmul(A, B, out=C)


def torch(C, A, B):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    c, a, b = map(torch.from_numpy, (C, A, B))
    return lambda: torch.matmul(a, b, out=c)


@pytest.mark.parametrize("engine", [ours, numpy, torch], ids=lambda engine: engine.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_matmul(benchmark, shape, engine):
    m, n, k = shape
    A, B, C = rng.random((m, k), np.float32), rng.random((k, n), np.float32), np.empty((m, n), np.float32)
    work = engine(C, A, B)
    work()
    np.testing.assert_allclose(C, A @ B, rtol=1e-3)
    benchmark.group = "matmul " + "x".join(map(str, shape))
    benchmark(work)
