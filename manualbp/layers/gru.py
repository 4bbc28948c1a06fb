"""GRU:  the state itself is the memory, and a gate u says how much of it stays

Shapes     x (T, N, D)   h (T + 1, N, H)   W_ih (3H, D)   W_hh (3H, H)   b_ih, b_hh (3H,)   y = h₁ … h_T (T, N, H)
           rows of the weights: reset gate r, update gate u, candidate n
Forward    zₜ = W_ih xₜ + b_ih                                                            (1)   one product for all steps
           aₜ = W_hh hₜ₋₁ + b_hh                                                          (2)
           r = σ(z_r + a_r),  u = σ(z_u + a_u),  n = tanh(z_n + r a_n)                    (3)
           hₜ = (1 − u) n + u hₜ₋₁,  yₜ = hₜ                                              (4)
Backward   Last step first. hₜ reaches L as yₜ, through aₜ₊₁, and directly through hₜ₊₁ by (4):
             dh = δₜ + uₜ₊₁ dhₜ₊₁ + W_hhᵀ daₜ₊₁                                           (5)   last step: ∂L/∂h_n
           by (4) and (3), with σ′ = σ(1 − σ) and tanh′ = 1 − tanh²:
             dz_n = dh (1 − u)(1 − n²)     dz_u = dh (hₜ₋₁ − n) u(1 − u)     dz_r = dz_n a_n r(1 − r)     (6)
           a differs from z in the candidate alone, where r multiplies it:
             da = (dz_r, dz_u, r dz_n)                                                    (7)
             dh0 = u₁ dh₁ + W_hhᵀ da₁                                                     (8)
           Weights, biases and x, by (1) and (2):
             dW_ih = Σₜ dzₜ xₜᵀ            dW_hh = Σₜ daₜ hₜ₋₁ᵀ                             (9)
             db_ih = Σₜ dzₜ               db_hh = Σₜ daₜ                                   (10)
             dxₜ = W_ihᵀ dzₜ                                                              (11)
Cache      x, h, the gates (r, u, n) and a_n
Source     Cho et al., "Learning phrase representations using RNN encoder–decoder" (2014), with b_hn inside the reset
           gate's product as in cuDNN and PyTorch; u is their z
"""

from __future__ import annotations

from typing import Any

from manualbp_kernels.matmul import linear, linear_backward_weights, matmul_nn
from manualbp_kernels.recurrent import gru, gru_backward

from ..types import Array
from .recurrent import Recurrent, Sweep, rows


class GRUSweep(Sweep):
    """One GRU layer in one direction."""

    gates = 3

    def sweep(self, x: Array, initial: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        T, N, _ = x.shape
        H = self.hidden_size
        z, gates = self.empty("z", (T, N, 3 * H), x.dtype), self.empty("gates", (T, N, 3 * H), x.dtype)
        h, a_n = self.empty("h", (T + 1, N, H), x.dtype), self.empty("a_n", (T, N, H), x.dtype)
        linear(rows(z), rows(x), self.W_ih, self.b_ih)  # (1)
        gru(h, gates, a_n, z, self.W_hh, self.b_hh, initial[0], self.reverse)  # (2) (3) (4)
        _, after = self.before_and_after(h)
        return self.give(after, cache=(x, h, gates, a_n)), (h[0 if self.reverse else T],)

    def sweep_back(self, dy: Array, dfinal: tuple[Array, ...], input_wanted: bool) -> tuple[Any, tuple[Array, ...]]:
        (x, h, gates, a_n), dy = self.recall(dy)
        before, _ = self.before_and_after(h)
        dz, da = self.empty("dz", gates.shape, x.dtype), self.empty("da", gates.shape, x.dtype)
        dh0 = self.empty("dh0", dy.shape[1:], x.dtype)
        gru_backward(dz, da, dh0, dy, dfinal[0], h, gates, a_n, self.W_hh, self.reverse)  # (5) (6) (7) (8)
        linear_backward_weights(self.dW_ih, self.db_ih, dz, x)  # (9) (10)
        linear_backward_weights(self.dW_hh, self.db_hh, da, before)  # (9) (10)
        if not input_wanted:
            return None, (dh0,)
        dx = self.empty("dx", x.shape, x.dtype)
        matmul_nn(rows(dx), rows(dz), self.W_ih, 0.0)  # (11)
        return dx, (dh0,)


class GRU(Recurrent):
    """Gated recurrent unit. Returns the outputs of all steps; see also LastStep.

    ``forward(x, h0)`` and ``backward(dy, dh_n)`` take an initial state and a gradient of the final one; ``h_n`` and
    ``dh0`` are attributes, all of shape (num_layers · directions, N, hidden_size).
    """

    sweep_class = GRUSweep
