"""The catalogue of losses."""

from .binary import BCELoss, BCEWithLogitsLoss
from .classes import CrossEntropyLoss, NLLLoss
from .divergence import KLDivLoss
from .loss import Loss
from .regression import HuberLoss, L1Loss, MSELoss, SmoothL1Loss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]
