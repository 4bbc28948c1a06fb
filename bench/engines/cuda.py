"""manualbp on a GPU: the network is moved there, and the batch; nothing else differs from ``manualbp.py``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import manualbp as mb
from manualbp_kernels.cuda import DeviceArray
from manualbp_kernels.cuda.device import module
from manualbp_kernels.matmul import matmul_nn

from ..works import Arrays, Operation, TrainingStep
from . import Running, Unable
from .manualbp import build


def training_step(work: TrainingStep) -> Running:
    net, loss, optimizer = build(work)
    net.to("cuda")
    x, y = (mb.to_device(batch) for (batch,) in work.data())

    def step() -> None:
        loss(net(x), y)  # a number of the host: all is done when it is there
        net.zero_grad()
        net.backward_weights(loss.backward())
        optimizer.step()

    return Running(step, net.state_dict)


def operation(work: Operation) -> Running:
    if work.call != "matmul":
        raise Unable(f"only products are timed on a GPU, not {work.call}")
    A, B = (mb.to_device(array) for array in work.inputs().values())
    C = DeviceArray.empty((len(A), B.shape[1]), A.dtype)

    def call() -> None:
        matmul_nn(C, A, B, 0.0)

    def result() -> Arrays:
        call()
        return {"output": np.asarray(C)}

    return Running(call, result)


def clock(step: Callable[[], object], count: int) -> float:
    """Seconds between two events of the GPU, one before and one after ``count`` calls."""
    cuda = module()
    begin, end = cuda.event(), cuda.event()
    begin.record()
    for _ in range(count):
        step()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000
