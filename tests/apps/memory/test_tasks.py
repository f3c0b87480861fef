"""Tasks are what their sources say, a baseline is what forgetting costs, and judges are strict."""

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
from sklearn.datasets import load_digits

from numpy_rnn.apps.memory import Adding, Copying, Digits, FirstSymbol, Pixels, Recall, Task
from numpy_rnn.apps.memory.digits import TRAINING
from numpy_rnn.apps.memory.task import answers, one_hot
from numpy_rnn.functional.types import Array

KINDS: list[type[Task]] = [Adding, Copying, Digits, Pixels, FirstSymbol, Recall]
each_task = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
each_kind_of_digits = pytest.mark.parametrize("kind", [Digits, Pixels])
lengths = st.integers(2, 40)
seeds = st.integers(0, 2**31)


class Knows:
    """A model that is a function of the input."""

    def __init__(self, answer: Callable[[Array], Array]) -> None:
        self.answer = answer

    def forward(self, x: Array) -> tuple[Array, None]:
        return self.answer(x), None


def judge(task: Task, answer: Callable[[Array], Array]) -> Any:
    model: Any = Knows(answer)
    return task.judge(model, 100, np.random.default_rng(7))


@given(T=lengths, seed=seeds)
def test_adding_marks_one_number_in_each_half(T: int, seed: int) -> None:
    x, target = Adding(T).sample(20, np.random.default_rng(seed))
    assert x.shape == (T, 20, 2)
    numbers, markers = x[..., 0], x[..., 1]
    assert (numbers >= 0).all()
    assert (numbers < 1).all()
    assert set(np.unique(markers)) <= {0, 1}
    assert (markers[: T // 2].sum(axis=0) == 1).all()
    assert (markers[T // 2 :].sum(axis=0) == 1).all()
    np.testing.assert_allclose(target[:, 0], (numbers * markers).sum(axis=0), rtol=1e-6)


def test_adding_marks_every_place_and_costs_its_baseline() -> None:
    task = Adding(10)
    x, target = task.sample(20_000, np.random.default_rng(0))
    shares = x[..., 1].mean(axis=1)
    assert (abs(shares - 0.2) < 0.015).all()  # standard error 0.003
    loss = float(task.loss().forward(np.ones_like(target), target))
    assert abs(loss - task.baseline()) < 0.006  # standard error 0.0013
    assert task.baseline() == 1 / 6


@given(T=st.integers(1, 40), seed=seeds)
def test_copying_asks_for_the_symbols_after_the_blanks(T: int, seed: int) -> None:
    x, target = Copying(T).sample(5, np.random.default_rng(seed))
    assert x.shape == (T + 20, 5, 10)
    assert (x.sum(axis=-1) == 1).all()
    symbols = x.argmax(axis=-1)
    assert (symbols[:10] < 8).all()
    assert (symbols[10 : 9 + T] == 8).all()
    assert (symbols[9 + T] == 9).all()
    assert (symbols[10 + T :] == 8).all()
    assert (target[: T + 10] == 8).all()
    np.testing.assert_array_equal(target[T + 10 :], symbols[:10])


def until_the_sign(x: Array) -> Array:
    """Answer the copy task from the sign alone: blanks, then one of eight at random."""
    after = np.cumsum(x[..., 9], axis=0) - x[..., 9] > 0
    y = np.full((*after.shape, 9), -50, np.float32)
    y[~after, 8] = 50
    y[after, :8] = 50
    return y


@pytest.mark.parametrize("T", [1, 30, 500])
def test_copying_without_memory_costs_its_baseline(T: int) -> None:
    task = Copying(T)
    x, target = task.sample(4, np.random.default_rng(0))
    loss = float(task.loss().forward(until_the_sign(x), target))
    assert abs(loss - task.baseline()) < 1e-6
    verdict = judge(task, until_the_sign)
    assert not verdict.solved
    assert verdict.score < 0.2


def copied(x: Array, wrong: int = 0) -> Array:
    y = until_the_sign(x)
    y[-10:] = x[:10, :, :9]
    y[-10 : wrong - 10] = 0  # one of the ten is then the blank's neighbour
    return y


def test_copying_is_solved_by_memory_alone() -> None:
    task = Copying(30)
    assert judge(task, copied) == (1.0, True)
    one_of_ten = judge(task, lambda x: copied(x, wrong=1))
    assert not one_of_ten.solved
    assert 0.9 <= one_of_ten.score < 0.95

    def without_blanks(x: Array) -> Array:
        y = copied(x)
        y[:-10] = np.roll(y[:-10], 1, axis=-1)
        return y

    assert judge(task, without_blanks) == (1.0, False)


@given(T=st.integers(1, 40), seed=seeds)
def test_first_symbol_is_the_first_of_many(T: int, seed: int) -> None:
    x, target = FirstSymbol(T).sample(50, np.random.default_rng(seed))
    assert x.shape == (T, 50, 6)
    symbols = x.argmax(axis=-1)
    np.testing.assert_array_equal(symbols[0], target)
    assert set(target.tolist()) <= {0, 1, 2, 3}
    assert set(symbols[1:].ravel().tolist()) <= {4, 5}


@each_task
def test_a_guess_costs_the_baseline(kind: type[Task]) -> None:
    task = kind(kind.shortest + 20)
    if kind in (Adding, Copying):
        return  # theirs are above
    x, target = task.sample(100, np.random.default_rng(0))
    if kind is Recall:
        y = np.full((*target.shape, 35), -50, np.float32)
        y[:-1, :, :33] = 50
        y[-1, :, 34] = 50
    else:
        y = np.zeros((x.shape[1], task.outputs), np.float32)
    assert abs(float(task.loss().forward(y, target)) - task.baseline()) < 1e-6


def test_adding_is_solved_up_to_an_error_of_a_hundredth() -> None:
    for off, solved in ((0.0999, True), (0.1001, False)):  # squared, on both sides of 0.01
        assert judge(Adding(9), lambda x: (x[..., 0] * x[..., 1]).sum(0)[:, None] + off).solved is (  # noqa: B023 (called at once)
            solved
        )


def wrong_in(share: float, y: Array) -> Array:
    """Move the answers of the first rows of a batch of answers to another class."""
    y = y.copy()
    wrong = round(share * y.shape[-2])
    y[..., :wrong, :] = np.roll(y[..., :wrong, :], 1, axis=-1)
    return y


def test_shares_of_right_answers_are_judged_at_their_border(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("copying", "first_symbol"):
        monkeypatch.setattr(f"numpy_rnn.apps.memory.{module}.JUDGED", 1000)
    for wrong, solved in ((0.01, True), (0.02, False)):
        verdict = judge(FirstSymbol(9), lambda x: wrong_in(wrong, x[0, :, :4]))  # noqa: B023
        assert verdict == (1 - wrong, solved)
        verdict = judge(Copying(9), lambda x: wrong_in(wrong, copied(x)))  # noqa: B023
        assert verdict.solved is solved
    images = (load_digits().images / 16).astype(np.float32)
    known = {i.tobytes(): n for i, n in zip(images, load_digits().target, strict=True)}

    def read(x: Array) -> Array:
        return np.eye(10)[[known[image.tobytes()] for image in x.swapaxes(0, 1)]]

    for wrong, solved in ((0.09, True), (0.12, False)):
        assert judge(Digits(8), lambda x: wrong_in(wrong, read(x))).solved is solved  # noqa: B023


def test_first_symbol_is_judged_by_the_first() -> None:
    task = FirstSymbol(9)
    assert judge(task, lambda x: x[0, :, :4]) == (1.0, True)
    assert not judge(task, lambda x: x[-1, :, :4]).solved


@each_kind_of_digits
def test_digits_are_images_then_blanks(kind: type[Digits]) -> None:
    steps = kind.shortest
    x, target = kind(steps + 4).sample(500, np.random.default_rng(0))
    assert x.shape == (steps + 4, 500, 64 // steps)
    assert x.min() == 0
    assert x.max() == 1
    assert not x[steps:].any()
    assert x[:steps].any(axis=(0, 2)).all()
    assert set(target.tolist()) == set(range(10))


def test_pixels_are_read_row_by_row() -> None:
    rows, pixels = (
        kind(64).sample(20, np.random.default_rng(0)).x.swapaxes(0, 1) for kind in (Digits, Pixels)
    )
    np.testing.assert_array_equal(pixels[:, :8, 0], rows[:, 0])
    np.testing.assert_array_equal(pixels[:, :, 0], rows[:, :8].reshape(20, 64))


@each_kind_of_digits
def test_digits_are_judged_on_images_that_training_never_draws(kind: type[Digits]) -> None:
    task = kind(kind.shortest)
    x, _ = task.sample(50_000, np.random.default_rng(0))
    trained = {image.tobytes() for image in x.swapaxes(0, 1)}
    judged: list[Array] = []

    def look(x: Array) -> Array:
        judged.extend(x.swapaxes(0, 1))
        return np.zeros((x.shape[1], 10))

    assert not judge(task, look).solved
    images = (load_digits().images / 16).astype(np.float32)  # rows from the top
    assert trained == {image.tobytes() for image in images[:TRAINING]}
    assert len(judged) == 1797 - TRAINING
    assert not trained & {image.tobytes() for image in judged}


@given(N=st.integers(1, 60), seed=st.integers(0, 1000))
def test_recall_is_one_string_with_a_start_and_an_end(N: int, seed: int) -> None:
    task = Recall(N, seed)
    x, target = task.sample(32, np.random.default_rng(0))
    assert x.shape == (N + 1, 1, 35)
    symbols = x.argmax(axis=-1)
    assert symbols[0, 0] == 33
    np.testing.assert_array_equal(symbols[1:], target[:-1])
    assert target[-1, 0] == 34
    assert (target[:-1] < 33).all()
    np.testing.assert_array_equal(task.string, Recall(N, seed).string)


def test_recall_draws_another_string_for_each_seed_and_length() -> None:
    strings = [Recall(50, 0).string, Recall(50, 1).string, Recall(51, 0).string[:50]]
    for i, one in enumerate(strings):
        for other in strings[:i]:
            assert (one == other).mean() < 0.3


class Writes:
    """A model that says a string, and is told what it has said."""

    def __init__(self, string: Array) -> None:
        self.string = string
        self.heard: list[int] = []

    def step(self, x: Array, state: int | None) -> tuple[Array, int]:
        place = 0 if state is None else state
        self.heard.append(int(x.argmax()))
        return one_hot(self.string[place : place + 1], 35), place + 1


def test_recall_is_judged_on_what_the_model_writes_by_itself() -> None:
    task = Recall(40, 3)
    model: Any = Writes(task.string)
    assert task.judge(model, 1, np.random.default_rng(0)) == (1.0, True)
    assert model.heard == [33, *task.string[:-1]]  # the start symbol, then its own words
    wrong = task.string.copy()
    wrong[-1] = (wrong[-1] + 1) % 33
    model = Writes(wrong)
    assert task.judge(model, 1, np.random.default_rng(0)) == (39 / 40, False)
    wrong[10] = (wrong[10] + 1) % 33
    model = Writes(wrong)
    assert task.judge(model, 1, np.random.default_rng(0)).score == 10 / 40
    assert len(model.heard) == 11


def test_answers_come_in_the_order_of_the_rows() -> None:
    batch = Adding(4).sample(10, np.random.default_rng(0))
    model: Any = Knows(lambda x: x[-1])
    np.testing.assert_array_equal(answers(model, batch, 3), batch.x[-1])
    model = Knows(lambda x: x)
    np.testing.assert_array_equal(answers(model, batch, 3), batch.x)


@each_task
def test_a_length_that_makes_no_sense_is_an_error(kind: type[Task]) -> None:
    with pytest.raises(ValueError, match=f"length is {kind.shortest - 1}, expected at least"):
        kind(kind.shortest - 1)


@each_task
def test_the_same_generator_gives_the_same_batch(kind: type[Task]) -> None:
    task = kind(kind.shortest + 20)
    one, other = (task.sample(5, np.random.default_rng(1)) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.x.dtype == np.float32


def test_digits_without_scikit_learn_name_the_extra(tmp_path: Path) -> None:
    (tmp_path / "sklearn.py").write_text("raise ImportError\n", encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from numpy_rnn.apps.memory import Digits\n"
        "try: Digits(8).sample(1, __import__('numpy').random.default_rng(0))\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "digits and pixels need scikit-learn: pip install numpy-rnn[digits]\n"
