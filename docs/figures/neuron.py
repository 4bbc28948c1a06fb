"""One neuron with its numbers, forward above and backward below."""

import math

from drawing import BACKWARD, FORWARD, arrow, box, canvas, write

X, W, B, T = (1.0, 2.0), (0.5, 0.25), -0.5, 1.0


def figure():
    z = W[0] * X[0] + W[1] * X[1] + B
    y = 1 / (1 + math.exp(-z))
    dy = 2 * (y - T)
    dz = dy * y * (1 - y)
    axes = canvas(6.4)
    for k, height in ((0, 5.2), (1, 3.2)):
        write(axes, 0.1, height + 0.2, f"x{'₁₂'[k]} = {X[k]:g}", ha="left")
        write(axes, 2.45, height + 0.3, f"w{'₁₂'[k]} = {W[k]:g}", fontsize=9)
        write(axes, 2.45, height - 0.75, f"∂L/∂w{'₁₂'[k]}\n= {dz * X[k]:.3f}", fontsize=9, color=BACKWARD)
    arrow(axes, (1.3, 5.2), (3.95, 4.45), FORWARD)
    arrow(axes, (1.3, 3.2), (3.95, 3.95), FORWARD)
    write(axes, 2.45, 0.75, f"b = {B:g}", fontsize=9)
    write(axes, 2.45, 0.3, f"∂L/∂b = {dz:.3f}", fontsize=9, color=BACKWARD)
    arrow(axes, (3.3, 0.9), (4.25, 3.5), FORWARD)
    for x, text in ((4.6, "Σ"), (6.8, "σ"), (9.2, "L")):
        box(axes, x, 4.2, text, width=1.2, height=1.3, colour="C2", fontsize=12)
    for start, end, value, gradient in ((5.2, 6.2, f"z = {z:g}", dz), (7.4, 8.6, f"y = {y:.3f}", dy)):
        arrow(axes, (start, 4.45), (end, 4.45), FORWARD)
        arrow(axes, (end, 3.95), (start, 3.95), BACKWARD)
        write(axes, (start + end) / 2, 5.25, value, fontsize=9)
        write(axes, (start + end) / 2, 3.1, f"{gradient:.3f}", fontsize=9, color=BACKWARD)
    write(axes, 9.2, 5.9, f"t = {T:g}", fontsize=9)
    arrow(axes, (9.2, 5.6), (9.2, 4.9), FORWARD)
    write(axes, 9.2, 3.1, f"{(y - T) ** 2:.3f}", fontsize=9)
    return axes.figure
