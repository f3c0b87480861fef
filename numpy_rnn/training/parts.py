"""The parts of a trainer: the base of its callbacks, and the check that all parts fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, ClassVar, NamedTuple

from numpy_rnn.arguments import Check, check_kind
from numpy_rnn.layers.base import Layer
from numpy_rnn.layers.losses import Loss
from numpy_rnn.optim import Optimizer
from numpy_rnn.training.data import Described, Source
from numpy_rnn.training.state import check_entries


class StepInfo(NamedTuple):
    """The number of a step, from 1, its loss, its gradient's norm before clipping, and its rate.

    Examples
    --------
    >>> StepInfo(number=1, loss=0.7, norm=2.0, lr=0.01).loss
    0.7
    """

    number: int
    loss: float
    norm: float
    lr: float


class Callback(Described):
    """Base of the callbacks: each method does nothing unless it is overridden.

    Attributes
    ----------
    name : str
        The name of its state in a checkpoint; "" for a callback without a state.
    state : mapping of str to callable
        The attributes that are its state. Each has a function of where the value is, its name and
        the value from a file, which converts it, or raises TypeError or ValueError.

    Examples
    --------
    >>> class Print(Callback):
    ...     def after_step(self, trainer, step):
    ...         print(f"step {step.number}: {step.loss:.3f}")
    >>> Print().after_step(None, StepInfo(number=1, loss=0.7, norm=2.0, lr=0.01))
    step 1: 0.700
    """

    name: str = ""
    state: ClassVar[Mapping[str, Check]] = {}

    def attach(self, trainer: Any) -> None:
        """Receive the trainer, before its first step."""

    def begin(self, trainer: Any) -> None:
        """Act before the first step of a fit."""

    def after_step(self, trainer: Any, step: StepInfo) -> None:
        """Act after a step."""

    def end(self, trainer: Any) -> None:
        """Act after the last step of a fit, also of an interrupted one."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the rest of the run depends on."""
        return {name: copy(getattr(self, name)) for name in self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        where = f"state of the callback {self.name!r}"
        for name, value in check_entries(where, state, self.state).items():
            setattr(self, name, value)  # which may be a property


def check_parts(
    model: Layer, criterion: Loss, optimizer: Optimizer, source: Source, callbacks: Any
) -> None:
    """Raise TypeError or ValueError if the parts of a trainer do not fit together."""
    for name, part, kind, expected in (
        ("model", model, Layer, ""),
        ("criterion", criterion, Loss, ""),
        ("optimizer", optimizer, Optimizer, ""),
        ("source", source, Source, "a Source, such as Windows or Examples"),
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
