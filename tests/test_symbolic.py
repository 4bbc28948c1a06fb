"""SymPy differentiates the forward lines of the pages, and layers and losses agree with what it finds, to 1e-10 in float64.

The lines run on symbols: ``np.exp`` becomes SymPy's, ``np.where`` a Piecewise, and L comes out as an expression in every
x. So there is no second text of any formula here. Activations and losses are done; softmax and its losses too, because
their K is a small number on the page. Layers with weights are sums of products, for which central differences on random
numbers leave nothing open (tests/test_formulas.py); a maximum over a window is a choice and no expression; the mask of
dropout is drawn.
"""

import re

import numpy as np
import pytest
import sympy
from pages import BLOCKS, make, run

import manualbp as mb

PIECES = 24.0  # arguments lie between −12 and 12: on both sides of every threshold of the pages
ELEMENTWISE = ("relu", "sigmoid", "gelu", "softmax")


class Array(np.ndarray):
    """An array of expressions; a comparison of two is an array of conditions."""

    def __gt__(self, other):
        return np.greater(self, other, dtype=object)

    def __lt__(self, other):
        return np.less(self, other, dtype=object)


def each(function):
    """A function of expressions for arrays of them."""
    return staticmethod(lambda *arrays: np.vectorize(function, otypes=[object])(*arrays).view(Array))


class Symbols:
    """NumPy for arrays of expressions: what bends a number is SymPy's, what moves numbers about is NumPy's."""

    pi = sympy.pi
    exp, log, tanh, erf, sqrt = each(sympy.exp), each(sympy.log), each(sympy.tanh), each(sympy.erf), each(sympy.sqrt)
    abs, sign = each(sympy.Abs), each(sympy.sign)
    maximum = each(lambda a, b: sympy.Piecewise((a, a > b), (b, True)))
    where = each(lambda condition, a, b: sympy.Piecewise((a, condition), (b, True)))

    def __getattr__(self, name):
        return getattr(np, name)


def symbols(name, shape):
    return np.array(sympy.symbols(f"{name}:{np.prod(shape)}", real=True), object).reshape(shape).view(Array)


def forward(block, names):
    """The names after the lines before the first of the backward pass."""
    return run(block._replace(code=re.split(r"^d[xy] = ", block.code, flags=re.MULTILINE)[0]), names, Symbols(), Symbols.erf)


def derivative(block, values, output):
    """∂(Σ output)/∂x by SymPy at ``values``: the numbers of x, and of δ or t where they are symbols too."""
    given = {name: symbols(name, value.shape) for name, value in values.items() if value.dtype.kind == "f"}
    names = {**values, **given, "y": given["x"]}
    found = forward(block, names)
    total = sympy.Add(*np.ravel(found["y"] * given["δ"] if output == "y" else found["L"]))
    slopes = [sympy.diff(total, one) for one in given["x"].ravel()]
    arguments = [one for array in given.values() for one in array.ravel()]
    numbers = [float(number) for name in given for number in values[name].ravel()]
    return np.array(sympy.lambdify(arguments, slopes, "math")(*numbers)).reshape(values["x"].shape)


def spread(shape, low=-PIECES / 2, high=PIECES / 2):
    """Numbers from low to high, evenly, none at a corner, and shuffled."""
    return np.random.default_rng(0).permutation(np.linspace(low, high, int(np.prod(shape)))).reshape(shape)


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.page in ELEMENTWISE], ids=lambda b: b.call)
def test_activation(block):
    layer, shape = make(block), eval(block.options["input"])
    x, δ = spread(shape), np.random.default_rng(1).standard_normal(shape)
    layer(x)
    expected = derivative(block, {"x": x, "δ": δ}, "y")
    close(layer.backward(δ), expected)
    close(run(block, {"x": x, "δ": δ})["dx"], expected)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.name in mb.losses.__all__], ids=lambda b: b.call)
def test_loss(block):
    loss, shape, rng = make(block), eval(block.options["input"]), np.random.default_rng(0)
    x = spread(shape, 0.03, 0.96) if block.options.get("given") == "probabilities" else spread(shape, -3, 3)
    t = {
        "classes": lambda: rng.integers(shape[1], size=shape[0]),
        "between 0 and 1": lambda: rng.uniform(0.1, 0.9, shape),
        "probabilities": lambda: rng.dirichlet(np.ones(shape[1]), shape[0]),
        None: lambda: rng.uniform(-1, 1, shape),
    }[block.options.get("target")]()
    loss(x, t)
    expected = derivative(block, {"x": x, "t": t}, "L")
    close(loss.backward(), expected)
    found = run(block, {"x": x, "y": x, "t": t})
    close(found["dy"] if "dy" in found else found["dx"], expected)


def test_every_activation_and_loss_is_derived():
    """Each layer of the files of activations, each loss."""
    done = {block.name for block in BLOCKS if block.page in ELEMENTWISE or block.name in mb.losses.__all__}
    layers = {name for name in mb.layers.__all__ if getattr(mb, name).__module__.rpartition(".")[2] in ELEMENTWISE}
    assert done == layers | set(mb.losses.__all__) - {"Loss"}


@pytest.mark.parametrize(("layer", "left"), [(mb.ReLU(), 0), (mb.LeakyReLU(0.2), 0.2), (mb.ELU(1.5), 1.5), (mb.SELU(), None)])
def test_the_slope_at_the_corner_is_that_from_the_left(layer, left):
    """Where there is no derivative SymPy takes the limit of its difference quotient from the left."""
    x = sympy.Symbol("x", negative=True)
    (block,) = (b for b in BLOCKS if b.name == type(layer).__name__ and make(b).describe() == layer.describe())
    f = forward(block, {"x": np.array([x], object).view(Array)})["y"][0]
    slope = float(sympy.limit(sympy.diff(f, x), x, 0))
    layer(np.zeros(1))
    close(layer.backward(np.ones(1)), slope)
    assert left is None or slope == pytest.approx(left)
