"""Initialisation schemes, each with its source.

A scheme changes the parameters of a recurrent layer in place, over all its layers and
directions; schemes can follow each other: ``orthogonal(lstm, rng=0); forget_bias(lstm, 1.0)``.
``uniform`` is what every layer starts from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from numpy_rnn.functional.types import Array, Rng
from numpy_rnn.parameters import Parameters


class HasParameters(Protocol):
    """A layer, as far as a scheme has to know it."""

    parameters: Parameters


def uniform(parameters: Parameters, fan: int, rng: Rng) -> None:
    """Fill every parameter from U(-1/sqrt(fan), 1/sqrt(fan)).

    PyTorch's default: for a recurrent layer ``fan`` is the hidden size, for a linear one
    the input size. LeCun et al. ("Efficient BackProp", 1998) ask for a standard deviation of
    1/sqrt(fan); this bound gives 1/sqrt(3 fan), and is kept because it is PyTorch's.

    Parameters
    ----------
    parameters : Parameters
        What to fill, in the order of its names.
    fan : int
        How many numbers a unit sums; at least 1.
    rng : numpy.random.Generator, int or None
        Source of the numbers, or a seed for one. They are drawn in float64 and then
        rounded, so that a seed means the same weights in every dtype.
    """
    bound = 1 / math.sqrt(fan)
    generator = np.random.default_rng(rng)
    parameters.data[...] = generator.uniform(-bound, bound, parameters.data.size)
    parameters.changed()


def glorot(layer: HasParameters, rng: Rng = None) -> None:
    """Fill each gate's block of each matrix from U(-b, b), b = sqrt(6 / (rows + columns)).

    Glorot & Bengio (2010): the variance of activations and gradients stays about the same
    from layer to layer. Biases are set to zero.

    Parameters
    ----------
    layer : layer
        Recurrent or linear.
    rng : numpy.random.Generator, int or None
        Source of the numbers.
    """
    generator = np.random.default_rng(rng)
    for name, value in layer.parameters.values.items():
        if "bias" in name:
            value[...] = 0
            continue
        gated = "weight_ih" in name or "weight_hh" in name
        blocks = value.reshape(_count_gates(layer) if gated else 1, -1, value.shape[-1])
        bound = math.sqrt(6 / sum(blocks.shape[1:]))
        blocks[...] = generator.uniform(-bound, bound, blocks.shape)
    layer.parameters.changed()


def orthogonal(layer: HasParameters, rng: Rng = None, gain: float = 1.0) -> None:
    """Make the recurrent matrix of each gate a random orthogonal matrix times `gain`.

    Saxe, McClelland & Ganguli (2014): repeated products neither vanish nor explode. Each matrix
    is drawn uniformly from the orthogonal group (Mezzadri 2007). A projected layer's are not
    square; their columns are orthonormal.

    Parameters
    ----------
    layer : layer
        Recurrent.
    rng : numpy.random.Generator, int or None
        Source of the numbers.
    gain : float
        Factor.
    """
    generator = np.random.default_rng(rng)
    for block in _recurrent_blocks(layer):
        q, r = np.linalg.qr(generator.standard_normal(block.shape))
        block[...] = gain * q * np.sign(np.diag(r))  # without the signs it is not uniform
    layer.parameters.changed()


def identity(layer: HasParameters, gain: float = 1.0) -> None:
    """Make the recurrent matrix of each gate the identity times `gain`, and biases zero.

    Le, Jaitly & Hinton (2015): with relu this is their IRNN, which adds up its inputs at first.

    Parameters
    ----------
    layer : layer
        Recurrent.
    gain : float
        Factor.
    """
    for block in _recurrent_blocks(layer):
        block[...] = gain * np.eye(*block.shape)
    for name, value in layer.parameters.values.items():
        if "bias" in name:
            value[...] = 0
    layer.parameters.changed()


def forget_bias(layer: HasParameters, value: float = 1.0) -> None:
    """Set the forget gate's bias of an LSTM to `value`: it remembers from the start.

    Gers, Schmidhuber & Cummins (2000); 1 is Jozefowicz, Zaremba & Sutskever's (2015) advice.
    The whole of it goes to ``bias_ih``; ``bias_hh`` of the gate is set to zero.

    Parameters
    ----------
    layer : layer
        LSTM.
    value : float
        Of b_ih + b_hh.

    Raises
    ------
    ValueError
        If the layer has no biases, or not an LSTM's four gates.
    """
    for b_ih, b_hh in _biases(layer, 4):
        b_ih[1], b_hh[1] = value, 0
    layer.parameters.changed()


def chrono(layer: HasParameters, longest: int, rng: Rng = None) -> None:
    """Set gate biases so that memory spans 1 to `longest` steps (Tallec & Ollivier 2018).

    LSTM: b_f = log u with u from U(1, longest - 1), b_i = -b_f. GRU: b_z = log u (PyTorch's z
    keeps the old state, so the sign is that of the forget gate). ``bias_hh`` of these gates is
    set to zero.

    Parameters
    ----------
    layer : layer
        LSTM or GRU.
    longest : int
        The longest dependency expected, at least 3 steps.
    rng : numpy.random.Generator, int or None
        Source of the numbers.

    Raises
    ------
    ValueError
        If `longest` is below 3, or the layer has no biases or other gates.
    """
    if longest < 3:
        raise ValueError(f"chrono: longest is {longest}, expected at least 3")
    generator = np.random.default_rng(rng)
    gates = _count_gates(layer)
    for b_ih, b_hh in _biases(layer, gates):
        log_u = np.log(generator.uniform(1, longest - 1, b_ih.shape[1]))
        b_ih[1], b_hh[1] = log_u, 0  # f of the LSTM, z of the GRU
        if gates == 4:
            b_ih[0], b_hh[0] = -log_u, 0
    layer.parameters.changed()


def _count_gates(layer: HasParameters) -> int:
    """How many blocks of rows a recurrent layer's matrices have: 1, 2, 3 or 4."""
    values = layer.parameters.values
    recurrent = next((v for name, v in values.items() if "weight_hh" in name), None)
    if recurrent is None:
        raise ValueError(f"{layer!r} has no recurrent weights, expected a recurrent layer")
    # A projection makes weight_hh narrower than the cell; weight_hr (P, H) has its size.
    projection = next((v for name, v in values.items() if "weight_hr" in name), recurrent)
    return int(recurrent.shape[0] // projection.shape[1])


def _recurrent_blocks(layer: HasParameters) -> Iterator[Array]:
    """Yield the recurrent matrix of each gate, layer and direction."""
    gates = _count_gates(layer)
    for name, value in layer.parameters.values.items():
        if "weight_hh" in name:
            yield from value.reshape(gates, -1, value.shape[1])


def _biases(layer: HasParameters, gates: int) -> Iterator[tuple[Array, Array]]:
    """Yield b_ih and b_hh, (gates, H) each, of each layer and direction."""
    values = layer.parameters.values
    names = [name for name in values if "bias_ih" in name]
    if not names or gates not in (3, 4) or _count_gates(layer) != gates:
        raise ValueError(f"{layer!r} has no such gate biases, expected a gated layer with bias")
    for name in names:
        b_hh = values[name.replace("bias_ih", "bias_hh")]
        yield values[name].reshape(gates, -1), b_hh.reshape(gates, -1)
