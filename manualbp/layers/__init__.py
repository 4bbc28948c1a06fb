"""The catalogue of layers: one line each, in the file where it is derived."""

from .conv import Conv1d, Conv2d
from .dropout import Dropout
from .gelu import GELU, SiLU
from .gru import GRU
from .linear import Linear
from .lstm import LSTM
from .pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from .relu import ELU, SELU, LeakyReLU, ReLU
from .rnn import RNN
from .shape import Flatten, LastStep, Reshape
from .sigmoid import Sigmoid, Softplus, Tanh
from .softmax import LogSoftmax, Softmax

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "LastStep",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "ReLU",
    "Reshape",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]
