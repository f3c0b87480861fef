"""The recurrent layers, with PyTorch's names and arguments. Their base is in recurrent.py.

Each layer defines its cell: a pair of functions, the shapes of its weights and the sizes of its
state. A custom cell is a subclass of :class:`Recurrent` like these.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

from numpy_rnn.arguments import check_choice, check_flag, check_number, check_size
from numpy_rnn.functional.activations import (
    RELU,
    TANH,
    ActivationSpec,
    check_activation,
    make_activation,
)
from numpy_rnn.functional.elman import elman_backward, elman_forward, elman_stepper
from numpy_rnn.functional.general_gru import general_gru_backward, general_gru_forward
from numpy_rnn.functional.general_lstm import general_lstm_backward, general_lstm_forward
from numpy_rnn.functional.gru import gru_backward, gru_forward, gru_stepper
from numpy_rnn.functional.indrnn import indrnn_backward, indrnn_forward
from numpy_rnn.functional.lru import lru_backward, lru_forward
from numpy_rnn.functional.lstm import lstm_backward, lstm_forward, lstm_stepper
from numpy_rnn.functional.mingru import mingru_backward, mingru_forward
from numpy_rnn.functional.types import Generator
from numpy_rnn.init import lru_ring
from numpy_rnn.layers.cell import Cell
from numpy_rnn.layers.recurrent import Recurrent, RecurrentOptions
from numpy_rnn.text import shown

NONLINEARITIES = {"tanh": TANH, "relu": RELU}
LSTM_ACTIVATIONS = ("sigmoid", "tanh", "tanh")
GRU_ACTIVATIONS = ("sigmoid", "tanh")
_LSTM_OPTIONS = {"activations": LSTM_ACTIVATIONS, "clip": None, "input_forget": False}


class RNN(Recurrent):
    """``h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)``, as ``torch.nn.RNN``.

    Parameters
    ----------
    nonlinearity : str or tuple
        phi: "tanh", "relu", or any other name in functional/activations.py, or a tuple of a name
        and constants. It comes after `num_layers`.
    clip : float, optional
        Bound of the argument of phi. All other parameters are those of :class:`Recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> rnn = RNN(3, 4, rng=0)
    >>> y, h = rnn(np.ones((5, 2, 3)))  # T, B, D = 5, 2, 3
    >>> y.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: ActivationSpec = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        clip: float | None = None,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        self.nonlinearity = _check_spec("RNN: nonlinearity is ", nonlinearity)
        self.clip = _check_clip("RNN", clip)
        shared = input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(*shared, **options)

    def cell(self, input_size: int) -> Cell:
        """Return the Elman cell."""
        H = self.hidden_size
        fast = NONLINEARITIES.get(str(self.nonlinearity)) if self.clip is None else None
        phi = fast or make_activation(self.nonlinearity, self.clip)
        forward, stepper = partial(elman_forward, phi=phi), partial(elman_stepper, phi=phi)
        weights = gate_shapes(1, input_size, H)
        return Cell(forward, elman_backward, weights, (H,), stepper, blocks=True)


class _AnyLSTM(Recurrent):
    """What LSTM and PeepholeLSTM have in common."""

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
        activations: Sequence[ActivationSpec] = LSTM_ACTIVATIONS,
        clip: float | None = None,
        input_forget: bool = False,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        kind = type(self).__name__
        self.activations = _check_activations(kind, activations, 3)
        self.clip = _check_clip(kind, clip)
        self.input_forget = check_flag(kind, "input_forget", input_forget)
        H = check_size(kind, "hidden_size", hidden_size)
        self.proj_size = check_size(kind, "proj_size", proj_size, least=0)
        if self.proj_size >= H:
            raise ValueError(
                f"{kind}: proj_size is {self.proj_size}, expected at least 0 and below "
                f"hidden_size {H}"
            )
        if self.proj_size and (self._general() or isinstance(self, PeepholeLSTM)):
            raise ValueError(
                f"{kind}: proj_size is {self.proj_size}, expected 0 with peepholes or "
                f"{', '.join(_LSTM_OPTIONS)}"
            )
        shared = input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(*shared, **options)

    def _general(self) -> dict[str, Any]:
        """Return the options of the general cell that differ from the defaults."""
        options = {name: getattr(self, name) for name in _LSTM_OPTIONS}
        return {name: value for name, value in options.items() if value != _LSTM_OPTIONS[name]}


class LSTM(_AnyLSTM):
    """Long short-term memory, as ``torch.nn.LSTM``. Its state is a tuple (h, c).

    Parameters
    ----------
    proj_size : int
        P: outputs are projected from H to P; 0 for no projection. It comes after `bidirectional`.
        It cannot be combined with the options below.
    activations : three names, or tuples of a name and constants
        Of the gates i, f and o; of g; and of the cell state. The names are in
        functional/activations.py.
    clip : float, optional
        Bound of the arguments of the gates' activations.
    input_forget : bool
        Whether the forget gate is one minus the input gate.
        All other parameters are those of :class:`Recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> lstm = LSTM(3, 4, num_layers=2, bidirectional=True, rng=0)
    >>> y, (h, c) = lstm(np.ones((5, 2, 3)))  # T, B, D = 5, 2, 3
    >>> y.shape, h.shape, c.shape
    ((5, 2, 8), (4, 2, 4), (4, 2, 4))
    """

    def cell(self, input_size: int) -> Cell:
        """Return the LSTM cell, with gates i, f, g, o."""
        H, P = self.hidden_size, self.proj_size or self.hidden_size
        weights = gate_shapes(4, input_size, H, P)
        if options := self._general():
            forward = partial(general_lstm_forward, **options)
            return Cell(forward, general_lstm_backward, weights, (H, H))
        if self.proj_size:
            weights["weight_hr"] = (P, H)
        return Cell(lstm_forward, lstm_backward, weights, (P, H), lstm_stepper, blocks=True)


class PeepholeLSTM(_AnyLSTM):
    """LSTM with peepholes from c to the gates (Gers & Schmidhuber 2000). Its state is (h, c).

    The parameters are those of :class:`LSTM`, without a projection. ``weight_ch`` (3, H) holds the
    peephole weights of the gates i, f and o.

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
        weights = gate_shapes(4, input_size, H) | {"weight_ch": (3, H)}
        forward = partial(general_lstm_forward, **self._general())
        return Cell(forward, general_lstm_backward, weights, (H, H))


class GRU(Recurrent):
    """Gated recurrent unit, as ``torch.nn.GRU``.

    Parameters
    ----------
    reset_after : bool
        Whether the reset gate is applied after the recurrent product (PyTorch, Keras's default,
        ONNX ``linear_before_reset=1``) or before it (Cho et al. 2014, ONNX's default).
    activations : two names, or tuples of a name and constants
        Of the gates r and z, and of n. The names are in functional/activations.py.
    clip : float, optional
        Bound of the arguments of the activations.
        All other parameters are those of :class:`Recurrent`.

    Examples
    --------
    >>> import numpy as np
    >>> y, h = GRU(3, 4, rng=0)(np.ones((5, 2, 3)))  # T, B, D = 5, 2, 3
    >>> y.shape, h.shape
    ((5, 2, 4), (1, 2, 4))
    """

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
        activations: Sequence[ActivationSpec] = GRU_ACTIVATIONS,
        clip: float | None = None,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        self.reset_after = check_flag("GRU", "reset_after", reset_after)
        self.activations = _check_activations("GRU", activations, 2)
        self.clip = _check_clip("GRU", clip)
        shared = input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(*shared, **options)

    def cell(self, input_size: int) -> Cell:
        """Return the GRU cell, with gates r, z, n."""
        H = self.hidden_size
        weights = gate_shapes(3, input_size, H)
        options: dict[str, Any] = {"activations": self.activations, "clip": self.clip}
        if self.reset_after and options == {"activations": GRU_ACTIVATIONS, "clip": None}:
            return Cell(gru_forward, gru_backward, weights, (H,), gru_stepper, blocks=True)
        forward = partial(general_gru_forward, reset_after=self.reset_after, **options)
        return Cell(forward, general_gru_backward, weights, (H,))


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
        **options: Unpack[RecurrentOptions],
    ) -> None:
        self.nonlinearity = check_choice("IndRNN", "nonlinearity", nonlinearity, NONLINEARITIES)
        shared = input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(*shared, **options)

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


def gate_shapes(gates: int, D: int, H: int, P: int | None = None) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a cell whose gates are blocks of two matrices and two biases."""
    G, P = gates * H, H if P is None else P
    return {"weight_ih": (G, D), "weight_hh": (G, P), "bias_ih": (G,), "bias_hh": (G,)}


def _check_spec(where: str, spec: ActivationSpec) -> ActivationSpec:
    """Return a nonlinearity as a name or as a tuple of a name and constants."""
    try:
        check_activation(spec)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from None
    return spec if isinstance(spec, str) else tuple(spec) if len(spec) > 1 else str(spec[0])


def _check_activations(
    kind: str, specs: Sequence[ActivationSpec], count: int
) -> tuple[ActivationSpec, ...]:
    if not isinstance(specs, tuple | list) or len(specs) != count:
        raise ValueError(f"{kind}: activations is {shown(specs)}, expected a tuple of {count}")
    return tuple(_check_spec(f"{kind}: activations has ", spec) for spec in specs)


def _check_clip(kind: str, clip: float | None) -> float | None:
    """Return `clip` as a float if it is a positive number, or None."""
    if clip is None:
        return None
    expected = "a finite number above 0, or None"
    return check_number(kind, "clip", clip, lambda v: 0 < v < float("inf"), expected)
