"""GRU, with the reset gate after or before the recurrent product, as a layer."""

from __future__ import annotations

from typing import Any

from numpy_rnn.functional.gru import gru_backward, gru_forward, gru_stepper
from numpy_rnn.functional.gru_reset_before import (
    gru_reset_before_backward,
    gru_reset_before_forward,
    gru_reset_before_stepper,
)
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.recurrent import Recurrent


class GRU(Recurrent):
    """Gated recurrent unit, as ``torch.nn.GRU``.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        As for :class:`Recurrent`.
    reset_after : bool
        Whether the reset gate is applied after the recurrent product (PyTorch, Keras's default,
        ONNX ``linear_before_reset=1``) or before it (Cho et al. 2014, ONNX's default).
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
        *,
        reset_after: bool = True,
        **options: Any,
    ) -> None:
        self.reset_after = reset_after
        super().__init__(input_size, hidden_size, num_layers, **options)

    def cell(self, input_size: int) -> Cell:
        """Return the GRU cell; gates r, z, n."""
        H = self.hidden_size
        weights: dict[str, tuple[int, ...]] = {
            "weight_ih": (3 * H, input_size),
            "weight_hh": (3 * H, H),
            "bias_ih": (3 * H,),
            "bias_hh": (3 * H,),
        }
        if self.reset_after:
            return Cell(gru_forward, gru_backward, weights, (H,), gru_stepper)
        return Cell(
            gru_reset_before_forward,
            gru_reset_before_backward,
            weights,
            (H,),
            gru_reset_before_stepper,
        )
