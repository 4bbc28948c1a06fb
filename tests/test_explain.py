"""explain: every displayed number recomputed by plain Python floats, from its terms and, apart from them, from the inputs."""

import json
import math
import re

import numpy as np
import pytest
from tolerances import bound

import manualbp as mb
from manualbp.cli import main
from manualbp.explain.examples import EXAMPLES

LAYERS = {
    "linear": lambda: mb.Sequential(mb.Linear(3, 2, bias=False)),
    "sequence": lambda: mb.Sequential(mb.RNN(3, 2), mb.Linear(2, 2)),
    "sigmoid": lambda: mb.Sequential(mb.Linear(3, 2), mb.Sigmoid()),
    "tanh": lambda: mb.Sequential(mb.Linear(3, 2), mb.Tanh()),
    "relu": lambda: mb.Sequential(mb.Linear(3, 2), mb.ReLU()),
    "leaky": lambda: mb.Sequential(mb.Linear(3, 4), mb.LeakyReLU(0.2)),
    "elu": lambda: mb.Sequential(mb.Linear(3, 4), mb.ELU(0.7)),
    "selu": lambda: mb.Sequential(mb.Linear(3, 4), mb.SELU()),
    "silu": lambda: mb.Sequential(mb.Linear(3, 2), mb.SiLU()),
    "softplus": lambda: mb.Sequential(mb.Linear(3, 2), mb.Softplus(2.0)),
    "softmax": lambda: mb.Sequential(mb.Linear(3, 2), mb.Softmax()),
    "logsoftmax": lambda: mb.Sequential(mb.Linear(3, 2), mb.LogSoftmax()),
    "dropout": lambda: mb.Sequential(mb.Linear(3, 4), mb.Dropout(0.5)),
    "gelu, arrays only": lambda: mb.Sequential(mb.Linear(3, 2), mb.GELU()),
    "nested": lambda: mb.Sequential(mb.Sequential(mb.Linear(3, 2), mb.Tanh()), mb.Linear(2, 2)),
    "stack, arrays only": lambda: mb.Sequential(mb.GRU(3, 2, num_layers=2, bidirectional=True), mb.LastStep()),
    "gru": lambda: mb.Sequential(mb.GRU(3, 2)),
    "gru without bias": lambda: mb.Sequential(mb.GRU(3, 2, bias=False), mb.LastStep()),
    "lstm": lambda: mb.Sequential(mb.LSTM(3, 2, batch_first=True)),
    "rnn, relu": lambda: mb.Sequential(mb.RNN(3, 2, nonlinearity="relu")),
    "conv2d": lambda: mb.Sequential(mb.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), mb.Flatten()),
    "conv2d, dilated": lambda: mb.Sequential(mb.Conv2d(2, 1, (2, 3), dilation=(2, 1), padding="same"), mb.MaxPool2d(2)),
    "conv1d": lambda: mb.Sequential(mb.Conv1d(2, 2, 3, padding=1), mb.Reshape(-1)),
    "avgpool": lambda: mb.Sequential(mb.Conv2d(2, 2, 1), mb.AvgPool2d(2, 1, 1)),
    "avgpool, inside": lambda: mb.Sequential(mb.Conv2d(2, 2, 1), mb.AvgPool2d(2, 1, 1, count_include_pad=False)),
    "maxpool": lambda: mb.Sequential(mb.Conv2d(2, 2, 1), mb.MaxPool2d(3, 1, 1)),
    "globalpool": lambda: mb.Sequential(mb.Conv2d(2, 2, 1), mb.GlobalAvgPool2d()),
}


def sample(net, seed=0):
    """An input that fits the first layer, and a target that fits the output."""
    mb.manual_seed(seed)
    rng = np.random.default_rng(seed)
    first = next(m for m in net.modules() if m.dtype is not None)
    shape = {mb.Linear: (2, 3), mb.Conv2d: (2, 2, 4, 4), mb.Conv1d: (2, 2, 5)}.get(type(first), (3, 2, 3))
    x = rng.standard_normal(shape).astype(np.float32)
    return x, rng.standard_normal(net(x).shape).astype(np.float32)


def tables(data, kinds=("given", "made")):
    return [table for stage in data["stages"] for kind in kinds for table in stage[kind]]


def array(data, name):
    """The values of a table by its id, nested as plain lists; the last one that was made."""
    table = [t for t in tables(data) if t["id"] == name][-1]

    def nested(values, shape):
        if not shape:
            return values[0]
        part = len(values) // shape[0]
        return [nested(values[k * part : (k + 1) * part], shape[1:]) for k in range(shape[0])]

    return nested(table["values"], table["shape"])


def close(actual, expected, terms=64):
    if isinstance(expected, list):
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            close(a, e, terms)
    else:
        assert abs(actual - expected) <= bound(np.float64, terms, max(1.0, abs(expected))), (actual, expected)


def recompute(data):
    """Each number is the sum of its terms, each term is what Python makes of it, each number used is where it came from."""
    made, count = {}, 0
    for table in tables(data):
        where = [()]
        for n in table["shape"]:
            where = [(*i, k) for i in where for k in range(n)]
        for index, value in zip(where, table["values"], strict=True):
            made[table["id"] + (f"[{','.join(map(str, index))}]" if index else "")] = value
    for table in tables(data, ["made"]):
        assert len(table["numbers"]) in (0, len(table["values"]))
        for number, value in zip(table["numbers"], table["values"], strict=len(table["numbers"]) > 0):
            terms = [eval(term["python"], {"__builtins__": {"abs": abs, "max": max, "float": float}, **vars(math)})
                     for term in number["terms"]]  # fmt: skip
            close(sum(terms), value)
            close(terms, [term["value"] for term in number["terms"]])
            assert made[number["id"]] == value
            for _, name, used in (use for term in number["terms"] for use in term["uses"]):
                assert made[name] == used, name
            count += 1
    return count


# ---------------------------------------------------------------------- all layers, losses, optimizers: from their terms


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_from_their_terms(name):
    data = json.loads(EXAMPLES[name]().to_json())
    assert recompute(data) > 40
    assert all(table["numbers"] for table in tables(data, ["made"]))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_from_their_terms(name):
    net = LAYERS[name]()
    x, t = sample(net)
    data = net.explain(x, t, mb.MSELoss()).to_dict()
    assert recompute(data)
    if "arrays only" not in name:
        assert all(table["numbers"] or table["id"] == "1.m" for table in tables(data, ["made"]))
    double, loss = net.astype(np.float64).train(), mb.MSELoss()
    double.zero_grad()
    loss(double(x.astype(np.float64)), t.astype(np.float64))
    dx = double.backward(loss.backward())
    gradients = [array(data, f"update.{t['id']}") for t in data["stages"][-1]["given"][::2]]
    for parameter, after in zip(double.parameters(), gradients, strict=True):
        close(after, (parameter.value - 0.1 * parameter.grad).tolist())
    if "dropout" not in name:  # whose next mask is another one
        close(data["stages"][-2]["made"][-1]["values"], dx.ravel().tolist())


LOSSES = {
    "mse, sum": (mb.MSELoss("sum"), None),
    "l1": (mb.L1Loss(), None),
    "bce": (mb.BCELoss(), np.array([[1.0, 0.0], [0.3, 1.0]])),
    "bce with logits": (mb.BCEWithLogitsLoss(pos_weight=[1.0, 3.0]), np.array([[1.0, 0.0], [0.3, 1.0]])),
    "cross-entropy": (mb.CrossEntropyLoss(), np.array([1, 0])),
    "cross-entropy, weights": (mb.CrossEntropyLoss([1.0, 2.0], label_smoothing=0.1), np.array([1, 0])),
    "cross-entropy, ignored": (mb.CrossEntropyLoss(reduction="sum", ignore_index=1), np.array([1, 0])),
    "cross-entropy, probabilities": (mb.CrossEntropyLoss(), np.array([[0.3, 0.7], [1.0, 0.0]])),
    "nll": (mb.NLLLoss(), np.array([1, 0])),
    "huber": (mb.HuberLoss(delta=0.5), None),
    "smooth l1": (mb.SmoothL1Loss(beta=0.5), None),
    "kl": (mb.KLDivLoss("batchmean"), np.array([[0.3, 0.7], [1.0, 0.0]])),
    "kl, logarithms": (mb.KLDivLoss(log_target=True), np.array([[-0.3, -0.7], [-1.0, 0.0]])),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_from_their_terms(name):
    loss, t = LOSSES[name]
    net = mb.Sequential(mb.Linear(3, 2), mb.Sigmoid())
    x, random = sample(net)
    t = random if t is None else t.astype(np.float32) if t.dtype == np.float64 else t
    data = net.explain(x, t, loss).to_dict()
    assert recompute(data)
    assert all(table["numbers"] or table["id"] == "loss.q" for table in tables(data, ["made"]))
    expected = loss(net(x), t)
    assert data["loss"] == pytest.approx(expected, rel=1e-5)


OPTIMIZERS = {
    "sgd": lambda p: mb.SGD(p, 0.1),
    "decay": lambda p: mb.SGD(p, 0.1, weight_decay=0.1),
    "momentum": lambda p: mb.SGD(p, 0.1, momentum=0.9, dampening=0.2, weight_decay=0.1),
    "nesterov": lambda p: mb.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: mb.Adam(p, 0.1, weight_decay=0.1),
    "adamw": lambda p: mb.AdamW(p, 0.1),
    "rmsprop": lambda p: mb.RMSprop(p, 0.1, weight_decay=0.1),
    "rmsprop, centered": lambda p: mb.RMSprop(p, 0.1, momentum=0.5, centered=True),
    "adagrad": lambda p: mb.Adagrad(p, 0.1, lr_decay=0.2, weight_decay=0.1, initial_accumulator_value=0.3),
}


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_from_their_terms(name, steps):
    """Also with a memory of earlier steps; and the step explained is the step that is then taken."""
    net, loss = mb.Sequential(mb.Linear(3, 2), mb.Tanh(), mb.Linear(2, 2)).astype(np.float64), mb.MSELoss()
    x, t = (a.astype(np.float64) for a in sample_double(net))
    opt = OPTIMIZERS[name](net.parameters())

    def step():
        net.zero_grad()
        loss(net(x), t)
        net.backward(loss.backward())
        opt.step()

    for _ in range(steps):
        step()
    before = {k: v.copy() for k, v in opt.state_dict().items()}
    data = net.explain(x, t, loss, opt).to_dict()
    assert recompute(data)
    for key, value in opt.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    step()
    for name, parameter in zip(("0.W", "0.b", "2.W", "2.b"), net.parameters(), strict=True):
        close(array(data, f"update.{name}"), parameter.value.tolist())


def sample_double(net):
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, 3)), rng.standard_normal((2, 2))


# ---------------------------------------------------------------------- five networks, from inputs and weights alone


def dot(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True))


def columns(W):
    return [list(column) for column in zip(*W, strict=True)]


def linear(x, W, b):
    return [[dot(row, w) + bias for w, bias in zip(W, b, strict=True)] for row in x]


def linear_back(x, W, dy):
    dW = [[dot(d, column) for column in columns(x)] for d in columns(dy)]
    return dW, [sum(d) for d in columns(dy)], [[dot(row, column) for column in columns(W)] for row in dy]


def each(f, *arrays):
    """f on the numbers of nested lists of one shape."""
    return [each(f, *parts) for parts in zip(*arrays, strict=True)] if isinstance(arrays[0], list) else f(*arrays)


def sigma(x):
    return 1 / (1 + math.exp(-x))


def flat(nested):
    return [v for part in nested for v in flat(part)] if isinstance(nested, list) else [nested]


def mse(data, y):
    """L and ∂L/∂y, compared with what is shown."""
    t, n = array(data, "t"), len(flat(y))
    close(array(data, "loss.ℓ"), each(lambda a, b: (a - b) ** 2, y, t))
    close(data["loss"], sum((a - b) ** 2 for a, b in zip(flat(y), flat(t), strict=True)) / n)
    close(array(data, "loss.L"), data["loss"])
    dy = each(lambda a, b: 2 * (a - b) / n, y, t)
    close(array(data, "loss.dy"), dy)
    return dy


def compare(data, owner, shown):
    for name, expected in shown.items():
        close(array(data, f"{owner}.{name}"), expected)


def compare_update(data, rate, gradients):
    for name, gradient in gradients.items():
        close(array(data, f"update.{name}"), each(lambda a, d: a - rate * d, array(data, name), gradient))


def all_checked(data, checked):
    """No table is shown that the test has not recomputed."""
    assert {table["id"] for table in tables(data, ["made"])} == set(checked)


@pytest.mark.parametrize(("name", "f", "slope", "rate"), [
    ("worked", sigma, lambda y: y * (1 - y), 0.5),
    ("xor", lambda a: max(a, 0.0), lambda y: float(y > 0), 0.1),
])  # fmt: skip
def test_two_layers_by_plain_python(name, f, slope, rate):
    """2-2-2 with two sigmoids, and XOR with one ReLU."""
    data = EXAMPLES[name]().to_dict()
    x, W, b, V, c = (array(data, k) for k in ("x", "0.W", "0.b", "2.W", "2.b"))
    a = linear(x, W, b)
    h = each(f, a)
    z = linear(h, V, c)
    squashed = name == "worked"
    y = each(f, z) if squashed else z
    for layer, expected in enumerate([a, h, z, y][: 3 + squashed]):
        compare(data, str(layer), {"y": expected})
    dz = mse(data, y)
    if squashed:
        dz = each(lambda d, v: d * slope(v), dz, y)
        compare(data, "3", {"dx": dz})
    dV, dc, dh = linear_back(h, V, dz)
    da = each(lambda d, v: d * slope(v), dh, h)
    dW, db, dx = linear_back(x, W, da)
    compare(data, "2", {"dW": dV, "db": dc, "dx": dh})
    compare(data, "1", {"dx": da})
    compare(data, "0", {"dW": dW, "db": db, "dx": dx})
    gradients = {"0.W": dW, "0.b": db, "2.W": dV, "2.b": dc}
    compare_update(data, rate, gradients)
    weighted = [f"{k}.{name}" for k in "02" for name in ("y", "dW", "db", "dx")]
    squashes = [f"{k}.{name}" for k in ("13" if squashed else "1") for name in ("y", "dx")]
    all_checked(data, [*weighted, *squashes, "loss.ℓ", "loss.L", "loss.dy", *(f"update.{k}" for k in gradients)])


def test_convolution_by_plain_python():
    data = EXAMPLES["conv"]().to_dict()
    image, W, b = array(data, "x")[0][0], array(data, "0.W")[0][0], array(data, "0.b")
    V, c = array(data, "3.W"), array(data, "3.b")
    two, three = range(2), range(3)
    a = [[sum(W[i][j] * image[h + i][w + j] for i in three for j in three) + b[0] for w in two] for h in two]
    r = each(lambda v: max(v, 0.0), a)
    y = linear([flat(r)], V, c)
    compare(data, "0", {"y": [[a]]})
    compare(data, "1", {"y": [[r]]})
    compare(data, "2", {"y": [flat(r)]})
    compare(data, "3", {"y": y})
    dV, dc, dflat = linear_back([flat(r)], V, mse(data, y))
    dr = [dflat[0][:2], dflat[0][2:]]
    da = each(lambda d, v: d * (v > 0), dr, a)
    dW = [[sum(da[h][w] * image[h + i][w + j] for h in two for w in two) for j in three] for i in three]
    dx = [[0.0] * 4 for _ in range(4)]
    for h, w, i, j in ((h, w, i, j) for h in two for w in two for i in three for j in three):
        dx[h + i][w + j] += da[h][w] * W[i][j]
    compare(data, "3", {"dW": dV, "db": dc, "dx": dflat})
    compare(data, "2", {"dx": [[dr]]})
    compare(data, "1", {"dx": [[da]]})
    compare(data, "0", {"dW": [[dW]], "db": [sum(flat(da))], "dx": [[dx]]})
    gradients = {"0.W": [[dW]], "0.b": [sum(flat(da))], "3.W": dV, "3.b": dc}
    compare_update(data, 0.1, gradients)
    weighted = [f"{k}.{name}" for k in "03" for name in ("y", "dW", "db", "dx")]
    moved = [f"{k}.{name}" for k in "12" for name in ("y", "dx")]
    all_checked(data, [*weighted, *moved, "loss.ℓ", "loss.L", "loss.dy", *(f"update.{k}" for k in gradients)])


def recurrent_weights(data):
    return [array(data, f"0.{name}") for name in ("W_ih", "W_hh", "b_ih", "b_hh")]


def affine(x, h, W, U, b, c):
    return [dot(w, x) + dot(u, h) + p + q for w, u, p, q in zip(W, U, b, c, strict=True)]


def through_time(x, before, W, dz):
    """dW_ih, dW_hh, db and dx from the dz of all steps."""
    dW = [[sum(d[j] * v[i] for d, v in zip(dz, x, strict=True)) for i in range(len(x[0]))] for j in range(len(W))]
    dU = [[sum(d[j] * v[i] for d, v in zip(dz, before, strict=True)) for i in range(len(before[0]))] for j in range(len(W))]
    db = [sum(d[j] for d in dz) for j in range(len(W))]
    return {"dW_ih": dW, "dW_hh": dU, "db_ih": db, "db_hh": db}, [[dot(d, column) for column in columns(W)] for d in dz]


def test_recurrent_network_by_plain_python():
    data = EXAMPLES["rnn"]().to_dict()
    x, (W, U, b, c) = array(data, "x")[0], recurrent_weights(data)
    V, e = array(data, "2.W"), array(data, "2.b")
    a, h = [], [[0.0, 0.0]]
    for now in x:
        a.append(affine(now, h[-1], W, U, b, c))
        h.append(each(math.tanh, a[-1]))
    y = linear([h[3]], V, e)
    compare(data, "0", {"a": [[v] for v in a], "h": [[v] for v in h], "y": [h[1:]]})
    compare(data, "1", {"y": [h[3]]})
    compare(data, "2", {"y": y})
    dV, de, dlast = linear_back([h[3]], V, mse(data, y))
    dys = [[0.0, 0.0], [0.0, 0.0], dlast[0]]
    dh, dz, later = [None] * 3, [None] * 3, [0.0, 0.0]
    for s in (2, 1, 0):
        dh[s] = [d + dot(later, column) for d, column in zip(dys[s], columns(U), strict=True)]
        later = dz[s] = [d * (1 - v * v) for d, v in zip(dh[s], h[s + 1], strict=True)]
    gradients, dx = through_time(x, h[:3], W, dz)
    compare(data, "2", {"dW": dV, "db": de, "dx": dlast})
    compare(data, "1", {"dx": [dys]})
    compare(data, "0", {"dh": [[v] for v in dh], "dz": [[v] for v in dz], **gradients, "dx": [dx]})
    updated = {"2.W": dV, "2.b": de, **{f"0.{name[1:]}": d for name, d in gradients.items()}}
    compare_update(data, 0.1, updated)
    own = [f"0.{name}" for name in ("a", "h", "y", "dh", "dz", *gradients, "dx")]
    above = ["1.y", "1.dx", "2.y", "2.dW", "2.db", "2.dx"]
    all_checked(data, [*own, *above, "loss.ℓ", "loss.L", "loss.dy", *(f"update.{k}" for k in updated)])


def test_lstm_by_plain_python():
    data = EXAMPLES["lstm"]().to_dict()
    x, (W, U, b, c0) = [row[0] for row in array(data, "x")], recurrent_weights(data)
    a, gates, c, h = [], [], [[0.0, 0.0]], [[0.0, 0.0]]
    for now in x:
        z = affine(now, h[-1], W, U, b, c0)
        i, f, g, o = each(sigma, z[:2]), each(sigma, z[2:4]), each(math.tanh, z[4:6]), each(sigma, z[6:])
        c.append([f[k] * c[-1][k] + i[k] * g[k] for k in (0, 1)])
        h.append([o[k] * math.tanh(c[-1][k]) for k in (0, 1)])
        a.append(z)
        gates.append((i, f, g, o))
    compare(data, "0", {"a": [[v] for v in a], "c": [[v] for v in c], "h": [[v] for v in h], "y": [[v] for v in h[1:]]})
    compare(data, "0", {name: [[step[k]] for step in gates] for k, name in enumerate("ifgo")})
    dy = [row[0] for row in mse(data, [[v] for v in h[1:]])]
    dh, dc, dz = [None] * 2, [None] * 2, [None] * 2
    for s in (1, 0):
        i, f, g, o = gates[s]
        dh[s] = [d + (dot(dz[1], column) if s == 0 else 0.0) for d, column in zip(dy[s], columns(U), strict=True)]
        later = [dc[1][k] * gates[1][1][k] if s == 0 else 0.0 for k in (0, 1)]
        tc = each(math.tanh, c[s + 1])
        dc[s] = [later[k] + dh[s][k] * o[k] * (1 - tc[k] ** 2) for k in (0, 1)]
        dz[s] = (
            [dc[s][k] * g[k] * i[k] * (1 - i[k]) for k in (0, 1)]
            + [dc[s][k] * c[s][k] * f[k] * (1 - f[k]) for k in (0, 1)]
            + [dc[s][k] * i[k] * (1 - g[k] ** 2) for k in (0, 1)]
            + [dh[s][k] * tc[k] * o[k] * (1 - o[k]) for k in (0, 1)]
        )
    gradients, dx = through_time(x, h[:2], W, dz)
    back = {"dh": dh, "dc": dc, "dz": dz, "dx": dx}
    compare(data, "0", {**{name: [[v] for v in value] for name, value in back.items()}, **gradients})
    updated = {f"0.{name[1:]}": d for name, d in gradients.items()}
    compare_update(data, 0.1, updated)
    own = [f"0.{name}" for name in ("a", "h", "y", "c", *"ifgo", *back, *gradients)]
    all_checked(data, [*own, "loss.ℓ", "loss.L", "loss.dy", *(f"update.{k}" for k in updated)])


# ---------------------------------------------------------------------- what it leaves alone, what it refuses, what it writes


def test_nothing_is_changed():
    net, loss = mb.Sequential(mb.Linear(3, 4), mb.Dropout(0.5), mb.LSTM(4, 2)), mb.MSELoss()
    x, t = np.ones((2, 1, 3), np.float32), np.ones((2, 1, 2), np.float32)
    opt = mb.Adam(net.parameters(), 0.1)
    loss(net(x), t)
    net.backward(loss.backward())
    opt.step()
    loss(net(x), t)  # a step in progress: its caches wait for backward
    caches = [layer.cache for layer in net.modules()]
    before = [a.copy() for p in net.parameters() for a in (p.value, p.grad)]
    memory, counter, held = opt.state_dict(), net[1].counter.copy(), loss.cache
    net.explain(x, t, loss, opt)
    assert all(a is b for a, b in zip((layer.cache for layer in net.modules()), caches, strict=True))
    assert loss.cache is held
    np.testing.assert_array_equal(net[1].counter, counter)
    for a, b in zip((a for p in net.parameters() for a in (p.value, p.grad)), before, strict=True):
        np.testing.assert_array_equal(a, b)
    for name, value in opt.state_dict().items():
        np.testing.assert_array_equal(value, memory[name])
    net.backward(loss.backward())
    net.eval().explain(x, t, loss)
    assert not net.training


def test_what_is_too_large_says_what_to_do():
    net, x = mb.Sequential(mb.Linear(3, 2)), np.ones((400, 3), np.float32)
    with pytest.raises(ValueError, match=r"1,200 numbers.* give it one sample, x\[:1\]"):
        net.explain(x, np.ones((400, 2), np.float32), mb.MSELoss())
    large = mb.Sequential(mb.Linear(100, 100))
    with pytest.raises(ValueError, match="weight has 10,000 numbers, explain shows at most 600"):
        large.explain(np.ones((1, 100), np.float32), np.ones((1, 100), np.float32), mb.MSELoss())
    wide = mb.Sequential(mb.Linear(24, 24))
    with pytest.raises(ValueError, match="terms, explain shows at most 30,000"):
        wide.explain(np.ones((24, 24), np.float32), np.ones((24, 24), np.float32), mb.MSELoss())


def test_bad_arguments():
    net, x, t = mb.Sequential(mb.Linear(3, 2)), np.ones((1, 3), np.float32), np.ones((1, 2), np.float32)
    with pytest.raises(TypeError, match="expects a loss"):
        net.explain(x, t, mb.MSELoss)
    with pytest.raises(ValueError, match="reduction 'mean' or 'sum'"):
        net.explain(x, t, mb.MSELoss("none"))
    with pytest.raises(TypeError, match="an optimizer or a learning rate, got 'fast'"):
        net.explain(x, t, mb.MSELoss(), "fast")
    with pytest.raises(ValueError, match=r"build it with net\.parameters"):
        net.explain(x, t, mb.MSELoss(), mb.SGD(mb.Linear(3, 2).parameters(), 0.1))
    with pytest.raises(ValueError, match="expects x of shape"):
        net.explain(x[:, :2], t, mb.MSELoss())
    with pytest.raises(ValueError, match="without layers"):
        mb.Sequential().explain(x, t, mb.MSELoss())
    with pytest.raises(ValueError, match=r"saved as \.html, \.tex, \.json, \.txt, got 'a\.pdf'"):
        net.explain(x, t, mb.MSELoss()).save("a.pdf")


def test_numbers_that_cannot_be_written():
    net, t = mb.Sequential(mb.ReLU(), mb.Softplus(threshold=1e4)), np.ones((1, 1), np.float32)
    with pytest.raises(ValueError, match="cannot write exp of 800, scale the inputs"):
        net.explain(np.full((1, 1), 800, np.float32), t, mb.MSELoss())
    with pytest.raises(ValueError, match=r"x of ReLU\(\) has a NaN"):
        net.explain(np.full((1, 1), np.nan, np.float32), t, mb.MSELoss())


def test_text_shows_symbols_numbers_and_result():
    said = str(EXAMPLES["worked"]())
    assert "y[0,0] = W[0,0] · x[0,0] + W[0,1] · x[0,1] + b[0]\n         = 0.15 · 0.05 + 0.2 · 0.1 + 0.35 = 0.3775" in said
    assert "dW[1,0] = dy[0,1] · x[0,0]\n          = (−0.0380982) · 0.59327 = −0.0226025" in said


def test_displayed_numbers_are_the_exact_ones_to_six_digits():
    """The number lines of the text are the values of the JSON, rounded."""
    for make in EXAMPLES.values():
        explanation = make()
        results = [line.rpartition("= ")[2] for line in str(explanation).splitlines() if re.match(r" +=", line)]
        values = [table.values[i] for stage in explanation.stages for table in stage.made for i in table.made]
        assert len(results) == len(values)
        for shown, value in zip(results, values, strict=True):
            assert float(shown.replace("−", "-")) == pytest.approx(value, rel=5.1e-6, abs=1e-300)


def test_html_needs_nothing_but_itself():
    explanation = EXAMPLES["worked"]()
    page = explanation.to_html()
    assert not re.search(r"https?:|src=|@import|url\(", page)
    embedded = page.split('id="data">')[1].split("</script>")[0]
    assert json.loads(embedded) == explanation.to_dict()
    assert "{{" not in page
    assert explanation._repr_html_().startswith("<iframe")


@pytest.mark.parametrize("name", [*EXAMPLES, *LAYERS])
def test_latex_is_balanced(name):
    """And has no number or symbol with two exponents, which LaTeX refuses."""
    if name in EXAMPLES:
        document = EXAMPLES[name]().to_latex()
    else:
        net = LAYERS[name]()
        document = net.explain(*sample(net), mb.MSELoss(), mb.AdamW(net.parameters())).to_latex()
    assert not re.search(r"\^\{[^{}]*(\{[^{}]*\})?[^{}]*\}(_\{[^{}]*\})?\^", document)
    assert document.count("{") == document.count("}")
    assert document.count(r"\left") == document.count(r"\right") + document.count(r"\leftarrow")
    assert document.isascii(), sorted({c for c in document if ord(c) > 127})


def test_the_command_writes_its_files(tmp_path, capsys):
    files = {suffix: tmp_path / f"step.{suffix}" for suffix in ("html", "tex", "json")}
    arguments = ["--html", str(files["html"]), "--latex", str(files["tex"]), "--json", str(files["json"])]
    assert main(["explain", "worked", *arguments]) == 0
    assert capsys.readouterr().out.count("wrote") == 3
    assert files["html"].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert recompute(json.loads(files["json"].read_text(encoding="utf-8")))
    assert main(["explain", "xor"]) == 0
    assert "L = " in capsys.readouterr().out
    assert main(["explain", "xor", "--html", "page.txt"]) == 2
    assert "ends in .html" in capsys.readouterr().err
