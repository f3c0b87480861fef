"""Initialisation schemes, each with its source.

A scheme changes the parameters of a recurrent layer in place, in all its layers and directions.
Schemes can be combined. Every layer is created with ``uniform``. In every scheme, `layer` is a
layer of the kind that the scheme is for, and `rng` is the source of the numbers: a Generator, a
seed for one, or None. A layer without the parameters that a scheme sets raises ValueError, and so
does a number out of its range.

>>> from numpy_rnn import LSTM
>>> layer = LSTM(3, 2)
>>> orthogonal(layer, rng=0)
>>> chrono(layer, longest=100, rng=0)
>>> layer.parameters.values["bias_ih_l0"][2:4].round(2)  # of the forget gate
array([4.15, 3.31])
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from numpy_rnn.arguments import check_non_negative, check_number, check_rng, check_size
from numpy_rnn.functional.types import Array, Rng
from numpy_rnn.parameters import Parameters, check_parameters
from numpy_rnn.text import shown


class HasParameters(Protocol):
    """The part of a layer that a scheme uses."""

    parameters: Parameters


def uniform(parameters: Parameters, fan: int, rng: Rng) -> None:
    """Fill every parameter from U(-1/sqrt(fan), 1/sqrt(fan)), in the order of their names.

    PyTorch's default: ``fan`` is the hidden size of a recurrent layer and the input size of a
    linear one. LeCun et al. ("Efficient BackProp", 1998) recommend a standard deviation of
    1/sqrt(fan); this bound gives 1/sqrt(3 fan), and is kept because it is PyTorch's. The numbers
    are drawn in float64 and then rounded, so a seed gives the same weights in every dtype.
    """
    check_parameters("uniform", parameters)
    bound = 1 / math.sqrt(check_size("uniform", "fan", fan))
    generator = check_rng("uniform", rng)
    parameters.data[...] = generator.uniform(-bound, bound, parameters.data.size)


def glorot(layer: HasParameters, rng: Rng = None) -> None:
    """Fill each gate's block of each matrix from U(-b, b), b = sqrt(6 / (rows + columns)).

    Glorot & Bengio (2010): the variance of activations and gradients stays about the same from
    layer to layer. Biases are set to zero. Vectors (IndRNN's recurrent weights, LRU's eigenvalues)
    have no such rule and stay unchanged. The layer is recurrent or linear.
    """
    generator = check_rng("glorot", rng)
    for name, value in _values("glorot", layer).items():
        if "bias" in name:
            value[...] = 0
        if value.ndim < 2:
            continue
        gated = "weight_ih" in name or "weight_hh" in name
        blocks = value.reshape(_count_gates(layer) if gated else 1, -1, value.shape[-1])
        bound = math.sqrt(6 / sum(blocks.shape[1:]))
        blocks[...] = generator.uniform(-bound, bound, blocks.shape)


def orthogonal(layer: HasParameters, rng: Rng = None, gain: float = 1.0) -> None:
    """Make the recurrent matrix of each gate a random orthogonal matrix times `gain`.

    Saxe, McClelland & Ganguli (2014): repeated products neither vanish nor explode. Each matrix is
    drawn uniformly from the orthogonal group (Mezzadri 2007). The matrices of a projected layer
    are not square; their columns are orthonormal.
    """
    generator = check_rng("orthogonal", rng)
    check_number("orthogonal", "gain", gain)
    for block in _recurrent_blocks(layer):
        q, r = np.linalg.qr(generator.standard_normal(block.shape))
        block[...] = gain * q * np.sign(np.diag(r))  # without the signs it is not uniform


def identity_recurrent(layer: HasParameters, gain: float = 1.0) -> None:
    """Make the recurrent matrix of each gate the identity times `gain`, and biases zero.

    Le, Jaitly & Hinton (2015): with relu this is their IRNN, whose state is at first the sum of its
    inputs.
    """
    check_number("identity_recurrent", "gain", gain)
    for block in _recurrent_blocks(layer):
        block[...] = gain * np.eye(*block.shape)
    for name, value in _values("identity_recurrent", layer).items():
        if "bias" in name:
            value[...] = 0


def forget_bias(layer: HasParameters, value: float = 1.0) -> None:
    """Set the forget gate's bias of an LSTM to `value`, so that it remembers before training.

    Gers, Schmidhuber & Cummins (2000); Jozefowicz, Zaremba & Sutskever (2015) recommend 1. The
    value goes to ``bias_ih``; ``bias_hh`` of the gate is set to zero.
    """
    check_number("forget_bias", "value", value)
    for b_ih, b_hh in _biases(layer, 4):
        b_ih[1], b_hh[1] = value, 0


def chrono(layer: HasParameters, longest: int, rng: Rng = None) -> None:
    """Set gate biases so that memory spans 1 to `longest` steps (Tallec & Ollivier 2018).

    LSTM: b_f = log u with u from U(1, longest - 1), b_i = -b_f. GRU: b_z = log u, because PyTorch's
    z keeps the old state, as a forget gate does. minGRU: b_z = -log u, because its z lets the new
    state in. ``bias_hh`` of these gates is set to zero. `longest`, the longest dependency expected,
    is at least 3 steps.
    """
    check_size("chrono", "longest", longest, least=3)
    generator = check_rng("chrono", rng)
    gates = _count_gates(layer)
    for b_ih, b_hh in _biases(layer, gates):
        log_u = np.log(generator.uniform(1, longest - 1, b_ih.shape[1]))
        if gates > 2:
            b_ih[1], b_hh[1] = log_u, 0  # f of the LSTM, z of the GRU
        if gates != 3:
            b_ih[0], b_hh[0] = -log_u, 0  # i of the LSTM, z of minGRU


def indrnn_uniform(
    layer: HasParameters, longest: int, rng: Rng = None, least: float = 0.0, most: float = 2.0
) -> None:
    """Draw IndRNN's recurrent weights from U(least^(1/longest), most^(1/longest)).

    Li et al. (2018): after `longest` steps, the state of a relu unit is between `least` and `most`
    times what it was. For a task with a loss at the last step only, they draw the last layer's
    weights with `least` above 0, so that all its units remember that long. `longest`, the longest
    dependency expected, is at least 1 step, and 0 <= least <= most.
    """
    check_size("indrnn_uniform", "longest", longest)
    check_non_negative("indrnn_uniform", "most", most)
    allowed = f"0 <= least <= most, which is {most}"
    check_number("indrnn_uniform", "least", least, lambda v: 0 <= v <= most, allowed)
    generator = check_rng("indrnn_uniform", rng)
    low, high = least ** (1 / longest), most ** (1 / longest)
    for weights in _of_kind(layer, "weight_hh", 1).values():
        weights[...] = generator.uniform(low, high, weights.shape)


def lru_ring(
    layer: HasParameters,
    rng: Rng = None,
    r_min: float = 0.0,
    r_max: float = 1.0,
    max_phase: float = 2 * math.pi,
) -> None:
    """Draw LRU's eigenvalues from a ring, ``r_min <= |lambda| <= r_max``, angles up to `max_phase`.

    Orvieto et al. (2023), section 3.4 and appendix A. The eigenvalues are uniform on the ring's
    area. ``gamma_log`` is ``log sqrt(1 - |lambda|^2)``, which makes a state as large as its inputs.
    ``weight_ih`` is drawn from N(0, 1 / 2D). A ring near 1 and small angles give a long memory.
    0 <= r_min < r_max <= 1, and `max_phase` is above 0, in radians per step.
    """
    allowed = "a finite number above 0"
    check_number("lru_ring", "max_phase", max_phase, lambda v: 0 < v < math.inf, allowed)
    check_number("lru_ring", "r_max", r_max, lambda v: 0 < v <= 1, "0 < r_max <= 1")
    allowed = f"0 <= r_min < r_max, which is {r_max}"
    check_number("lru_ring", "r_min", r_min, lambda v: 0 <= v < r_max, allowed)
    generator = check_rng("lru_ring", rng)
    values = _values("lru_ring", layer)
    for name, nu in _of_kind(layer, "nu_log", 1).items():
        # Strictly inside the ring, because at |lambda| = 0 or 1 a logarithm is infinite.
        inside = generator.uniform(1e-9, 1 - 1e-9, (2, nu.size))
        nu[...] = np.log(-0.5 * np.log(r_min**2 + inside[0] * (r_max**2 - r_min**2)))
        values[name.replace("nu", "theta")][...] = np.log(max_phase * inside[1])
        lost = -np.expm1(-2 * np.exp(nu.astype(float)))  # 1 - |lambda|^2
        values[name.replace("nu", "gamma")][...] = 0.5 * np.log(lost)
        weights = values[name.replace("nu_log", "weight_ih")]
        spread = 1 / math.sqrt(2 * weights.shape[1])
        weights[...] = spread * generator.standard_normal(weights.shape)


def _values(where: str, layer: HasParameters) -> dict[str, Array]:
    """Return the parameters of a layer by their names."""
    parameters = getattr(layer, "parameters", None)
    if not isinstance(parameters, Parameters):
        raise TypeError(f"{where}: layer is {shown(layer)}, expected a layer")
    return parameters.values


def _of_kind(layer: HasParameters, kind: str, axes: int) -> dict[str, Array]:
    """Return the parameters of one kind, one for each layer and direction."""
    values = _values("init", layer).items()
    found = {name: value for name, value in values if kind in name and value.ndim == axes}
    if not found:
        what = "vector" if axes == 1 else "matrix"
        raise ValueError(f"layer {layer!r} has no {what} {kind!r}, expected one that has it")
    return found


def _count_gates(layer: HasParameters) -> int:
    """Return the number of blocks of H rows in a recurrent layer's input weights."""
    rows = len(next(iter(_of_kind(layer, "weight_ih", 2).values())))
    return int(rows // layer.hidden_size)  # type: ignore[attr-defined]  # a recurrent layer has it


def _recurrent_blocks(layer: HasParameters) -> Iterator[Array]:
    """Yield the recurrent matrix of each gate, layer and direction."""
    for matrix in _of_kind(layer, "weight_hh", 2).values():
        yield from matrix.reshape(_count_gates(layer), -1, matrix.shape[1])


def _biases(layer: HasParameters, gates: int) -> Iterator[tuple[Array, Array]]:
    """Yield b_ih and b_hh, (gates, H) each, of each layer and direction.

    For a cell with one bias, the other is a dummy.
    """
    values = _values("init", layer)
    names = [name for name in values if "bias_ih" in name]
    if not names or gates not in (2, 3, 4) or _count_gates(layer) != gates:
        raise ValueError(
            f"layer {layer!r} has no such gate biases, expected a gated layer with bias"
        )
    for name in names:
        b_ih = values[name].reshape(gates, -1)
        b_hh = values.get(name.replace("bias_ih", "bias_hh"))
        yield b_ih, np.zeros_like(b_ih) if b_hh is None else b_hh.reshape(gates, -1)
