"""Which pixels a convolution's windows see, and what stride, padding and dilation change."""

from drawing import BACKWARD, FORWARD, canvas, grid, ink, write

IMAGE = ["abcd", "efgh", "ijkl", "mnop"]


def figure():
    """The four windows of a 3×3 filter on 4×4 pixels, and through which tap each sees pixel f."""
    axes = canvas(8.3)
    for h in (0, 1):
        for w in (0, 1):
            x, y = 0.6 + 5 * w, 8.1 - 4.15 * h
            seen = {(h + i, w + j): FORWARD for i in range(3) for j in range(3)}
            grid(axes, x, y, IMAGE, 0.8, {**seen, (1, 1): BACKWARD})
            write(axes, x + 1.6, y - 3.55, f"y at ({h}, {w}):  f through tap ({1 - h}, {1 - w})", fontsize=9)
    return axes.figure


def geometry():
    """A filter of three taps on a signal, four times."""
    axes = canvas(10.6)
    cases = [("stride 1", 7, 1, 0, 1), ("stride 2", 7, 2, 0, 1), ("padding 1", 7, 1, 1, 1), ("dilation 2", 7, 1, 0, 2)]
    for k, (title, length, stride, padding, dilation) in enumerate(cases):
        top = 10.5 - 2.65 * k
        write(axes, 0.1, top - 0.3, title, ha="left")
        cells = ["0"] * padding + [f"x{'₀₁₂₃₄₅₆'[i]}" for i in range(length)] + ["0"] * padding
        left, size = 3.2 - 0.7 * padding, 0.7
        outputs = (len(cells) - 2 * dilation - 1) // stride + 1
        first = {(0, dilation * j): FORWARD for j in range(3)}
        grid(axes, left, top, [cells], size, first)
        for o in range(outputs):
            x, y = left + (o * stride + dilation + 0.5) * size, top - 1.5
            for j in range(3):
                style = {"color": "C0", "linewidth": 1.5} if o == 0 else {"color": ink(), "linewidth": 0.4, "alpha": 0.6}
                axes.plot([left + (o * stride + j * dilation + 0.5) * size, x], [top - size, y], **style)
            grid(axes, x - size / 2, y, [[f"y{'₀₁₂₃₄₅₆'[o]}"]], size, {(0, 0): FORWARD} if o == 0 else None)
    return axes.figure
