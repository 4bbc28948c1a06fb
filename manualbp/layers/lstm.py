"""LSTM:  a memory c beside the state h, written and read through gates

Shapes     x (T, N, D)   h, c (T + 1, N, H)   W_ih (4H, D)   W_hh (4H, H)   b_ih, b_hh (4H,)   y = h₁ … h_T (T, N, H)
           rows of the weights: input gate i, forget gate f, candidate g, output gate o
Forward    zₜ = W_ih xₜ + b_ih                                                            (1)   one product for all steps
           (i, f, g, o)ₜ = (σ, σ, tanh, σ)(zₜ + W_hh hₜ₋₁ + b_hh)                         (2)
           cₜ = f cₜ₋₁ + i g                                                              (3)
           hₜ = o tanh cₜ,  yₜ = hₜ                                                       (4)
Backward   Last step first. hₜ reaches L as yₜ and through the next step's gates; cₜ through hₜ and through cₜ₊₁:
             ∂L/∂hₜ = δₜ + W_hhᵀ dzₜ₊₁                                                    (5)   last step: ∂L/∂h_n
             dc = dcₜ₊₁ fₜ₊₁ + ∂L/∂hₜ · o (1 − tanh² cₜ)                                  (6)   last step: ∂L/∂c_n
           by (3) and (4), with σ′ = σ(1 − σ) and tanh′ = 1 − tanh²:
             dz_i = dc g · i(1−i)     dz_f = dc cₜ₋₁ · f(1−f)     dz_g = dc i · (1−g²)
             dz_o = ∂L/∂hₜ tanh cₜ · o(1−o)                                               (7)
             dh0 = W_hhᵀ dz₁,  dc0 = dc₁ f₁                                               (8)
           Weights, biases and x as in the RNN, by (1) and (2):
             dW_ih = Σₜ dzₜ xₜᵀ            dW_hh = Σₜ dzₜ hₜ₋₁ᵀ                             (9)
             db_ih = db_hh = Σₜ dzₜ                                                       (10)
             dxₜ = W_ihᵀ dzₜ                                                              (11)
           In (6) the way from cₜ₊₁ to cₜ is a product with f alone: with f near 1 the gradient does not vanish.
Cache      x, h, c and the gates (i, f, g, o)
Source     Hochreiter and Schmidhuber, "Long short-term memory" (1997); the forget gate: Gers et al., "Learning to
           forget" (2000)
"""

from __future__ import annotations

from typing import Any

from manualbp_kernels.matmul import linear, linear_backward_weights, matmul_nn
from manualbp_kernels.recurrent import lstm, lstm_backward

from ..types import Array
from .recurrent import Recurrent, Sweep, rows


class LSTMSweep(Sweep):
    """One LSTM layer in one direction."""

    gates = 4

    def sweep(self, x: Array, initial: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        T, N, _ = x.shape
        H = self.hidden_size
        z, gates = self.empty("z", (T, N, 4 * H), x.dtype), self.empty("gates", (T, N, 4 * H), x.dtype)
        h, c = self.empty("h", (T + 1, N, H), x.dtype), self.empty("c", (T + 1, N, H), x.dtype)
        linear(rows(z), rows(x), self.W_ih, self.b_ih)  # (1)
        lstm(h, c, gates, z, self.W_hh, self.b_hh, *initial, self.reverse)  # (2) (3) (4)
        _, after = self.before_and_after(h)
        end = 0 if self.reverse else T
        return self.give(after, cache=(x, h, c, gates)), (h[end], c[end])

    def sweep_back(self, dy: Array, dfinal: tuple[Array, ...], input_wanted: bool) -> tuple[Any, tuple[Array, ...]]:
        (x, h, c, gates), dy = self.recall(dy)
        before, _ = self.before_and_after(h)
        dz = self.empty("dz", gates.shape, x.dtype)
        dh0, dc0 = self.empty("dh0", dy.shape[1:], x.dtype), self.empty("dc0", dy.shape[1:], x.dtype)
        lstm_backward(dz, dh0, dc0, dy, *dfinal, c, gates, self.W_hh, self.reverse)  # (5) (6) (7) (8)
        linear_backward_weights(self.dW_ih, self.db_ih, dz, x)  # (9) (10)
        linear_backward_weights(self.dW_hh, self.db_hh, dz, before)  # (9) (10)
        if not input_wanted:
            return None, (dh0, dc0)
        dx = self.empty("dx", x.shape, x.dtype)
        matmul_nn(rows(dx), rows(dz), self.W_ih, 0.0)  # (11)
        return dx, (dh0, dc0)


class LSTM(Recurrent):
    """Long short-term memory. Returns the outputs of all steps; see also LastStep.

    ``forward(x, (h0, c0))`` and ``backward(dy, (dh_n, dc_n))`` take an initial state and gradients of the final one;
    ``h_n``, ``c_n``, ``dh0``, ``dc0`` are attributes, all of shape (num_layers · directions, N, hidden_size).
    """

    sweep_class = LSTMSweep
    state_names = ("h", "c")
