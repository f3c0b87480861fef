"""Measure how far two correct runs of the notebook's training diverge, epoch by epoch.

    python -m benchmarks.divergence

All runs are in float64 and have the same initial weights. In a "one bit" run, the first recurrent
weight is replaced by the next float64. Training at this learning rate amplifies any difference, so
after a few hundred epochs no two implementations agree, nor do two such runs of one.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from numpy_rnn.apps.recall import Experiment, build, train
from numpy_rnn.layers import Sequential
from tests.apps import notebook

EPOCHS = (1, 100, 200, 250, 300, 350, 400, 600, 1000)


def nudged(model: Sequential) -> Sequential:
    """Change the last bit of one weight."""
    weight = model.parameters.values["rnn.weight_hh_l0"]
    weight[0, 0] = np.nextafter(weight[0, 0], 1)
    return model


def pytorch(model: Sequential, epochs: int) -> list[float]:
    """Return the losses of the notebook's own loop from these weights."""
    theirs = notebook.NotebookRNN(model, torch.float64)
    return list(islice(notebook.epochs(theirs, notebook.one_hot_rows(torch.float64)), epochs))


def main() -> None:
    """Print a table of the largest relative difference of the loss up to each epoch."""
    experiment = Experiment(dtype="float64", epochs=EPOCHS[-1])
    ours = train(build(experiment), experiment)
    ours_nudged = train(nudged(build(experiment)), experiment)
    theirs = pytorch(build(experiment), EPOCHS[-1])
    theirs_nudged = pytorch(nudged(build(experiment)), EPOCHS[-1])
    columns = {
        "numpy_rnn, PyTorch": (ours, theirs),
        "PyTorch, PyTorch one bit": (theirs, theirs_nudged),
        "numpy_rnn, numpy_rnn one bit": (ours, ours_nudged),
    }
    print("epochs", *(f"{name:>28}" for name in columns))
    for epochs in EPOCHS:
        worst = [np.abs(np.divide(a[:epochs], b[:epochs]) - 1).max() for a, b in columns.values()]
        print(f"{epochs:6d}", *(f"{value:28.1e}" for value in worst))


if __name__ == "__main__":
    main()
