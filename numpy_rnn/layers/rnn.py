"""RNN: the Elman cell as a layer."""

from __future__ import annotations

from functools import partial
from typing import Any

from numpy_rnn.functional.activations import RELU, TANH
from numpy_rnn.functional.elman import elman_backward, elman_forward
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
        ``bias``, ``batch_first``, ``dropout``, ``bidirectional``, ``rng``, ``dtype``, as for
        :class:`Recurrent`.

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
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"RNN: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, **options)

    def cell(self, input_size: int) -> Cell:
        """Return the Elman cell."""
        H = self.hidden_size
        forward = partial(elman_forward, phi=NONLINEARITIES[self.nonlinearity])
        weights = {"weight_ih": (H, input_size), "weight_hh": (H, H)}
        return Cell(forward, elman_backward, weights | {"bias_ih": (H,), "bias_hh": (H,)}, (H,))
