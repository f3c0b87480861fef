"""What the library itself says, for every room: outputs and one gradient per argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numpy_rnn import RNN, LastStep
from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.functional.types import Array
from tests.complex_step import as_tuple

Run = tuple[tuple[Any, ...], tuple[Any, ...]]  # outputs, gradients


def pair(forward: Callable[..., Any], backward: Callable[..., Any], **options: Any) -> Any:
    """Run one of the library's pairs with a room's arguments as they are."""

    def run(arguments: tuple[Array, ...], douts: tuple[Array, ...]) -> Run:
        outputs, cache = forward(*arguments, **options)
        return as_tuple(outputs), backward(*douts, cache)[: len(arguments)]

    return run


def peephole(arguments: tuple[Array, ...], douts: tuple[Array, ...]) -> Run:
    """The library has the three peepholes in one array."""
    x, h0, c0, W_ih, W_hh, b_ih, b_hh, *peepholes = arguments
    W_c = np.stack(peepholes)
    outputs, cache = F.peephole_lstm_forward(x, h0, c0, W_ih, W_hh, b_ih, b_hh, W_c)
    dh, dc = douts
    *gradients, dW_c = F.peephole_lstm_backward(dh, dc, cache)
    return outputs, (*gradients, *dW_c)


NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def padded(arguments: tuple[Array, ...], douts: tuple[Array, ...]) -> Run:
    """Run the layer, with the one bias of the room and another that is zero."""
    x, lengths, h0, *weights = arguments
    layer = RNN(x.shape[2], h0.shape[1])
    layer.load_state_dict(dict(zip(NAMES, [*weights, 0 * weights[2]], strict=True)))
    y, last = layer.forward(x, h0[None], lengths=lengths)
    dx, dh0 = layer.backward(douts[0], douts[1][None])
    dweights = [layer.parameters.grads[name] for name in NAMES[:3]]
    return (y, last[0]), (dx, None, dh0[0], *dweights)


def bidirectional(arguments: tuple[Array, ...], douts: tuple[Array, ...]) -> Run:
    x, h0, *rest = arguments
    ahead, h0_reverse, back = rest[:4], rest[4], rest[5:]
    layer = RNN(x.shape[2], h0.shape[1], bidirectional=True)
    names = (*NAMES, *(name + "_reverse" for name in NAMES))
    layer.load_state_dict(dict(zip(names, [*ahead, *back], strict=True)))
    y, _ = layer.forward(x, np.stack([h0, h0_reverse]))
    dx, dstate = layer.backward(douts[0])
    dweights = [layer.parameters.grads[name] for name in names]
    return (y,), (dx, dstate[0], *dweights[:4], dstate[1], *dweights[4:])


def last_step(arguments: tuple[Array, ...], douts: tuple[Array, ...]) -> Run:
    layer = LastStep()
    return (layer.forward(*arguments),), (layer.backward(*douts), None)


LIBRARY: dict[str, Callable[[tuple[Array, ...], tuple[Array, ...]], Run]] = {
    "elman": pair(F.elman_forward, F.elman_backward),
    "lstm": pair(F.lstm_forward, F.lstm_backward),
    "lstm with projection": pair(F.lstm_forward, F.lstm_backward),
    "peephole lstm": peephole,
    "gru": pair(F.gru_forward, F.gru_backward),
    "gru, reset before": pair(F.gru_reset_before_forward, F.gru_reset_before_backward),
    "linear": pair(F.linear_forward, F.linear_backward),
    "embedding": pair(F.embedding_forward, F.embedding_backward),
    "layer norm": pair(F.layer_norm_forward, F.layer_norm_backward),
    "dropout": pair(F.dropout_forward, F.dropout_backward, p=0.3),
    "mse": pair(F.mse_forward, F.mse_backward),
    "cross-entropy": pair(F.cross_entropy_forward, F.cross_entropy_backward),
    "windows": pair(F.elman_forward, F.elman_backward),
    "padded batch": padded,
    "bidirectional": bidirectional,
    "last step": last_step,
}
