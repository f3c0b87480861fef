"""The references that are no textbook pages, computed by the library's layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_rnn import RNN, LastStep
from numpy_rnn.functional.types import Array

Arrays = tuple[Array, ...]
Results = tuple[tuple[Any, ...], tuple[Any, ...]]  # outputs, gradients

NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def whole_sequence(arguments: Arrays, douts: Arrays) -> Results:
    """Run the layer over all windows at once."""
    x, h0, *weights = arguments
    layer = RNN(x.shape[2], h0.shape[1])
    layer.load_state_dict(dict(zip(NAMES, weights, strict=True)))
    y, _ = layer.forward(x, h0[None])
    dx, dh0 = layer.backward(douts[0])
    return (y,), (dx, dh0[0], *(layer.parameters.grads[name] for name in NAMES))


def padded(arguments: Arrays, douts: Arrays) -> Results:
    """Run the layer with the reference's one bias, and with zero for the other."""
    x, lengths, h0, *weights = arguments
    layer = RNN(x.shape[2], h0.shape[1])
    layer.load_state_dict(dict(zip(NAMES, [*weights, 0 * weights[2]], strict=True)))
    y, last = layer.forward(x, h0[None], lengths=lengths)
    dx, dh0 = layer.backward(douts[0], douts[1][None])
    dweights = [layer.parameters.grads[name] for name in NAMES[:3]]
    return (y, last[0]), (dx, None, dh0[0], *dweights)


def bidirectional(arguments: Arrays, douts: Arrays) -> Results:
    x, h0, *rest = arguments
    ahead, h0_reverse, back = rest[:4], rest[4], rest[5:]
    layer = RNN(x.shape[2], h0.shape[1], bidirectional=True)
    names = (*NAMES, *(name + "_reverse" for name in NAMES))
    layer.load_state_dict(dict(zip(names, [*ahead, *back], strict=True)))
    y, _ = layer.forward(x, np.stack([h0, h0_reverse]))
    dx, dstate = layer.backward(douts[0])
    dweights = [layer.parameters.grads[name] for name in names]
    return (y,), (dx, dstate[0], *dweights[:4], dstate[1], *dweights[4:])


def last_step(arguments: Arrays, douts: Arrays) -> Results:
    h, lengths = arguments
    layer = LastStep()
    return (layer.forward(h, lengths=lengths),), (layer.backward(*douts), None)


LAYERS: dict[str, Callable[[Arrays, Arrays], Results]] = {
    "windows": whole_sequence,
    "padded": padded,
    "bidirectional": bidirectional,
    "last_step": last_step,
}
