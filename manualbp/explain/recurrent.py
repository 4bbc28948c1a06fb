"""How RNN, LSTM and GRU make their numbers, step by step in time: one layer read in one direction.

h[0] is the initial state and h[s+1] the state after step s; all arrays have time first. The symbols are those of rnn.py,
lstm.py and gru.py. What the layer keeps for backward (states, gates) is shown as it is; what it only passes through (the
sums before a nonlinearity, their gradients) is computed from its expressions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from ..layer import Layer
from ..layers import GRU, LSTM, RNN
from ..types import Array
from .expression import Expression, constant, largest, positive, sigmoid, square, tanh, total
from .layers import Explainer
from .table import Index, Table


class RecurrentExplainer(Explainer):
    """What the three share: the sums over inputs and states, and the gradients of the weights."""

    gates: ClassVar[int] = 1
    shared = (
        "dW_ih[j,d] = Σ_s,n dz[s,n,j] x[s,n,d]",
        "dW_hh[j,k] = Σ_s,n dz[s,n,j] h[s,n,k]",
        "db_ih[j] = db_hh[j] = Σ_s,n dz[s,n,j]",
        "dx[s,n,d] = Σ_j dz[s,n,j] W_ih[j,d]",
    )

    @classmethod
    def covers(cls, layer: Any) -> bool:
        return bool(layer.num_layers == 1 and layer.directions == 1)

    def arrays(self, layer: Any, prefix: str = "") -> Iterator[tuple[str, Array]]:
        return super().arrays(layer.stack[0][0], prefix)

    def forward(self, x: Table, y: Array) -> list[Table]:
        self.sweep = self.layer.stack[0][0]
        self.cache = self.sweep.cache
        self.x, self.h = x, self.given("h", self.cache[1])
        T, N, self.H = (len(self.h.values) - 1, *self.h.shape[1:])
        self.T, self.N = T, N
        made = self.states((T, N, self.gates * self.H))
        return [*made, self.h, self.make("y", y, lambda i: self.h[self._state(i)])]

    def states(self, shape: tuple[int, int, int]) -> list[Table]:
        """Everything up to the states, whose expressions go into ``h``."""
        raise NotImplementedError

    def backward(self, dy: Table, dx: Array) -> list[Table]:
        self.dy = dy
        steps = self.steps_back()
        dz, da = steps[-2:]
        W, places = self.parameters, [(s, n) for s in range(self.T) for n in range(self.N)]
        sources = {
            "W_ih": lambda i: total(dz[(*p, i[0])] * self.x[self._x(*p, i[1])] for p in places),
            "W_hh": lambda i: total(da[(*p, i[0])] * self.h[(*p, i[1])] for p in places),
            "b_ih": lambda i: total(dz[(*p, *i)] for p in places),
            "b_hh": lambda i: total(da[(*p, *i)] for p in places),
        }
        for key in W:
            self.gradients[key] = self.make(f"d{key}", getattr(self.sweep, f"d{key}"), sources[key])
        back = self.make("dx", dx, lambda i: self._through(dz, "W_ih", self._x(*i)))
        return [*(steps if da is not dz else steps[:-1]), *self.gradients.values(), back]

    def steps_back(self) -> list[Table]:
        """The gradients of states and gates, last step first; at the end dz and da, which are one but for the GRU."""
        raise NotImplementedError

    def product(self, weight: str, bias: str, row: int, column: Iterable[Expression]) -> Expression:
        """One row of W v + b."""
        W, b = self.parameters[weight], self.parameters.get(bias)
        terms = [W[row, k] * v for k, v in enumerate(column)]
        return total([*terms, b[(row,)]] if b is not None else terms)

    def inputs(self, s: int, n: int, row: int) -> Expression:
        return self.product("W_ih", "b_ih", row, (self.x[self._x(s, n, d)] for d in range(self.x.shape[2])))

    def before(self, s: int, n: int, row: int) -> Expression:
        return self.product("W_hh", "b_hh", row, (self.h[s, n, k] for k in range(self.H)))

    def sums(self, shape: tuple[int, int, int]) -> Table:  # type: ignore[override]
        """a = W_ih x + b_ih + W_hh h + b_hh."""
        return self.make("a", shape, lambda i: self.inputs(*i) + self.before(*i))

    def _through(self, dz: Table, weight: str, at: Index) -> Expression:
        """One number of Wᵀ dz[s,n]."""
        W, (s, n, column) = self.parameters[weight], at
        return total(dz[s, n, j] * W[j, column] for j in range(dz.shape[2]))

    def dh_of(self, s: int, n: int, j: int, dz: Table) -> Expression:
        """dy, and what the next step hands back through W_hh."""
        here = self.dy[self._x(s, n, j)]
        return here + self._through(dz, "W_hh", (s + 1, n, j)) if s + 1 < self.T else here

    def finish(self, rule: Any) -> None:
        """Give h its expressions: the initial state is 0."""
        self.h.made.update({i: rule(i[0] - 1, *i[1:]) if i[0] else constant(0.0) for i in self.h.indices()})

    def unfilled(self, symbol: str, width: int) -> Table:
        return self.given(symbol, np.zeros((self.T, self.N, width)))

    def latest_first(self) -> Iterator[Index]:
        return ((s, n, j) for s in reversed(range(self.T)) for n in range(self.N) for j in range(self.H))

    def _x(self, s: int, n: int, d: int) -> Index:
        """Between (s, n, d) and the place in x, y or dy; it is its own inverse."""
        return (n, s, d) if self.layer.batch_first else (s, n, d)

    def _state(self, i: Index) -> Index:
        s, n, j = self._x(*i)  # type: ignore[misc]
        return s + 1, n, j


def _put(table: Table, index: Index, made: Expression) -> None:
    table.values[index], table.made[index] = made.value, made


class RNNExplainer(RecurrentExplainer):
    formulas = (
        (
            "a[s,n,j] = Σ_d W_ih[j,d] x[s,n,d] + b_ih[j] + Σ_k W_hh[j,k] h[s,n,k] + b_hh[j]",
            "h[s+1] = φ(a[s]), φ = tanh or ReLU",
            "y[s] = h[s+1]",
        ),
        ("dh[s] = dy[s] + Σ_j dz[s+1,n,j] W_hh[j,k]", "dz[s] = dh[s] · φ′(a[s])", *RecurrentExplainer.shared),
    )

    def states(self, shape: tuple[int, int, int]) -> list[Table]:
        a = self.sums(shape)
        relu = self.sweep.relu
        self.finish(lambda *i: largest([constant(0.0), a[i]]) if relu else tanh(a[i]))
        return [a]

    def steps_back(self) -> list[Table]:
        dh, dz = self.unfilled("dh", self.H), self.unfilled("dz", self.H)
        for s, n, j in self.latest_first():
            after = self.h[s + 1, n, j]
            _put(dh, (s, n, j), self.dh_of(s, n, j, dz))
            _put(dz, (s, n, j), dh[s, n, j] * (positive(after) if self.sweep.relu else 1 - square(after)))
        return [dh, dz, dz]


class LSTMExplainer(RecurrentExplainer):
    gates = 4
    formulas = (
        (
            "a[s,n,r] = Σ_d W_ih[r,d] x[s,n,d] + b_ih[r] + Σ_k W_hh[r,k] h[s,n,k] + b_hh[r]",
            "rows r of the input gate i, the forget gate f, the candidate g and the output gate o",
            "i = σ(a), f = σ(a), g = tanh(a), o = σ(a), each of its own rows",
            "c[s+1] = f[s] · c[s] + i[s] · g[s]",
            "h[s+1] = o[s] · tanh(c[s+1]), y[s] = h[s+1]",
        ),
        (
            "dh[s] = dy[s] + Σ_r dz[s+1,n,r] W_hh[r,k]",
            "dc[s] = dc[s+1] · f[s+1] + dh[s] · o[s] · (1 − tanh(c[s+1])²)",
            "dz of i: dc · g · i · (1 − i), of f: dc · c[s] · f · (1 − f), of g: dc · i · (1 − g²)",
            "dz of o: dh · tanh(c[s+1]) · o · (1 − o)",
            *RecurrentExplainer.shared,
        ),
    )

    def states(self, shape: tuple[int, int, int]) -> list[Table]:
        _, _, c, gates = self.cache
        H = self.H
        a = self.sums(shape)

        def gate(k: int, symbol: str) -> Table:
            squash = tanh if symbol == "g" else sigmoid
            return self.make(symbol, gates[..., k * H : (k + 1) * H], lambda p: squash(a[p[0], p[1], k * H + p[2]]))

        i, f, g, o = self.ifgo = [gate(k, symbol) for k, symbol in enumerate("ifgo")]
        before = self.given("c", c)

        def memory(p: Index) -> Expression:
            q = (p[0] - 1, *p[1:])
            return f[q] * before[q] + i[q] * g[q] if p[0] else constant(0.0)

        self.c = self.make("c", c, memory)
        self.finish(lambda s, n, j: o[s, n, j] * tanh(self.c[s + 1, n, j]))
        return [a, i, f, g, o, self.c]

    def steps_back(self) -> list[Table]:
        H, (i, f, g, o), c = self.H, self.ifgo, self.c
        dh, dc, dz = self.unfilled("dh", H), self.unfilled("dc", H), self.unfilled("dz", 4 * H)
        for p in self.latest_first():
            s, n, j = p
            after = (s + 1, n, j)
            _put(dh, p, self.dh_of(s, n, j, dz))
            here = dh[p] * o[p] * (1 - square(tanh(c[after])))
            _put(dc, p, dc[after] * f[after] + here if s + 1 < self.T else here)
            of_gates = (
                dc[p] * g[p] * i[p] * (1 - i[p]),
                dc[p] * c[p] * f[p] * (1 - f[p]),
                dc[p] * i[p] * (1 - square(g[p])),
                dh[p] * tanh(c[after]) * o[p] * (1 - o[p]),
            )
            for k, of_gate in enumerate(of_gates):
                _put(dz, (s, n, k * H + j), of_gate)
        return [dh, dc, dz, dz]


class GRUExplainer(RecurrentExplainer):
    gates = 3
    formulas = (
        (
            "z[s,n,q] = Σ_d W_ih[q,d] x[s,n,d] + b_ih[q]",
            "a[s,n,q] = Σ_k W_hh[q,k] h[s,n,k] + b_hh[q]",
            "rows q of the reset gate r, the update gate u and the candidate n",
            "r = σ(z + a), u = σ(z + a), n = tanh(z + r · a), each of its own rows",
            "h[s+1] = (1 − u[s]) · n[s] + u[s] · h[s], y[s] = h[s+1]",
        ),
        (
            "dh[s] = dy[s] + u[s+1] · dh[s+1] + Σ_q da[s+1,n,q] W_hh[q,k]",
            "dz of n: dh · (1 − u) · (1 − n²), of u: dh · (h[s] − n) · u · (1 − u), of r: dz of n · a of n · r · (1 − r)",
            "da is dz, but for n: r · dz",
            "dW_ih[j,d] = Σ_s,n dz[s,n,j] x[s,n,d]",
            "dW_hh[j,k] = Σ_s,n da[s,n,j] h[s,n,k]",
            "db_ih[j] = Σ_s,n dz[s,n,j], db_hh[j] = Σ_s,n da[s,n,j]",
            "dx[s,n,d] = Σ_j dz[s,n,j] W_ih[j,d]",
        ),
    )

    def states(self, shape: tuple[int, int, int]) -> list[Table]:
        _, _, gates, _ = self.cache
        H = self.H
        z = self.make("z", shape, lambda i: self.inputs(*i))
        a = self.a = self.make("a", shape, lambda i: self.before(*i))

        def row(table: Table, k: int, p: Index) -> Expression:
            return table[p[0], p[1], k * H + p[2]]

        def gate(k: int, symbol: str) -> Table:
            return self.make(symbol, gates[..., k * H : (k + 1) * H], lambda p: sigmoid(row(z, k, p) + row(a, k, p)))

        r, u = gate(0, "r"), gate(1, "u")
        new = self.make("n", gates[..., 2 * H :], lambda p: tanh(row(z, 2, p) + r[p] * row(a, 2, p)))
        self.run = r, u, new
        leaves = self.h
        self.finish(lambda *p: (1 - u[p]) * new[p] + u[p] * leaves[p])
        return [z, a, r, u, new]

    def steps_back(self) -> list[Table]:
        H, (r, u, new) = self.H, self.run
        dh, dz, da = self.unfilled("dh", H), self.unfilled("dz", 3 * H), self.unfilled("da", 3 * H)
        for p in self.latest_first():
            s, n, j = p
            after = (s + 1, n, j)
            whole = self.dy[self._x(s, n, j)]
            if s + 1 < self.T:
                whole = whole + u[after] * dh[after] + self._through(da, "W_hh", (s + 1, n, j))
            _put(dh, p, whole)
            at_r, at_u, at_n = ((s, n, k * H + j) for k in range(3))
            _put(dz, at_n, dh[p] * (1 - u[p]) * (1 - square(new[p])))
            _put(dz, at_u, dh[p] * (self.h[p] - new[p]) * u[p] * (1 - u[p]))
            _put(dz, at_r, dz[at_n] * self.a[at_n] * r[p] * (1 - r[p]))
            _put(da, at_r, dz[at_r])
            _put(da, at_u, dz[at_u])
            _put(da, at_n, r[p] * dz[at_n])
        return [dh, dz, da]


RECURRENT: dict[type[Layer], type[Explainer]] = {RNN: RNNExplainer, LSTM: LSTMExplainer, GRU: GRUExplainer}
