"""PyTorch, eager, as its tutorials write it. Optimizers are as they come, without ``fused``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..works import UPDATE_RATE, Arrays, Operation, Prediction, TrainingStep, WholeRun
from . import Running, Unable

if number := os.environ.get("OMP_NUM_THREADS"):
    torch.set_num_threads(int(number))


class LastStep(nn.Module):
    def forward(self, outputs: tuple[Tensor, Any]) -> Tensor:
        return outputs[0][:, -1]


def module(layer: Any) -> nn.Module:
    name = type(layer).__name__
    return LastStep() if name == "LastStep" else getattr(nn, name)(**layer._asdict())


def training(work: TrainingStep) -> tuple[nn.Module, Callable[[Tensor, Tensor], None]]:
    """The network, and the step on a batch."""
    net = nn.Sequential(*map(module, work.layers))
    net.load_state_dict({name: torch.from_numpy(value) for name, value in work.weights().items()})
    criterion = getattr(nn, work.loss)()
    optimizer = getattr(torch.optim, work.optimizer)(net.parameters(), lr=work.lr)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        criterion(net(x), y).backward()
        optimizer.step()

    return net, step


def training_step(work: TrainingStep) -> Running:
    (x,), (y,) = map(torch.from_numpy, work.data())
    net, step = training(work)
    return Running(lambda: step(x, y), lambda: state(net))


def whole_run(work: WholeRun) -> Running:
    xs, ys = map(torch.from_numpy, work.data())
    net, step = training(work)

    def run() -> None:
        for x, y in zip(xs, ys, strict=True):
            step(x, y)

    return Running(run, lambda: state(net))


def prediction(work: Prediction) -> Running:
    x = torch.from_numpy(work.data()[0][0])
    net, _ = training(work)
    net.eval()
    call = torch.inference_mode()(lambda: net(x))
    return Running(call, lambda: {"output": call().numpy()})


def state(net: nn.Module) -> Arrays:
    return {name: value.numpy().copy() for name, value in net.state_dict().items()}


def operation(work: Operation) -> Running:
    if work.call not in OPERATIONS:
        raise Unable(f"PyTorch has no {work.call}")
    call = OPERATIONS[work.call](**{name: torch.from_numpy(array) for name, array in work.inputs().items()})
    return Running(call, lambda: {"output": call().detach().numpy()})


# ---------------------------------------------------------------------- operations: tensors → a call that returns the output

Call = Callable[[], Tensor]


def matmul(A: Tensor, B: Tensor) -> Call:
    C = torch.empty(len(A), B.shape[1], dtype=A.dtype)
    return lambda: torch.matmul(A, B, out=C)


def conv2d(x: Tensor, W: Tensor, b: Tensor) -> Call:
    return lambda: F.conv2d(x, W, b, padding=1)


def conv2d_input_gradient(dy: Tensor, W: Tensor) -> Call:
    size = (len(dy), W.shape[1], *dy.shape[2:])
    return lambda: nn.grad.conv2d_input(size, W, dy, padding=1)


def conv2d_weight_gradient(x: Tensor, dy: Tensor) -> Call:
    size = (dy.shape[1], x.shape[1], 3, 3)
    return lambda: nn.grad.conv2d_weight(x, size, dy, padding=1)


def max_pool2d(x: Tensor) -> Call:
    return lambda: F.max_pool2d(x, 2)


def max_pool2d_backward(x: Tensor, dy: Tensor) -> Call:
    x.requires_grad_()
    y = F.max_pool2d(x, 2)
    return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)[0]


def updating(p: Tensor, optimizer: torch.optim.Optimizer) -> Call:
    def call() -> Tensor:
        optimizer.step()
        return p

    return call


def sgd(p: Tensor, g: Tensor) -> Call:
    p.requires_grad_().grad = g
    return updating(p, torch.optim.SGD([p], lr=UPDATE_RATE))


def adam(p: Tensor, g: Tensor) -> Call:
    p.requires_grad_().grad = g
    return updating(p, torch.optim.Adam([p], lr=UPDATE_RATE))


OPERATIONS: dict[str, Callable[..., Call]] = {
    "matmul": matmul,
    "conv2d": conv2d,
    "conv2d_input_gradient": conv2d_input_gradient,
    "conv2d_weight_gradient": conv2d_weight_gradient,
    "max_pool2d": max_pool2d,
    "max_pool2d_backward": max_pool2d_backward,
    "softmax": lambda x: lambda: torch.softmax(x, 1),
    "add": lambda a, b: lambda: torch.add(a, b),
    "relu": lambda x: lambda: torch.relu(x),
    "tanh": lambda x: lambda: torch.tanh(x),
    "gelu": lambda x: lambda: F.gelu(x),
    "sgd": sgd,
    "adam": adam,
}
