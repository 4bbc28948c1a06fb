"""The formulas in docs/derivations run: in float64, against the layers to 1e-10, and against central differences.

A page holds blocks ``{formula} CALL``. For a layer their lines make y, dx and every dW from x, the parameters and δ; for a
loss L and dy (or dx) from y (or x) and t; for an optimizer they change θ, given its gradient g and the step t; for an
initializer they make W with the generator ``rng``. Examples (``>>>``) are run too.
"""

import ast
import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from pages import BLOCKS, INITIALIZERS, PAGES, blocks_of, make, run, targets

import manualbp as mb
from manualbp import init
from manualbp.random import generator

HEADINGS = ["What it is for", "Shapes", "Forward", "Derivation", "Backward", "Example", "Code", "Cost", "In float32", "Sources"]
PUBLIC = {
    **{name: getattr(mb, name) for name in (*mb.layers.__all__, *mb.losses.__all__, *mb.optim.__all__)},
    **{name: getattr(init, name) for name in INITIALIZERS},
}
BASES = {"Loss", "Optimizer"}


def close(got, expected, what):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10, err_msg=what)


def numeric(f, array):
    """∂f/∂array by central differences of fourth order."""
    gradient, flat = np.empty(array.shape), array.reshape(-1)
    for i in range(flat.size):
        here, values = flat[i], []
        for step in (-2e-3, -1e-3, 1e-3, 2e-3):
            flat[i] = here + step
            values.append(f())
        flat[i] = here
        gradient.reshape(-1)[i] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-3
    return gradient


def agrees(analytic, f, array, what):
    np.testing.assert_allclose(analytic, numeric(f, array), rtol=1e-7, atol=1e-7, err_msg=f"{what} and central differences")


# ---------------------------------------------------------------------- the formulas


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.name in mb.layers.__all__], ids=lambda b: b.call)
def test_layer(block):
    mb.manual_seed(1)
    layer = make(block).astype(np.float64)
    rng = np.random.default_rng(0)
    x = rng.standard_normal(eval(block.options["input"]))
    y = np.array(layer(x))
    names = {"x": x, "δ": rng.standard_normal(y.shape), "layer": layer}
    for module in layer.modules():
        names |= {attribute: getattr(module, attribute).copy() for attribute in module.weights}
    given = block.options.get("given")
    if given:
        names[given.split(" = ")[0]] = np.array(eval(given.split(" = ")[1], {"layer": layer}))
    dx = layer.backward(names["δ"])
    found = run(block, names)
    close(found["y"], y, "y")
    close(found["dx"], dx, "dx")
    for module in layer.modules():
        for attribute in module.weights:
            close(found["d" + attribute], getattr(module, "d" + attribute), "d" + attribute)
            agrees(found["d" + attribute], lambda: (names["δ"] * run(block, names)["y"]).sum(), names[attribute], attribute)
    agrees(found["dx"], lambda: (names["δ"] * run(block, names)["y"]).sum(), x, "dx")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.name in mb.losses.__all__], ids=lambda b: b.call)
def test_loss(block):
    loss, rng = make(block), np.random.default_rng(0)
    x = rng.standard_normal(eval(block.options["input"]))
    if block.options.get("given") == "probabilities":
        x = rng.uniform(0.05, 0.95, x.shape)
    names = {"x": x, "y": x, "t": targets(block.options.get("target"), x, rng)}
    value = loss(x, names["t"])
    dx = loss.backward()
    found = run(block, names)
    close(found["L"], value, "L")
    gradient = found["dy"] if "dy" in found else found["dx"]
    close(gradient, dx, "∂L/∂y")
    agrees(gradient, lambda: run(block, names)["L"], x, "∂L/∂y")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.name in mb.optim.__all__], ids=lambda b: b.call)
def test_optimizer(block):
    rng = np.random.default_rng(0)
    value, grad = rng.standard_normal((4, 3)), np.zeros((4, 3))
    optimizer = eval(block.call.replace("(", "(p, ", 1), {**vars(mb), "p": [mb.Parameter("θ", value, grad)]})
    found = {"θ": value.copy(), **{name: np.zeros((4, 3)) for name in ("m", "v", "s", "ḡ")}}
    for step in (1, 2, 3):
        grad[...] = rng.standard_normal((4, 3))
        found = run(block, {**found, "g": grad.copy(), "t": step})
        optimizer.step()
        close(found["θ"], value, f"θ after step {step}")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.name in INITIALIZERS], ids=lambda b: b.call)
def test_initializer(block):
    mb.manual_seed(3)
    expected = eval(block.call, {**vars(init), "np": np})
    mb.manual_seed(3)
    close(run(block, {"rng": generator()})["W"], expected, "W")


# ---------------------------------------------------------------------- the pages


@pytest.mark.parametrize("stem", PAGES)
def test_examples(stem):
    """Every ``>>>`` of a page shows what it prints."""
    parts = re.findall(r"^```pycon\n(.*?)^```$", PAGES[stem].read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert parts, "a page has an example with numbers"
    with np.printoptions(precision=4, suppress=True):
        test = doctest.DocTestParser().get_doctest("\n".join(parts), {"np": np, "mb": mb}, stem, str(PAGES[stem]), 0)
        failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert not failed


@pytest.mark.parametrize("stem", PAGES)
def test_headings(stem):
    assert re.findall(r"^## (.+)$", PAGES[stem].read_text(encoding="utf-8"), re.MULTILINE) == HEADINGS


def source_of(stem):
    root = Path(mb.__file__).parent
    (path,) = (p for p in (root / "layers" / f"{stem}.py", root / "losses" / f"{stem}.py", root / f"{stem}.py") if p.exists())
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("stem", PAGES)
def test_every_equation_is_on_its_page_and_runs(stem):
    """The numbers of the docstring, which the lines of code carry, are those of the page's equations and of its blocks."""
    page = PAGES[stem].read_text(encoding="utf-8")
    on_page = set(re.findall(r"\\tag\{(\d+)\}", page))
    numbers = set(re.findall(r"\((\d{1,2})\)", ast.get_docstring(ast.parse(source_of(stem))))) or on_page
    comments = re.findall(r"#((?: \(\d+\))+)", "\n".join(block.code for block in blocks_of(stem)))
    assert on_page == numbers
    assert set(re.findall(r"\d+", " ".join(comments))) == numbers


def test_everything_public_has_a_page():
    """A layer, loss, optimizer or initializer stands on the page of its file, with a formula that runs."""
    described = {block.name for block in BLOCKS}
    assert described <= set(PUBLIC)
    assert set(PUBLIC) - described == BASES
    for block in BLOCKS:
        assert block.page == PUBLIC[block.name].__module__.rpartition(".")[2]
