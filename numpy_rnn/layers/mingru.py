"""minGRU as a layer."""

from __future__ import annotations

from numpy_rnn.functional.mingru import mingru_backward, mingru_forward
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.recurrent import Recurrent


class MinGRU(Recurrent):
    """GRU whose gate does not look at the state (Feng et al. 2024), parallel over time.

    Parameters
    ----------
    input_size, hidden_size, num_layers, **options
        As for :class:`Recurrent`. ``init.chrono`` sets how long units remember.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """

    def cell(self, input_size: int) -> Cell:
        """Return the minGRU cell; blocks z, n."""
        H = self.hidden_size
        weights: dict[str, tuple[int, ...]] = {"weight_ih": (2 * H, input_size)}
        return Cell(mingru_forward, mingru_backward, weights | {"bias_ih": (2 * H,)}, (H,))
