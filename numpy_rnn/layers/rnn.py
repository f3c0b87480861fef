"""RNN and IndRNN: the Elman cell, and the one whose units hear only themselves, as layers."""

from __future__ import annotations

from functools import partial
from typing import Any

from numpy_rnn.functional.activations import RELU, TANH
from numpy_rnn.functional.elman import elman_backward, elman_forward, elman_stepper
from numpy_rnn.functional.indrnn import indrnn_backward, indrnn_forward
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.recurrent import Recurrent

NONLINEARITIES = {"tanh": TANH, "relu": RELU}


class RNN(Recurrent):
    """``h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)``, as ``torch.nn.RNN``.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        As for :class:`Recurrent`.
    nonlinearity : {"tanh", "relu"}
        phi.
    **options
        ``bias``, ``batch_first``, ``dropout``, ``bidirectional``, ``recompute``, ``rng``,
        ``dtype``, as for :class:`Recurrent`.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        **options: Any,
    ) -> None:
        self.nonlinearity = _check_nonlinearity("RNN", nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, **options)

    def cell(self, input_size: int) -> Cell:
        """Return the Elman cell."""
        H = self.hidden_size
        phi = NONLINEARITIES[self.nonlinearity]
        forward, stepper = partial(elman_forward, phi=phi), partial(elman_stepper, phi=phi)
        weights: dict[str, tuple[int, ...]] = {
            "weight_ih": (H, input_size),
            "weight_hh": (H, H),
            "bias_ih": (H,),
            "bias_hh": (H,),
        }
        return Cell(forward, elman_backward, weights, (H,), stepper)


class IndRNN(Recurrent):
    """``h_t = phi(W_ih x_t + b_ih + w_hh * h_{t-1})`` (Li et al. 2018), w_hh (H,) a vector.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        As for :class:`Recurrent`.
    nonlinearity : {"relu", "tanh"}
        phi.
    **options
        As for :class:`Recurrent`. ``init.indrnn_uniform`` sets how long units remember.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "relu",
        **options: Any,
    ) -> None:
        self.nonlinearity = _check_nonlinearity("IndRNN", nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, **options)

    def cell(self, input_size: int) -> Cell:
        """Return the IndRNN cell."""
        H = self.hidden_size
        forward = partial(indrnn_forward, phi=NONLINEARITIES[self.nonlinearity])
        weights: dict[str, tuple[int, ...]] = {"weight_ih": (H, input_size), "weight_hh": (H,)}
        return Cell(forward, indrnn_backward, weights | {"bias_ih": (H,)}, (H,))


def _check_nonlinearity(kind: str, name: str) -> str:
    """Return `name` if it is one of the nonlinearities."""
    if name not in tuple(NONLINEARITIES):  # a list cannot be looked up
        raise ValueError(f"{kind}: nonlinearity is {name!r}, expected 'tanh' or 'relu'")
    return name
