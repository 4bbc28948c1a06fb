"""Forward and backward of recurrent layers, 28 → 128 over 28 steps, batch 64: ours and PyTorch's."""

import numpy as np
import pytest

import manualbp as mb

rng = np.random.default_rng(0)
X, DY = rng.random((64, 28, 28), np.float32), rng.random((64, 28, 128), np.float32)


def ours(kind):
    layer = getattr(mb, kind)(28, 128, batch_first=True)

    def step():
        layer(X)
        layer.zero_grad()
        layer.backward(DY)

    return step


def torch(kind):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layer = getattr(torch.nn, kind)(28, 128, batch_first=True)
    x, dy = torch.from_numpy(X), torch.from_numpy(DY)

    def step():
        layer.zero_grad()
        layer(x)[0].backward(dy)

    return step


@pytest.mark.parametrize("engine", [ours, torch], ids=lambda engine: engine.__name__)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent(benchmark, kind, engine):
    work = engine(kind)
    work()
    benchmark.group = kind
    benchmark(work)
