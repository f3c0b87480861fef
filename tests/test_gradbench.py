"""GradBench's LSTM: the custom cell, its loss and the adapter. The complex step verifies them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from benchmarks import gradbench
from benchmarks.diagonal_lstm import (
    DiagonalLSTM,
    cell_backward,
    cell_forward,
    objective_backward,
    objective_forward,
)
from numpy_rnn.checking import assert_gradients
from numpy_rnn.functional.contract import Keep
from tests.complex_step import complex_step


def test_the_cell_and_the_layer_have_the_right_gradients() -> None:
    shapes = {"x": "T B H", "h0": "B H", "c0": "B H", "w": "4H", "b": "4H"}
    assert_gradients((cell_forward, cell_backward), shapes)
    assert_gradients(DiagonalLSTM(3, 3, 2, rng=0), "T B 3")


@pytest.mark.parametrize(("keep", "axes"), [("t", 0), ("b", 0), ("tb", (0, 1))])
def test_what_each_step_and_example_adds_sums_to_the_gradient(keep: Keep, axes: Any) -> None:
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(shape) for shape in ((5, 2, 3), (2, 3), (2, 3), 12, 12)]
    (h, c), cache = cell_forward(*arguments)
    whole, kept = (cell_backward(h, c, cache, axis)[3:] for axis in ("", keep))
    for gradient, parts in zip(whole, kept, strict=True):
        np.testing.assert_allclose(parts.sum(axis=axes), gradient, rtol=1e-12)


@pytest.mark.parametrize("steps", [2, 3, 11])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_loss_has_the_gradients_of_the_complex_step(layers: int, steps: int) -> None:
    rng = np.random.default_rng(steps)
    shapes = ((2 * layers, 12), (3, 3), (2 * layers, 3), (steps, 3))
    arguments = [rng.standard_normal(shape) for shape in shapes]
    _, cache = objective_forward(*arguments)
    expected = complex_step(objective_forward, arguments, [0.7])
    for actual, wanted in zip(objective_backward(0.7, cache), expected, strict=True):
        assert wanted is not None
        np.testing.assert_allclose(actual, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.torch
def test_the_gradient_is_that_of_pytorch() -> None:
    inputs = gradbench.draw(layers=2, steps=40)
    expected = gradbench.torch_gradient(inputs)()
    np.testing.assert_allclose(gradbench.gradient(**inputs), expected, rtol=1e-11, atol=1e-15)


def test_it_answers_the_messages_of_gradbench() -> None:
    inputs = gradbench.draw(layers=2, steps=5)
    given = {name: array.tolist() for name, array in inputs.items()} | {"min_runs": 3}
    messages = [
        {"id": 0, "kind": "start", "eval": "lstm"},
        {"id": 1, "kind": "define", "module": "lstm"},
        {"id": 2, "kind": "define", "module": "gmm"},
        {"id": 3, "kind": "evaluate", "module": "lstm", "function": "objective", "input": given},
        {"id": 4, "kind": "evaluate", "module": "lstm", "function": "jacobian", "input": given},
        {"id": 5, "kind": "analysis", "of": 4, "valid": True},
    ]
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.gradbench", "serve"],
        input="\n".join(map(json.dumps, messages)),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in child.stdout.splitlines()]
    assert [a["id"] for a in answers] == [0, 1, 2, 3, 4, 5]
    assert answers[0]["tool"] == "numpy_rnn"
    assert [a["success"] for a in answers[1:5]] == [True, False, True, True]
    assert answers[3]["output"] == objective_forward(*inputs.values())[0]
    assert answers[4]["output"] == gradbench.gradient(**inputs).tolist()
    assert [len(a["timings"]) for a in answers[3:5]] == [3, 3]
    assert all(t["nanoseconds"] > 0 for a in answers[3:5] for t in a["timings"])
