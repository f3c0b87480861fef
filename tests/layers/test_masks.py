"""Masks with holes, reversed layers and merge modes equal a plain loop over rows and steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn import GRU, LRU, LSTM, RNN, LastStep, Linear, Recurrent, Sequential
from numpy_rnn.functional.types import Array
from tests.complex_step import STEP, as_tuple
from tests.layers.models import flat, same_trees
from tests.layers.test_messages import X, rnn

D, H = 3, 4
MERGED: dict[str, Callable[[Array, Array], Array]] = {
    "concat": lambda a, b: np.concatenate([a, b], axis=2),
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
}
LAYERS: dict[str, Callable[..., Recurrent]] = {
    "rnn": lambda **o: RNN(D, H, 2, rng=0, **o),
    "lstm": lambda **o: LSTM(D, H, rng=0, **o),
    "lstm reversed": lambda **o: LSTM(D, H, 2, proj_size=2, reverse=True, rng=0, **o),
    "lru reversed": lambda **o: LRU(D, H, reverse=True, rng=0, **o),
    **{
        f"gru {merge}": lambda merge=merge, **o: GRU(
            D, H, 2, bidirectional=True, merge=merge, rng=0, **o
        )
        for merge in MERGED
    },
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def by_steps(
    layer: Any, x: Array, state: list[Array], lengths: Array, reset: Array, mask: Array
) -> tuple[Array, list[Array]]:
    """Run a time-major layer row by row and step by step, as the equations are written."""
    T, B = mask.shape
    ways, n = len(layer._backwards), 0
    final = [part.copy() for part in state]
    for number, cell in enumerate(layer._cells):
        outputs = []
        for way, backwards in enumerate(layer._backwards):
            weights = layer.weights(number, way)
            y = np.zeros((T, B, cell.states[0]), state[0].dtype)
            for b in range(B):
                h = first = [part[n, b : b + 1] for part in state]
                shown = np.zeros(cell.states[0])
                steps = range(lengths[b])
                for t in reversed(steps) if backwards else steps:
                    if reset[t, b] if not backwards else t + 1 in steps and reset[t + 1, b]:
                        h = first
                    if mask[t, b]:
                        out, _ = cell.forward(x[t : t + 1, b : b + 1], *h, *weights)
                        h = [part[0] for part in as_tuple(out)]
                        shown = h[0][0]
                    if mask[t, b] or ways == 1:
                        y[t, b] = shown
                for part, value in zip(final, h, strict=True):
                    part[n, b] = value[0]
            outputs.append(y)
            n += 1
        x = outputs[0] if ways == 1 else MERGED[layer.merge](*outputs)
    return x, final


def turned(batch_first: bool) -> Callable[[Any], Any]:
    """The way from a time-major sequence to the user's, and back."""
    return lambda a: a.swapaxes(0, 1) if batch_first else a


def whole(parts: list[Array]) -> Any:
    return tuple(parts) if len(parts) > 1 else parts[0]


def numbers(layer: Recurrent, T: int, B: int, seed: int) -> tuple[Any, ...]:
    """An input, a state, lengths, resets and a mask, with rows of every kind."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, B, D))
    zero = layer.zero_state(B)
    state = [rng.standard_normal(part.shape) for part in flat(zero)]
    mask = rng.random((T, B)) < rng.choice([0.0, 0.3, 0.7, 1.0], B)
    return x, state, rng.integers(0, T + 1, B), rng.random((T, B)) < 0.3, mask


@each_layer
@settings(max_examples=10)
@given(
    T=st.integers(0, 6),
    B=st.integers(1, 3),
    seed=st.integers(0, 9999),
    padded=st.booleans(),
    resets=st.booleans(),
    batch_first=st.booleans(),
    recompute=st.sampled_from([False, 2]),
)
def test_a_mask_is_a_loop_that_passes_over_steps(
    name: str,
    T: int,
    B: int,
    seed: int,
    padded: bool,
    resets: bool,
    batch_first: bool,
    recompute: Any,
) -> None:
    layer = LAYERS[name](batch_first=batch_first, recompute=recompute)
    x, state, lengths, reset, mask = numbers(layer, T, B, seed)
    lengths = lengths if padded else np.full(B, T)
    reset = reset if resets else np.zeros_like(reset)
    want, wanted_final = by_steps(layer, x, state, lengths, reset, mask)
    hidden = np.where((mask & (np.arange(T)[:, None] < lengths))[..., None], x, np.nan)  # not read
    turn = turned(batch_first)
    options: dict[str, Any] = {
        "lengths": lengths if padded else None,
        "reset": turn(reset) if resets else None,
    }
    for run in (layer, layer.predict):
        y, final = run(turn(hidden), whole(state), mask=turn(mask), **options)
        np.testing.assert_allclose(turn(y), want, rtol=1e-12, atol=1e-13)
        for got, expected in zip(flat(final), wanted_final, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)
    if B == 1:
        alone = [part[:, 0] for part in state]
        options = {key: value.reshape(-1) for key, value in options.items() if value is not None}
        y, _ = layer.predict(hidden[:, 0], whole(alone), mask=mask[:, 0], **options)
        np.testing.assert_allclose(y, want[:, 0], rtol=1e-12, atol=1e-13)


def derivatives(layer: Recurrent, x: Array, state: list[Array], loss: Any) -> dict[str, Array]:
    """The derivatives of a loss for every number of the parameters, input and state."""
    layer = copy.deepcopy(layer)
    layer.parameters.to(np.complex128)
    own = layer.parameters.values
    held = {**own, "x": x + 0j, **{f"state {k}": part + 0j for k, part in enumerate(state)}}
    found = {}
    for name, array in held.items():
        gradient = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            array[index] += 1j * STEP
            parts = [held[f"state {k}"] for k in range(len(state))]
            gradient[index] = np.imag(loss(layer, held["x"], whole(parts))) / STEP
            array[index] -= 1j * STEP
        found[name] = gradient
    return found


@each_layer
def test_gradients_with_a_mask_equal_the_complex_step(name: str) -> None:
    layer, (T, B) = LAYERS[name](), (5, 3)
    x, state, lengths, reset, mask = numbers(layer, T, B, 1)
    mask[:, 0], mask[-2:, 1], mask[:2, 2] = True, False, False
    mask[2, 2], lengths[:] = True, (T, T, T - 1)
    reset[-1, 1] = reset[1, 2] = True  # after the last valid step, in one direction each
    options: dict[str, Any] = {"lengths": lengths, "reset": reset, "mask": mask}
    y, final, cache = layer.apply(x, whole(state), **options)
    rng = np.random.default_rng(7)
    dy = rng.standard_normal(y.shape)
    dfinal = [rng.standard_normal(part.shape) for part in flat(final)]
    dx, dstate, gradients = layer.vjp(cache, dy, whole(dfinal))

    def loss(twin: Recurrent, moved: Array, moved_state: Any) -> Any:
        y, final, _ = twin.apply(moved, moved_state, **options)
        return sum(np.sum(a * b) for a, b in zip([y, *flat(final)], [dy, *dfinal], strict=True))

    got: dict[str, Any] = {
        **gradients,
        "x": dx,
        **{f"state {k}": d for k, d in enumerate(flat(dstate))},
    }
    for key, want in derivatives(layer, x, state, loss).items():
        np.testing.assert_allclose(got[key], want, rtol=1e-10, atol=1e-11, err_msg=key)
    for keep, axes in (("t", 0), ("b", 0), ("tb", (0, 1))):
        kept = layer.vjp(cache, dy, whole(dfinal), keep)[2]  # type: ignore[arg-type]  # one of them
        for key, gradient in gradients.items():
            np.testing.assert_allclose(kept[key].sum(axis=axes), gradient, rtol=1e-10, atol=1e-12)
            if "t" in keep:  # what a step that is not run contributes
                idle = ~(mask & (np.arange(T)[:, None] < lengths))
                assert not kept[key][idle if keep == "tb" else idle.all(axis=1)].any()


@each_layer
def test_a_mask_of_ones_is_no_mask(name: str) -> None:
    layer = LAYERS[name]()
    x, state, lengths, reset, mask = numbers(layer, 5, 3, 0)
    plain = layer.apply(x, whole(state), lengths=lengths, reset=reset)
    masked = layer.apply(x, whole(state), lengths=lengths, reset=reset, mask=np.ones_like(mask))
    same_trees(masked[:2], plain[:2])
    dy = np.ones_like(plain[0])
    same_trees(layer.vjp(masked[2], dy, masked[1]), layer.vjp(plain[2], dy, plain[1]), 1e-12, 1e-14)


@pytest.mark.parametrize("name", ["rnn", "lstm"])
@given(seed=st.integers(0, 9999), cut=st.integers(0, 6))
def test_a_masked_sequence_can_be_cut_in_time(name: str, seed: int, cut: int) -> None:
    layer = LAYERS[name]()
    x, state, _, reset, mask = numbers(layer, 6, 2, seed)
    y, final = layer.predict(x, whole(state), reset=reset, mask=mask)
    first, middle = layer.predict(x[:cut], whole(state), reset=reset[:cut], mask=mask[:cut])
    # A reset goes to the state passed in, which differs for the second part.
    late = reset.copy()
    if not late[cut:].any():
        second, last = layer.predict(x[cut:], middle, mask=mask[cut:])
        same_trees(last, final, 1e-12, 1e-13)
        got, both = np.concatenate([first, second]), mask
        np.testing.assert_allclose(got[both], y[both], rtol=1e-12, atol=1e-13)


def test_reversed_is_the_input_and_the_output_reversed() -> None:
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((6, 2, D)), rng.standard_normal((6, 2, H))
    forwards, backwards = GRU(D, H, 2, rng=0), GRU(D, H, 2, reverse=True, rng=0)
    assert list(forwards.state_dict()) == list(backwards.state_dict())
    y, state = forwards(x[::-1])
    got, last = backwards(x)
    same_trees((got[::-1], last), (y, state))
    same_trees(backwards.backward(dy)[0][::-1], forwards.backward(dy[::-1])[0])
    np.testing.assert_array_equal(backwards.parameters.grad, forwards.parameters.grad)
    for method in ("step", "stepper"):
        with pytest.raises(ValueError, match=f"{method}: the layer is reversed, expected one dir"):
            getattr(backwards, method)(*([x[0]] if method == "step" else []))


@pytest.mark.parametrize("merge", MERGED)
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_last_step_of_masked_rows(merge: str, batch_first: bool) -> None:
    """What a Keras layer with `return_sequences=False` returns, its merge mode on top."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 4, D))
    mask = rng.random((5, 4)) < 0.5
    mask[:, 0], mask[0, 1] = False, True
    layer = GRU(D, H, bidirectional=True, rng=0)
    state = layer.predict(x, mask=mask)[1]
    want = MERGED[merge](state[:1], state[1:])[0] * np.any(mask, axis=0, keepdims=True).T
    model = Sequential(
        GRU(D, H, bidirectional=True, batch_first=batch_first, rng=0),
        LastStep(batch_first, bidirectional=True, merge=merge),
    )
    turn = turned(batch_first)
    y, _ = model(turn(x), mask=turn(mask))
    np.testing.assert_allclose(y, want, rtol=1e-14)
    np.testing.assert_allclose(model.predict(turn(x), mask=turn(mask))[0], want, rtol=1e-14)
    dy = rng.standard_normal(y.shape)
    dx, _ = model.backward(dy)
    direction = rng.standard_normal(x.shape)
    ahead, behind = (
        np.sum(dy * model.predict(turn(x + s * direction), mask=turn(mask))[0])
        for s in (1e-5, -1e-5)
    )
    assert np.sum(turn(dx) * direction) == pytest.approx((ahead - behind) / 2e-5, rel=1e-7)


def test_the_last_step_of_a_reversed_layer_is_the_first_valid_one() -> None:
    rng = np.random.default_rng(0)
    x, mask = rng.standard_normal((5, 3, D)), rng.random((5, 3)) < 0.6
    mask[2] = True
    model = Sequential(LSTM(D, H, reverse=True, rng=0), LastStep(reverse=True), Linear(H, 2, rng=1))
    y, ((h, _),) = model(x, mask=mask)
    np.testing.assert_array_equal(y, model.layers["2"].predict(h[0]))
    with pytest.raises(ValueError, match=r"after a reversed .* expected LastStep\(reverse=True\)"):
        Sequential(LSTM(D, H, reverse=True), LastStep())
    with pytest.raises(ValueError, match=r"expected merge='sum' in LastStep\(bidirectional=True\)"):
        Sequential(LSTM(D, H, bidirectional=True, merge="sum"), LastStep(bidirectional=True))


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: rnn(merge="add"),
        ValueError,
        "RNN: merge is 'add', expected one of 'concat', 'sum'",
    ),
    (lambda: rnn(merge="sum"), ValueError, "RNN: merge is 'sum', expected bidirectional=True with"),
    (lambda: rnn(reverse=1), TypeError, "RNN: reverse is 1, expected True or False"),
    (
        lambda: rnn(reverse=True, bidirectional=True),
        ValueError,
        "RNN: reverse and bidirectional are True, expected one of them",
    ),
    (
        lambda: rnn().forward(X, mask=np.ones((5, 2))),
        TypeError,
        "RNN(3, 4).forward: mask has dtype float64, expected bool",
    ),
    (
        lambda: rnn().predict(X, mask=np.ones((2, 5), bool)),
        ValueError,
        "RNN(3, 4).forward: mask has shape (2, 5), expected (5, 2)",
    ),
    (
        lambda: rnn().forward(np.where(X[1] == X, np.nan, X), mask=np.ones((5, 2), bool)),
        ValueError,
        "RNN(3, 4).forward: x is nan at index (1, 0, 0), expected finite numbers",
    ),
    (
        lambda: (layer := rnn()).forward(X, mask=np.ones((5, 2), bool)) and layer.backward(X),
        ValueError,
        "RNN(3, 4).backward: dy has shape (5, 2, 3), expected (5, 2, 4)",
    ),
    (
        lambda: LastStep().forward(X, mask=np.ones((2, 5), bool)),
        ValueError,
        "LastStep.forward: mask has shape (2, 5), expected (5, 2)",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_bad_input_is_one_clear_line(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
