"""What every layer has, and what every recurrent layer has besides."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy_rnn.functional.contract import Keep
from numpy_rnn.functional.types import Array
from numpy_rnn.parameters import IncompatibleKeys, Parameters

if TYPE_CHECKING:  # see functional/types.py
    from numpy.random import Generator


class Module:
    """Something with parameters: a layer, or a model made of layers.

    Attributes
    ----------
    parameters : Parameters
        One flat vector of weights, one of gradients. ``backward`` adds to the gradients;
        they accumulate until :meth:`zero_grad`.
    training : bool
        Whether dropout is on.
    """

    parameters: Parameters
    training: bool = True

    def train(self, mode: bool = True) -> None:
        """Say whether dropout is on: in training, not when the model is used."""
        self.training = mode

    def eval(self) -> None:
        """Switch dropout off."""
        self.train(mode=False)

    def generators(self) -> list[Generator]:
        """Return the random generators that ``forward`` draws from in training."""
        return []

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self.parameters.zero_grad()

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter, under PyTorch's names."""
        return self.parameters.state_dict()

    def load_state_dict(
        self, state: Mapping[str, Array], *, strict: bool = True
    ) -> IncompatibleKeys:
        """Copy parameters in by name; see :meth:`Parameters.load_state_dict`."""
        return self.parameters.load_state_dict(state, strict=strict, where=repr(self))


class Layer(Module, ABC):
    """A map from rows to rows with no memory of earlier timesteps."""

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """Compute the output and keep what :meth:`backward` needs."""

    @abstractmethod
    def gradients(self, dy: Array, keep: Keep = "") -> tuple[Array | None, dict[str, Array]]:
        """Go back: return the gradient of the input, None for integers, and of each parameter.

        Parameters
        ----------
        dy : array like the output
            Gradient of the output.
        keep : {"", "t", "b", "tb"}
            Axes of the parameters' gradients to leave standing, of an input (T, B, ...): what
            each timestep, each row or each of both contributed.

        Returns
        -------
        dx : array like the input, or None
        gradients : dict of str to array
            With the kept axes in front.

        Raises
        ------
        RuntimeError
            If there was no forward pass, or the parameters have changed since.
        TypeError, ValueError
            If dy is not like the output, or has no such axes to keep.
        """

    def backward(self, dy: Array) -> Array | None:
        """Add to the gradients of the parameters, return the gradient of the input.

        Parameters
        ----------
        dy : array like the output
            Gradient of the output.

        Returns
        -------
        dx : array like the input, or None if it is integers

        Raises
        ------
        RuntimeError
            If there was no forward pass, or the parameters have changed since.
        TypeError, ValueError
            If dy is not like the output.
        """
        dx, gradients = self.gradients(dy)
        self.parameters.add(gradients)
        return dx


class RecurrentLayer(Module, ABC):
    """A map from sequences to sequences that carries a state."""

    @abstractmethod
    def forward(
        self,
        x: Array,
        state: Any = None,
        *,
        lengths: Array | None = None,
        reset: Array | None = None,
    ) -> tuple[Array, Any]:
        """Compute the output and the final state, and keep what :meth:`backward` needs."""

    @abstractmethod
    def zero_state(self, B: int) -> Any:
        """Return the state that a batch of B sequences starts from."""

    @abstractmethod
    def step(self, x_t: Array, state: Any = None) -> tuple[Array, Any]:
        """Take one timestep; nothing is kept."""

    @abstractmethod
    def gradients(
        self, dy: Array | None, dstate: Any = None, keep: Keep = ""
    ) -> tuple[Array | None, Any, dict[str, Array]]:
        """Go back: return the gradients of the input, the initial state and each parameter."""

    def backward(self, dy: Array | None, dstate: Any = None) -> tuple[Array | None, Any]:
        """Backpropagate through time: add to the parameters' gradients.

        Parameters
        ----------
        dy : array like y, or None
            Gradient of the output; None is zero.
        dstate : like the returned state, optional
            Gradient of the final state; None is zero.

        Returns
        -------
        dx : array like x, or None for an integer x
            Gradient of the input, zero behind a row's end.
        dstate : like the returned state
            Gradient of the initial state.

        Raises
        ------
        RuntimeError
            If there was no forward pass, or the parameters have changed since.
        TypeError, ValueError
            If a gradient is not like the output it belongs to.
        """
        dx, dinitial, gradients = self.gradients(dy, dstate)
        self.parameters.add(gradients)
        return dx, dinitial


def forward_first(where: str) -> RuntimeError:
    """Return the error for a ``backward`` that has no ``forward`` to go back through."""
    return RuntimeError(f"{where}.backward: nothing to go back through, expected forward first")


def two_axes(leading: tuple[int, ...], keep: Keep = "", where: str = "") -> tuple[int, int]:
    """Return the axes in front of a row as two: time and batch, or all of them as one batch.

    Parameters
    ----------
    leading : tuple of int
        The axes in front.
    keep : {"", "t", "b", "tb"}
        What is to be kept of them.
    where : str
        The layer, for the message.

    Raises
    ------
    ValueError
        If something is to be kept and the axes are not two.
    """
    if len(leading) == 2:
        return leading
    if keep:
        raise ValueError(f"{where}: keep is {keep!r}, expected an input of axes T, B and features")
    return 1, math.prod(leading)
