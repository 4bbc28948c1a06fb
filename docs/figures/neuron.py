"""One neuron with its numbers: from left to right forward, from right to left its gradients."""

import math

from drawing import BACKWARD, FORWARD, arrow, box, canvas, write

X, W, B, T = (1.0, 2.0), (0.5, 0.25), -0.5, 1.0


def figure():
    z = W[0] * X[0] + W[1] * X[1] + B
    y = 1 / (1 + math.exp(-z))
    dy = 2 * (y - T)
    dz = dy * y * (1 - y)
    axes = canvas(7.2)
    rows = [(6.4, "₁", X[0], W[0]), (4.1, "₂", X[1], W[1])]
    for height, index, x, w in rows:
        write(axes, 0.1, height, f"x{index} = {x:g}", ha="left")
        arrow(axes, (1.25, height), (1.75, height), FORWARD)
        box(axes, 2.65, height, f"· w{index} = {w:g}", width=1.8)
        write(axes, 2.65, height - 0.75, f"∂L/∂w{index} = {dz * x:.4f}", fontsize=9, color=BACKWARD)
    box(axes, 2.65, 1.8, f"b = {B:g}", width=1.8)
    write(axes, 2.65, 1.05, f"∂L/∂b = {dz:.4f}", fontsize=9, color=BACKWARD)
    for height, end in ((6.4, 4.5), (4.1, 4.1), (1.8, 3.7)):
        arrow(axes, (3.55, height), (4.5, end), FORWARD)
    for x, text in ((5.0, "Σ"), (7.2, "σ"), (9.4, "L")):
        box(axes, x, 4.1, text, height=1.4, colour="C2", fontsize=12)
    for start, value, gradient in ((5.5, f"z = {z:g}", dz), (7.7, f"y = {y:.4f}", dy)):
        arrow(axes, (start + 0.05, 4.35), (start + 1.15, 4.35), FORWARD)
        arrow(axes, (start + 1.15, 3.85), (start + 0.05, 3.85), BACKWARD)
        write(axes, start + 0.6, 5.15, value, fontsize=9)
        write(axes, start + 0.6, 3.05, f"{gradient:.4f}", fontsize=9, color=BACKWARD)
    write(axes, 9.4, 6.4, f"t = {T:g}")
    arrow(axes, (9.4, 6.05), (9.4, 4.85), FORWARD)
    write(axes, 9.4, 3.05, f"{(y - T) ** 2:.4f}", fontsize=9)
    return axes.figure
