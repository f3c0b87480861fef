"""The recurrent operators of ONNX as layers of numpy_rnn.

ONNX has an axis of directions in front of all weights. The order of its gates is in gates.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.gates import convert_gates
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.rnn import GRU, LSTM, RNN, PeepholeLSTM

# Operator to its activations and the number of its inputs.
KINDS: dict[str, tuple[tuple[str, ...], int]] = {
    "RNN": (("tanh",), 6),
    "GRU": (("sigmoid", "tanh"), 6),
    "LSTM": (("sigmoid", "tanh", "tanh"), 8),
}
PEEPHOLES = [0, 2, 1]  # from i, o, f to i, f, o, and back
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
    own, most = KINDS[kind]
    if unknown := sorted(set(attributes) - ATTRIBUTES):
        return f"attribute {unknown[0]!r}, expected one of {sorted(ATTRIBUTES)}"
    direction = attributes.get("direction", "forward")
    if direction not in DIRECTIONS:
        return f"direction is {direction!r}, expected one of {DIRECTIONS}"
    if not 3 <= len(inputs) <= most:
        return f"{len(inputs)} inputs, expected 3 to {most}"
    expected = len(own) * (2 if direction == "bidirectional" else 1)
    names = attributes.get("activations", own * 2)[:expected]
    if wrong := [name for name in names if name.lower() not in IN_SMALL_LETTERS]:
        return f"activation {wrong[0]!r}, expected one of {sorted(ACTIVATIONS)}"
    if len(attributes.get("activations", names)) != expected:
        return f"{len(attributes['activations'])} activations, expected {expected}"
    return ""


def make_layer(
    kind: str,
    attributes: Mapping[str, Any],
    weights: Sequence[Any],
    *,
    only: int | None = None,
    dtype: Any = None,
    **options: Any,
) -> Recurrent:
    """Return a node as one layer, or `only` one of its directions.

    `weights` are W, R, B and P, of which the last two can be None; `options` are more keywords.
    ValueError if sizes disagree, or if the directions have different activations.
    """
    W, R, B, P = weights
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    if {len(w) for w in (W, R, B, P) if w is not None} != {ways}:
        raise ValueError(f"W has shape {W.shape} and R {R.shape}, expected {ways} directions")
    used = range(ways) if only is None else [only]
    found = []
    for n in used:
        arrays = {"W": W[n], "R": R[n]} | ({} if B is None else {"B": B[n]})
        found.append(convert_gates(arrays, "onnx", "torch", kind.lower()))
        if P is not None:
            found[-1]["weight_ch"] = P[n].reshape(3, R.shape[2])[PEEPHOLES]
    dtype = dtype or (W.dtype if W.dtype == np.float64 else np.float32)
    shared = {"bias": B is not None, "rng": 0, "dtype": dtype}
    shared |= _options(kind, attributes, ways, only) | options
    makers: dict[str, Any] = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM if P is None else PeepholeLSTM}
    layer: Recurrent = makers[kind](W.shape[2], R.shape[2], **shared)
    for end, converted in zip(("_l0", "_l0_reverse"), found, strict=False):
        for name, array in converted.items():
            layer.parameters.values[name + end][...] = array
    return layer


def _options(
    kind: str, attributes: Mapping[str, Any], ways: int, only: int | None
) -> dict[str, Any]:
    """Return the keywords of a layer that the attributes ask for."""
    own = KINDS[kind][0]
    # The activations that take such numbers use up the lists of alphas and betas in order.
    numbers = [iter(attributes.get(f"activation_{name}", ())) for name in ("alpha", "beta")]
    each: list[Any] = []
    for name in attributes.get("activations", own * ways):
        ours, defaults = IN_SMALL_LETTERS[name.lower()]
        given = [float(next(n, d)) for n, d in zip(numbers, defaults, strict=False)]
        each.append((ours, *given) if given else ours)
    chosen = tuple(each[: len(own)] if not only else each[len(own) :])
    if only is None and chosen != tuple(each[-len(own) :]):
        raise ValueError(f"the directions have activations {each}")
    found: dict[str, Any] = {}
    if kind == "GRU":
        found["reset_after"] = bool(attributes.get("linear_before_reset"))
    if kind == "RNN":
        found["nonlinearity"] = chosen[0]
    elif chosen != own:
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


class RecurrentNode:
    """The function of a recurrent node. It keeps the layers of the last weights."""

    def __init__(self, kind: str, attributes: Mapping[str, Any]) -> None:
        self.kind, self.attributes = kind, attributes
        self.weights: list[Any] = [None] * 4
        self.layers: list[Recurrent] = []
        self.steps: list[Any] = []  # a stepper for each direction, unless one is reversed

    def __call__(
        self,
        X: Array,
        W: Array,
        R: Array,
        B: Any = None,
        lengths: Any = None,
        h0: Any = None,
        c0: Any = None,
        P: Any = None,
    ) -> tuple[Array, ...]:
        """Return Y, Y_h and, of an LSTM, Y_c.

        A row of length 0 has a zero final state, as in onnxruntime.
        """
        weights = [W, R, B, P]
        if any(a is not b for a, b in zip(weights, self.weights, strict=True)):
            ways = range(len(W))
            self.layers = [make_layer(self.kind, self.attributes, weights, only=n) for n in ways]
            reverse = any(layer.reverse for layer in self.layers)
            self.steps = [] if reverse else [layer.stepper() for layer in self.layers]
            self.weights = weights
        dtype, batch_major = self.layers[0].parameters.dtype, self.attributes.get("layout", 0)
        x = np.asarray(X.swapaxes(0, 1) if batch_major else X, dtype)
        given = [s if s is None or not batch_major else s.swapaxes(0, 1) for s in (h0, c0)]
        zero = np.zeros((1, x.shape[1], R.shape[2]), dtype)
        outputs, finals = [], []
        for n, layer in enumerate(self.layers):
            parts = [zero if s is None else np.asarray(s[n : n + 1], dtype) for s in given]
            state = tuple(parts) if self.kind == "LSTM" else parts[0]
            if len(x) == 1 and lengths is None and self.steps:
                y_t, state = self.steps[n](x[0], state)
                y = y_t[None]
            else:
                y, state = layer.predict(x, state, lengths=lengths)
            outputs.append(y)
            finals.append(state if self.kind == "LSTM" else (state,))
        if len(outputs) == 1:  # np.stack and np.concatenate take longer than a step
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
