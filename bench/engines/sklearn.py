"""scikit-learn: ``partial_fit``, warm, of MLPClassifier and MLPRegressor.

One call is one pass over what it is given in batches, so that a training step is a call on one batch, and a whole run a call
on many. Only networks of its form are done: Linear and ReLU in turn, cross-entropy over more than two classes or the
squared error of one output. Its Adam is another one, with ε beside the root of the uncorrected moment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ..works import Arrays, Linear, ReLU, TrainingStep
from . import Running, Unable


def training_step(work: TrainingStep) -> Running:
    linears = [layer for layer in work.layers if isinstance(layer, Linear)]
    in_turn = all(isinstance(layer, (Linear, ReLU)[i % 2]) for i, layer in enumerate(work.layers))
    classes = work.loss == "CrossEntropyLoss"
    if not in_turn or work.optimizer != "SGD" or (work.outputs <= 2 if classes else work.outputs != 1):
        raise Unable(f"scikit-learn has no network such as {work.title}")

    options: dict[str, Any] = {
        "hidden_layer_sizes": [layer.out_features for layer in linears[:-1]],
        "solver": "sgd",
        "learning_rate_init": work.lr if classes else 2 * work.lr,  # its squared error is ½ (y − t)²
        "batch_size": work.batch,
        "alpha": 0.0,
        "momentum": 0.0,
        "shuffle": False,
    }
    x, y = (array.reshape(-1, *array.shape[2:]) for array in work.data())
    if classes:
        model = MLPClassifier(**options).partial_fit(x[: work.batch], y[: work.batch], classes=np.arange(work.outputs))
    else:
        y = y.ravel()
        model = MLPRegressor(**options).partial_fit(x[: work.batch], y[: work.batch])
    weights = list(work.weights().values())
    model.coefs_, model.intercepts_ = [W.T.copy() for W in weights[::2]], [b.copy() for b in weights[1::2]]
    del model._optimizer  # it held the weights that partial_fit drew, and their moments

    def result() -> Arrays:
        pairs = zip(model.coefs_, model.intercepts_, strict=True)
        found = (array for W, b in pairs for array in (W.T.copy(), b.copy()))
        return dict(zip(work.weights(), found, strict=True))

    return Running(lambda: model.partial_fit(x, y), result)


whole_run = training_step
