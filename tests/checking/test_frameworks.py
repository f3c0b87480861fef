"""Backward passes written by hand for PyTorch."""

from __future__ import annotations

from typing import Any

import torch

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.changes import edits_of
from numpy_rnn.checking.edits import Source


class Tanh(torch.autograd.Function):
    """A layer with a backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, x: Any, W: Any) -> Any:
        y = torch.tanh(x @ W.T)
        ctx.save_for_backward(x, W, y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, W, y = ctx.saved_tensors
        dz = grads[0] * (1 - y**2)
        return dz @ W, torch.einsum("tbh,tbd->hd", dz, x)


class Wrong(Tanh):
    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        dx, dW = Tanh.backward(ctx, *grads)
        return dx, 2 * dW


def test_an_autograd_function_is_checked() -> None:
    report = check_gradients(Tanh, "T B D", "H D")
    assert report.ok, str(report)
    assert [row.name for row in report.rows] == ["x", "W"]
    report = check_gradients(Wrong.apply, "T B D", "H D", regimes=["usual"])
    assert report.suggestions == [
        "the gradient of W is off by a constant factor 2: is a factor missing, or one too many?"
    ]


def test_a_function_that_calls_torch_is_checked() -> None:
    def layer(x: Any, W: Any) -> Any:
        function: Any = Wrong
        return function.apply(torch.relu(x), W)

    report = check_gradients(layer, "T B D", "H D", regimes=["usual"])
    assert [row.name for row in report.rows if not row.right] == ["W"]
    assert report.method == "central differences"
    assert report.worst > 0.1


class Frozen(Tanh):
    """Wrong only if the weights need no gradient."""

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        dx, dW = Tanh.backward(ctx, *grads)
        return dx if ctx.needs_input_grad[1] else 0 * dx, dW


class Lookup(torch.autograd.Function):
    """A table; a token that comes twice has the gradient of its last place only."""

    @staticmethod
    def forward(ctx: Any, tokens: Any, W: Any) -> Any:
        ctx.save_for_backward(tokens, W)
        return W[tokens]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        tokens, W = ctx.saved_tensors
        dW = torch.zeros_like(W)
        dW[tokens] = grads[0]
        return None, dW


def test_a_gradient_that_alone_is_wanted() -> None:
    report = check_gradients(Frozen, "T B D", "H D", cause_seconds=0)
    assert [row.name for row in report.rows if not row.right] == ["x"]
    assert report.rows[0].regime == "with one gradient wanted"


def test_tensors_of_indices() -> None:
    tokens: Any = torch.tensor([3, 0, 1])
    report = check_gradients(Lookup, tokens, "V H", cause_seconds=0)
    assert [row.name for row in report.rows if not row.right] == ["W"]


class Attention(torch.autograd.Function):
    """A division by a number of the code, beside tensors that ask for a gradient."""

    @staticmethod
    def forward(ctx: Any, q: Any, k: Any) -> Any:
        ctx.save_for_backward(q, k)
        return q @ k.T / q.shape[-1] ** 0.5

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        q, k = ctx.saved_tensors
        ds = grads[0] / q.shape[-1] ** 0.5
        return ds @ k, ds.T @ q * 2


def test_the_search_for_a_cause_takes_tensors_that_ask_for_a_gradient() -> None:
    backward: Any = Attention.backward
    values = {name: torch.ones(2, 2, requires_grad=True) for name in ("q", "k", "ds")}
    source = Source(backward, (backward.__globals__, values))
    assert len(list(edits_of(source, [source]))) > 10
