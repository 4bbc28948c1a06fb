"""The numbered equations of the pages are true as they are typeset: their LaTeX is evaluated (tests/latex.py).

A ``{formula}`` block's lines carry the numbers of equations; with the block's arrays both sides of each of these must be the
same. The block itself is compared with the layer by tests/test_formulas.py. So a sign or a transpose that is lost in the
mathematics of a page fails here, one lost in its lines or in the layer's backward there. The matrix forms, which have no
numbers, are evaluated where they stand for a whole batch, the displayed steps of the derivations with numbers of their own.
"""

import math
import re

import numpy as np
import pytest
from latex import Parser, Series, evaluate
from pages import BLOCKS, INITIALIZERS, PAGES, erf, make, run, targets

import manualbp as mb
from manualbp.random import generator

EQUATION = re.compile(r"^\$\$ ((?:(?!\$\$).)*?) \\tag\{(\d+)\} \$\$$", re.MULTILINE | re.DOTALL)
ONE_ROW = ("softmax", "classes")
GATES = {"rnn": "", "lstm": "ifgo", "gru": "run"}


def σ(x):
    return 1 / (1 + np.exp(-x))


def equation(stem, number):
    """The pieces of an equation of a page that say something is equal to something."""
    (latex,) = (latex for latex, n in EQUATION.findall(PAGES[stem].read_text(encoding="utf-8")) if n == number)
    return pieces(latex)


def pieces(latex):
    if r"\begin{matrix}" in latex:
        latex = re.sub(r"\\(begin|end)\{matrix\}", "", latex).replace("&", r"\quad").replace(r"\\", r"\quad")
    return [piece.strip(" ,.") for piece in re.split(r"\\qquad|\\quad", latex) if "=" in piece or r"\leftarrow" in piece]


def numbers(block):
    return [n for group in re.findall(r"#((?: \(\d+\))+)", block.code) for n in re.findall(r"\d+", group)]


# ---------------------------------------------------------------------- what the letters of a page stand for


def names_of(block):
    """The arrays before and after the block's lines, with those of what it is compared with."""
    rng = np.random.default_rng(0)
    if block.name in INITIALIZERS:
        return run(block, {"rng": generator()})
    if block.name in mb.optim.__all__:
        θ, m, v, s = rng.uniform(0.5, 1, (4, 6))
        before = {"θ": θ, "m": m, "v": v, "s": s, "g": rng.standard_normal(6), "t": 3}
        return {**run(block, before), "before": before}
    x = rng.standard_normal(eval(block.options["input"]))
    if block.name in mb.losses.__all__:
        x = rng.uniform(0.05, 0.95, x.shape) if block.options.get("given") == "probabilities" else x
        return run(block, {"x": x, "y": x, "t": targets(block.options.get("target"), x, rng)})
    layer = make(block).astype(np.float64)
    δ = rng.standard_normal(layer(x).shape)
    weights = {name: getattr(module, name).copy() for module in layer.modules() for name in module.weights}
    given = {"m": layer.cache[0]} if block.options.get("given") else {}
    return {**run(block, {"x": x, "δ": δ, "layer": layer, **weights, **given}), "evaluated": layer.eval()(x)}


def scopes(block, number):
    """(names, sizes) in which the equation is to be true: once, or for each row, class or sequence."""
    names = {**names_of(block), "e": math.e, "π": math.pi}
    names |= {f"{name[0]}_{name[1]}": value for name, value in names.items() if re.fullmatch(r"β\d", name)}
    if block.page in GATES:
        yield from ((sequence(names, n, GATES[block.page]), {"t": range(1, len(names["x"]) + 1)}) for n in range(2))
    elif block.page in ONE_ROW:
        yield from ((row(names, n), {}) for n in range(len(names["x"])))
    elif block.page in ("conv", "pool"):
        yield windows(block, names)
    elif block.page in ("linear", "init") or block.name == "LastStep":
        yield {**names, "T": 5}, {"t": range(5)}
    else:
        if number == "2" and block.page == "dropout":
            names["y"] = names["evaluated"]
        yield {**flat(names), **functions(names)}, {}


def flat(names):
    return {name: value.ravel() if isinstance(value, np.ndarray) else value for name, value in names.items()}


def functions(names):
    """What a page calls by name: f is what makes its y, f′ what its backward multiplies δ with."""
    given = {
        "f": lambda x: names["y"].ravel(),
        "f′": lambda x: (names["dx"] / names["δ"]).ravel(),
        "σ": σ,
        "σ′": lambda x: (names["dx"] / names["δ"]).ravel(),
        r"\tanh′": lambda x: (names["dx"] / names["δ"]).ravel(),
        "Φ": lambda x: (1 + erf(x / math.sqrt(2))) / 2,
        "φ": lambda x: np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi),
        "erf": erf,
        "ELU": lambda x: np.where(x > 0, x, names["α"] * np.expm1(x)),
        "ELU′": lambda x: np.where(x > 0, 1, names["α"] * np.exp(x)),
    }
    return given | ({"u′": names["du"].ravel()} if "du" in names else {})


def row(names, n):
    """One sample of a batch, whose classes are the index k."""
    rows = len(names["x"])
    one = {name: v[n] if isinstance(v, np.ndarray) and v.shape[:1] == (rows,) else v for name, v in names.items()}
    if "q" in one:
        logp = one.get("logp", one["x"])
        one |= {"p": np.exp(logp), "logp": logp, "dlogp": one["dx"]}
        one = {"w": np.ones(len(logp)), "ε": 0.0, "K": len(logp), **one}
    return one


def windows(block, names):
    """The letters of a window's geometry, and where each maximum lies."""
    padding = (0, 0) if block.name == "MaxPool2d" else (1, 1)
    stride = (2, 1) if block.name == "Conv2d" else (2, 2)
    geometry = {"s_h": stride[0], "s_w": stride[1], "d_h": 1, "d_w": 1, "p_h": padding[0], "p_w": padding[1], "A": 9}
    geometry |= {"H": names["x"].shape[2], "W": names["W"] if block.page == "conv" else names["x"].shape[3]}
    if block.name == "MaxPool2d":
        i, j = np.divmod(names["largest"], 3)
        Ho, Wo = names["y"].shape[2:]
        geometry |= {"v*": 2 * np.arange(Ho)[:, None] + i, "u*": 2 * np.arange(Wo) + j}
        geometry["x̃"] = np.moveaxis(names["x̃"].reshape(3, 3, *names["y"].shape), (0, 1), (2, 3))
    if block.name == "AvgPool2d":
        x, (Ho, Wo) = names["padded"], names["y"].shape[2:]
        taps = [[x[:, :, i : i + 2 * Ho - 1 : 2, j : j + 2 * Wo - 1 : 2] for j in range(3)] for i in range(3)]
        geometry["x̃"] = np.moveaxis(np.array(taps), (0, 1), (2, 3))
    return {**names, **geometry}, {"i": range(3), "j": range(3)} if block.page == "pool" else {}


def sequence(names, n, gates):
    """Sequence n of a batch; what is given for t = 1 … T alone begins with a row that nobody reads."""
    T, found = len(names["x"]), dict(names)
    for name, value in names.items():
        if isinstance(value, np.ndarray) and value.ndim == 3:
            steps = value[:, n]
            found[name] = Series(np.concatenate([0 * steps[:1], steps]) if len(steps) == T else steps)
        elif isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[0] == 2:
            found[name] = value[n]
    for blocks in {"z", "a", "dz", "da"} & set(found) if gates else ():
        parts = np.split(found[blocks].steps, len(gates), axis=1)
        found |= {f"{blocks}_{gate}": Series(part) for gate, part in zip(gates, parts, strict=True)}
    found |= {"dh_0": found["dh0"], "dc_0": found.get("dc0"), "σ": σ, "φ": np.tanh, "φ′": lambda a: 1 - np.tanh(a) ** 2}
    return found | {"t": 1}


# ---------------------------------------------------------------------- equations are true


def same(sides, what):
    for side in sides[1:]:
        np.testing.assert_allclose(side, np.broadcast_to(sides[0], side.shape), rtol=1e-10, atol=1e-10, err_msg=what)


CHECKED = [b for b in BLOCKS if b.name not in mb.optim.__all__]


def holds(block, piece, number=None):
    """AssertionError unless an equation of a page is true of the block's arrays; number None if it has none."""
    found = [evaluate(piece, names, sizes) for names, sizes in (scopes(block, number) if number else whole(block))]
    if number and block.page in GATES and re.match(r"d[Wb]_\{", piece):  # the sum over sequences is the batch's
        found = [[*found[0][:-1], sum(sides[-1] for sides in found)]]
    for sides in found:
        same(sides, f"({number}) of {block.page}.md: {piece}")


def cases():
    """Every equation of a page with each block that it is true of: block, piece, number."""
    for block in CHECKED:
        if block.name == "Conv1d":
            continue  # its groups have indices of their own: it is held to its layer alone
        for number in sorted(set(numbers(block))):
            for piece in equation(block.page, number):
                # Of the weights' distributions a normal one has no bound a, a uniform one no deviation s.
                if block.page != "init" or f"\n{piece[0]} = " in block.code:
                    yield block, piece, number
        for piece in unnumbered(block.page):
            if block.page != "softmax" or ("diag" in piece) == (block.name == "Softmax") or piece[0] != "J":
                yield block, piece, None  # the softmax and its logarithm have each a Jacobian


def unnumbered(stem):
    """The other equations of the backward section: matrix forms, and index forms of what has its numbers as matrices."""
    backward = re.split(r"^## ", PAGES[stem].read_text(encoding="utf-8"), flags=re.MULTILINE)[5]
    return [
        piece for latex in re.findall(r"^\$\$ ((?:(?!\\tag|\$\$).)*) \$\$$", backward, re.MULTILINE) for piece in pieces(latex)
    ]


def whole(block):
    """What the letters stand for in an equation of the whole batch, where matrices are matrices."""
    names = {**names_of(block), "e": math.e}
    if block.page in GATES:
        T, sizes = len(names["x"]), {"t": range(1, len(names["x"]) + 1)}
        steps = {name: v for name, v in names.items() if isinstance(v, np.ndarray) and v.ndim == 3}
        steps = {name: np.pad(v, [(1, 1), (0, 0), (0, 0)]) if len(v) == T else v for name, v in steps.items()}
        yield {**names, **steps, "φ′": lambda a: 1 - np.tanh(a) ** 2}, sizes
    elif block.page == "conv":  # one image at a time: (c, i, j) is one index, (h, w) another; dW from the last image alone
        O, columns = len(names["W"]), math.prod(names["y"].shape[2:])
        for n in range(len(names["x"])):
            image = {name: names[name][n].reshape(-1, columns) for name in ("y", "δ", "x̃", "dx̃")}
            one = np.einsum("ohw,cijhw->ocij", names["δ"][n], names["x̃"][n])
            yield {**names, **image, "W": names["W"].reshape(O, -1), "dW": one.reshape(O, -1)}, {}
    elif block.page == "softmax":
        for n in range(len(names["x"])):
            y, e = names["y"][n], {"e": math.e}
            own = {name: names[name][n] for name in ("y", "δ", "dx")}
            yield {**own, "J": jacobian(block, names["x"][n]), "p": np.exp(y), "I": np.eye(len(y)), "diag": np.diag, **e}, {}
    else:
        yield names, {}


def jacobian(block, x):
    """∂y[j]/∂x[k]: what the layer's backward makes of the δ that is 1 at j alone, one row for each j."""
    layer, unit = make(block), np.eye(len(x))
    layer(np.tile(x, (len(x), 1)))
    return layer.backward(unit)


@pytest.mark.parametrize(("block", "piece", "number"), list(cases()), ids=lambda v: getattr(v, "call", v))
def test_equation(block, piece, number):
    holds(block, piece, number)


def agrees(block, piece, number):
    try:
        holds(block, piece, number)
    except (AssertionError, LookupError, ValueError):
        return False
    return True


def test_every_equation_is_among_them():
    optimizers = {(b.page, n) for b in BLOCKS if b.name in mb.optim.__all__ for n in numbers(b)}
    on_pages = {(stem, n) for stem, page in PAGES.items() for _, n in EQUATION.findall(page.read_text(encoding="utf-8"))}
    assert {(block.page, number) for block, _, number in cases() if number} | optimizers == on_pages


@pytest.mark.parametrize(("page", "piece", "number"), sorted({(b.page, piece, n or "") for b, piece, n in cases()}))
def test_no_sign_can_be_left_out(page, piece, number):
    """Without one of its minus signs, or one of its transposes, an equation of a page is false for one of its blocks."""
    blocks = [b for b, same_piece, n in cases() if (b.page, same_piece, n or "") == (page, piece, number)]
    for found in re.finditer(r"-|\^\\top", piece):
        before = piece[: found.start()].rstrip()
        between = found.group() == "-" and before and before[-1] not in "=({"
        without = before + (" + " if between else " ") + piece[found.end() :]
        assert not all(agrees(block, without, number) for block in blocks), without


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.name in mb.optim.__all__ and numbers(b)], ids=lambda b: b.call)
def test_assignments(block):
    """Done in their order, from the numbers before a step, they leave those after it."""
    ((names, _),) = scopes(block, None)
    space = {**names, **names["before"]}
    for number in numbers(block):
        for piece in equation(block.page, number):
            if block.name == "AdamW" and piece.startswith("g "):
                continue  # (5) stands in its place
            name, value = re.split(r" *(?:=|\\leftarrow) *", piece)
            space[Parser(name, {}).base()[1]] = evaluate(value, space)[0][0]
    for name in ("θ", "m", "v", "s"):
        np.testing.assert_allclose(space[name], names[name], rtol=1e-12, err_msg=f"{name} of {block.call}")


# ---------------------------------------------------------------------- the steps of the derivations


def displays(stem, section):
    """The displayed formulas without numbers of a section of a page; section 0 is what stands above the first heading."""
    text = re.split(r"^## ", PAGES[stem].read_text(encoding="utf-8"), flags=re.MULTILINE)[section]
    return re.findall(r"^\$\$ ((?:(?!\\tag|\$\$).)*?)[ ,.]* \$\$$", text, re.MULTILINE | re.DOTALL)


def slope(f):
    return lambda x: (f(x + 1e-5) - f(x - 1e-5)) / 2e-5


def bends(layer):
    """The slope of an activation, from its backward pass."""

    def at(x):
        x = np.asarray(x, float)
        layer(x.reshape(1, -1))
        return layer.backward(np.ones((1, x.size))).reshape(x.shape)

    return at


RNG = np.random.default_rng(5)
NORMAL = {"Φ": lambda x: (1 + erf(x / math.sqrt(2))) / 2, "φ": lambda x: np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)}


def binary_steps():
    y, t, loss = RNG.uniform(0.1, 0.9, 6), RNG.uniform(0.1, 0.9, 6), mb.BCELoss(reduction="sum")
    loss(y, t)
    return [{"y": y, "t": t, "l′": loss.backward()}]


def classes_steps():
    x, unit = RNG.standard_normal(4), np.eye(4)
    log, loss = mb.LogSoftmax(), mb.CrossEntropyLoss(weight=np.array([1.0, 2, 3, 4]), label_smoothing=0.2, reduction="sum")
    logp = log(np.tile(x, (4, 1)))[0]
    loss(x[None], np.array([2]))
    q = np.array([1.0, 2, 3, 4]) * (0.8 * unit[2] + 0.2 / 4)
    p = np.exp(logp)
    names = {"x": x, "p": p, "S": np.exp(x).sum(), "∂logp/∂x": log.backward(unit), "q": q, "∂l/∂x": loss.backward()[0]}
    return [names, names]


def conv_steps():
    image, taps = (4, 3), np.zeros((1, 1, 2, 2, 3, 4, 4, 3))
    for v, u in np.ndindex(image):
        x = np.zeros(image)
        x[v, u] = 1
        padded = np.pad(x, 1)
        for i, j in np.ndindex(2, 2):
            taps[0, 0, i, j, :, :, v, u] = padded[i : i + 5 : 2, j : j + 4]
    return [{"∂x̃/∂x": taps[:, :, :, :, :, :, None, None], "s_h": 2, "s_w": 1, "d_h": 1, "d_w": 1, "p_h": 1, "p_w": 1}]


def gelu_steps():
    x = np.linspace(-3, 3, 7)
    silu = {"x": x, "f′": bends(mb.SiLU()), "s": σ, "s′": slope(σ)}
    return [silu, {"x": x, **NORMAL, "Φ′": slope(NORMAL["Φ"])}]


def linear_steps():
    layer, x, δ = mb.Linear(3, 2, dtype=np.float64), RNG.standard_normal((4, 3)), RNG.standard_normal((4, 2))
    layer(x)
    dx, unit = layer.backward(δ), np.eye(3)
    names = {"x": x, "δ": δ, "dy": δ, "W": layer.W.copy(), "dx": dx, "dW": layer.dW.copy()}
    by_weight = np.einsum("op,nq->nopq", np.eye(2), x)
    names |= {"∂y/∂W": by_weight, "dθ": layer.dW[0, 1], "∂y/∂θ": by_weight[:, :, 0, 1]}
    names["∂y/∂x"] = np.einsum("nm,oq->nomq", np.eye(4), np.array(layer(unit) - layer.b).T)
    return [names] * 5


def optim_steps():
    θ, v, g, η, μ = *RNG.standard_normal((3, 5)), 0.1, 0.9
    after = μ * v + g
    nesterov = {"φ": θ - η * μ * v, "θ′": θ - η * after, "φ′": θ - η * after - η * μ * after}
    return [{**nesterov, "v": v, "v′": after, "g": g, "η": η, "μ": μ}]


def relu_steps():
    x, δ = RNG.standard_normal(5), RNG.standard_normal(5)
    return [{"x": x, "δ": δ, "dx": δ * bends(mb.ELU(1.5))(x), "f′": bends(mb.ELU(1.5))}]


def rnn_steps():
    (block,) = (b for b in BLOCKS if b.name == "RNN" and "relu" not in b.call)
    ((names, sizes),) = whole(block)
    return [{name: v[:, 0] if isinstance(v, np.ndarray) and v.ndim == 3 else v for name, v in names.items()} | {"sizes": sizes}]


def sigmoid_steps():
    x, β = np.linspace(-3, 3, 7), 2.0
    bend = {"σ′": bends(mb.Sigmoid()), "u": 1 + np.exp(-x), "u′": slope(lambda x: 1 + np.exp(-x))}
    words = {"cosh": np.cosh(x), "sinh": np.sinh(x), "tanh": np.tanh(x), "tanh′": bends(mb.Tanh())(x)}
    return [{"x": x, **bend, "u′": bend["u′"](x)}, words, {"x": x, "β": β, "σ": σ, "f′": bends(mb.Softplus(beta=β))}]


def softmax_steps():
    found = []
    for layer in mb.Softmax(), mb.LogSoftmax():
        x, δ = RNG.standard_normal((2, 4))
        y = layer(np.tile(x, (4, 1)))[0].copy()
        by_x = layer.backward(np.eye(4)).copy()
        found += [{"x": x, "y": y, "S": np.exp(x).sum(), "δ": δ, "∂y/∂x": by_x, "dx": δ @ by_x}] * 2
    return found


def derivations():
    """Each displayed step of a derivation with what its letters stand for."""
    pages = {name.removesuffix("_steps"): steps for name, steps in globals().items() if name.endswith("_steps")}
    for page, steps in pages.items():
        yield from ((page, latex, names) for latex, names in zip(displays(page, 4), steps(), strict=True))


def is_step(latex, names):
    words = re.sub(r"\\(cosh|sinh|tanh)(?!')", r"\\mathrm{\1}", latex).replace(r"\tanh'", r"\mathrm{tanh′}")
    names = {**names, "e": math.e, "π": math.pi}
    for sides in zip(
        *(side.ravel() for side in evaluate(words if "cosh" in latex else latex, names, names.get("sizes", ()))), strict=True
    ):
        np.testing.assert_allclose(sides, sides[-1], rtol=1e-8, atol=1e-8, err_msg=latex)


DERIVATIONS = list(derivations())


@pytest.mark.parametrize(("page", "latex", "names"), DERIVATIONS, ids=lambda v: v if isinstance(v, str) else "")
def test_step(page, latex, names):
    """A step of a derivation is true as it is typeset, and false without one of its minus signs."""
    is_step(latex, names)
    for found in re.finditer("-", latex):
        before = latex[: found.start()].rstrip()
        without = before + (" + " if before and before[-1] not in "=({[" else " ") + latex[found.end() :]
        with pytest.raises(AssertionError):
            is_step(without, names)


def test_every_displayed_step_is_among_them():
    assert {(page, latex) for page, latex, _ in DERIVATIONS} == {(page, latex) for page in PAGES for latex in displays(page, 4)}


IN_WORDS = {"gelu", "init", "optim", "relu", "shape"}
HEADLINES = [
    (page, piece)
    for page in sorted(PAGES.keys() - IN_WORDS)
    for latex in displays(page, 0)
    for piece in pieces(latex)
    if "\\sum \\ell" not in piece
]


def test_headlines_are_there():
    assert {page for page, _ in HEADLINES} == PAGES.keys() - IN_WORDS


@pytest.mark.parametrize(("page", "piece"), HEADLINES)
def test_headline(page, piece):
    """The formula under a page's title is true of a block of the page, and without one of its minus signs of none."""
    blocks = [b for b in CHECKED if b.page == page]

    def true(latex):
        with np.errstate(invalid="ignore"):
            return any(agrees(block, latex, number) for block in blocks for number in (None, "1"))

    assert true(piece)
    for found in re.finditer(r"-|\^\\top", piece):
        before = piece[: found.start()].rstrip()
        without = before + (" + " if found.group() == "-" and before[-1] not in "=({" else " ") + piece[found.end() :]
        assert not true(without), without


def test_headline_of_optim():
    (latex,) = displays("optim", 0)
    value, grad = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    names = {"θ": value.copy(), "step": 0.1 * grad}
    mb.SGD([mb.Parameter("θ", value, grad)], lr=0.1).step()
    np.testing.assert_allclose(evaluate(latex.replace(r"\text", r"\mathrm"), names)[1][0], value)


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "dilation"), [(9, 3, 2, 1, 2), (8, 2, 3, 0, 1), (7, 3, 1, 2, 3)]
)
def test_size_of_a_convolution(size, window, stride, padding, dilation):
    (latex,) = displays("conv", 2)
    fraction = re.sub(r"\\(left\\lfloor|right\\rfloor)", "", latex)  # which the numbers above make whole
    names = {"H": size, "k_h": window, "s_h": stride, "d_h": dilation}
    names |= {r"p_\mathrm{before}": padding, r"p_\mathrm{after}": padding}
    y = mb.Conv2d(1, 1, window, stride, padding, dilation)(np.ones((1, 1, size, size), np.float32))
    assert evaluate(fraction, {**names, "H_o": y.shape[2]}) == [y.shape[2], y.shape[2]]
