"""explain: one training step of a small network with every number that it computes, and what each was made of.

expression.py   a number as a formula over other numbers            table.py   an array of such numbers
layers.py  recurrent.py  losses.py  update.py   how each layer, loss and optimizer makes its numbers
trace.py        runs the step on the real layers and collects tables, stage by stage
text.py  html.py  latex.py  data.py   the same stages for a terminal, a browser, a paper, a program
"""

from .trace import Explanation, Stage, explain

__all__ = ["Explanation", "Stage", "explain"]
