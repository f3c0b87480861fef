"""The checks that the parts of a trainer fit together, made before its first step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy_rnn.arguments import check_kind
from numpy_rnn.layers.base import Layer
from numpy_rnn.layers.losses import Loss
from numpy_rnn.optim import Optimizer
from numpy_rnn.training.callback import Callback
from numpy_rnn.training.data import Source


def check_parts(
    model: Layer, criterion: Loss, optimizer: Optimizer, source: Source, callbacks: Any
) -> None:
    """Raise TypeError or ValueError if the parts of a trainer do not fit together."""
    for name, part, kind, expected in (
        ("model", model, Layer, ""),
        ("criterion", criterion, Loss, ""),
        ("optimizer", optimizer, Optimizer, ""),
        ("source", source, Source, "Windows or Examples"),
        ("callbacks", callbacks, Sequence, "a list of Callback"),
    ):
        check_kind("Trainer", name, part, kind, expected)
    for number, callback in enumerate(callbacks):
        check_kind("Trainer", f"callbacks[{number}]", callback, Callback)
    named = [callback.name for callback in callbacks if callback.name]
    if len(set(named)) < len(named):
        raise ValueError(
            f"Trainer: callbacks are named {named}, expected different names; "
            "set the attribute name of one"
        )
    if optimizer.parameters is not model.parameters:
        raise ValueError("Trainer: optimizer has other parameters, expected the model's")
    if getattr(model, "batch_first", False):
        raise ValueError("Trainer: model has batch_first=True, expected a time-major one")
    if source.carries and not model.causal:
        raise ValueError(
            f"Trainer: model is {model!r}, and the source carries states from window to window, "
            "expected a model of one direction"
        )
    if criterion.reduction != "mean":
        raise ValueError(f"Trainer: reduction is {criterion.reduction!r}, expected 'mean'")
