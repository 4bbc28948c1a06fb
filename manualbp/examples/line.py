"""A line through the origin: y = w x, one weight, one sample at a time. Every gradient can be checked in the head."""

import numpy as np

import manualbp as mb
from manualbp.types import Array

SAMPLES = [(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]


def line(epochs: int = 100) -> list[float]:
    """Fit w to y = 2 x from w = 1 with rate 0.01; returns w after every step.

    For one sample L = (w x − y)², so dL/dw = 2 x (w x − y): for (1, 2) and w = 1 that is 2 · 1 · (1 − 2) = −2.
    """
    net = mb.Sequential(mb.Linear(1, 1, bias=False))
    net[0].W = [[1.0]]
    loss = mb.MSELoss()
    optimizer = mb.SGD(net.parameters(), lr=0.01)
    trajectory = []

    print(f"before: f(4) = {net.predict(_column(4.0)).item():.4f}")
    for epoch in range(1, epochs + 1):
        for x, y in SAMPLES:
            value = loss(net(_column(x)), _column(y))
            net.zero_grad()
            net.backward(loss.backward())
            print(f"    x {x:.0f}  y {y:.0f}  gradient {net[0].dW.item():.6g}")
            optimizer.step()
            trajectory.append(net[0].W.item())
        print(f"epoch {epoch:3}  w {trajectory[-1]:.6f}  loss {value:.6g}")
    print(f"after: f(4) = {net.predict(_column(4.0)).item():.6f}")
    return trajectory


def _column(value: float) -> Array:
    return np.array([[value]], np.float32)
