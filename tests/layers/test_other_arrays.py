"""Arrays that are not NumPy's, or of another layout: the right numbers or one line that helps."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from numpy_rnn import (
    GRU,
    CrossEntropyLoss,
    Dropout,
    Layer,
    LayerNorm,
    Linear,
    Loss,
    MSELoss,
    ReLU,
    Sequential,
)
from tests.layers.models import MODELS, a_gradient, an_input, flat, same_trees

X = np.random.default_rng(0).standard_normal((5, 3))
LAYERS: dict[str, Callable[[], Layer]] = {
    "linear": lambda: Linear(3, 2, rng=0),
    "gru": lambda: GRU(3, 4, rng=0),
    "layer norm": lambda: LayerNorm(3),
    "relu": ReLU,
    "dropout": lambda: Dropout(0.5, rng=0),
    "model": lambda: Sequential(GRU(3, 4, rng=0), Linear(4, 2, rng=1)),
}


class Frame:
    """A table with what NumPy asks of one, and the pitfalls of a DataFrame."""

    def __init__(self, data: Any) -> None:
        self.data = np.asarray(data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.data, dtype, copy=copy)

    def __eq__(self, other: object) -> Any:
        return Frame(self.data == other)

    __hash__ = None  # type: ignore[assignment]  # as a DataFrame

    def __bool__(self) -> bool:
        raise ValueError("The truth value of a DataFrame is ambiguous")

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __len__(self) -> int:
        return len(self.data)


def matrix(data: Any) -> Any:
    return np.asarray(data).view(np.matrix)


FORMS: dict[str, Callable[[Any], Any]] = {
    "frame": Frame,
    "matrix": matrix,
    "list": lambda data: np.asarray(data).tolist(),
    "tuple of lists": lambda data: tuple(np.asarray(data).tolist()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_table_is_the_array_of_its_numbers(name: str, form: str) -> None:
    given, plain = LAYERS[name](), LAYERS[name]()
    want, got = plain.forward(X), given.forward(FORMS[form](X))
    same_trees(got, want)
    assert all(type(array) is np.ndarray for array in flat(got))
    dy = want[0] if plain.stateful else want
    same_trees(given.backward(FORMS[form](dy)), plain.backward(dy))


@pytest.mark.parametrize("form", FORMS)
def test_a_loss_takes_tables_too(form: str) -> None:
    make, target = FORMS[form], np.ones((5, 3))
    classes = make([[0, 2]])
    for criterion, y, t in (
        (MSELoss(), make(X), make(target)),
        (CrossEntropyLoss(), np.ones((1, 2, 3)), classes),
    ):
        assert criterion(y, t) == criterion.predict(np.asarray(y), np.asarray(t))
        assert type(criterion.backward()) is np.ndarray


STRANGE: dict[str, Any] = {
    "text": Frame([["a", "b", "c"]] * 5),
    "object": Frame(np.array(X, object)),
    "rows of two lengths": [[1.0, 2.0, 3.0], [1.0]],
    "a dict": {"a": [1.0], "b": [2.0]},
    "None": None,
    "dates": np.zeros((5, 3), "M8[s]"),
    "bools": np.ones((5, 3), bool),
    "fields": np.zeros(3, [("a", float)]),
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_table_of_something_else_is_one_line(what: str) -> None:
    value, losses = STRANGE[what], (MSELoss(), CrossEntropyLoss())
    calls: list[Callable[[], Any]] = [
        *(partial(make().forward, value) for make in LAYERS.values()),
        *(partial(loss, value, X) for loss in losses),
        *(partial(loss, X, value) for loss in losses),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert re.fullmatch(
            r"[^\n]+: (x|y|target) (is|has) [^\n]+, expected [^\n]+", str(caught.value)
        )


BATCH_FIRST = np.zeros((2, 5, 3))  # (B, T, D), as Keras has it


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: GRU(3, 4, rng=0).forward(BATCH_FIRST, lengths=np.array([5, 3])),
            (
                "GRU(3, 4).forward: lengths has shape (2,), expected (5,), one for each row of x "
                "(T, B, ...); batch_first=True is for (B, T, ...)"
            ),
        ),
        (
            lambda: GRU(3, 4, rng=0).forward(BATCH_FIRST, mask=np.ones((5, 2), bool)),
            (
                "GRU(3, 4).forward: mask has shape (5, 2), expected (2, 5) (its first two axes are "
                "swapped)"
            ),
        ),
        (
            lambda: CrossEntropyLoss()(BATCH_FIRST, np.zeros((5, 2), int)),
            (
                "CrossEntropyLoss.forward: target has shape (5, 2), expected (2, 5) (its first two "
                "axes are swapped)"
            ),
        ),
        (
            lambda: CrossEntropyLoss()(BATCH_FIRST, np.eye(3)[np.zeros((2, 5), int)]),
            "CrossEntropyLoss.forward: target has dtype float64, expected integers, the classes",
        ),
        (
            lambda: GRU(3, 4, rng=0).forward(BATCH_FIRST.swapaxes(1, 2)),
            "GRU(3, 4).forward: x has shape (2, 3, 5), expected (T, B, 3) or (T, 3)",
        ),
        (
            lambda: Linear(3, 4, rng=0).load_state_dict(
                {"weight": np.zeros((3, 4)), "bias": np.zeros(4)}
            ),
            (
                "Linear(3, 4).load_state_dict: 'weight' has shape (3, 4), expected (4, 3) "
                "(transposed, as in Keras)"
            ),
        ),
    ],
)
def test_an_array_in_keras_layout_is_one_line(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("name", MODELS)
def test_a_cache_of_another_dtype_than_the_parameters_is_one_line(name: str) -> None:
    layer = MODELS[name]()
    dy, _ = a_gradient(layer, 1)
    _, _, cache = layer.apply(an_input(layer, 0))
    layer.forward(an_input(layer, 0))
    layer.parameters.to(np.float32)
    message = r".*\.backward: cache is float64, the parameters are float32 since, call apply"
    for gradient in (dy, dy.astype(np.float32), None):
        for call in (partial(layer.vjp, cache), layer.backward):
            with pytest.raises(TypeError) as caught:
                call(gradient)
            assert re.fullmatch(message, str(caught.value))
    assert not layer.parameters.grad.any()
    layer.parameters.to(np.float64)  # it fits again
    layer.vjp(cache, dy)


@pytest.mark.parametrize("criterion", [MSELoss(), CrossEntropyLoss()], ids=str)
def test_a_loss_without_forward_has_nothing_to_go_back_through(criterion: Loss) -> None:
    target = np.zeros((2, 3)) if isinstance(criterion, MSELoss) else np.zeros(2, int)
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            criterion.backward()
        assert str(caught.value) == (
            f"{criterion!r}.backward: nothing to go back through, expected forward first (in this "
            "thread and mode; each backward uses one forward up)"
        )
        criterion(np.ones((2, 3)), target)
        criterion.backward()  # and the second time there is none
