"""The classic first networks, each a function that trains it, prints what happens, and returns the numbers.

xor      2-10-1 learns what one neuron cannot
line     y = w x, one weight, one sample at a time, every gradient printed
worked   the 2-2-2 sigmoid network that is worked by hand in many lectures
mlp      10-5-1 regression
cnn      two convolutions on 28×28 digits
rnn      an Elman network reads sequences
"""

from collections.abc import Callable

from .cnn import cnn
from .line import line
from .mlp import mlp
from .rnn import rnn
from .worked import worked
from .xor import xor

EXAMPLES: dict[str, Callable[..., object]] = {"xor": xor, "line": line, "worked": worked, "mlp": mlp, "cnn": cnn, "rnn": rnn}

__all__ = ["EXAMPLES", "cnn", "line", "mlp", "rnn", "worked", "xor"]
