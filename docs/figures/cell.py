"""The LSTM cell: the memory passes along the top, multiplied and added to; gates are computed below."""

from drawing import BACKWARD, FORWARD, arrow, box, canvas, circle, path, write


def figure():
    axes = canvas(8.6)
    top, gates = 7.0, 3.2
    write(axes, 0.1, top, "cₜ₋₁", ha="left")
    write(axes, 9.35, top, "cₜ", ha="left")
    arrow(axes, (1.0, top), (1.86, top), FORWARD)
    circle(axes, 2.2, top, "×")
    arrow(axes, (2.54, top), (4.86, top), FORWARD)
    circle(axes, 5.2, top, "+")
    arrow(axes, (5.54, top), (9.2, top), FORWARD)
    for x, name, bend in ((2.2, "f", "σ"), (4.2, "i", "σ"), (6.2, "g", "tanh"), (8.2, "o", "σ")):
        box(axes, x, gates, bend, colour="C2", width=1.1)
        write(axes, x + 0.15, gates + 0.75, name, ha="left", style="italic")
        arrow(axes, (x, 1.75), (x, gates - 0.42), FORWARD)
    arrow(axes, (2.2, gates + 0.42), (2.2, top - 0.36), FORWARD)
    circle(axes, 5.2, 5.2, "×")
    path(axes, (4.2, gates + 0.42), (4.2, 5.2), (4.84, 5.2), colour=FORWARD)
    path(axes, (6.2, gates + 0.42), (6.2, 5.2), (5.56, 5.2), colour=FORWARD)
    arrow(axes, (5.2, 5.56), (5.2, top - 0.36), FORWARD)
    box(axes, 7.4, 5.9, "tanh", width=1.1, height=0.7)
    arrow(axes, (7.4, top), (7.4, 6.27), FORWARD)
    circle(axes, 8.2, 4.9, "×")
    path(axes, (7.4, 5.53), (7.4, 4.9), (7.84, 4.9), colour=FORWARD)
    arrow(axes, (8.2, gates + 0.42), (8.2, 4.54), FORWARD)
    arrow(axes, (8.56, 4.9), (9.2, 4.9), FORWARD)
    write(axes, 9.35, 4.9, "hₜ", ha="left")
    axes.plot([2.2, 8.2], [1.75, 1.75], color=FORWARD, linewidth=1)
    box(axes, 5.2, 0.9, "Wᵢₕ xₜ + bᵢₕ + Wₕₕ hₜ₋₁ + bₕₕ", width=6.4)
    arrow(axes, (5.2, 1.32), (5.2, 1.75), FORWARD, style="-")
    arrow(axes, (9.3, top + 0.75), (1.0, top + 0.75), BACKWARD)
    write(axes, 5.2, top + 1.15, "dcₜ₋₁ gets dcₜ fₜ: one product a step, no matrix", color=BACKWARD)
    return axes.figure
