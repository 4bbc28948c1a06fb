"""RNN (Elman):  hₜ = φ(xₜ W_ihᵀ + b_ih + hₜ₋₁ W_hhᵀ + b_hh)

Shapes     x (T, N, D)   h (T + 1, N, H)   W_ih (H, D)   W_hh (H, H)   b_ih, b_hh (H,)   y = h₁ … h_T (T, N, H)
Forward    zₜ = W_ih xₜ + b_ih         (1)   no step depends on another: one product for all
           aₜ = zₜ + W_hh hₜ₋₁ + b_hh,  hₜ = φ(aₜ),  φ = tanh or ReLU,  yₜ = hₜ            (2)
Backward   Through time, last step first. hₜ reaches L as yₜ and through aₜ₊₁:
             ∂L/∂hₜ = δₜ + W_hhᵀ dzₜ₊₁                     (3)   for the last step W_hhᵀ dz becomes ∂L/∂h_n
             dzₜ = ∂L/∂hₜ · φ′(aₜ),  tanh′ = 1 − hₜ², ReLU′ = [hₜ > 0]                   (4)
             dh0 = W_hhᵀ dz₁                                                             (5)
           Every step uses the same weights, so each gradient is a sum over steps (and samples):
             dW_ih = Σₜ dzₜ xₜᵀ            dW_hh = Σₜ dzₜ hₜ₋₁ᵀ                            (6)
             db_ih = db_hh = Σₜ dzₜ                                                      (7)
             dxₜ = W_ihᵀ dzₜ                                                             (8)
           In (3) a gradient meets W_hhᵀ and φ′ once per step: it vanishes or explodes like a power of their size.
Cache      x, h
Source     Elman, "Finding structure in time" (1990)
"""

from __future__ import annotations

from typing import Any

from manualbp_kernels.matmul import linear, linear_backward_weights, matmul_nn
from manualbp_kernels.recurrent import rnn, rnn_backward

from ..types import Array
from .recurrent import Recurrent, Sweep, rows


class RNNSweep(Sweep):
    """One Elman layer in one direction."""

    relu = False

    def sweep(self, x: Array, initial: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        T, N, _ = x.shape
        H = self.hidden_size
        z, h = self.empty("z", (T, N, H), x.dtype), self.empty("h", (T + 1, N, H), x.dtype)
        linear(rows(z), rows(x), self.W_ih, self.b_ih)  # (1)
        rnn(h, z, self.W_hh, self.b_hh, initial[0], self.relu, self.reverse)  # (2)
        _, after = self.before_and_after(h)
        return self.give(after, cache=(x, h)), (h[0 if self.reverse else T],)

    def sweep_back(self, dy: Array, dfinal: tuple[Array, ...], input_wanted: bool) -> tuple[Any, tuple[Array, ...]]:
        (x, h), dy = self.recall(dy)
        before, _ = self.before_and_after(h)
        dz, dh0 = self.empty("dz", dy.shape, x.dtype), self.empty("dh0", dy.shape[1:], x.dtype)
        rnn_backward(dz, dh0, dy, dfinal[0], h, self.W_hh, self.relu, self.reverse)  # (3) (4) (5)
        linear_backward_weights(self.dW_ih, self.db_ih, dz, x)  # (6) (7)
        linear_backward_weights(self.dW_hh, self.db_hh, dz, before)  # (6) (7)
        if not input_wanted:
            return None, (dh0,)
        dx = self.empty("dx", x.shape, x.dtype)
        matmul_nn(rows(dx), rows(dz), self.W_ih, 0.0)  # (8)
        return dx, (dh0,)


class RNN(Recurrent):
    """Elman network, φ = tanh or ReLU (``nonlinearity``). Returns the outputs of all steps; see also LastStep.

    ``forward(x, h0)`` and ``backward(dy, dh_n)`` take an initial state and a gradient of the final one; ``h_n`` and
    ``dh0`` are attributes, all of shape (num_layers · directions, N, hidden_size).
    """

    sweep_class = RNNSweep

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", *args: Any, **kwargs: Any
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, *args, **kwargs)

    def new_sweep(self, input_size: int, bias: bool, reverse: bool) -> Sweep:
        sweep = RNNSweep(input_size, self.hidden_size, bias, reverse, self.dtype)
        sweep.relu = self.nonlinearity == "relu"
        return sweep

    def describe(self) -> str:
        return super().describe() + (", relu" if self.nonlinearity == "relu" else "")
