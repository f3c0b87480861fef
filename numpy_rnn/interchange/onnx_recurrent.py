"""The recurrent operators of ONNX as layers of numpy_rnn.

ONNX has an axis of directions in front of all weights. Its gates are i, o, f, c and z, r, h; its
peepholes are i, o, f. B holds the biases of the input and, after them, those of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.rnn import GRU, LSTM, RNN, PeepholeLSTM

# Operator to the order of our gates in its own, its activations, and its inputs.
KINDS: dict[Any, tuple[tuple[int, ...], tuple[str, ...], int]] = {
    "RNN": ((0,), ("Tanh",), 6),
    "GRU": ((1, 0, 2), ("Sigmoid", "Tanh"), 6),
    "LSTM": ((0, 2, 3, 1), ("Sigmoid", "Tanh", "Tanh"), 8),
}
PEEPHOLES = (0, 2, 1)
# Activation to its name here and the defaults of alpha and beta.
ACTIVATIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "Relu": ("relu", ()),
    "Tanh": ("tanh", ()),
    "Sigmoid": ("sigmoid", ()),
    "Affine": ("affine", (1.0, 0.0)),
    "LeakyRelu": ("leaky_relu", (0.01,)),
    "ThresholdedRelu": ("thresholded_relu", (1.0,)),
    "ScaledTanh": ("scaled_tanh", (1.0, 1.0)),
    "HardSigmoid": ("hard_sigmoid", (0.2, 0.5)),
    "Elu": ("elu", (1.0,)),
    "Softsign": ("softsign", ()),
    "Softplus": ("softplus", ()),
}
IN_SMALL_LETTERS = {name.lower(): entry for name, entry in ACTIVATIONS.items()}
DIRECTIONS = ("forward", "reverse", "bidirectional")
ATTRIBUTES = {"activation_alpha", "activation_beta", "activations", "clip", "direction"}
ATTRIBUTES |= {"hidden_size", "input_forget", "layout", "linear_before_reset", "output_sequence"}


def why_not_recurrent(kind: str, attributes: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """Return why a recurrent node cannot run, or ''."""
    unknown = sorted(set(attributes) - ATTRIBUTES)
    if unknown:
        return f"attribute {unknown[0]!r}, expected one of {sorted(ATTRIBUTES)}"
    direction = attributes.get("direction", "forward")
    if direction not in DIRECTIONS:
        return f"direction is {direction!r}, expected one of {DIRECTIONS}"
    if not 3 <= len(inputs) <= KINDS[kind][2]:
        return f"{len(inputs)} inputs, expected 3 to {KINDS[kind][2]}"
    names = attributes.get("activations")
    if names is not None:
        wrong = [name for name in names if name.lower() not in IN_SMALL_LETTERS]
        if wrong:
            return f"activation {wrong[0]!r}, expected one of {sorted(ACTIVATIONS)}"
        expected = len(KINDS[kind][1]) * (2 if direction == "bidirectional" else 1)
        if len(names) != expected:
            return f"{len(names)} activations, expected {expected}"
    return ""


def activations(kind: str, attributes: Mapping[str, Any], directions: int) -> list[Any]:
    """Return the activations of each direction, as the layers take them.

    The lists of alphas and betas are used up in order by the activations that take such numbers.
    """
    names = list(attributes.get("activations", KINDS[kind][1] * directions))
    alphas = iter(attributes.get("activation_alpha", ()))
    betas = iter(attributes.get("activation_beta", ()))
    found: list[Any] = []
    for name in names:
        own, defaults = IN_SMALL_LETTERS[name.lower()]
        given = [float(next(n, d)) for n, d in zip((alphas, betas), defaults, strict=False)]
        found.append((own, *given) if given else own)
    each = len(names) // directions
    return [tuple(found[n * each : (n + 1) * each]) for n in range(directions)]


def make_layer(
    kind: Any,
    attributes: Mapping[str, Any],
    W: Array,
    R: Array,
    B: Array | None,
    P: Array | None,
    *,
    only: int | None = None,
    dtype: Any = None,
    **options: Any,
) -> Recurrent:
    """Return a node as one layer, or `only` one of its directions. `options` are more keywords.

    ValueError if sizes disagree, or if the directions have different activations.
    """
    gates, H, D = KINDS[kind][0], R.shape[-1], W.shape[-1]
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    expected = (ways, len(gates) * H)
    if W.shape != (*expected, D) or R.shape != (*expected, H):
        raise ValueError(f"W has shape {W.shape} and R {R.shape}, expected {expected} and a size")
    used = range(ways) if only is None else [only]
    dtype = dtype or (W.dtype if W.dtype == np.float64 else np.float32)
    shared = {"bias": B is not None, "rng": 0, "dtype": dtype}
    shared |= _options(kind, attributes, ways, only) | options
    makers: dict[str, Any] = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM if P is None else PeepholeLSTM}
    layer: Recurrent = makers[kind](D, H, **shared)
    values = layer.parameters.values
    for n in used:
        end = "_l0_reverse" if len(used) == 2 and n else "_l0"
        values[f"weight_ih{end}"][...] = blocks(W[n], gates)
        values[f"weight_hh{end}"][...] = blocks(R[n], gates)
        if B is not None:
            for name, bias in zip(("bias_ih", "bias_hh"), B[n].reshape(2, -1), strict=True):
                values[name + end][...] = blocks(bias, gates)
        if P is not None:
            values[f"weight_ch{end}"][...] = P[n].reshape(3, H)[list(PEEPHOLES)]
    return layer


def _options(
    kind: str, attributes: Mapping[str, Any], ways: int, only: int | None
) -> dict[str, Any]:
    """Return the keywords of a layer that the attributes ask for."""
    each = activations(kind, attributes, ways)
    chosen = each[only or 0]
    if only is None and chosen != each[-1]:
        raise ValueError(f"the directions have activations {each}")
    found: dict[str, Any] = {"reset_after": bool(attributes.get("linear_before_reset"))}
    found = found if kind == "GRU" else {}
    if kind == "RNN":
        found["nonlinearity"] = chosen[0]
    elif chosen != tuple(name.lower() for name in KINDS[kind][1]):
        found["activations"] = chosen
    if attributes.get("clip"):
        found["clip"] = float(attributes["clip"])
    if attributes.get("input_forget"):
        found["input_forget"] = True
    if ways == 2 and only is None:
        found["bidirectional"] = True
    elif attributes.get("direction") == "reverse" or only == 1:
        found["reverse"] = True
    return found


def blocks(weight: Array, order: Sequence[int]) -> Array:
    """Return a weight with its blocks of rows in another order."""
    cut = weight.reshape(len(order), -1, *weight.shape[1:])
    return cut[list(order)].reshape(weight.shape)


def recurrent(
    kind: str,
    attributes: Mapping[str, Any],
    W: Array,
    R: Array,
    B: Array | None = None,
    P: Array | None = None,
) -> Callable[..., tuple[Array, ...]]:
    """Return ``run(X, lengths, h0, c0)``, which returns Y, Y_h and, of an LSTM, Y_c.

    A row of length 0 has a zero final state, as in onnxruntime.
    """
    layers = [make_layer(kind, attributes, W, R, B, P, only=n) for n in range(len(W))]
    steps = [layer.stepper() for layer in layers if not layer.reverse]
    dtype, batch_major = layers[0].parameters.dtype, attributes.get("layout", 0)

    def run(X: Array, lengths: Any = None, h0: Any = None, c0: Any = None) -> tuple[Array, ...]:
        x = np.asarray(X.swapaxes(0, 1) if batch_major else X, dtype)
        given = [s if s is None or not batch_major else s.swapaxes(0, 1) for s in (h0, c0)]
        zero = np.zeros((1, x.shape[1], R.shape[2]), dtype)
        outputs, finals = [], []
        for n, layer in enumerate(layers):
            parts = [zero if s is None else np.asarray(s[n : n + 1], dtype) for s in given]
            state = tuple(parts) if kind == "LSTM" else parts[0]
            if len(x) == 1 and lengths is None and len(steps) == len(layers):
                y_t, state = steps[n](x[0], state)
                y = y_t[None]
            else:
                y, state = layer.predict(x, state, lengths=lengths)
            outputs.append(y)
            finals.append(state if kind == "LSTM" else (state,))
        if len(layers) == 1:
            Y, last = outputs[0][:, None], list(finals[0])
        else:
            Y = np.stack(outputs, axis=1)
            last = [np.concatenate(parts) for parts in zip(*finals, strict=True)]
        if lengths is not None:
            for part in last:
                part[:, np.asarray(lengths) == 0] = 0
        if batch_major:
            Y, last = Y.transpose(2, 0, 1, 3), [part.swapaxes(0, 1) for part in last]
        return tuple([part.astype(X.dtype, copy=False) for part in (Y, *last)])

    return run
