"""Details of the optimisers: edges of their numbers, and states that are copies."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from numpy_rnn.parameters import Parameters
from tests.optim.test_against_torch import OPTIONS, STEPS, quadratic, set_gradient

ZERO_DECAY_RATES = [
    (Adam, torch.optim.Adam, {"betas": (0.0, 0.0)}),
    (Adam, torch.optim.Adam, {"betas": (0.0, 0.9), "amsgrad": True}),
    (AdamW, torch.optim.AdamW, {"betas": (0.9, 0.0)}),
    (RMSprop, torch.optim.RMSprop, {"alpha": 0.0}),
]


@pytest.mark.parametrize(("ours", "theirs", "options"), ZERO_DECAY_RATES)
def test_a_mean_may_keep_nothing_of_its_past(
    ours: Any, theirs: Any, options: dict[str, Any]
) -> None:
    parameters = quadratic()
    weight = torch.from_numpy(parameters.data.copy()).requires_grad_()
    mine, reference = ours(parameters, **options), theirs([weight], **options)
    for step in range(STEPS):
        set_gradient(parameters, step)
        weight.grad = torch.from_numpy(parameters.grad.copy())
        mine.step()
        reference.step()
        np.testing.assert_allclose(parameters.data, weight.detach().numpy(), rtol=1e-11)


@pytest.mark.parametrize(
    ("kind", "options"),
    [(SGD, {}), (SGD, {"momentum": 0.9}), (Adam, {}), (AdamW, {}), (RMSprop, {}), (Adagrad, {})],
)
def test_a_step_takes_no_memory(kind: Any, options: dict[str, Any]) -> None:
    parameters = Parameters({"a": (100_000,)}, np.float64)
    optimizer = kind(parameters, **options)
    parameters.grad[...] = 1
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < parameters.data.nbytes / 2


@pytest.mark.parametrize(
    ("ours", "theirs"), [(SGD, torch.optim.SGD), (RMSprop, torch.optim.RMSprop)]
)
def test_there_is_a_velocity_if_there_is_momentum(ours: Any, theirs: Any) -> None:
    assert "momentum_buffer" not in ours(quadratic()).moments
    parameters = quadratic()
    weight = torch.from_numpy(parameters.data.copy()).requires_grad_()
    mine, reference = ours(parameters, momentum=1.0), theirs([weight], momentum=1.0)
    for step in range(5):  # nothing of the velocity is lost
        set_gradient(parameters, step)
        weight.grad = torch.from_numpy(parameters.grad.copy())
        mine.step()
        reference.step()
        np.testing.assert_allclose(parameters.data, weight.detach().numpy(), rtol=1e-12)


def test_nesterov_says_what_it_needs() -> None:
    expected = (
        "SGD: nesterov with momentum 0.9 and dampening 0.1, expected momentum > 0 and dampening 0"
    )
    with pytest.raises(ValueError, match=f"^{expected}$"):
        SGD(quadratic(), momentum=0.9, dampening=0.1, nesterov=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_centered_square_below_zero_counts_as_zero(dtype: type) -> None:
    parameters = quadratic(dtype)
    optimizer = RMSprop(parameters, lr=0.1, eps=0.5, centered=True)
    optimizer.moments["square_avg"][...] = 0
    optimizer.moments["grad_avg"][...] = 1  # a mean whose square is above the mean square
    parameters.grad[...] = np.linspace(-0.3, 0.3, 12)
    expected = parameters.data - 0.1 * parameters.grad / 0.5
    optimizer.step()
    np.testing.assert_allclose(parameters.data, expected, rtol=1e-6)


@pytest.mark.parametrize(("kind", "_", "options"), OPTIONS)
def test_a_loaded_state_is_copied(kind: Any, _: Any, options: dict[str, Any]) -> None:
    source, loaded = (kind(quadratic(), **options) for _ in range(2))
    set_gradient(source.parameters, 0)
    source.step()
    state, untouched = source.state_dict(), source.state_dict()
    loaded.load_state_dict(state)
    for name in source.moments:
        state[name][...] = 99
    for name, value in loaded.state_dict().items():
        np.testing.assert_array_equal(value, untouched[name])
    set_gradient(loaded.parameters, 1)
    loaded.step()
    for name in source.moments:
        assert (state[name] == 99).all()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Adagrad, {"eps": -1e-10}, "Adagrad: eps is -1e-10, expected a finite number >= 0"),
        (Adagrad, {"lr": -1.0}, "Adagrad: lr is -1.0, expected"),
        (Adagrad, {"weight_decay": -1.0}, "Adagrad: weight_decay is -1.0, expected"),
        (RMSprop, {"momentum": -0.1}, "RMSprop: momentum is -0.1, expected a finite number >= 0"),
        (RMSprop, {"eps": -1.0}, "RMSprop: eps is -1.0, expected"),
        (RMSprop, {"alpha": -0.1}, "RMSprop: alpha is -0.1, expected 0 <= alpha < 1"),
        (SGD, {"dampening": -0.1}, "SGD: dampening is -0.1, expected a finite number >= 0"),
        (SGD, {"momentum": 0.9, "dampening": -0.1}, "SGD: dampening is -0.1, expected"),
        (Adam, {"betas": (-0.1, 0.9)}, "Adam: beta1 is -0.1, expected 0 <= beta1 < 1"),
        (Adam, {"betas": (0.9, 1.0)}, "Adam: beta2 is 1.0, expected 0 <= beta2 < 1"),
    ],
)
def test_numbers_out_of_range(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(quadratic(), **options)


def test_an_optimiser_of_something_else_says_what_it_expects() -> None:
    expected = r"Adam: parameters is a dict, expected a layer's or model's \.parameters"
    with pytest.raises(TypeError, match=f"^{expected}$"):
        Adam({})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "option", "value", "moment"),
    [
        (SGD, "momentum", 0.9, "momentum_buffer"),
        (RMSprop, "momentum", 0.9, "momentum_buffer"),
        (RMSprop, "centered", True, "grad_avg"),
        (Adam, "amsgrad", True, "max_exp_avg_sq"),
    ],
)
def test_an_option_switched_on_and_off_between_steps(
    kind: Any, option: str, value: Any, moment: str
) -> None:
    parameters = quadratic()
    optimizer = kind(parameters)
    before = getattr(optimizer, option)
    for new in (before, value, before):
        setattr(optimizer, option, new)
        assert (moment in optimizer.moments) == bool(new)
        set_gradient(parameters, 0)
        optimizer.step()
        kind(quadratic()).load_state_dict(optimizer.state_dict())


def test_a_new_value_of_an_option_is_checked() -> None:
    optimizer = Adam(quadratic())
    for option, value in (("lr", "1"), ("lr", -1), ("betas", (0.9,)), ("eps", None)):
        with pytest.raises((TypeError, ValueError), match=f"Adam: {option} is .* expected"):
            setattr(optimizer, option, value)


@pytest.mark.parametrize(
    ("entry", "value"),
    [("step", -1), ("exp_avg", np.full(12, np.nan)), ("exp_avg_sq", np.full(12, -1.0))],
)
def test_a_state_that_no_run_has_is_refused(entry: str, value: Any) -> None:
    optimizer = Adam(quadratic())
    with pytest.raises(ValueError, match=rf"^Adam.load_state_dict: .*{entry}.* expected"):
        optimizer.load_state_dict(optimizer.state_dict() | {entry: value})
    assert optimizer.num_steps == 0
