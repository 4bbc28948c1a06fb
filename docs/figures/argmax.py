"""Maximum pooling: one pixel of each window goes forward, and it alone gets the gradient."""

from drawing import BACKWARD, FORWARD, arrow, canvas, grid, write

X = ["1320", "5411", "0768", "2134"]
LARGEST = {(1, 0): "a", (0, 2): "b", (2, 1): "c", (2, 3): "d"}


def figure():
    axes = canvas(8.0)
    grid(axes, 0.6, 7.9, X, 0.8, dict.fromkeys(LARGEST, FORWARD))
    arrow(axes, (4.3, 6.3), (6.5, 6.3), FORWARD)
    write(axes, 5.4, 6.65, "maximum")
    grid(axes, 7.0, 7.1, ["52", "78"], 0.8, dict.fromkeys([(0, 0), (0, 1), (1, 0), (1, 1)], FORWARD))
    write(axes, 2.2, 4.4, "x")
    write(axes, 7.8, 5.2, "y")
    dx = [[LARGEST.get((r, c), "0") for c in range(4)] for r in range(4)]
    grid(axes, 0.6, 3.8, dx, 0.8, dict.fromkeys(LARGEST, BACKWARD))
    arrow(axes, (6.5, 2.2), (4.3, 2.2), BACKWARD)
    write(axes, 5.4, 2.55, "to the largest")
    grid(axes, 7.0, 3.0, ["ab", "cd"], 0.8, dict.fromkeys([(0, 0), (0, 1), (1, 0), (1, 1)], BACKWARD))
    write(axes, 2.2, 0.3, "dx")
    write(axes, 7.8, 1.1, "δ")
    for left, top, size in ((0.6, 7.9, 1.6), (0.6, 3.8, 1.6)):
        axes.plot([left + size] * 2, [top, top - 2 * size], color="grey", linewidth=1.5)
        axes.plot([left, left + 2 * size], [top - size] * 2, color="grey", linewidth=1.5)
    return axes.figure
