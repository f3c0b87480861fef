"""The checker itself: right gradients pass, wrong ones are caught and named."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpy_rnn import LSTM, CrossEntropyLoss, Dropout, Linear, MSELoss, Sequential
from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.checking import assert_gradients, check_gradients
from numpy_rnn.checking.nested import FormError
from numpy_rnn.checking.shapes import Given
from numpy_rnn.functional.types import Array
from tests.checking import users_cells

LSTM_SHAPES: dict[str, Given] = {
    "x": "T B D",
    "h0": "B H",
    "c0": "B H",
    "W": "4H D",
    "U": "4H H",
    "b": "4H",
}
ELMAN: dict[str, Given] = {
    "x": "T B D",
    "h0": "B H",
    "W_ih": "H D",
    "W_hh": "H H",
    "b_ih": "H",
    "b_hh": "H",
}
RNG = np.random.default_rng(0)
SERIES, TARGET = RNG.standard_normal((11, 5)), RNG.standard_normal((11, 4))


def test_three_forms_of_right_code_pass() -> None:
    assert_gradients((users_cells.lstm_forward, users_cells.lstm_backward), LSTM_SHAPES)
    assert_gradients(users_cells.TanhRNN(3, 4), "T B 3")
    assert_gradients(users_cells.gru_loss(SERIES, TARGET, 4), {"W": "3H D", "U": "3H H"})


def test_a_pair_is_diagnosed() -> None:
    backward = partial(users_cells.lstm_backward, bug=True)
    report = check_gradients((users_cells.lstm_forward, backward), LSTM_SHAPES)
    assert report.location is not None
    assert report.location.words.startswith("t = 10, batch row")
    assert "block 2 of 4 (f if the order is PyTorch's)" in report.location.words
    named = check_gradients((users_cells.lstm_forward, backward), LSTM_SHAPES, gates="ifgo")
    assert "at t = 10 only gate f is wrong, the others are right" in named.suggestions


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_gate_is_named_in_every_layout(batch_first: bool, transposed: bool) -> None:
    def laid_out(a: Array) -> Array:
        return a.swapaxes(0, 1) if batch_first else a

    def turned(a: Array) -> Array:
        return a.T if transposed else a

    def forward(x: Array, h0: Array, c0: Array, W: Array, U: Array, b: Array) -> Any:
        (h, c), cache = users_cells.lstm_forward(laid_out(x), h0, c0, turned(W), turned(U), b)
        return (laid_out(h), laid_out(c)), cache

    def backward(dh: Array, dc: Array, cache: Any) -> Any:
        found = users_cells.lstm_backward(laid_out(dh), laid_out(dc), cache, bug=True)
        dx, dh0, dc0, dW, dU, db = found
        return laid_out(dx), dh0, dc0, turned(dW), turned(dU), db

    shapes = {**LSTM_SHAPES, "x": "B T D"} if batch_first else {**LSTM_SHAPES}
    shapes |= {"W": "D 4H", "U": "H 4H"} if transposed else {}
    report = check_gradients((forward, backward), shapes, gates="ifgo")
    assert str(report.location).startswith("pre-activation, t = 10, batch row")
    assert "at t = 10 only gate f is wrong, the others are right" in report.suggestions


def test_a_float32_gradient_below_its_resolution_is_no_error() -> None:
    small = np.float32(1e-9)  # 1 + 1e-9 is 1 in float32, so differences show a slope of zero

    def forward(x: Array, c: Array) -> Any:
        return np.ones_like(x) + small * x + c, None

    def backward(dy: Array, _: None) -> Any:
        return small * dy, dy.copy()

    x = RNG.standard_normal((4, 2, 3)).astype(np.float32)
    report = check_gradients((forward, backward), {"x": x, "c": x.copy()})
    assert report.gradients_ok, str(report)


def test_a_steep_function_is_differentiated_in_double_precision() -> None:
    near = np.array([[0.5, 0.501], [1.0, -2.0], [2e-3, 0.0]])  # a step of 0.25 skips its slope
    given = {"x": near[:, None], "weight": np.ones(2), "bias": np.zeros(2)}
    single: dict[str, Given] = {name: value.astype(np.float32) for name, value in given.items()}
    report = check_gradients((F.layer_norm_forward, F.layer_norm_backward), single)
    assert report.ok, str(report)


@pytest.mark.parametrize("seed", [173, 225])
def test_a_sum_that_cancels_in_float32_is_linear(seed: int) -> None:
    def forward(b: Array) -> Any:
        return np.broadcast_to(b, (40, 3)).copy(), None

    def backward(dy: Array, _: None) -> Any:
        return (dy.sum(axis=0).sum(keepdims=True),)  # nearly 0 with the gradients of these seeds

    report = check_gradients((forward, backward), np.ones(1, np.float32), seed=seed)
    assert report.ok, str(report)


def test_what_is_wrong_in_float32_alone_is_caught() -> None:
    def backward(dy: Array, cache: Any) -> Any:
        dx, dW, db = F.linear_backward(dy, cache)
        return dx, dW * np.where(dW.dtype == np.float32, 1.01, 1.0).astype(dW.dtype), db

    given = RNG.standard_normal((4, 2, 3)), RNG.standard_normal((5, 3)), RNG.standard_normal(5)
    assert_gradients((F.linear_forward, backward), *given)
    report = check_gradients((F.linear_forward, backward), *(a.astype(np.float32) for a in given))
    assert [row.name for row in report.rows if not row.right] == ["W"]


def test_a_last_step_without_any_gradient_is_not_called_right() -> None:
    def forward(x: Array) -> Any:
        return x[:-2] ** 2, x  # the last two steps have no effect

    def backward(dy: Array, x: Array) -> Any:
        return np.concatenate([3 * x[:-2] ** 2 * dy, np.zeros_like(x[-2:])])

    report = check_gradients((forward, backward), "T B D")
    assert not report.ok
    assert not any("last step" in text or "truncated" in text for text in report.suggestions)


def test_a_class_with_caches_is_diagnosed() -> None:
    report = check_gradients(users_cells.TanhRNN(3, 4, bug=True), "T B 3")
    assert [row.name for row in report.rows if not row.right] == ["Wh"]
    assert report.location is not None
    assert report.location.parameter == "Wh"


def test_a_closure_is_diagnosed() -> None:
    wrong = users_cells.gru_loss(SERIES, TARGET, 4, bug=True)
    report = check_gradients(wrong, {"W": "3H D", "U": "3H H"})
    assert report.location is not None
    assert "block 3 of 3 (n if the order is PyTorch's)" in report.location.words
    with pytest.raises(AssertionError, match="first wrong place: U, block 3 of 3"):
        assert_gradients(wrong, {"W": "3H D", "U": "3H H"})


def test_a_closure_with_theta_as_it_is() -> None:
    theta = RNG.standard_normal(3 * 4 * (5 + 4)) * 0.5
    assert_gradients(users_cells.gru_loss(SERIES, TARGET, 4), theta)
    report = check_gradients(users_cells.gru_loss(SERIES, TARGET, 4, bug=True), theta)
    assert not report.ok


def elman_wrong_at(position: int, flat: int, *arguments: Any) -> Any:
    """Elman's gradients with one element of one of them 0.05 % too large."""
    gradients = list(F.elman_backward(*arguments))
    wrong = gradients[position]
    assert wrong is not None
    wrong = wrong.copy()
    wrong.flat[flat % wrong.size] *= 1.0005
    gradients[position] = wrong
    return tuple(gradients)


@settings(max_examples=25)
@given(position=st.integers(0, 5), flat=st.integers(0, 10**6))
def test_half_a_thousandth_in_one_element_fails_and_is_named(position: int, flat: int) -> None:
    backward = partial(elman_wrong_at, position, flat)
    report = check_gradients((F.elman_forward, backward), ELMAN, regimes=["usual"])
    name = list(ELMAN)[position]
    assert [row.name for row in report.rows if not row.right] == [name]
    assert report.location is not None
    assert report.location.parameter == name
    assert report.location.got / report.location.expected == pytest.approx(1.0005, rel=1e-8)


@pytest.mark.parametrize("flat", [0, 400, 1649])
def test_bisection_finds_an_element_of_many(flat: int) -> None:
    backward = partial(elman_wrong_at, 0, flat)
    sizes = {"T": 3, "B": 11, "D": 50}
    report = check_gradients((F.elman_forward, backward), ELMAN, sizes=sizes, regimes=["usual"])
    t, b, d = np.unravel_index(flat, tuple(sizes.values()))
    assert report.location is not None
    assert report.location.words == f"t = {t}, batch row {b}, unit {d}"


def test_many_parameters_are_checked() -> None:
    model = Sequential(LSTM(20, 30, rng=0), Linear(30, 20, rng=1))
    assert check_gradients(model, "4 B 20", regimes=["usual"]).ok


def test_central_differences_see_what_they_can() -> None:
    report = check_gradients(
        (F.elman_forward, F.elman_backward), ELMAN, method="central differences"
    )
    assert report.ok
    usual = check_gradients(
        (F.elman_forward, F.elman_backward), ELMAN, method="central differences", regimes=["usual"]
    )
    assert usual.worst < 1e-10
    backward = partial(elman_wrong_at, 3, 5)
    assert not check_gradients((F.elman_forward, backward), ELMAN, method="central differences").ok


def test_library_models_pass_and_are_left_as_they_were() -> None:
    model = Sequential(LSTM(3, 4, 2, rng=0, bidirectional=True), Linear(8, 2, rng=1))
    before = model.parameters.data.copy()
    model.parameters.grad[...] = 7.0
    assert_gradients(model, "5 2 3", regimes=["usual", "last-step-only"])
    np.testing.assert_array_equal(model.parameters.data, before)
    assert (model.parameters.grad == 7.0).all()
    assert model.parameters.dtype == np.float64


def test_float32_models_are_checked_as_float32() -> None:
    report = check_gradients(
        Linear(3, 4, rng=0, dtype="float32"), RNG.standard_normal((5, 2, 3)).astype(np.float32)
    )
    assert report.ok
    assert any("weight is float32" in note or "x is float32" in note for note in report.notes)


class Scaled:
    """An object with parameters that have to be named."""

    def __init__(self) -> None:
        self.gain: Array = np.array([2.0, 3.0])
        self.grad_gain: Array = np.zeros(2)

    def forward(self, x: Array) -> Array:
        self.x = x
        return np.asarray(x * self.gain)

    def backward(self, dy: Array) -> Array:
        self.grad_gain += (dy * self.x).sum(axis=(0, 1))
        return np.asarray(dy * self.gain)


def test_attributes_are_parameters_where_they_have_gradients_or_are_named() -> None:
    assert_gradients(Scaled(), "T B 2")
    assert_gradients(Scaled(), "T B 2", parameters=["gain"])
    assert [row.name for row in check_gradients(Scaled(), "T B 2").rows] == ["x", "gain"]


def test_losses_are_checked_too() -> None:
    y, target = RNG.standard_normal((5, 2, 3)), RNG.standard_normal((5, 2, 3))
    report = check_gradients(MSELoss("sum_over_time"), y, target, regimes=["usual"])
    assert report.ok
    assert report.method == "complex step"
    assert report.notes == ["backward returns no gradient of target"]
    assert_gradients(CrossEntropyLoss(), y, RNG.integers(0, 3, (5, 2)))


def test_dropout_inside_a_model_draws_the_same_mask_for_every_run() -> None:
    model = Sequential(LSTM(3, 4, 2, dropout=0.4, rng=0), Dropout(0.3, rng=1), Linear(4, 2, rng=2))
    assert_gradients(model, "5 B 3", regimes=["usual"])


def wrong_shape(dy: Array, cache: Any) -> Any:
    dx, dW, db = F.linear_backward(dy, cache)
    return dx, dW.T, db


def test_wrong_shapes_missing_gradients_and_transposes_are_said() -> None:
    shapes: dict[str, Given] = {"x": "T B D", "W": "H D", "b": "H"}
    report = check_gradients((F.linear_forward, wrong_shape), shapes)
    assert "shape (5, 4), expected (4, 5): it is the transpose" in str(report)
    report = check_gradients(
        (F.linear_forward, lambda dy, cache: (None, *F.linear_backward(dy, cache)[1:])), shapes
    )
    assert "x" in str(report)
    assert "returns no gradient" in str(report)
    report = check_gradients(
        (F.linear_forward, wrong_shape), shapes, sizes={"D": 4}, regimes=["usual"]
    )
    assert report.suggestions[0].startswith("the gradient of W equals the transpose: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": "T B Q"}, "'Q' in 'T B Q' has no size, expected one of T, B, D"),
        ({"x": "T B D!"}, "'D!' in 'T B D!', expected tokens such as T, 4H, H\\+D or 7"),
        ({"x": "T,B,D"}, "'T,B,D' in 'T,B,D', expected .* with spaces between them"),
        ({"x": "T B D", "seed": "a"}, "seed is 'a', expected a whole number from 0"),
        ({"x": "T B D", "seed": -1}, "seed is -1, expected a whole number from 0"),
        ({"x": "T B D", "cause_seconds": -1}, "cause_seconds is -1, expected at least 0"),
        ({"x": "T B D", "cause_seconds": "5"}, "cause_seconds is '5', expected at least 0"),
        ({"x": (12,)}, "x is a tuple of numbers, expected a shape such as 'T B D', an array"),
        ({"x": 12}, "with W H D, b H, x the number 12: "),
        ({"x": np.ones((2, 3, 4))}, r"W H D, b H, x of shape \(2, 3, 4\), D = 5, H = 4: "),
        ({"x": "T B D", "regimes": ["wild"]}, "'wild', expected some of usual, last-step-only"),
    ],
)
def test_arguments_that_cannot_be_read(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, FormError), match=message):
        check_gradients(
            (F.linear_forward, F.linear_backward),
            {"x": arguments.pop("x"), "W": "H D", "b": "H"},
            **arguments,
        )


def test_targets_that_cannot_be_checked() -> None:
    with pytest.raises(TypeError, match="expected a pair"):
        check_gradients(3, "T B D")
    with pytest.raises(TypeError, match="no arguments, expected those of forward"):
        check_gradients((F.linear_forward, F.linear_backward))
    with pytest.raises(TypeError, match="expected a pair: outputs and a cache"):
        check_gradients((np.tanh, lambda dy, _cache: dy), "T B D")
    with pytest.raises(TypeError, match=r"expected \(loss, gradient\)"):
        check_gradients(lambda theta: theta.sum(), "5")
    with pytest.raises(TypeError, match="returned 1 gradients, expected 3"):
        check_gradients((F.linear_forward, lambda _dy, _cache: (None,)), "T B D", "H D", "H")


def test_the_report_is_a_table() -> None:
    def off_at_one_row(dy: Array, cache: Any) -> Any:
        dx, dW, db = F.linear_backward(dy, cache)
        return dx * (1 + 1e-13 * (dy.shape[1] == 1)), dW, db  # its error is largest there

    report = check_gradients((F.linear_forward, off_at_one_row), "T B D", "H D", "H")
    assert report.rows[0].regime in ("one row", "one step")
    lines = str(report).splitlines()
    assert lines[0].startswith("linear: gradients by complex step, inputs: usual, last-step-only")
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["x", "11x3x5", "ok"],
        ["W", "4x5", "ok"],
        ["b", "4", "ok"],
    ]
    assert lines[-1] == "all gradients are right"
    pair = F.linear_forward, F.linear_backward
    one_row = check_gradients(pair, "T B D", "H D", "H", regimes=["one row"])
    assert one_row.regimes == ("one row",)
