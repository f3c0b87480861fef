"""The whole experiment, number by number, against the notebook's own code in PyTorch.

Two correct implementations that run freely for 1,000 epochs do not end with the same weights.
From about epoch 300 on, this training amplifies every rounding error. Even PyTorch differs by
tenths from a copy whose first weight differs in its last bit (`benchmarks/divergence.py`). So the
thousand epochs are compared one by one, each from PyTorch's weights. Free runs are compared only
as long as rounding errors stay small.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from numpy_rnn.apps.recall import (
    SENTENCE,
    Experiment,
    build,
    generate,
    train,
)
from tests.apps import notebook


def test_each_of_a_thousand_epochs_in_float64_is_that_of_the_notebook() -> None:
    """Each from PyTorch's weights, and the first 250 also from our own."""
    experiment = Experiment(dtype="float64")
    model, ours = build(experiment), build(experiment)
    theirs = notebook.NotebookRNN(model, torch.float64)
    rows = notebook.one_hot_rows(torch.float64)
    epochs = notebook.epochs(theirs, rows)
    losses, expected, weights = [], [], []

    def follow(_: int, loss: float) -> None:
        """Take the same step in PyTorch, compare, and continue from PyTorch's weights.

        Adam's moments are not copied: they are running means, which forget errors.
        """
        losses.append(loss)
        expected.append(next(epochs))
        weights.append(notebook.largest_difference(model, theirs))
        if len(losses) == 250:
            free = train(ours, replace(experiment, epochs=250))
            np.testing.assert_allclose(free, expected, rtol=1e-12, atol=0)  # measured: 7e-16
            assert notebook.largest_difference(ours, theirs) <= 1e-12  # measured: 1e-15
        for parameter, name in theirs.names().items():
            model.parameters.values[name][...] = parameter.detach().numpy()

    train(model, experiment, follow)

    # Measured: losses to 3e-15, weights after each update to 7e-16 of the largest weight.
    assert len(losses) == 1000
    np.testing.assert_allclose(losses, expected, rtol=1e-9, atol=0)
    assert max(weights) <= 1e-9

    raw = generate(model, experiment.vocabulary, len(SENTENCE), raw=True)
    argmax = generate(model, experiment.vocabulary, len(SENTENCE))
    assert raw == notebook.generate(theirs, rows, raw=True)
    assert argmax == notebook.generate(theirs, rows, raw=False) == SENTENCE
    assert raw != SENTENCE


def test_100_free_epochs_in_float32_are_those_of_the_notebook() -> None:
    experiment = Experiment(dtype="float32", epochs=100)
    model = build(experiment)
    theirs = notebook.NotebookRNN(model, torch.float32)
    losses = train(model, experiment)
    steps = notebook.epochs(theirs, notebook.one_hot_rows(torch.float32))
    expected = [next(steps) for _ in range(100)]
    np.testing.assert_allclose(losses, expected, rtol=5e-6, atol=0)  # measured: 4e-7
    assert notebook.largest_difference(model, theirs) <= 5e-6  # measured: 4e-7


def test_a_thousand_free_epochs_amplify_a_change_of_the_last_bit() -> None:
    experiment = Experiment(dtype="float64")
    ours, nudged = build(experiment), build(experiment)
    weight = nudged.parameters.values["rnn.weight_hh_l0"]
    weight[0, 0] = np.nextafter(weight[0, 0], 1)
    losses, others = train(ours, experiment), train(nudged, experiment)
    np.testing.assert_allclose(losses[:250], others[:250], rtol=1e-9)
    assert np.abs(np.divide(losses, others) - 1).max() > 1e-3
