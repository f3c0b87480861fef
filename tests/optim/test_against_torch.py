"""Every optimiser, option by option, equal to PyTorch's for many steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from numpy_rnn.optim import SGD, Adagrad, Adam, AdamW, RMSprop, clip_grad_norm, clip_grad_value
from numpy_rnn.parameters import Parameters

STEPS = 100

OPTIONS: list[tuple[Callable[..., Any], Callable[..., Any], dict[str, Any]]] = [
    (Adam, torch.optim.Adam, {}),
    (Adam, torch.optim.Adam, {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3}),
    (Adam, torch.optim.Adam, {"weight_decay": 0.1}),
    (Adam, torch.optim.Adam, {"amsgrad": True, "weight_decay": 0.01, "lr": 0.05}),
    (AdamW, torch.optim.AdamW, {}),
    (AdamW, torch.optim.AdamW, {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    (AdamW, torch.optim.AdamW, {"weight_decay": 0.0}),
    (SGD, torch.optim.SGD, {}),
    (SGD, torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    (SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (SGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (RMSprop, torch.optim.RMSprop, {}),
    (RMSprop, torch.optim.RMSprop, {"lr": 0.1, "alpha": 0.5, "eps": 1e-4, "weight_decay": 0.1}),
    (RMSprop, torch.optim.RMSprop, {"momentum": 0.9}),
    (RMSprop, torch.optim.RMSprop, {"centered": True}),
    (RMSprop, torch.optim.RMSprop, {"centered": True, "momentum": 0.5}),
    (Adagrad, torch.optim.Adagrad, {}),
    (Adagrad, torch.optim.Adagrad, {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.1}),
    (Adagrad, torch.optim.Adagrad, {"initial_accumulator_value": 0.5, "eps": 1e-3}),
]


def quadratic(dtype: type = np.float64) -> Parameters:
    """Twelve parameters in two shapes; their loss pulls each with another strength."""
    parameters = Parameters({"a": (2, 4), "b": (4,)}, dtype)
    parameters.data[...] = np.random.default_rng(0).standard_normal(12)
    return parameters


STRENGTH = np.logspace(-3, 1, 12)


def set_gradient(parameters: Parameters, step: int) -> None:
    noise = np.random.default_rng(step).standard_normal(12)
    parameters.grad[...] = STRENGTH * parameters.data + 0.1 * noise


@pytest.mark.parametrize(("ours", "theirs", "options"), OPTIONS)
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_equals_pytorch_step_by_step(
    ours: Any, theirs: Any, options: dict[str, Any], dtype: type, rtol: float
) -> None:
    parameters = quadratic(dtype)
    weight = torch.from_numpy(parameters.data.copy()).requires_grad_()
    mine, reference = ours(parameters, **options), theirs([weight], **options)
    for step in range(STEPS):
        set_gradient(parameters, step)
        weight.grad = torch.from_numpy(parameters.grad.copy())
        mine.step()
        reference.step()
        got, want = parameters.data, weight.detach().numpy()
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max())


@pytest.mark.parametrize(("ours", "theirs", "options"), OPTIONS)
def test_defaults_are_pytorchs(ours: Any, theirs: Any, options: dict[str, Any]) -> None:
    mine = ours(quadratic(), **options)
    group = theirs([torch.zeros(1, requires_grad=True)], **options).param_groups[0]
    for name in mine.hyperparameters:
        assert getattr(mine, name) == group[name], name


@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_clip_grad_norm_is_pytorchs(max_norm: float) -> None:
    parameters = quadratic()
    set_gradient(parameters, 0)
    weight = torch.zeros(12, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.from_numpy(parameters.grad.copy())
    norm = clip_grad_norm(parameters, max_norm)
    expected = torch.nn.utils.clip_grad_norm_([weight], max_norm)
    np.testing.assert_allclose(norm, expected.item(), rtol=1e-14)
    np.testing.assert_allclose(parameters.grad, weight.grad.numpy(), rtol=1e-14)


def test_clip_grad_value_is_pytorchs() -> None:
    parameters = quadratic()
    set_gradient(parameters, 0)
    weight = torch.zeros(12, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.from_numpy(parameters.grad.copy())
    clip_grad_value(parameters, 0.1)
    torch.nn.utils.clip_grad_value_([weight], 0.1)
    assert (np.abs(parameters.grad) == 0.1).any()
    np.testing.assert_array_equal(parameters.grad, weight.grad.numpy())
