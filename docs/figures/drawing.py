"""Boxes, arrows and grids for the diagrams of the derivations. A unit is a tenth of a figure's width; y goes up."""

from matplotlib import pyplot as plt

FORWARD, BACKWARD, THIRD = "C0", "C1", "C2"


def ink():
    """The colour of text, which the page replaces by its own."""
    return plt.rcParams["text.color"]


def canvas(height):
    """Empty axes, 10 units wide."""
    figure = plt.figure(figsize=(4.6, 0.46 * height), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 10), ylim=(0, height))
    axes.axis("off")
    return axes


def write(axes, x, y, text, **style):
    axes.text(x, y, text.replace("-", "−"), **{"ha": "center", "va": "center", **style})


def box(axes, x, y, text, width=1.0, height=0.8, colour=None, **style):
    """A rectangle around (x, y); with a colour it is tinted."""
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(plt.Rectangle(corner, width, height, fill=False, edgecolor=colour or ink(), linewidth=1))
    if colour:
        axes.add_patch(plt.Rectangle(corner, width, height, facecolor=colour, edgecolor="none", alpha=0.25))
    write(axes, x, y, text, **style)


def circle(axes, x, y, text, colour=None):
    axes.add_patch(plt.Circle((x, y), 0.34, fill=False, edgecolor=colour or ink(), linewidth=1))
    write(axes, x, y, text)


def arrow(axes, start, end, colour=None, bend=0.0, style="-|>", **line):
    """From one point to another; ``bend`` curves it."""
    shape = {"arrowstyle": style, "connectionstyle": f"arc3,rad={bend}", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    axes.annotate("", end, start, arrowprops={"color": colour or ink(), "linewidth": 1, **shape, **line})


def path(axes, *points, colour=None, **line):
    """Straight lines through the points, an arrow at the end."""
    axes.plot(*zip(*points[:-1], strict=True), color=colour or ink(), linewidth=1, **line)
    arrow(axes, points[-2], points[-1], colour, **line)


def grid(axes, x, y, rows, size=0.7, colours=None):
    """A table of cells whose upper left corner is (x, y); ``colours`` maps (row, column) to a tint."""
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            colour = (colours or {}).get((r, c))
            corner = (x + c * size, y - (r + 1) * size)
            axes.add_patch(plt.Rectangle(corner, size, size, fill=False, edgecolor=ink(), linewidth=0.5, alpha=0.6))
            if colour:
                axes.add_patch(plt.Rectangle(corner, size, size, facecolor=colour, edgecolor="none", alpha=0.35))
            write(axes, corner[0] + size / 2, corner[1] + size / 2, text, fontsize=9)
