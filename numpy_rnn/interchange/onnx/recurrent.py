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

# Operator to its activations.
KINDS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
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
DEFAULTS: dict[str, tuple[float | None, ...]] = CONSTANTS | {
    "affine": (None, None),
    "scaled_tanh": (None, None),
    "thresholded_relu": (None,),
}


def _options(
    kind: str,
    *,
    activations: Sequence[str] = (),
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    clip: float = 0.0,
    direction: str = "forward",
    hidden_size: int | None = None,  # noqa: ARG001 (that of the weights)
    input_forget: int = 0,
    layout: int = 0,  # noqa: ARG001 (of inputs and outputs)
    linear_before_reset: int = 0,
    output_sequence: int = 0,  # noqa: ARG001 (of old versions)
) -> list[dict[str, Any]]:
    """Return the options of a layer for each direction, from the attributes of a node.

    ValueError says why there is no such layer.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction is {direction!r}, expected one of {DIRECTIONS}")
    own = KINDS[kind] * (2 if direction == "bidirectional" else 1)
    chosen = _specs(activations, own, (activation_alpha, activation_beta))
    shared: dict[str, Any] = {"clip": clip or None}
    shared |= {"reset_after": bool(linear_before_reset)} if kind == "GRU" else {}
    shared |= {"input_forget": bool(input_forget)} if kind == "LSTM" else {}
    if kind == "RNN":
        return [shared | {"nonlinearity": spec} for spec in chosen]
    each = len(KINDS[kind])
    return [shared | {"activations": tuple(chosen[n : n + each])} for n in range(0, len(own), each)]


def _specs(names: Sequence[str], own: Sequence[str], lists: Sequence[Sequence[float]]) -> list[Any]:
    """Return activations as our layers take them; `own` are those of a node that names none."""
    unknown = [name for name in names if name.lower() not in IN_SMALL_LETTERS]
    if unknown or len(names) not in (0, len(own)):
        raise ValueError(f"activations are {names}, expected {len(own)} of {sorted(ACTIVATIONS)}")
    # The activations that take such numbers use up the lists of alphas and betas in order.
    numbers, specs = [iter(values) for values in lists], list[Any]()
    for name in [IN_SMALL_LETTERS[n.lower()] for n in names] or own:
        given = [next(n, d) for n, d in zip(numbers, DEFAULTS[name], strict=False)]
        if None in given:
            missing = f"activation {name} without {NUMBERS[given.index(None)]}"
            raise ValueError(f"{missing}: programs differ, so add it")
        specs.append((name, *given) if given else name)
    return specs


def make_layer(
    kind: str,
    attributes: Mapping[str, Any],
    weights: Sequence[Any],
    only: int | None = None,
    **more: Any,
) -> Recurrent:
    """Return a node as one layer, or `only` one of its directions.

    `weights` are W, R, B and P, of which the last two can be None; `more` are options of the layer.
    ValueError if sizes disagree, or if the directions have different activations.
    """
    W, R, B, P = weights
    options = _options(kind, **attributes)
    ways = len(options)
    size = attributes.get("hidden_size", R.shape[-1])
    if {len(w) for w in weights if w is not None} != {ways} or R.shape[-1] != size:
        expected = f"{ways} directions of hidden_size {size}"
        raise ValueError(f"W has shape {W.shape} and R has shape {R.shape}, expected {expected}")
    named = {"W": W, "R": R, "B": B}
    named["weight_ch"] = None if P is None else P.reshape(ways, 3, R.shape[2])[:, PEEPHOLES]
    chosen = range(ways) if only is None else [only]
    if any(options[n] != options[chosen[0]] for n in chosen):
        raise ValueError(f"the directions are {options}, expected the same activations")
    arrays = [{name: a[n] for name, a in named.items() if a is not None} for n in chosen]
    reverse = attributes.get("direction") == "reverse" or only == 1
    shared: dict[str, Any] = {"rng": 0, "dtype": None if W.dtype == np.float64 else np.float32}
    shared |= options[chosen[0]] | {"reverse": reverse or None} | more
    maker: Any = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM if P is None else PeepholeLSTM}[kind]
    return recurrent_layer(maker, arrays, "onnx", kind.lower(), **shared)


def attributes_of(layer: Any, kind: str) -> dict[str, Any]:
    """Return the attributes of the node for a layer: what :func:`make_layer` reads."""
    ways = 2 if layer.bidirectional else 1
    direction = DIRECTIONS[2 if layer.bidirectional else int(layer.reverse)]
    found: dict[str, Any] = {"hidden_size": layer.hidden_size, "direction": direction}
    chosen = (layer.nonlinearity,) if kind == "RNN" else layer.activations
    if tuple(chosen) != KINDS[kind]:
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
        _options(kind, **attributes)
        self.kind, self.attributes = kind, attributes
        self.weights: list[Any] = [None] * 4
        self.layers: list[Recurrent] = []
        self.steppers: list[Any] = []  # faster for one row, and for few numbers

    def bind(self, *inputs: Any) -> tuple[Callable[[], None], tuple[Array, ...]]:
        """Return a function that computes Y, Y_h and, of an LSTM, Y_c, and these arrays.

        A row of length 0 has a zero final state, as in onnxruntime.
        """
        X, W, R, B, lengths, h0, c0, P = [*inputs, *[None] * 8][:8]
        if X.ndim != 3:
            raise ValueError(f"X has shape {X.shape}, expected 3 axes")
        weights, ways = [W, R, B, P], range(len(W))
        if any(a is not b for a, b in zip(weights, self.weights, strict=True)):
            self.layers = [make_layer(self.kind, self.attributes, weights, only=n) for n in ways]
            self.weights, self.steppers = weights, []
        swap, count = self.attributes.get("layout", 0), 2 if self.kind == "LSTM" else 1
        X, *initial = [s if s is None or not swap else s.swapaxes(0, 1) for s in (X, h0, c0)]
        dtype, shape = self.layers[0].parameters.dtype, (len(W), X.shape[1], R.shape[2])
        begin = [np.zeros(shape, dtype) if s is None else s for s in initial[:count]]
        final = [np.empty(shape, X.dtype) for _ in begin]
        Y = np.empty((len(X), *shape), X.dtype)
        passes = self._passes(X, Y, lengths)

        def run() -> None:
            for n, (function, x, y) in enumerate(passes):
                state: Any = tuple([s[n : n + 1].astype(dtype, copy=False) for s in begin])
                found = function(x.astype(dtype, copy=False), state if count > 1 else state[0])
                y[...], state = found
                for place, part in zip(final, state if count > 1 else (state,), strict=True):
                    place[n] = part[0]
            if lengths is not None:
                for place in final:
                    place[:, np.asarray(lengths) == 0] = 0

        run()
        if swap:
            return run, (Y.transpose(2, 0, 1, 3), *[s.swapaxes(0, 1) for s in final])
        return run, (Y, *final)

    def _passes(self, X: Array, Y: Array, lengths: Array | None) -> list[tuple[Any, ...]]:
        """Return for each direction a function, its input, and the place for its output."""
        T, batch = X.shape[:2]
        if lengths is not None or T == 0 or (batch > 1 and T * batch > FEW_ROWS):
            made = [partial(layer.predict, lengths=lengths) for layer in self.layers]
            return [(function, X, Y[:, n]) for n, function in enumerate(made)]
        if not self.steppers:
            again = partial(make_layer, self.kind, self.attributes, self.weights, reverse=None)
            self.steppers = [again(only=n).stepper() for n in range(len(self.layers))]
        # A reversed one reads the steps backwards.
        ways: list[Any] = [slice(None, None, -1 if layer.reverse else 1) for layer in self.layers]
        ways = ways if T > 1 else [0] * len(ways)
        return [
            (step, X[way], Y[way, n])
            for n, (step, way) in enumerate(zip(self.steppers, ways, strict=True))
        ]
