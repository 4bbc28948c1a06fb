"""SiLU, GELU: x times a smooth step

Shapes     x, y any shape, the same; every element by itself: dx[i] = δ[i] f′(x[i]), δ = ∂L/∂y
Forward    SiLU          f(x) = x σ(x)                                           (1)
           GELU          f(x) = x Φ(x),  Φ(x) = ½ (1 + erf(x/√2))                (2)
           GELU, tanh    f(x) = ½ x (1 + tanh u),  u = √(2/π) (x + 0.044715 x³)  (3)
Backward   The product rule each time, f′ = step + x · step′:
           SiLU          σ′ = σ (1 − σ):  f′ = σ (1 + x (1 − σ))                 (4)
           GELU          Φ′ = φ, the normal density e^(−x²/2)/√(2π):  f′ = Φ + x φ      (5)
           GELU, tanh    tanh′ = 1 − tanh²:  f′ = ½ (1 + tanh u) + ½ x (1 − tanh² u) u′,
                         u′ = √(2/π) (1 + 3 · 0.044715 x²)                       (6)
Cache      x
Source     Hendrycks and Gimpel, "Gaussian error linear units" (2016); Elfwing et al., "Sigmoid-weighted linear
           units" (2017).
"""

from __future__ import annotations

from manualbp_kernels.gelu import gelu, gelu_backward, gelu_tanh, gelu_tanh_backward, silu, silu_backward

from ..layer import Layer
from ..types import Array


class SiLU(Layer):
    """y = x σ(x), elementwise; any shape, float32 or float64.

    ``inplace`` is PyTorch's argument and has no effect: a layer never writes into its input.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        silu(y, x)  # (1)
        self.cache = (x,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        dx = self.empty("dx", x.shape, x.dtype)
        silu_backward(dx, dy, x)  # (4)
        return dx


class GELU(Layer):
    """y = x Φ(x), Φ the normal distribution function, or its tanh form; elementwise, float32 or float64.

    Args:
        approximate: "none" for erf, "tanh" for the approximation.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        if self.approximate == "none":
            gelu(y, x)  # (2)
        else:
            gelu_tanh(y, x)  # (3)
        self.cache = (x,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        dx = self.empty("dx", x.shape, x.dtype)
        if self.approximate == "none":
            gelu_backward(dx, dy, x)  # (5)
        else:
            gelu_tanh_backward(dx, dy, x)  # (6)
        return dx

    def describe(self) -> str:
        return "" if self.approximate == "none" else self.approximate
