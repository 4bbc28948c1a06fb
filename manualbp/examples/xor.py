"""XOR: two inputs, one hidden layer, and a function that no single neuron can represent."""

import numpy as np

import manualbp as mb
from manualbp.types import Array

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([[0], [1], [1], [0]], np.float32)


def network() -> mb.Sequential:
    return mb.Sequential(mb.Linear(2, 10), mb.ReLU(), mb.Linear(10, 1))


def xor(epochs: int = 1000, seed: int = 0) -> Array:
    """Train 2-10-1 on the four points at once, by gradient descent with rate 0.1; returns the four predictions."""
    mb.manual_seed(seed)
    net = network()
    loss = mb.MSELoss()
    optimizer = mb.SGD(net.parameters(), lr=0.1)

    for epoch in range(1, epochs + 1):
        value = loss(net(X), Y)  # forward
        net.zero_grad()
        net.backward(loss.backward())  # backward: δ from the loss, then layer by layer
        optimizer.step()  # W ← W − 0.1 dW
        if epoch % 100 == 0:
            print(f"epoch {epoch:4}  loss {value:.6f}")

    predictions = net.predict(X)
    for (a, b), p in zip(X, predictions, strict=True):
        print(f"{a:.0f} xor {b:.0f} = {p[0]:.4f}")
    return predictions
