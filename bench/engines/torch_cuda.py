"""PyTorch on a GPU, eager, in float32 proper: no TF32, which is on for convolutions by default."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..works import Arrays, Operation, TrainingStep
from . import Running, Unable
from .torch import training

torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False


def training_step(work: TrainingStep) -> Running:
    net, step = training(work)
    net.to("cuda")
    x, y = (torch.from_numpy(batch).to("cuda") for (batch,) in work.data())

    def state() -> Arrays:
        return {name: value.cpu().numpy() for name, value in net.state_dict().items()}

    return Running(lambda: step(x, y), state)


def operation(work: Operation) -> Running:
    if work.call != "matmul":
        raise Unable(f"only products are timed on a GPU, not {work.call}")
    A, B = (torch.from_numpy(array).to("cuda") for array in work.inputs().values())
    C = torch.empty(len(A), B.shape[1], dtype=A.dtype, device="cuda")
    return Running(lambda: torch.matmul(A, B, out=C), lambda: {"output": torch.matmul(A, B, out=C).cpu().numpy()})


def clock(step: Callable[[], object], count: int) -> float:
    """Seconds between two events of the GPU, one before and one after ``count`` calls."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(count):
        step()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1000
