"""What every optimiser shares: one flat vector in, one flat vector changed in place."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.parameters import Parameters


class Optimizer(ABC):
    """Base of the optimisers.

    A subclass names its hyperparameters and its moments and writes one method,
    :meth:`_update`. A moment is a vector with the layout of the parameters.

    Attributes
    ----------
    parameters : Parameters
        What :meth:`step` changes.
    lr : float
        Learning rate; may be set between steps.
    steps : int
        How many steps were taken.
    """

    hyperparameters: tuple[str, ...] = ("lr", "weight_decay")

    def __init__(
        self, parameters: Parameters, lr: float, weight_decay: float, moments: tuple[str, ...]
    ) -> None:
        if not isinstance(parameters, Parameters):
            raise TypeError(
                f"{type(self).__name__}: parameters is a {type(parameters).__name__}, "
                "expected a layer's or model's .parameters"
            )
        self.parameters = parameters
        self.lr = self._at_least_zero("lr", lr)
        self.weight_decay = self._at_least_zero("weight_decay", weight_decay)
        self.steps = 0
        self.moments = {name: np.zeros_like(parameters.data) for name in moments}
        self._work = np.empty_like(parameters.data)

    def step(self) -> None:
        """Change the parameters once, by the gradients as they stand."""
        self.steps += 1
        self._update(self.parameters.data, self.parameters.grad)

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self.parameters.zero_grad()

    @abstractmethod
    def _update(self, theta: Array, g: Array) -> None:
        """Change `theta` (N,) in place by the gradient `g` (N,), which stays as it is."""

    def _decayed(self, theta: Array, g: Array) -> Array:
        """Return the gradient of L + weight_decay / 2 |theta|^2 (L2 regularisation)."""
        return g + self.weight_decay * theta if self.weight_decay else g

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next steps depend on, besides the parameters.

        Returns
        -------
        state : dict
            ``step``, the hyperparameters, and a copy of each moment (N,) under PyTorch's name.
        """
        return (
            {"step": self.steps}
            | {name: getattr(self, name) for name in self.hyperparameters}
            | {name: moment.copy() for name, moment in self.moments.items()}
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned. All of it, or on an error nothing.

        Parameters
        ----------
        state : mapping
            From an optimiser of the same class over as many parameters; its hyperparameters
            come along.

        Raises
        ------
        ValueError
            Naming what is missing, unexpected, misshapen or out of its range.
        """
        where = f"{type(self).__name__}.load_state_dict"
        missing = [name for name in ("step", *self.hyperparameters) if name not in state]
        if missing:
            raise ValueError(f"{where}: {', '.join(map(repr, missing))} missing")
        try:  # the constructor knows what each number may be, and which moments there are
            new = type(self)(self.parameters, **{k: state[k] for k in self.hyperparameters})
            new.steps = operator.index(state["step"])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from None
        expected = new.state_dict()
        wrong = [f"{name!r} is missing" for name in expected if name not in state]
        wrong += [f"{name!r} is unexpected" for name in state if name not in expected]
        for name, moment in new.moments.items():
            shape = np.shape(state.get(name, moment))
            if shape != moment.shape:
                wrong.append(f"{name!r} has shape {shape}, expected {moment.shape}")
        if wrong:
            raise ValueError(f"{where}: {'; '.join(wrong)}")
        for name, moment in new.moments.items():
            moment[...] = state[name]
        vars(self).update(vars(new))

    def _at_least_zero(self, name: str, value: float) -> float:
        if not (value >= 0 and math.isfinite(value)):
            raise ValueError(
                f"{type(self).__name__}: {name} is {value!r}, expected a finite number >= 0"
            )
        return float(value)

    def _decay_rate(self, name: str, value: float) -> float:
        if not 0 <= value < 1:
            raise ValueError(
                f"{type(self).__name__}: {name} is {value!r}, expected 0 <= {name} < 1"
            )
        return float(value)
