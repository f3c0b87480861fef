"""Properties of the optimisers besides their numbers."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from numpy_rnn.optim import SGD, Adagrad, Adam, AdamW, RMSprop, clip_grad_norm, clip_grad_value
from numpy_rnn.parameters import Parameters
from tests.optim.test_against_torch import OPTIONS, quadratic, set_gradient


@pytest.mark.parametrize(("kind", "_", "options"), OPTIONS)
def test_a_restored_optimiser_goes_on_bit_by_bit(
    kind: Any, _: Any, options: dict[str, Any]
) -> None:
    parameters = quadratic()
    optimizer = kind(parameters, **options)

    def steps(numbers: range) -> None:
        for step in numbers:
            set_gradient(parameters, step)
            optimizer.step()

    steps(range(5))
    weights, state = parameters.data.copy(), optimizer.state_dict()
    steps(range(5, 10))
    expected = parameters.data.tobytes()

    parameters.data[...] = weights
    optimizer = kind(parameters, **options | {"lr": 123.0})  # the state brings its own back
    optimizer.load_state_dict(state)
    assert optimizer.num_steps == 5
    steps(range(5, 10))
    assert parameters.data.tobytes() == expected


@pytest.mark.parametrize(("kind", "_", "options"), OPTIONS)
def test_a_state_is_a_copy_and_gradients_stay(kind: Any, _: Any, options: dict[str, Any]) -> None:
    parameters = quadratic()
    optimizer = kind(parameters, **options)
    before = optimizer.state_dict()
    copies = {name: np.copy(value) for name, value in before.items()}
    set_gradient(parameters, 0)
    gradient = parameters.grad.copy()
    optimizer.step()
    np.testing.assert_array_equal(parameters.grad, gradient)
    for name, value in copies.items():
        np.testing.assert_array_equal(before[name], value)


@pytest.mark.parametrize(("kind", "_", "options"), OPTIONS)
def test_dtype_stays_float32(kind: Any, _: Any, options: dict[str, Any]) -> None:
    parameters = quadratic(np.float32)
    optimizer = kind(parameters, **options)
    set_gradient(parameters, 0)
    optimizer.step()
    assert parameters.data.dtype == np.float32
    assert all(moment.dtype == np.float32 for moment in optimizer.moments.values())


@pytest.mark.parametrize(("kind", "_", "options"), OPTIONS)
def test_zero_grad_and_a_new_lr(kind: Any, _: Any, options: dict[str, Any]) -> None:
    parameters = quadratic()
    optimizer = kind(parameters, **options)
    set_gradient(parameters, 0)
    optimizer.zero_grad()
    assert not parameters.grad.any()
    optimizer.lr = 0.0
    weights = parameters.data.copy()
    set_gradient(parameters, 0)
    optimizer.step()
    np.testing.assert_array_equal(parameters.data, weights)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    optimizer = Adam(quadratic())
    state = optimizer.state_dict()
    del state["exp_avg"]
    state["exp_avg_sq"] = np.ones(3)
    state["speed"] = 1
    with pytest.raises(ValueError, match=r"Adam\.load_state_dict") as caught:
        optimizer.load_state_dict(state)
    assert str(caught.value) == (
        "Adam.load_state_dict: 'exp_avg' is missing; 'speed' is unexpected; "
        "'exp_avg_sq' has shape (3,), expected (12,)"
    )
    assert optimizer.num_steps == 0
    assert not optimizer.moments["exp_avg_sq"].any()


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("lr", -3.0, "Adam.load_state_dict: Adam: lr is -3.0, expected a finite number >= 0"),
        ("lr", "abc", "Adam.load_state_dict: "),
        ("step", 1.5, "Adam.load_state_dict: "),
        ("step", None, "Adam.load_state_dict: "),
        ("betas", 0.9, "Adam.load_state_dict: "),
    ],
)
def test_a_state_with_a_wrong_number_changes_nothing(
    entry: str, value: object, message: str
) -> None:
    optimizer = Adam(quadratic(), lr=0.5)
    before = str(optimizer.state_dict())
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(Adam(quadratic()).state_dict() | {entry: value})
    assert str(optimizer.state_dict()) == before


def test_a_state_brings_its_options_along() -> None:
    optimizer = Adam(quadratic(), lr=1)
    optimizer.load_state_dict(Adam(quadratic(), lr=0.1, amsgrad=True).state_dict())
    assert optimizer.lr == 0.1
    assert "max_exp_avg_sq" in optimizer.moments


def test_a_state_without_hyperparameters_is_named() -> None:
    with pytest.raises(ValueError, match="load_state_dict: 'step' is missing; 'betas' is missing"):
        Adam(quadratic()).load_state_dict(
            {"lr": 1.0, "weight_decay": 0.0, "eps": 0.1, "amsgrad": False}
        )


@pytest.mark.parametrize(("kind", "_", "options"), OPTIONS)
def test_a_repr_shows_every_option_and_is_the_call(
    kind: Any, _: Any, options: dict[str, Any]
) -> None:
    optimizer = kind(quadratic(), **options)
    shown = repr(optimizer).removeprefix(f"{kind.__name__}(")
    again = eval(f"{kind.__name__}(quadratic(), {shown}")  # noqa: S307 (our own)
    assert again.state_dict().keys() == optimizer.state_dict().keys()
    for name in inspect.signature(kind).parameters:
        if name != "parameters":
            assert getattr(again, name) == getattr(optimizer, name)
            assert f"{name}={getattr(optimizer, name)!r}" in shown


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Adam, {"amsgrad": "False"}, "Adam: amsgrad is 'False', expected True or False"),
        (AdamW, {"amsgrad": 1}, "AdamW: amsgrad is 1, expected True or False"),
        (SGD, {"momentum": 0.9, "nesterov": "no"}, "SGD: nesterov is 'no', expected True or"),
        (RMSprop, {"centered": None}, "RMSprop: centered is None, expected True or False"),
        (Adam, {"lr": "1"}, "Adam: lr is '1', expected a number"),
        (Adagrad, {"lr": None}, "Adagrad: lr is None, expected a number"),
        (SGD, {"lr": True}, "SGD: lr is True, expected a number"),
        (Adam, {"betas": 0.9}, "Adam: betas is 0.9, expected two numbers"),
        (Adam, {"betas": (0.9,)}, r"Adam: betas is \(0.9,\), expected two numbers"),
        (RMSprop, {"alpha": "a"}, "RMSprop: alpha is 'a', expected a number"),
    ],
)
def test_options_of_another_type(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}"):
        kind(quadratic(), **options)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Adam, {"lr": -1.0}, "Adam: lr is -1.0, expected a finite number >= 0"),
        (Adam, {"lr": float("nan")}, "Adam: lr is nan"),
        (Adam, {"betas": (1.0, 0.9)}, "Adam: beta1 is 1.0, expected 0 <= beta1 < 1"),
        (Adam, {"betas": (0.9, -0.1)}, "Adam: beta2 is -0.1"),
        (Adam, {"eps": -1e-8}, "Adam: eps is -1e-08"),
        (AdamW, {"weight_decay": -1.0}, "AdamW: weight_decay is -1.0"),
        (SGD, {"momentum": -0.1}, "SGD: momentum is -0.1"),
        (SGD, {"nesterov": True}, "SGD: nesterov with momentum 0.0 and dampening 0.0"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "SGD: nesterov with"),
        (RMSprop, {"alpha": 1.0}, "RMSprop: alpha is 1.0"),
        (RMSprop, {"eps": float("inf")}, "RMSprop: eps is inf"),
        (Adagrad, {"lr_decay": -1.0}, "Adagrad: lr_decay is -1.0"),
        (Adagrad, {"initial_accumulator_value": -1.0}, "Adagrad: initial_accumulator_value is"),
    ],
)
def test_numbers_out_of_range(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(quadratic(), **options)


def test_centered_rmsprop_survives_a_constant_gradient() -> None:
    parameters = quadratic(np.float32)
    optimizer = RMSprop(parameters, centered=True, lr=1e-3)
    parameters.grad[...] = 0.3
    for _ in range(2000):
        optimizer.step()
    assert np.isfinite(parameters.data).all()


@pytest.mark.parametrize("size", [0, 12])
def test_clipping_keeps_what_cannot_be_scaled(size: int) -> None:
    parameters = Parameters({"a": (size,)}, np.float32)
    assert clip_grad_norm(parameters, 1.0) == 0
    if size:
        parameters.grad[0] = np.inf
        assert clip_grad_norm(parameters, 1.0) == np.inf
        assert parameters.grad[0] == np.inf
        parameters.grad[0] = np.nan
        assert np.isnan(clip_grad_norm(parameters, 1.0))


def test_a_norm_that_overflows_leaves_the_gradients() -> None:
    parameters = Parameters({"a": (6,)}, np.float64)
    parameters.grad[...] = 1e308
    assert clip_grad_norm(parameters, 1.0) == np.inf
    assert (parameters.grad == 1e308).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_norm_neither_overflows_nor_vanishes_in_float32(scale: float) -> None:
    parameters = Parameters({"a": (2,)}, np.float32)
    parameters.grad[...] = 3 * scale, 4 * scale
    np.testing.assert_allclose(clip_grad_norm(parameters, 1.0), 5 * scale, rtol=1e-6)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), None, "1"])
def test_limits_must_be_above_zero(limit: Any) -> None:
    expected = f"is {limit!r}, expected a number"
    with pytest.raises((TypeError, ValueError), match=f"^clip_grad_norm: max_norm {expected}"):
        clip_grad_norm(quadratic(), limit)
    with pytest.raises((TypeError, ValueError), match=f"^clip_grad_value: clip_value {expected}"):
        clip_grad_value(quadratic(), limit)
