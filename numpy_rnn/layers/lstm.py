"""LSTM, with and without projection, and with peepholes, as layers."""

from __future__ import annotations

from typing import Any

from numpy_rnn.functional.lstm import lstm_backward, lstm_forward, lstm_stepper
from numpy_rnn.functional.peephole_lstm import (
    peephole_lstm_backward,
    peephole_lstm_forward,
    peephole_lstm_stepper,
)
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.validate import check_size


class LSTM(Recurrent):
    """Long short-term memory, as ``torch.nn.LSTM``; its state is a tuple (h, c).

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        As for :class:`Recurrent`.
    proj_size : int
        P: outputs are projected from H to P; 0 for no projection.
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
        proj_size: int = 0,
        **options: Any,
    ) -> None:
        H = check_size("LSTM", "hidden_size", hidden_size)
        self.proj_size = check_size("LSTM", "proj_size", proj_size, least=0)
        if self.proj_size >= H:
            raise ValueError(
                f"LSTM: proj_size is {self.proj_size}, expected at least 0 and below "
                f"hidden_size {H}"
            )
        super().__init__(input_size, hidden_size, num_layers, **options)

    def cell(self, input_size: int) -> Cell:
        """Return the LSTM cell; gates i, f, g, o."""
        H, P = self.hidden_size, self.proj_size or self.hidden_size
        weights: dict[str, tuple[int, ...]] = {
            "weight_ih": (4 * H, input_size),
            "weight_hh": (4 * H, P),
            "bias_ih": (4 * H,),
            "bias_hh": (4 * H,),
        }
        if self.proj_size:
            weights["weight_hr"] = (P, H)
        return Cell(lstm_forward, lstm_backward, weights, (P, H), lstm_stepper)


class PeepholeLSTM(Recurrent):
    """LSTM whose gates see the cell state (Gers & Schmidhuber 2000); its state is (h, c).

    Parameters
    ----------
    input_size, hidden_size, num_layers, **options
        As for :class:`Recurrent`.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """

    def cell(self, input_size: int) -> Cell:
        """Return the peephole cell; ``weight_ch`` (3, H) are the peepholes of i, f, o."""
        H = self.hidden_size
        weights: dict[str, tuple[int, ...]] = {
            "weight_ih": (4 * H, input_size),
            "weight_hh": (4 * H, H),
            "bias_ih": (4 * H,),
            "bias_hh": (4 * H,),
            "weight_ch": (3, H),
        }
        return Cell(
            peephole_lstm_forward, peephole_lstm_backward, weights, (H, H), peephole_lstm_stepper
        )
