"""A recurrent network written out over three steps: the same weights in each, and two ways back to every state."""

from drawing import BACKWARD, FORWARD, arrow, box, canvas, write

T = "₀₁₂₃"


def figure():
    axes = canvas(6.6)
    write(axes, 0.35, 3.3, "h₀")
    for t in (1, 2, 3):
        x = 3 * t - 1
        box(axes, x, 3.3, "φ", colour="C2")
        for y, name in ((5.9, "y"), (0.7, "x")):
            write(axes, x, y, f"{name}{T[t]}")
        arrow(axes, (x - 0.15, 1.1), (x - 0.15, 2.85), FORWARD)
        arrow(axes, (x + 0.15, 2.85), (x + 0.15, 1.1), BACKWARD)
        arrow(axes, (x - 0.15, 3.75), (x - 0.15, 5.5), FORWARD)
        arrow(axes, (x + 0.15, 5.5), (x + 0.15, 3.75), BACKWARD)
        write(axes, x - 0.3, 1.9, "Wᵢₕ", ha="right", fontsize=9)
        write(axes, x + 0.3, 1.9, f"dx{T[t]}", ha="left", fontsize=9, color=BACKWARD)
        write(axes, x + 0.3, 4.7, f"δ{T[t]}", ha="left", fontsize=9, color=BACKWARD)
        start = x - 2.4 if t > 1 else 0.7
        arrow(axes, (start, 3.45), (x - 0.6, 3.45), FORWARD)
        arrow(axes, (x - 0.6, 3.15), (start, 3.15), BACKWARD)
        if t > 1:
            write(axes, x - 1.5, 3.75, f"h{T[t - 1]}", fontsize=9)
            write(axes, x - 1.5, 2.8, "Wₕₕᵀ dz" + T[t], fontsize=9, color=BACKWARD)
    return axes.figure
