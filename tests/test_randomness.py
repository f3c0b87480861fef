"""No test depends on chance: what has no seed draws the same numbers in each run."""

from __future__ import annotations

import random

import numpy as np
import pytest

from numpy_rnn import RNN


@pytest.mark.parametrize("time", [1, 2])
def test_layers_without_a_seed_are_the_same_in_each_test(time: int) -> None:
    first, second = RNN(3, 4), RNN(3, 4)
    assert time in (1, 2)
    for layer, seed in ((first, 0), (second, 1)):
        np.testing.assert_array_equal(layer.parameters.data, RNN(3, 4, rng=seed).parameters.data)


@pytest.mark.parametrize("time", [1, 2])
def test_the_old_generators_are_the_same_in_each_test(time: int) -> None:
    assert time in (1, 2)
    assert random.random() == random.Random(0).random()  # noqa: S311 (not a secret)
    assert np.random.rand() == np.random.RandomState(0).rand()  # noqa: NPY002 (users call it)
