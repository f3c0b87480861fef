"""LRU as a layer."""

from __future__ import annotations

from typing import Any

from numpy_rnn.functional.lru import lru_backward, lru_forward
from numpy_rnn.init import lru_ring
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.recurrent import Recurrent


class LRU(Recurrent):
    """Linear recurrent unit (Orvieto et al. 2023), parallel over time.

    Its state, and output, are H complex numbers as (..., 2H) real ones: real parts, imaginary
    parts. The paper's ``Re(C h) + D x`` and its nonlinearity are layers to put on top; without a
    nonlinearity between them, stacked LRUs are one linear map.

    Parameters
    ----------
    input_size, hidden_size, num_layers, **options
        As for :class:`Recurrent`. Initialised by :func:`numpy_rnn.init.lru_ring`, and has
        no bias.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, **options: Any
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, **options)
        lru_ring(self, rng=self._rng)

    def cell(self, input_size: int) -> Cell:
        """Return the LRU cell; blocks are real and imaginary parts."""
        H = self.hidden_size
        logarithms = {"nu_log": (H,), "theta_log": (H,), "gamma_log": (H,)}
        weights: dict[str, tuple[int, ...]] = {"weight_ih": (2 * H, input_size)}
        return Cell(lru_forward, lru_backward, weights | logarithms, (2 * H,))
