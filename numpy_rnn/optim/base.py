"""The base class of the optimisers: one flat vector, changed in place."""

from __future__ import annotations

import inspect
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.parameters import Parameters


class Optimizer(ABC):
    """Base of the optimisers.

    A subclass names its moments, keeps each argument of its constructor under the argument's name,
    and implements one method, :meth:`_update`. A moment is a vector with the layout of the
    parameters. Every constructor raises TypeError for an option of another type and ValueError for
    a number out of its range.

    Parameters
    ----------
    parameters : Parameters
        The parameters that :meth:`step` changes.
    lr : float
        Learning rate; may be set between steps.
    weight_decay : float
        Weight of an L2 penalty: before each step, g <- g + weight_decay theta.
    moments : tuple of str
        Names of the moments, which are zero at first.

    Attributes
    ----------
    num_steps : int
        Number of steps taken.
    moments : dict of str to (N,) array
        The running means of this optimiser, by PyTorch's names.

    Examples
    --------
    >>> class SignSGD(Optimizer):
    ...     def __init__(self, parameters, lr):
    ...         super().__init__(parameters, lr, weight_decay=0.0, moments=())
    ...     def _update(self, theta, g):
    ...         theta -= self.lr * np.sign(g)
    >>> SignSGD(Parameters({"w": (2,)}, np.float64), lr=0.1)
    SignSGD(lr=0.1)
    """

    def __init__(
        self, parameters: Parameters, lr: float, weight_decay: float, moments: tuple[str, ...]
    ) -> None:
        if not isinstance(parameters, Parameters):
            raise TypeError(
                f"{type(self).__name__}: parameters is a {type(parameters).__name__}, "
                "expected a layer's or model's .parameters"
            )
        self.parameters = parameters
        self.lr = self._non_negative("lr", lr)
        self.weight_decay = self._non_negative("weight_decay", weight_decay)
        self.num_steps = 0
        self.moments = {name: np.zeros_like(parameters.data) for name in moments}
        self._work = np.empty_like(parameters.data)

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of the constructor's arguments after the parameters."""
        return tuple(inspect.signature(type(self)).parameters)[1:]

    def __repr__(self) -> str:
        options = (f"{name}={getattr(self, name)!r}" for name in self.hyperparameters)
        return f"{type(self).__name__}({', '.join(options)})"

    def step(self) -> None:
        """Update the parameters once, with the gradients as they are."""
        self.num_steps += 1
        theta = self.parameters.data
        self._update(theta, self._decay(theta, self.parameters.grad))

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self.parameters.zero_grad()

    def _decay(self, theta: Array, g: Array) -> Array:
        """Return the gradient with the weight decay in it. `g` stays unchanged."""
        return g + self.weight_decay * theta if self.weight_decay else g

    @abstractmethod
    def _update(self, theta: Array, g: Array) -> None:
        """Change `theta` (N,) in place with the gradient `g` (N,), which stays unchanged."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next steps depend on, besides the parameters.

        These are ``step``, the hyperparameters and copies of the moments, by PyTorch's names.
        """
        return (
            {"step": self.num_steps}
            | {name: getattr(self, name) for name in self.hyperparameters}
            | {name: moment.copy() for name, moment in self.moments.items()}
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` of an optimiser of the same class and size returned.

        If something is missing, unexpected, misshapen or out of its range, there is a ValueError
        and nothing changes.
        """
        where = f"{type(self).__name__}.load_state_dict"
        missing = [name for name in ("step", *self.hyperparameters) if name not in state]
        if missing:
            raise ValueError(f"{where}: {', '.join(map(repr, missing))} missing")
        try:  # the constructor checks the numbers and knows which moments there are
            new = type(self)(self.parameters, **{k: state[k] for k in self.hyperparameters})
            new.num_steps = operator.index(state["step"])
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

    def _non_negative(self, name: str, value: float) -> float:
        return self._number(name, value, math.inf, "a finite number >= 0")

    def _decay_rate(self, name: str, value: float) -> float:
        return self._number(name, value, 1, f"0 <= {name} < 1")

    def _number(self, name: str, value: float, limit: float, expected: str) -> float:
        """Return a number of the constructor as a float, if 0 <= number < limit."""
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"{type(self).__name__}: {name} is {value!r}, expected a number")
        if not 0 <= value < limit:
            raise ValueError(f"{type(self).__name__}: {name} is {value!r}, expected {expected}")
        return float(value)

    def _flag(self, name: str, value: bool) -> bool:
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{type(self).__name__}: {name} is {value!r}, expected True or False")
        return bool(value)
