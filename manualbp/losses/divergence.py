"""KLDivLoss: how far one distribution is from another

Shapes     x, t any shape, the same; ℓ likewise. x is log q, t is p (or log p)
Forward    ℓ = t (log t − x), with 0 log 0 = 0                                   (1)
           ℓ = eᵗ (t − x) if the target is a logarithm                           (2)
           L = g Σ ℓ: g = 1/n for "mean" over all n elements, 1/N for "batchmean", 1 for "sum"
Backward   ∂ℓ/∂x = −t, or −eᵗ:
             dx = −g t                                                           (3)
             dx = −g eᵗ                                                          (4)
Cache      t
Source     Kullback and Leibler, "On information and sufficiency" (1951)
"""

from __future__ import annotations

from manualbp_kernels.loss import kl_div, kl_div_backward

from ..types import Array
from .loss import Loss


class KLDivLoss(Loss):
    """ℓ = t (log t − x) for log probabilities x and probabilities t (with ``log_target``, for log probabilities t).

    Args:
        reduction: "mean" is over all elements (PyTorch's default, and not the divergence); "batchmean" divides the
            sum by N, the length of the first axis, which is the mathematical definition; "sum"; "none".
        log_target: whether t is a logarithm.
    """

    reductions = ("mean", "batchmean", "sum", "none")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = bool(log_target)

    def forward(self, x: Array, t: Array) -> float | Array:
        x, t = self.take(x, t)
        l = self.empty("l", x.shape, x.dtype)
        kl_div(l, self.total, x, t, self.log_target)  # (1) (2)
        return self.give(l, t, cache=(t,), count=self._count(t))

    def backward(self, dl: Array | None = None) -> Array:
        (t,) = self.recall()
        dx = self.empty("dx", t.shape, t.dtype)
        kl_div_backward(dx, t, self.log_target, self.weight_of_a_term(self._count(t)))  # (3) (4)
        return self.chain(dx, dl)

    def check_target(self, t: Array) -> None:
        super().check_target(t)
        if not self.log_target and (t < 0).any():
            raise ValueError(f"{self} expects probabilities as targets, got {t.min():g}; log_target=True takes logarithms")

    def _count(self, t: Array) -> int:
        return t.shape[0] if self.reduction == "batchmean" and t.ndim else t.size
