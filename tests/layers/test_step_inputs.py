"""What goes into a step: dtypes, lists, tokens, shapes and states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Dropout,
    Embedding,
    LastStep,
    LayerNorm,
    Linear,
    Sequential,
)
from numpy_rnn.functional.types import Array
from tests.layers.mgu import MGU
from tests.layers.models import flat, normal_like, same_trees
from tests.layers.stepping import (
    CELLS,
    X,
    each_cell,
    each_method,
    stepping,
)
from tests.layers.test_sequences import D, H

STREAMED: dict[str, Any] = {
    "lstm": lambda dtype: LSTM(D, H, 2, rng=0, dtype=dtype),
    "lru": lambda dtype: LRU(D, H, rng=0, dtype=dtype),
    "custom cell": lambda dtype: MGU(D, H, rng=0, dtype=dtype),
    "linear": lambda dtype: Linear(D, H, rng=0, dtype=dtype),
    "layer norm": lambda dtype: LayerNorm(D, dtype=dtype),
    "linear first": lambda dtype: Sequential(
        Linear(D, D, rng=0, dtype=dtype), Sequential(GRU(D, H, rng=0, dtype=dtype))
    ),
    "layer norm first": lambda dtype: Sequential(
        LayerNorm(D, dtype=dtype), RNN(D, H, rng=0, dtype=dtype), LastStep()
    ),
    "dropout first": lambda dtype: Sequential(Dropout(0.5, rng=0), RNN(D, H, rng=0, dtype=dtype)),
}


@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given_dtype", [list, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("batched", [False, True])
def test_a_stepper_has_one_dtype_whatever_goes_in(
    name: str, dtype: Any, given_dtype: Any, batched: bool
) -> None:
    layer = STREAMED[name](dtype)
    x = np.array([[0.5, -0.25, 2.0], [1.0, 0.0, -3.0]])[slice(None) if batched else 0]
    state = normal_like(layer.zero_state(2), np.random.default_rng(0)) if batched else None
    if given_dtype is list:
        given_x: Any = x.tolist()
    else:
        given_x = x.astype(given_dtype)
        state = _cast(state, given_dtype)
    y, after = layer.stepper()(given_x, state)
    for array in flat((y, after)):
        assert array.dtype == dtype
    want_y, want_after = stepping(layer, "step")(x.astype(dtype), _cast(state, dtype))
    same_trees((y, after), (want_y, want_after), rtol=1e-5 if dtype is np.float32 else 1e-12)


def _cast(tree: Any, dtype: Any) -> Any:
    if isinstance(tree, tuple):
        return tuple(_cast(part, dtype) for part in tree)
    return tree if tree is None else tree.astype(dtype)


@pytest.mark.parametrize("name", STREAMED)
def test_a_stepper_takes_no_complex_numbers_and_no_text(name: str) -> None:
    step = STREAMED[name](np.float64).stepper()
    for x in (X + 1j, X.astype(str), X.astype(bool)):
        with pytest.raises(TypeError, match=r"has dtype .*, expected float"):
            step(x)


TOKEN_MODELS: dict[str, Any] = {
    "lstm": lambda: LSTM(D, H, rng=0),
    "stacked gru": lambda: GRU(D, H, 2, rng=0),
    "linear": lambda: Linear(D, H, rng=0),
    "embedding": lambda: Embedding(D, H, rng=0),
    "nested": lambda: Sequential(Sequential(Embedding(D, H, rng=0)), LSTM(H, H, rng=0)),
}


@pytest.mark.parametrize("name", TOKEN_MODELS)
@each_method
@pytest.mark.parametrize("token", [-1, -D, D, D + H, 99])
def test_a_token_that_is_none_is_an_error(name: str, method: str, token: int) -> None:
    step = stepping(TOKEN_MODELS[name](), method)
    for tokens, index in (([0, token, 1], r"\(1,\)"), ([token], r"\(0,\)"), (token, r"\(0?,?\)")):
        with pytest.raises(
            ValueError, match=rf"x(_t)? is {token} at index {index}.*, expected 0 to 2"
        ):
            step(np.array(tokens))


@each_cell
def test_nan_passes_through_a_stepper_in_its_own_row(kind: Any) -> None:
    step = kind(D, H, rng=0).stepper()
    clean, _ = step(X)
    x = X.copy()
    x[1, 0] = np.nan
    y, _ = step(x)
    np.testing.assert_array_equal(y[0], clean[0])
    assert np.isnan(y[1]).any()


def states(layer: Any, *leading: int, size: int | None = None) -> Any:
    components = tuple(np.zeros((*leading, size or n)) for n in layer.state_sizes)
    return components if len(components) > 1 else components[0]


@pytest.mark.parametrize("kind", CELLS)
@each_method
@pytest.mark.parametrize(
    ("x", "leading", "size", "message"),
    [
        # NumPy would repeat each of these over the batch or the units, or leave a layer out.
        (X, (1, 1), None, "has shape (1, 1, N), expected (1, 2, N)"),
        (X, (2,), None, "has shape (2, N), expected (1, 2, N)"),
        (X, (1, 2), 1, "has shape (1, 2, 1), expected (1, 2, N)"),
        (X, (2, 2), None, "has shape (2, 2, N), expected (1, 2, N)"),
        (X[0], (1, 1), None, "has shape (1, 1, N), expected (1, N)"),
        (X[:, :1], (1, 2), None, "x_t has shape (2, 1), expected (B, 3) or (3,)"),
        (X[None, None], (1, 2), None, "x_t has shape (1, 1, 2, 3), expected (B, 3) or (3,)"),
        (np.array([[[0, 1]]]), (1, 2), None, "x_t has shape (1, 1, 2), expected (B,) or ()"),
    ],
)
def test_a_step_takes_no_shape_but_its_own(
    kind: Any, method: str, x: Array, leading: tuple[int, ...], size: int | None, message: str
) -> None:
    layer = kind(D, H, rng=0)
    with pytest.raises(ValueError, match=r"expected \(") as caught:
        stepping(layer, method)(x, states(layer, *leading, size=size))
    N = layer.state_sizes[0]
    if method == "stepper":  # which takes a block too
        message = message.replace("(3,)", "(3,) or (k, B, 3)").replace("()", "() or (k, B)")
    assert str(caught.value).startswith(f"{layer!r}.step: ".split(".step")[0])
    assert str(caught.value).endswith(message.replace("N", str(N)))


@each_cell
@each_method
def test_a_step_takes_the_components_of_its_state_and_no_others(kind: Any, method: str) -> None:
    layer = kind(D, H, rng=0)
    if len(layer.state_sizes) > 1:
        message = r"state is a tuple of 3, expected a tuple of 2 arrays$"
    else:
        n = layer.state_sizes[0]
        message = rf"state has shape \(3, 1, 2, {H}\), expected \(1, 2, {n}\)$"
    with pytest.raises(ValueError, match=message):
        stepping(layer, method)(X, (np.zeros((1, 2, H)),) * 3)


@each_method
@pytest.mark.parametrize("state", [5, "state", object()])
def test_what_is_no_state_is_one_clear_line(method: str, state: Any) -> None:
    for layer in (LSTM(D, H), GRU(D, H), Sequential(LSTM(D, H)), Linear(D, H)):
        with pytest.raises((ValueError, TypeError), match=r"state(\[0\])? (is|has)"):
            (layer.stepper() if method == "stepper" else layer.step)(X, state)


@each_method
def test_a_state_may_come_as_a_list(method: str) -> None:
    step = stepping(LSTM(3, 4, rng=0), method)
    _, state = step(X)
    same_trees(step(X, [*state]), step(X, state))
    model = stepping(Sequential(LSTM(3, 4, rng=0)), method)
    _, (state,) = model(X)
    same_trees(model(X, [[*state]]), model(X, (state,)))
