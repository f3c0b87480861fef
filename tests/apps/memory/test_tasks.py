"""Tasks are as their sources define them, baselines cost what they claim, evaluation is strict."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.apps.memory import Result, Task
from numpy_rnn.apps.memory.tasks import (
    TRAINING_IMAGES,
    AddingTask,
    CopyTask,
    DigitsTask,
    FirstTokenTask,
    PixelsTask,
    RecallTask,
    one_hot,
    predict,
)
from numpy_rnn.functional.types import Array

KINDS: list[type[Task]] = [
    AddingTask,
    CopyTask,
    DigitsTask,
    PixelsTask,
    FirstTokenTask,
    RecallTask,
]
each_task = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
each_kind_of_digits = pytest.mark.parametrize("kind", [DigitsTask, PixelsTask])
lengths = st.integers(2, 40)
seeds = st.integers(0, 2**31)


class Function:
    """A model that is a function of the whole input."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self.function = function

    def predict(self, x: Array) -> tuple[Array, None]:
        return self.function(x), None


def evaluate(task: Task, function: Callable[[Array], Array]) -> Result:
    model: Any = Function(function)
    return task.evaluate(model, 100, np.random.default_rng(7))


@given(T=lengths, seed=seeds)
def test_adding_marks_one_number_in_each_half(T: int, seed: int) -> None:
    x, target = AddingTask(T).sample(20, np.random.default_rng(seed))[:2]
    assert x.shape == (T, 20, 2)
    numbers, markers = x[..., 0], x[..., 1]
    assert (numbers >= 0).all()
    assert (numbers < 1).all()
    assert set(np.unique(markers)) <= {0, 1}
    assert (markers[: T // 2].sum(axis=0) == 1).all()
    assert (markers[T // 2 :].sum(axis=0) == 1).all()
    np.testing.assert_allclose(target[:, 0], (numbers * markers).sum(axis=0), rtol=1e-6)


def test_adding_marks_every_place_and_costs_its_baseline() -> None:
    task = AddingTask(10)
    x, target = task.sample(20_000, np.random.default_rng(0))[:2]
    frequencies = x[..., 1].mean(axis=1)
    assert (abs(frequencies - 0.2) < 0.015).all()  # standard error 0.003
    loss = float(task.criterion().predict(np.ones_like(target), target))
    assert abs(loss - task.baseline()) < 0.006  # standard error 0.0013
    assert task.baseline() == 1 / 6


@given(T=st.integers(1, 40), seed=seeds)
def test_copying_asks_for_the_tokens_after_the_blanks(T: int, seed: int) -> None:
    x, target = CopyTask(T).sample(5, np.random.default_rng(seed))[:2]
    assert x.shape == (T + 20, 5, 10)
    assert (x.sum(axis=-1) == 1).all()
    tokens = x.argmax(axis=-1)
    assert (tokens[:10] < 8).all()
    assert (tokens[10 : 9 + T] == 8).all()
    assert (tokens[9 + T] == 9).all()
    assert (tokens[10 + T :] == 8).all()
    assert (target[: T + 10] == 8).all()
    np.testing.assert_array_equal(target[T + 10 :], tokens[:10])


def until_the_delimiter(x: Array) -> Array:
    """Solve the copy task without memory: blanks until the delimiter, then guesses."""
    after = np.cumsum(x[..., 9], axis=0) - x[..., 9] > 0
    y = np.full((*after.shape, 9), -50, np.float32)
    y[~after, 8] = 50
    y[after, :8] = 50
    return y


@pytest.mark.parametrize("T", [1, 30, 500])
def test_copying_without_memory_costs_its_baseline(T: int) -> None:
    task = CopyTask(T)
    x, target = task.sample(4, np.random.default_rng(0))[:2]
    loss = float(task.criterion().predict(until_the_delimiter(x), target))
    assert abs(loss - task.baseline()) < 1e-6
    result = evaluate(task, until_the_delimiter)
    assert not result.solved
    assert result.score < 0.2


def copied(x: Array, wrong: int = 0) -> Array:
    y = until_the_delimiter(x)
    y[-10:] = x[:10, :, :9]
    y[-10 : wrong - 10] = 0
    return y


def test_copying_is_solved_by_memory_alone() -> None:
    task = CopyTask(30)
    assert evaluate(task, copied) == (1.0, True)
    one_of_ten = evaluate(task, lambda x: copied(x, wrong=1))
    assert not one_of_ten.solved
    assert 0.9 <= one_of_ten.score < 0.95

    def without_blanks(x: Array) -> Array:
        y = copied(x)
        y[:-10] = np.roll(y[:-10], 1, axis=-1)
        return y

    assert evaluate(task, without_blanks) == (1.0, False)


@given(T=st.integers(1, 40), seed=seeds)
def test_first_token_is_the_first_of_many(T: int, seed: int) -> None:
    x, target = FirstTokenTask(T).sample(50, np.random.default_rng(seed))[:2]
    assert x.shape == (T, 50, 6)
    tokens = x.argmax(axis=-1)
    np.testing.assert_array_equal(tokens[0], target)
    assert set(target.tolist()) <= {0, 1, 2, 3}
    assert set(tokens[1:].ravel().tolist()) <= {4, 5}


@each_task
def test_a_guess_costs_the_baseline(kind: type[Task]) -> None:
    task = kind(kind.min_length + 20)
    if kind in (AddingTask, CopyTask):
        return  # theirs are above
    x, target = task.sample(100, np.random.default_rng(0))[:2]
    if kind is RecallTask:
        y = np.full((*target.shape, 35), -50, np.float32)
        y[:-1, :, :33] = 50
        y[-1, :, 34] = 50
    else:
        y = np.zeros((x.shape[1], task.output_size), np.float32)
    assert abs(float(task.criterion().predict(y, target)) - task.baseline()) < 1e-6


def test_adding_is_solved_up_to_an_error_of_a_hundredth() -> None:
    def summed(x: Array) -> Array:
        sums: Array = (x[..., 0] * x[..., 1]).sum(0)[:, None]
        return sums

    # Squared, the errors are on both sides of 0.01.
    assert evaluate(AddingTask(9), lambda x: summed(x) + 0.0999).solved
    assert not evaluate(AddingTask(9), lambda x: summed(x) + 0.1001).solved


def wrong_in(fraction: float, y: Array) -> Array:
    """Change the class of the first sequences of a batch."""
    y = y.copy()
    wrong = round(fraction * y.shape[-2])
    y[..., :wrong, :] = np.roll(y[..., :wrong, :], 1, axis=-1)
    return y


def test_accuracies_are_evaluated_at_their_threshold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sklearn.datasets import load_digits  # noqa: PLC0415 (it takes seconds to import)

    monkeypatch.setattr("numpy_rnn.apps.memory.tasks.TEST_SEQUENCES", 1000)
    for wrong, solved in ((0.01, True), (0.02, False)):
        result = evaluate(FirstTokenTask(9), lambda x: wrong_in(wrong, x[0, :, :4]))  # noqa: B023
        assert result == (1 - wrong, solved)
        result = evaluate(CopyTask(9), lambda x: wrong_in(wrong, copied(x)))  # noqa: B023
        assert result.solved is solved
    images = (load_digits().images / 16).astype(np.float32)
    known = {i.tobytes(): n for i, n in zip(images, load_digits().target, strict=True)}

    def read(x: Array) -> Array:
        return np.eye(10)[[known[image.tobytes()] for image in x.swapaxes(0, 1)]]

    for wrong, solved in ((0.09, True), (0.12, False)):
        assert evaluate(DigitsTask(8), lambda x: wrong_in(wrong, read(x))).solved is solved  # noqa: B023


def test_first_token_is_evaluated_by_the_first() -> None:
    task = FirstTokenTask(9)
    assert evaluate(task, lambda x: x[0, :, :4]) == (1.0, True)
    assert not evaluate(task, lambda x: x[-1, :, :4]).solved


@each_kind_of_digits
def test_digits_are_images_then_blanks(kind: type[DigitsTask]) -> None:
    steps = kind.min_length
    x, target = kind(steps + 4).sample(500, np.random.default_rng(0))[:2]
    assert x.shape == (steps + 4, 500, 64 // steps)
    assert x.min() == 0
    assert x.max() == 1
    assert not x[steps:].any()
    assert x[:steps].any(axis=(0, 2)).all()
    assert set(target.tolist()) == set(range(10))


def test_pixels_are_read_row_by_row() -> None:
    rows, pixels = (
        kind(64).sample(20, np.random.default_rng(0)).x.swapaxes(0, 1)
        for kind in (DigitsTask, PixelsTask)
    )
    np.testing.assert_array_equal(pixels[:, :8, 0], rows[:, 0])
    np.testing.assert_array_equal(pixels[:, :, 0], rows[:, :8].reshape(20, 64))


@each_kind_of_digits
def test_digits_are_evaluated_on_images_that_training_never_draws(kind: type[DigitsTask]) -> None:
    task = kind(kind.min_length)
    x = task.sample(50_000, np.random.default_rng(0)).x
    trained = {image.tobytes() for image in x.swapaxes(0, 1)}
    tested: list[Array] = []

    def look(x: Array) -> Array:
        tested.extend(x.swapaxes(0, 1))
        return np.zeros((x.shape[1], 10))

    assert not evaluate(task, look).solved
    from sklearn.datasets import load_digits  # noqa: PLC0415 (it takes seconds to import)

    images = (load_digits().images / 16).astype(np.float32)  # rows from the top
    assert trained == {image.tobytes() for image in images[:TRAINING_IMAGES]}
    assert len(tested) == 1797 - TRAINING_IMAGES
    assert not trained & {image.tobytes() for image in tested}


@given(N=st.integers(1, 60), seed=st.integers(0, 1000))
def test_recall_is_one_string_with_a_start_and_an_end_token(N: int, seed: int) -> None:
    task = RecallTask(N, seed)
    x, target = task.sample(32, np.random.default_rng(0))[:2]
    assert x.shape == (N + 1, 1, 35)
    tokens = x.argmax(axis=-1)
    assert tokens[0, 0] == 33
    np.testing.assert_array_equal(tokens[1:], target[:-1])
    assert target[-1, 0] == 34
    assert (target[:-1] < 33).all()
    np.testing.assert_array_equal(task.string, RecallTask(N, seed).string)


def test_recall_draws_another_string_for_each_seed_and_length() -> None:
    strings = [RecallTask(50, 0).string, RecallTask(50, 1).string, RecallTask(51, 0).string[:50]]
    for i, one in enumerate(strings):
        for other in strings[:i]:
            assert (one == other).mean() < 0.3


class Generates:
    """A model that generates a string and keeps its inputs."""

    def __init__(self, string: Array) -> None:
        self.string = string
        self.inputs: list[int] = []

    def stepper(self) -> Callable[[Array, int | None], tuple[Array, int]]:
        return self.step

    def step(self, x: Array, state: int | None) -> tuple[Array, int]:
        place = 0 if state is None else state
        self.inputs.append(int(x.argmax()))
        return one_hot(self.string[place : place + 1], 35), place + 1


def test_recall_is_evaluated_on_what_the_model_generates() -> None:
    task = RecallTask(40, 3)
    model: Any = Generates(task.string)
    assert task.evaluate(model, 1, np.random.default_rng(0)) == (1.0, True)
    assert model.inputs == [33, *task.string[:-1]]  # the start token, then its own outputs
    wrong = task.string.copy()
    wrong[-1] = (wrong[-1] + 1) % 33
    model = Generates(wrong)
    assert task.evaluate(model, 1, np.random.default_rng(0)) == (39 / 40, False)
    wrong[10] = (wrong[10] + 1) % 33
    model = Generates(wrong)
    assert task.evaluate(model, 1, np.random.default_rng(0)).score == 10 / 40
    assert len(model.inputs) == 11


def test_predictions_are_in_the_order_of_the_batch() -> None:
    batch = AddingTask(4).sample(10, np.random.default_rng(0))
    model: Any = Function(lambda x: x[-1])
    np.testing.assert_array_equal(predict(model, batch.x, 3), batch.x[-1])
    model = Function(lambda x: x)
    np.testing.assert_array_equal(predict(model, batch.x, 3), batch.x)


@each_task
def test_a_length_that_makes_no_sense_is_an_error(kind: type[Task]) -> None:
    with pytest.raises(ValueError, match=f"length is {kind.min_length - 1}, expected at least"):
        kind(kind.min_length - 1)


@each_task
def test_the_same_generator_gives_the_same_batch(kind: type[Task]) -> None:
    task = kind(kind.min_length + 20)
    one, other = (task.sample(5, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one.x, other.x)
    np.testing.assert_array_equal(one.target, other.target)
    assert one.per_step is task.per_step
    assert one.x.dtype == np.float32


def test_digits_without_scikit_learn_name_the_extra(tmp_path: Path) -> None:
    (tmp_path / "sklearn.py").write_text("raise ImportError\n", encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from numpy_rnn.apps.memory.tasks import DigitsTask\n"
        "try: DigitsTask(8).sample(1, __import__('numpy').random.default_rng(0))\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "these tasks need the extra digits: pip install scikit-learn\n"
