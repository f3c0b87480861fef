"""The recurrent layers, with PyTorch's names and arguments. The engine is in recurrent.py.

Each layer defines its cell: a pair of functions, the shapes of its weights and the sizes of its
state. A custom cell is a subclass of :class:`Recurrent` like these.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from numpy_rnn.arguments import shown
from numpy_rnn.functional.activations import RELU, TANH
from numpy_rnn.functional.elman import elman_backward, elman_forward, elman_stepper
from numpy_rnn.functional.gru import gru_backward, gru_forward, gru_stepper
from numpy_rnn.functional.gru_reset_before import (
    gru_reset_before_backward,
    gru_reset_before_forward,
)
from numpy_rnn.functional.indrnn import indrnn_backward, indrnn_forward
from numpy_rnn.functional.lru import lru_backward, lru_forward
from numpy_rnn.functional.lstm import lstm_backward, lstm_forward, lstm_stepper
from numpy_rnn.functional.mingru import mingru_backward, mingru_forward
from numpy_rnn.functional.peephole_lstm import peephole_lstm_backward, peephole_lstm_forward
from numpy_rnn.functional.types import DTypeLike, Rng
from numpy_rnn.init import lru_ring
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.segments import Cell
from numpy_rnn.layers.validate import check_flag, check_size

if TYPE_CHECKING:  # see functional/types.py
    from numpy.random import Generator

NONLINEARITIES = {"tanh": TANH, "relu": RELU}


class RNN(Recurrent):
    """``h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)``, as ``torch.nn.RNN``.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu"}
        phi. It comes after `num_layers`; all other parameters are those of :class:`Recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> rnn = RNN(3, 4, rng=0)
    >>> y, h = rnn(np.ones((5, 2, 3)))  # T, B, D = 5, 2, 3
    >>> y.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    _options: ClassVar = {"num_layers": 1, "nonlinearity": "tanh"} | Recurrent._options

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        recompute: bool | int = False,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.nonlinearity = _check_nonlinearity("RNN", nonlinearity)
        shared = input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(*shared, recompute=recompute, rng=rng, dtype=dtype)

    def cell(self, input_size: int) -> Cell:
        """Return the Elman cell."""
        H = self.hidden_size
        phi = NONLINEARITIES[self.nonlinearity]
        forward, stepper = partial(elman_forward, phi=phi), partial(elman_stepper, phi=phi)
        return Cell(forward, elman_backward, _gates(1, input_size, H), (H,), stepper)


class LSTM(Recurrent):
    """Long short-term memory, as ``torch.nn.LSTM``. Its state is a tuple (h, c).

    Parameters
    ----------
    proj_size : int
        P: outputs are projected from H to P; 0 for no projection. It comes after `bidirectional`;
        all other parameters are those of :class:`Recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> lstm = LSTM(3, 4, num_layers=2, bidirectional=True, rng=0)
    >>> y, (h, c) = lstm(np.ones((5, 2, 3)))  # T, B, D = 5, 2, 3
    >>> y.shape, h.shape, c.shape
    ((5, 2, 8), (4, 2, 4), (4, 2, 4))
    """

    _options: ClassVar = Recurrent._options | {"proj_size": 0}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        recompute: bool | int = False,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        H = check_size("LSTM", "hidden_size", hidden_size)
        self.proj_size = check_size("LSTM", "proj_size", proj_size, least=0)
        if self.proj_size >= H:
            raise ValueError(
                f"LSTM: proj_size is {self.proj_size}, expected at least 0 and below "
                f"hidden_size {H}"
            )
        shared = input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(*shared, recompute=recompute, rng=rng, dtype=dtype)

    def cell(self, input_size: int) -> Cell:
        """Return the LSTM cell, with gates i, f, g, o."""
        H, P = self.hidden_size, self.proj_size or self.hidden_size
        weights = _gates(4, input_size, H, P)
        if self.proj_size:
            weights["weight_hr"] = (P, H)
        return Cell(lstm_forward, lstm_backward, weights, (P, H), lstm_stepper)


class PeepholeLSTM(Recurrent):
    """LSTM with peepholes from c to the gates (Gers & Schmidhuber 2000). Its state is (h, c).

    The parameters are those of :class:`Recurrent`. ``weight_ch`` (3, H) holds the peephole weights
    of the gates i, f and o.

    Examples
    --------
    >>> import numpy as np
    >>> y, (h, c) = PeepholeLSTM(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> y.shape
    (5, 2, 4)
    """

    def cell(self, input_size: int) -> Cell:
        """Return the peephole cell, with gates i, f, g, o."""
        H = self.hidden_size
        weights = _gates(4, input_size, H) | {"weight_ch": (3, H)}
        return Cell(peephole_lstm_forward, peephole_lstm_backward, weights, (H, H))


class GRU(Recurrent):
    """Gated recurrent unit, as ``torch.nn.GRU``.

    Parameters
    ----------
    reset_after : bool
        Whether the reset gate is applied after the recurrent product (PyTorch, Keras's default,
        ONNX ``linear_before_reset=1``) or before it (Cho et al. 2014, ONNX's default).
        All other parameters are those of :class:`Recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> y, h = GRU(3, 4, rng=0)(np.ones((5, 2, 3)))  # T, B, D = 5, 2, 3
    >>> y.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    _options: ClassVar = Recurrent._options | {"reset_after": True}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        recompute: bool | int = False,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.reset_after = check_flag("GRU", "reset_after", reset_after)
        shared = input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(*shared, recompute=recompute, rng=rng, dtype=dtype)

    def cell(self, input_size: int) -> Cell:
        """Return the GRU cell, with gates r, z, n."""
        H = self.hidden_size
        weights = _gates(3, input_size, H)
        if self.reset_after:
            return Cell(gru_forward, gru_backward, weights, (H,), gru_stepper)
        return Cell(gru_reset_before_forward, gru_reset_before_backward, weights, (H,))


class IndRNN(Recurrent):
    """``h_t = phi(W_ih x_t + b_ih + w_hh * h_{t-1})`` (Li et al. 2018), w_hh (H,) a vector.

    Each unit's recurrence uses its own previous state only. ``init.indrnn_uniform`` sets how long
    units remember.

    Parameters
    ----------
    nonlinearity : {"relu", "tanh"}
        phi. It comes after `num_layers`; all other parameters are those of :class:`Recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> y, h = IndRNN(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> y.shape
    (5, 2, 4)
    """

    _options: ClassVar = {"num_layers": 1, "nonlinearity": "relu"} | Recurrent._options

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "relu",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        recompute: bool | int = False,
        rng: Rng = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.nonlinearity = _check_nonlinearity("IndRNN", nonlinearity)
        shared = input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(*shared, recompute=recompute, rng=rng, dtype=dtype)

    def cell(self, input_size: int) -> Cell:
        """Return the IndRNN cell."""
        H = self.hidden_size
        forward = partial(indrnn_forward, phi=NONLINEARITIES[self.nonlinearity])
        weights = {"weight_ih": (H, input_size), "weight_hh": (H,), "bias_ih": (H,)}
        return Cell(forward, indrnn_backward, weights, (H,))


class MinGRU(Recurrent):
    """GRU whose gate does not depend on the state (Feng et al. 2024), parallel over time.

    The parameters are those of :class:`Recurrent`. ``init.chrono`` sets how long units remember.

    Examples
    --------
    >>> import numpy as np
    >>> y, h = MinGRU(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> y.shape
    (5, 2, 4)
    """

    def cell(self, input_size: int) -> Cell:
        """Return the minGRU cell, with blocks z, n."""
        H = self.hidden_size
        weights = {"weight_ih": (2 * H, input_size), "bias_ih": (2 * H,)}
        return Cell(mingru_forward, mingru_backward, weights, (H,))


class LRU(Recurrent):
    """Linear recurrent unit (Orvieto et al. 2023), parallel over time.

    Its state, which is its output, is H complex numbers as (..., 2H) real ones: real parts, then
    imaginary parts. The paper's ``Re(C h) + D x`` and its nonlinearity are layers to add after it.
    Without a nonlinearity between them, stacked LRUs are one linear map. There is no bias.

    The parameters are those of :class:`Recurrent`. :func:`numpy_rnn.init.lru_ring` initialises it.

    Examples
    --------
    >>> import numpy as np
    >>> y, h = LRU(3, 4, rng=0)(np.ones((5, 2, 3)))
    >>> y.shape
    (5, 2, 8)
    """

    def initialise(self, rng: Generator) -> None:
        """Draw the initial parameters: PyTorch's, but for the eigenvalues."""
        super().initialise(rng)
        lru_ring(self, rng=rng)

    def cell(self, input_size: int) -> Cell:
        """Return the LRU cell, with a block of real and a block of imaginary parts."""
        H = self.hidden_size
        weights: dict[str, tuple[int, ...]] = {"weight_ih": (2 * H, input_size)}
        weights |= {"nu_log": (H,), "theta_log": (H,), "gamma_log": (H,)}
        return Cell(lru_forward, lru_backward, weights, (2 * H,))


def _gates(gates: int, D: int, H: int, P: int | None = None) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a cell whose gates are blocks of two matrices and two biases."""
    G = gates * H
    return {
        "weight_ih": (G, D),
        "weight_hh": (G, H if P is None else P),
        "bias_ih": (G,),
        "bias_hh": (G,),
    }


def _check_nonlinearity(kind: str, name: Any) -> str:
    """Return `name` if it is one of the nonlinearities."""
    if not isinstance(name, str) or name not in NONLINEARITIES:
        raise ValueError(f"{kind}: nonlinearity is {shown(name)}, expected 'tanh' or 'relu'")
    return name
