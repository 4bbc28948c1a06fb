"""Linear:  y = x Wᵀ + b

Shapes     x (N, I)    W (O, I)    b (O,)    y (N, O);   x may have more leading axes, N is then their product
Forward    y[n,o] = Σ_i W[o,i] x[n,i] + b[o]                                     (1)
Backward   Let δ = ∂L/∂y. W[o,i] reaches L only through y[n,o], n = 1…N, and ∂y[n,o]/∂W[o,i] = x[n,i], so
             dW[o,i] = Σ_n δ[n,o] x[n,i]        dW = δᵀ x                        (2)   one sample: the outer product δ xᵀ
           b[o] reaches the same outputs, with ∂y[n,o]/∂b[o] = 1:
             db[o]   = Σ_n δ[n,o]                                                (3)   one bias serves all samples: a sum
           x[n,i] reaches y[n,o] for every o, with ∂y[n,o]/∂x[n,i] = W[o,i]:
             dx[n,i] = Σ_o δ[n,o] W[o,i]        dx = δ W                         (4)   forward uses Wᵀ, backward W
Cache      x, for (2)
"""

from __future__ import annotations

from manualbp_kernels.matmul import linear, linear_backward_weights, matmul_nn

from .. import init
from ..layer import Layer, integer
from ..parameter import Fixed, Weight
from ..types import Array, DTypeLike, Shape


class Linear(Layer):
    """y = x Wᵀ + b.

    Args:
        in_features: I, the length of x's last axis.
        out_features: O, the length of y's last axis.
        bias: whether there is a b.
        dtype: float32 or float64.

    W (O, I) and b (O,) start uniform in ±1/√I, as PyTorch's.
    """

    W = Weight("weight")
    b = Weight("bias")
    in_features, out_features = Fixed(), Fixed()
    dW: Array
    db: Array

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: DTypeLike = "float32") -> None:
        super().__init__(dtype)
        self.in_features = integer(in_features, "Linear: in_features")
        self.out_features = integer(out_features, "Linear: out_features")
        self.W = init.default((self.out_features, self.in_features), self.in_features, self.dtype)
        self.b = init.default((self.out_features,), self.in_features, self.dtype) if bias else None

    def forward(self, x: Array) -> Array:
        x, y = self.take_with_output(x)
        linear(y, x, self.W, self.b)  # (1)
        self.cache = (x,) if self.training else None
        return y

    def backward(self, dy: Array) -> Array:
        (x,), dy = self.recall(dy)
        linear_backward_weights(self.dW, self.db, dy, x)  # (2) (3)
        dx = self.empty("dx", x.shape, self.dtype)
        matmul_nn(dx, dy, self.W, 0.0)  # (4)
        return dx

    def backward_weights(self, dy: Array) -> None:
        (x,), dy = self.recall(dy)
        linear_backward_weights(self.dW, self.db, dy, x)  # (2) (3)

    def output_shape(self, x: Array) -> Shape:
        if not x.ndim or x.shape[-1] != self.in_features:
            raise self.misfit(f"(N, {self.in_features})", x)
        return *x.shape[:-1], self.out_features

    def describe(self) -> str:
        return f"{self.in_features} → {self.out_features}" + (", no bias" if self.b is None else "")
