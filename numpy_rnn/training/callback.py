"""Callback: the base of what is called between two steps, and what it is told of a step."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, NamedTuple

from numpy_rnn.arguments import Check
from numpy_rnn.training.data import Described
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
        vars(self).update(check_entries(where, state, self.state))
