"""The LaTeX of the pages, evaluated: ``evaluate("dW_{oi} = \\sum_n \\delta_{no} x_{ni}", names)`` gives both sides as arrays.

It reads what the pages write and no more: sums and maxima over indices, fractions, roots, powers, functions, cases, brackets
[a = b], |a|, transposes, lists. A subscript is part of a name if ``names`` knows that name (``W_{ih}``), else an index. An
index that is bound by no sum is free, and a side becomes an array over it. Ranges follow from the shapes of the arrays.
Beyond the edge of an array are zeros. A product with a matrix is the matrix product, any other is elementwise.
"""

import itertools
import re
import unicodedata

import numpy as np

# ℓ is l, as Python itself reads it in a name.
GREEK = {
    "alpha": "α", "beta": "β", "delta": "δ", "varepsilon": "ε", "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ",
    "mu": "μ", "pi": "π", "sigma": "σ", "tau": "τ", "varphi": "φ", "Phi": "Φ", "ell": "l",
}  # fmt: skip
ACCENTS = {r"\tilde": "\u0303", r"\hat": "\u0302", r"\bar": "\u0304"}
FUNCTIONS = {r"\log": np.log, r"\tanh": np.tanh, "sign": np.sign}
RELATIONS = {"=": np.equal, "<": np.less, ">": np.greater, r"\le": np.less_equal, r"\ge": np.greater_equal}
NOISE = r"(?<!\\)\\(?:,|;|!| |left(?![a-z])|right(?![a-z]))"
TOKEN = re.compile(r"\\begin\{cases\}|\\end\{cases\}|\\mathrm\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|\\\\|\d+(?:\.\d+)?|\S")


class Series:
    """An array over time for one sequence: [t] is its vector at t, zeros outside; without an index that of the present t."""

    def __init__(self, steps):
        self.steps = np.asarray(steps)

    def __getitem__(self, t):
        return self.steps[t] if 0 <= t < len(self.steps) else np.zeros(self.steps.shape[1:])


def tokens(latex):
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", re.sub(NOISE, " ", latex))
    return TOKEN.findall(text)


class Parser:
    """One equation as a list of sides; a side is a tree of tuples (what, …)."""

    def __init__(self, latex, names):
        self.tokens, self.at, self.names = tokens(latex), 0, names

    @property
    def next(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected=None):
        token = self.next
        if expected not in (None, token):
            raise ValueError(f"{expected} expected, found {token!r} after {' '.join(self.tokens[: self.at])}")
        self.at += 1
        return token

    def sides(self):
        found = [self.sum()]
        while self.next in ("=", r"\leftarrow"):
            self.take()
            found.append(self.sum())
        if self.next:
            raise ValueError(f"not understood: {' '.join(self.tokens[self.at :])}")
        return found

    def sum(self):
        tree = ("negative", self.product()) if self.next == "-" and self.take() else self.product()
        while self.next in ("+", "-"):
            tree = (self.take(), tree, self.product())
        return tree

    def product(self):
        tree = self.factor()
        while self.next not in ("", "+", "-", ")", "]", "}", "|", ",", "&", r"\\", r"\end{cases}", r"\leftarrow", *RELATIONS):
            sign = self.take() if self.next in (r"\cdot", r"\circ", "/") else "*"
            tree = ("/" if sign == "/" else "*", tree, self.factor())
        return tree

    def factor(self):
        tree = self.base()
        while self.next in ("^", "_"):
            if self.take() == "_":
                tree = ("index", tree, self.subscript())
            elif self.next == r"\top":
                self.take()
                tree = ("transpose", tree)
            else:
                tree = ("power", tree, self.group())
        return tree

    def base(self):
        token = self.take()
        if token[0].isdigit():
            return "number", float(token)
        if token == "(":
            items = [self.sum()]
            while self.next == ",":
                self.take()
                items.append(self.sum())
            self.take(")")
            return items[0] if len(items) == 1 else ("list", *items)
        if token == "[":
            return self.closed(self.condition(), "]")
        if token == "|":
            return "call", np.abs, self.closed(self.sum(), "|")
        if token == "{":
            return self.closed(self.sum(), "}")
        if token == r"\frac":
            return self.fraction()
        if token == r"\sqrt":
            return "call", np.sqrt, self.group()
        if token == r"\begin{cases}":
            return self.cases()
        if token in (r"\sum", r"\max") and self.next == "_":
            self.take()
            letters = re.findall(r"\w", " ".join(self.braced()))
            return token, letters, self.product()
        if token == r"\max":
            _, one, other = self.base()
            return "call", np.maximum, one, other
        return self.named(token)

    def named(self, token):
        """A variable with its index, or a function with its argument."""
        name = self.name(token)
        if self.next == "'" and self.take():
            name += "′"
        if self.tokens[self.at : self.at + 2] == ["^", "*"]:
            self.at += 2
            name += "*"
        if self.next == "_":
            here = self.at
            self.take()
            longer = f"{name}_{''.join(self.braced())}"
            if longer in self.names:
                return "name", longer
            self.at = here
        function = self.names.get(name, FUNCTIONS.get(name))
        if not callable(function):
            return "name", name
        power = None
        if self.next == "^":
            self.take()
            power = self.group()
        alone = name.endswith("′") and self.next != "("  # σ′ is σ′(x)
        tree = ("call", function, ("name", "x") if alone else self.factor())
        return tree if power is None else ("power", tree, power)

    def name(self, token):
        if token in FUNCTIONS:
            return token + "′" if self.next == "'" and self.take() else token
        if token == "d" and (self.next in ACCENTS or self.next.isalpha()) and self.next:
            return "d" + self.name(self.take())
        if token in ACCENTS:
            return unicodedata.normalize("NFKC", self.name(self.take()) + ACCENTS[token])
        if token.startswith(r"\mathrm"):
            return re.sub(r"[{}\s]", "", token[len(r"\mathrm") :])
        if token[0] == "\\" and token[1:] not in GREEK:
            raise ValueError(f"not understood: {token}")
        return GREEK.get(token.lstrip("\\"), token)

    def fraction(self):
        if self.tokens[self.at : self.at + 3] == ["{", r"\partial", "L"]:  # ∂L/∂h is called dh
            self.at += 4
            self.take("{")
            self.take(r"\partial")
            log = self.next == r"\log" and self.take()
            return self.closed(self.rename(self.factor(), "dlog" if log else "d"), "}")
        if self.tokens[self.at : self.at + 2] == ["{", r"\partial"]:  # ∂y_j/∂x_k is the entry [j, k] of an array ∂y/∂x
            (above, these), (below, those) = self.differential(), self.differential()
            name = "name", f"{above}/{below}"
            return ("index", name, these + those) if these + those else name
        return "/", self.group(), self.group()

    def differential(self):
        """The name and the indices of what stands in {∂ …}."""
        self.take("{")
        self.take(r"\partial")
        log = "log" if self.next == r"\log" and self.take() else ""
        tree = self.closed(self.factor(), "}")
        name, indices = (tree[1][1], tree[2]) if tree[0] == "index" else (tree[1], [])
        return f"∂{log}{name}", indices

    def rename(self, tree, prefix):
        return ("name", prefix + tree[1]) if tree[0] == "name" else (tree[0], self.rename(tree[1], prefix), *tree[2:])

    def cases(self):
        rows = []
        while self.next != r"\end{cases}":
            value = self.sum()
            self.take("&")
            rows.append((value, self.condition()))
            if self.next == r"\\":
                self.take()
        self.take()
        return "cases", rows

    def condition(self):
        left, relation = self.sum(), self.take()
        return "call", RELATIONS[relation], left, self.sum()

    def closed(self, tree, bracket):
        self.take(bracket)
        return tree

    def group(self):
        """What a single token, or braces, hold."""
        return self.closed(self.sum(), "}") if self.next == "{" and self.take() else self.base()

    def braced(self):
        """The tokens of a group as they stand."""
        if self.next != "{":
            return [self.take()]
        end, depth = self.at, 0
        while True:
            depth += {"{": 1, "}": -1}.get(self.tokens[end], 0)
            end += 1
            if not depth:
                break
        inner = self.tokens[self.at + 1 : end - 1]
        self.at = end
        return inner

    def subscript(self):
        inner = self.braced()
        if "," in inner:
            parts = [list(part) for comma, part in itertools.groupby(inner, ",".__eq__) if not comma]
        else:
            parts = [inner] if {"+", "-"} & set(inner) else [[token] for token in inner]
        return [Parser(" ".join(part), self.names).sum() for part in parts]


def evaluate(latex, names, sizes=()):
    """Each side of an equation as an array over the free indices of all of them, in one order."""
    sides = Parser(latex, names).sides()
    ranges = {**dict(sizes)}
    for side in sides:
        _ranges(side, names, ranges)
    free = sorted(set().union(*(_free(side, names, ranges) for side in sides)))
    points = list(itertools.product(*(ranges[letter] for letter in free)))
    here = dict.fromkeys(ranges, 0)
    return [
        np.array([_value(side, {**names, **here, **dict(zip(free, p, strict=True))}, ranges) for p in points]) for side in sides
    ]


def _ranges(tree, names, ranges):
    """Finds what each index runs over: the length of the axis on which it stands alone."""
    if isinstance(tree, (tuple, list)):
        if tree and tree[0] == "index" and tree[1][0] == "name":
            array = names[tree[1][1]]
            for axis, part in enumerate(tree[2]):
                if part[0] == "name" and part[1] not in ranges:
                    ranges.setdefault(part[1], range(array.shape[axis]))
        for part in tree:
            _ranges(part, names, ranges)


def _free(tree, names, ranges):
    if not isinstance(tree, (tuple, list)):
        return set()
    if tree and tree[0] == "name":
        return {"t"} if isinstance(names.get(tree[1]), Series) else {tree[1]} & set(ranges)
    if tree and tree[0] in (r"\sum", r"\max"):
        return _free(tree[2], names, ranges) - set(tree[1])
    return set().union(*(_free(part, names, ranges) for part in tree))


def _value(tree, names, ranges):
    what, *parts = tree
    if what == "number":
        return parts[0]
    if what == "name":
        value = names[parts[0]]
        return value[names["t"]] if isinstance(value, Series) else value
    if what == "index":
        return _element(names[parts[0][1]], [int(_value(part, names, ranges)) for part in parts[1]])
    if what in (r"\sum", r"\max"):
        letters, body = parts
        points = itertools.product(*(ranges[letter] for letter in letters))
        values = [_value(body, {**names, **dict(zip(letters, p, strict=True))}, ranges) for p in points]
        return np.sum(values, axis=0) if what == r"\sum" else np.max(values, axis=0)
    if what == "power" and parts[0] == ("name", "e"):
        return np.exp(_value(parts[1], names, ranges))
    if what == "cases":
        rows = [(_value(value, names, ranges), _value(condition, names, ranges)) for value, condition in parts[0]]
        return np.where(rows[0][1], rows[0][0], rows[1][0])
    if what == "call":
        return parts[0](*(_value(part, names, ranges) for part in parts[1:]))
    values = [_value(part, names, ranges) for part in parts]
    if what == "*" and parts[0] == ("number", 1.0) and np.ndim(values[1]) == 1:
        raise ValueError("a column of ones times a column: one of them must be turned")
    return OPERATIONS[what](*values)


def _element(array, index):
    if isinstance(array, Series):
        return array[index[0]]
    inside = all(0 <= i < n for i, n in zip(index, array.shape, strict=False))
    return array[tuple(index)] if inside else 0.0


def _times(a, b):
    if np.ndim(a) == 2 and np.ndim(b) == 0 and b == 1:
        return a.sum(axis=1)  # the matrix times the column of ones that is written 1
    if 2 not in (np.ndim(a), np.ndim(b)) or 0 in (np.ndim(a), np.ndim(b)):
        return a * b
    return (a[:, None] if np.ndim(a) == 1 else a) @ b


OPERATIONS = {
    "+": np.add,
    "-": np.subtract,
    "negative": np.negative,
    "*": _times,
    "/": np.divide,
    "power": lambda a, n: a**n,
    "transpose": lambda a: np.atleast_2d(a).T if np.ndim(a) == 2 else np.atleast_2d(a),
    "list": lambda *parts: np.concatenate(parts),
}
