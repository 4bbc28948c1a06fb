"""The computation graph of a two-layer network: values forward, δ back, and a gradient left at every weight."""

from drawing import BACKWARD, FORWARD, arrow, box, canvas, write


def figure():
    axes = canvas(6.0)
    steps = [(2.1, "x W₁ᵀ + b₁"), (4.6, "φ"), (6.9, "h W₂ᵀ + b₂"), (9.3, "L")]
    widths = [1.9, 0.9, 1.9, 0.8]
    write(axes, 0.35, 3.2, "x")
    for (x, text), width in zip(steps, widths, strict=True):
        box(axes, x, 3.2, text, width=width, height=1.5, colour="C2", fontsize=9)
    left = [0.6, *(x + w / 2 for (x, _), w in zip(steps[:-1], widths[:-1], strict=True))]
    right = [x - w / 2 for (x, _), w in zip(steps, widths, strict=True)]
    for a, b, value, gradient in zip(left, right, ("", "z", "h", "y"), ("", "δz", "δh", "δy"), strict=True):
        arrow(axes, (a + 0.05, 3.5), (b - 0.05, 3.5), FORWARD)
        write(axes, (a + b) / 2, 3.85, value, fontsize=9)
        if gradient:
            arrow(axes, (b - 0.05, 2.9), (a + 0.05, 2.9), BACKWARD)
            write(axes, (a + b) / 2, 2.5, gradient, fontsize=9, color=BACKWARD)
    for x, k, delta, value in ((2.1, "₁", "δz", "x"), (6.9, "₂", "δy", "h")):
        write(axes, x, 5.5, f"W{k}, b{k}")
        arrow(axes, (x, 5.15), (x, 4.0), FORWARD)
        arrow(axes, (x, 2.4), (x, 1.3), BACKWARD)
        write(axes, x, 0.9, f"dW{k} = {delta}ᵀ {value}", color=BACKWARD)
    write(axes, 9.3, 5.5, "t")
    arrow(axes, (9.3, 5.15), (9.3, 4.0), FORWARD)
    write(axes, 4.5, 1.8, "δh = δy W₂", fontsize=9, color=BACKWARD)
    write(axes, 4.5, 1.35, "δz = δh ∘ φ′(z)", fontsize=9, color=BACKWARD)
    return axes.figure
