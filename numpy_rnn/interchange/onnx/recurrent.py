"""The recurrent operators of ONNX as layers of numpy_rnn.

ONNX has an axis of directions in front of all weights. The order of its gates is in gates.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from numpy_rnn.functional.activations import NONLINEARITIES, check_activation
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.gates import recurrent_layer
from numpy_rnn.layers.recurrent import Recurrent
from numpy_rnn.layers.rnn import GRU, LSTM, RNN, PeepholeLSTM

# Operator to its activations and the number of its inputs.
KINDS: dict[str, tuple[tuple[str, ...], int]] = {
    "RNN": (("tanh",), 6),
    "GRU": (("sigmoid", "tanh"), 6),
    "LSTM": (("sigmoid", "tanh", "tanh"), 8),
}
FEW_ROWS = 16  # of an input, for which a stepper is faster than a pass over the sequence
PEEPHOLES = [0, 2, 1]  # from i, o, f to i, f, o, and back
OURS = "relu tanh sigmoid leaky_relu thresholded_relu hard_sigmoid elu softsign softplus"
OF_CELLS = ["affine", "scaled_tanh"]  # which are no operators by themselves
# Activation to our name, whose constants are alpha and beta, with the same defaults.
ACTIVATIONS = {name.title().replace("_", ""): name for name in [*OURS.split(), *OF_CELLS]}
CONSTANTS = {n: NONLINEARITIES[n].constants for n in ACTIVATIONS.values()} | {"softplus": ()}
IN_SMALL_LETTERS = {name.lower(): ours for name, ours in ACTIVATIONS.items()}
DIRECTIONS = ("forward", "reverse", "bidirectional")
NUMBERS = ("activation_alpha", "activation_beta")
# Without these numbers onnxruntime takes 0, and the specification names other ones or none.
NO_DEFAULT = {*OF_CELLS, "thresholded_relu"}
ATTRIBUTES = {*NUMBERS, "activations", "clip", "direction"}
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
    return _why_not_activations(len(own) * (2 if direction == "bidirectional" else 1), attributes)


def _why_not_activations(expected: int, attributes: Mapping[str, Any]) -> str:
    names = attributes.get("activations", ())
    if wrong := [name for name in names if name.lower() not in IN_SMALL_LETTERS]:
        return f"activation {wrong[0]!r}, expected one of {sorted(ACTIVATIONS)}"
    if len(names) not in (0, expected):
        return f"{len(names)} activations, expected {expected}"
    chosen = [IN_SMALL_LETTERS[name.lower()] for name in names]
    for place, attribute in enumerate(NUMBERS):
        users = [name for name in chosen if len(CONSTANTS[name]) > place]
        if missing := NO_DEFAULT & {*users[len(attributes.get(attribute, ())) :]}:
            return f"activation {min(missing)} without {attribute}: programs differ, so add it"
    return ""


def make_layer(
    kind: str,
    attributes: Mapping[str, Any],
    weights: Sequence[Any],
    only: int | None = None,
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
    if attributes.get("hidden_size", R.shape[-1]) != R.shape[-1]:
        raise ValueError(f"R has shape {R.shape}, expected hidden_size {attributes['hidden_size']}")
    named = {"W": W, "R": R, "B": B}
    named["weight_ch"] = None if P is None else P.reshape(ways, 3, R.shape[2])[:, PEEPHOLES]
    directions = [
        {name: array[n] for name, array in named.items() if array is not None}
        for n in (range(ways) if only is None else [only])
    ]
    found: dict[str, Any] = {"rng": 0, "dtype": None if W.dtype == np.float64 else np.float32}
    found["reverse"] = True if attributes.get("direction") == "reverse" or only == 1 else None
    found |= _options(kind, attributes, ways, only) | options
    maker: Any = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM if P is None else PeepholeLSTM}[kind]
    return recurrent_layer(maker, directions, "onnx", kind.lower(), **found)


def _options(
    kind: str, attributes: Mapping[str, Any], ways: int, only: int | None
) -> dict[str, Any]:
    own = KINDS[kind][0]
    # The activations that take such numbers use up the lists of alphas and betas in order.
    numbers = [iter(attributes.get(name, ())) for name in NUMBERS]
    each: list[Any] = []
    for name in attributes.get("activations") or own * ways:
        ours = IN_SMALL_LETTERS[name.lower()]
        given = [float(next(n, d)) for n, d in zip(numbers, CONSTANTS[ours], strict=False)]
        each.append((ours, *given) if given else ours)
    chosen = tuple(each[len(own) :] if only else each[: len(own)])
    if only is None and chosen != tuple(each[-len(own) :]):
        raise ValueError(f"the directions have activations {each}, expected the same ones")
    found = {"clip": attributes.get("clip") or None}
    if kind == "RNN":
        return found | {"nonlinearity": chosen[0]}
    if kind == "GRU":
        found["reset_after"] = bool(attributes.get("linear_before_reset"))
    else:
        found["input_forget"] = bool(attributes.get("input_forget"))
    return found | {"activations": chosen}


def _steps_and_rows(X: Array) -> Sequence[int]:
    if X.ndim != 3:
        raise ValueError(f"X has shape {X.shape}, expected 3 axes")
    return X.shape[:2]


def attributes_of(layer: Any, kind: str) -> dict[str, Any]:
    """Return the attributes of the node for a layer: what :func:`make_layer` reads."""
    ways = 2 if layer.bidirectional else 1
    direction = DIRECTIONS[2 if layer.bidirectional else int(layer.reverse)]
    found: dict[str, Any] = {"hidden_size": layer.hidden_size, "direction": direction}
    chosen = (layer.nonlinearity,) if kind == "RNN" else layer.activations
    if tuple(chosen) != KINDS[kind][0]:
        theirs = {ours: name for name, ours in ACTIVATIONS.items()}
        specs = [check_activation("affine" if spec == "linear" else spec) for spec in chosen]
        found["activations"] = [theirs[name] for name, _ in specs] * ways
        given = [constants[: len(CONSTANTS[name])] for name, constants in specs]
        for place, attribute in enumerate(NUMBERS):
            if column := [numbers[place] for numbers in given if len(numbers) > place] * ways:
                found[attribute] = column
    found |= {"clip": float(layer.clip)} if layer.clip is not None else {}
    found |= {"linear_before_reset": int(layer.reset_after)} if kind == "GRU" else {}
    return found | ({"input_forget": 1} if getattr(layer, "input_forget", False) else {})


class RecurrentNode:
    """A recurrent node, with the layers of the last weights: one for each direction."""

    def __init__(self, kind: str, attributes: Mapping[str, Any]) -> None:
        self.kind, self.attributes = kind, attributes
        self.weights: list[Any] = [None] * 4
        self.layers: list[Recurrent] = []
        self.steppers: list[Any] = []  # faster for one row, and for few numbers

    def bind(self, *inputs: Any) -> tuple[Callable[[], None], tuple[Array, ...]]:
        """Return a function that computes Y, Y_h and, of an LSTM, Y_c, and these arrays.

        A row of length 0 has a zero final state, as in onnxruntime.
        """
        X, W, R, B, lengths, h0, c0, P = [*inputs, *[None] * 8][:8]
        is_mask = lengths is not None and lengths.dtype == bool  # (T, B), in graphs of Keras
        lengths, mask = (None, lengths) if is_mask else (lengths, None)
        weights, ways = [W, R, B, P], range(len(W))
        if any(a is not b for a, b in zip(weights, self.weights, strict=True)):
            self.layers = [make_layer(self.kind, self.attributes, weights, only=n) for n in ways]
            self.weights, self.steppers = weights, []
        swap = self.attributes.get("layout", 0)
        X, *initial = [s if s is None or not swap else s.swapaxes(0, 1) for s in (X, h0, c0)]
        (T, batch), dtype = _steps_and_rows(X), self.layers[0].parameters.dtype
        shape = (len(W), batch, R.shape[2])
        Y = np.empty((T, *shape), X.dtype)
        final = [np.empty(shape, X.dtype) for _ in initial[: 2 if self.kind == "LSTM" else 1]]
        begin = [np.zeros(shape, dtype) if s is None else s for s in initial[: len(final)]]
        whole = lengths is None and mask is None
        steppers = self._steppers(T, batch) if whole else [None] * len(W)

        def run() -> None:
            x = X.astype(dtype, copy=False)
            for n, (layer, step) in enumerate(zip(self.layers, steppers, strict=True)):
                parts = [s[n : n + 1].astype(dtype, copy=False) for s in begin]
                state = tuple(parts) if len(parts) > 1 else parts[0]
                if step is None:
                    Y[:, n], state = layer.predict(x, state, lengths=lengths, mask=mask)
                elif T == 1:
                    Y[0, n], state = step(x[0], state)
                else:
                    way = slice(None, None, -1 if layer.reverse else 1)
                    Y[way, n], state = step(x[way], state)
                for place, part in zip(final, state if len(parts) > 1 else (state,), strict=True):
                    place[n] = part[0]
            if lengths is not None:
                for place in final:
                    place[:, np.asarray(lengths) == 0] = 0

        run()
        if swap:
            return run, (Y.transpose(2, 0, 1, 3), *[s.swapaxes(0, 1) for s in final])
        return run, (Y, *final)

    def _steppers(self, T: int, batch: int) -> list[Any]:
        """Return a stepper for each direction, or None for each if a pass is faster."""
        if T == 0 or (batch > 1 and T * batch > FEW_ROWS):
            return [None] * len(self.layers)
        if not self.steppers:  # a reversed one reads the steps backwards
            again = partial(make_layer, self.kind, self.attributes, self.weights, reverse=None)
            self.steppers = [again(only=n).stepper() for n in range(len(self.layers))]
        return self.steppers
