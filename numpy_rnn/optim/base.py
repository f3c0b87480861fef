"""The base class of the optimisers: one flat vector, changed in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from numpy_rnn.arguments import (
    Validated,
    as_array,
    check_mapping,
    check_non_negative,
    check_size,
    checked,
    constructor_arguments,
)
from numpy_rnn.functional.types import Array
from numpy_rnn.parameters import Parameters, check_parameters
from numpy_rnn.text import wrong_names

# Moments whose root is taken.
SQUARES = ("sum", "square_avg", "exp_avg_sq", "max_exp_avg_sq")


@dataclass(repr=False, eq=False)
class Optimizer(Validated, ABC):
    """Base of the optimisers.

    A subclass names its moments in ``MOMENTS`` and implements :meth:`_update`. A moment is a vector
    with the layout of the parameters. Options besides `lr` are fields, each with its check, of a
    ``@dataclass(repr=False, eq=False)``, as in ``sgd.py``. Every constructor raises TypeError for
    an option of another type and ValueError for a number out of its range.

    Parameters
    ----------
    parameters : Parameters
        The parameters that :meth:`step` changes.
    lr : float
        Learning rate. It may be set between steps, as every option may. A new value is checked,
        and a moment that it adds is zero.

    Attributes
    ----------
    weight_decay : float
        Weight of an L2 penalty: before each step, g <- g + weight_decay theta. It is 0 if a
        subclass has no such option.
    num_steps : int
        Number of steps taken.
    moments : dict of str to (N,) array
        The running means of this optimiser, by PyTorch's names.

    Examples
    --------
    >>> class SignSGD(Optimizer):
    ...     def _update(self, theta, g):
    ...         theta -= self.lr * np.sign(g)
    >>> SignSGD(Parameters({"w": (2,)}, np.float64), lr=0.1)
    SignSGD(lr=0.1)
    """

    parameters: Parameters = field(
        metadata={"check": lambda where, _, given: check_parameters(where, given)}
    )
    lr: float = checked(1e-3, check_non_negative)
    weight_decay = 0.0  # a field in the subclasses that have it
    # The name of each moment, and the option that needs it, or "" if it is always needed.
    MOMENTS: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        """Check the options, and set the moments to zero."""
        super().__post_init__()
        self.num_steps = 0
        self.moments = {
            name: np.zeros_like(self.parameters.data)
            for name, option in self.MOMENTS.items()
            if not option or getattr(self, option)
        }
        self._work = np.empty_like(self.parameters.data)

    def __setattr__(self, name: str, value: Any) -> None:
        """Check a new value of an option, and add or drop the moments that depend on it."""
        if name == "lr":
            value = check_non_negative(type(self).__name__, name, value)
        elif name in self.__dict__ and name in self.hyperparameters:
            options = {option: getattr(self, option) for option in self.hyperparameters}
            new = type(self)(Parameters({}, self.parameters.dtype), **options | {name: value})
            value = getattr(new, name)
            names, zero = new.moments, np.zeros_like(self.parameters.data)
            self.moments = {k: self.moments.get(k, zero.copy()) for k in names}
        super().__setattr__(name, value)

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of the constructor's arguments after the parameters."""
        return tuple(constructor_arguments(type(self)))[1:]

    def __repr__(self) -> str:
        options = (f"{name}={getattr(self, name)!r}" for name in self.hyperparameters)
        return f"{type(self).__name__}({', '.join(options)})"

    def step(self) -> None:
        """Update the parameters once, with the gradients as they are."""
        self.__dict__["num_steps"] += 1  # no option, so that nothing has to be checked
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
        check_mapping(where, "state", state)
        options = {name: state.get(name, getattr(self, name)) for name in self.hyperparameters}
        try:  # the constructor checks the numbers and knows which moments there are
            new = type(self)(self.parameters, **options)
            new.num_steps = check_size("state", "step", state.get("step", 0), least=0)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from None
        wrong = wrong_names(state, ("step", *options, *new.moments))
        for name, moment in new.moments.items():
            given = as_array(where, name, state.get(name, moment))
            if given.shape != moment.shape:
                wrong.append(f"{name!r} has shape {given.shape}, expected {moment.shape}")
            elif given.dtype.kind not in "fiu":
                wrong.append(f"{name!r} has dtype {given.dtype}, expected real numbers")
            elif np.isnan(given).any() or (name in SQUARES and (given < 0).any()):
                wrong.append(f"{name!r} has NaN or a negative square, expected a moment")
        if wrong:
            raise ValueError(f"{where}: {'; '.join(wrong)}")
        for name, moment in new.moments.items():
            moment[...] = state[name]
        vars(self).update(vars(new))
