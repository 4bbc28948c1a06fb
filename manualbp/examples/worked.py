"""The 2-2-2 sigmoid network worked by hand: one forward pass, one backward pass, one step.

The numbers are those of Matt Mazur, "A step by step backpropagation example" (2015). He keeps the biases; here they
learn too. With weights alone the loss after the step is 0.29102777369 (his text has 0.291027924).
"""

import numpy as np

import manualbp as mb
from manualbp.types import Array

X = np.array([[0.05, 0.10]])
T = np.array([[0.01, 0.99]])


def network() -> mb.Sequential:
    net = mb.Sequential(mb.Linear(2, 2, dtype=np.float64), mb.Sigmoid(), mb.Linear(2, 2, dtype=np.float64), mb.Sigmoid())
    net[0].W, net[0].b = [[0.15, 0.20], [0.25, 0.30]], [0.35, 0.35]
    net[2].W, net[2].b = [[0.40, 0.45], [0.50, 0.55]], [0.60, 0.60]
    return net


def worked() -> mb.Sequential:
    """One step with rate 0.5 on L = ½ Σ (y − t)²; returns the network after it, its gradients still in place."""
    net = network()
    loss = mb.MSELoss()  # the mean over two outputs is ½ Σ (y − t)², its gradient y − t
    optimizer = mb.SGD(net.parameters(), lr=0.5)

    y = net(X)
    print(f"outputs  {_row(y[0])}")
    print(f"loss     {loss(y, T):.4f}")
    net.backward(loss.backward())
    print(f"∂L/∂W₁   {_row(*net[0].dW)}")
    print(f"∂L/∂b₁   {_row(net[0].db)}")
    print(f"∂L/∂W₂   {_row(*net[2].dW)}")
    print(f"∂L/∂b₂   {_row(net[2].db)}")
    optimizer.step()
    print("after one step")
    print(f"W₁       {_row(*net[0].W)}")
    print(f"b₁       {_row(net[0].b)}")
    print(f"W₂       {_row(*net[2].W)}")
    print(f"b₂       {_row(net[2].b)}")
    print(f"loss     {loss(net(X), T):.4f}")
    return net


def _row(*rows: Array) -> str:
    return " | ".join("  ".join(f"{value:7.4f}" for value in row) for row in rows)
