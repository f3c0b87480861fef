"""What every layer has, and what every recurrent layer has besides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy_rnn.functional.types import Array
from numpy_rnn.parameters import KeysThatDidNotMatch, Parameters

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
    ) -> KeysThatDidNotMatch:
        """Copy parameters in by name; see :meth:`Parameters.load_state_dict`."""
        return self.parameters.load_state_dict(state, strict=strict)


class Layer(Module, ABC):
    """A map from rows to rows with no memory of earlier timesteps."""

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """Compute the output and keep what :meth:`backward` needs."""

    @abstractmethod
    def backward(self, dy: Array) -> Array | None:
        """Add to the parameters' gradients and return the input's."""


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
    def backward(self, dy: Array | None, dstate: Any = None) -> tuple[Array | None, Any]:
        """Add to the parameters' gradients, return the input's and the initial state's."""


def forward_first(where: str) -> RuntimeError:
    """Return the error for a ``backward`` that has no ``forward`` to go back through."""
    return RuntimeError(f"{where}.backward: nothing to go back through, expected forward first")
