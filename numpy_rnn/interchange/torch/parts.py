"""The parts of a state_dict: arrays under one name, and the layers that they may be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from numpy_rnn.arguments import constructor_arguments
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.torch.unpickle import Instance
from numpy_rnn.layers import GRU, LSTM, RNN, Embedding, Layer, LayerNorm, Linear
from numpy_rnn.parameters import at_most

STATISTICS = {"running_mean", "running_var"}
MAX_NORMALISED = 1 << 21  # numbers in the matrix that a BatchNorm becomes
LIKE_LAYER_NORM = re.compile(r"(^|[._])(ln|layer_?norm)[^.]*$", re.IGNORECASE)
OTHER_NORM = re.compile(
    r"(^|[._])(rms|b_?n|batch|g_?n|group|inst|p_?relu|act)[^.]*$", re.IGNORECASE
)
IN_PYTORCH = re.compile(r"(__torch__\.)?torch\.")  # names of its own classes
TOKENS = -1  # the input size of an embedding
RECURRENT: dict[int, type[RNN | GRU | LSTM]] = {1: RNN, 3: GRU, 4: LSTM}  # by blocks of weight_hh
LIKE_EMBEDDING = re.compile(r"emb|wte|lookup", re.IGNORECASE)
LIKE_LINEAR = re.compile(r"lin|fc|proj|head|out|dense|dec|cls|classif|i2|h2|logit", re.IGNORECASE)


@dataclass
class Choice:
    """One way to read a part: the class of its layer, and the constructor's arguments."""

    kind: type[Layer]
    sizes: Sequence[Any]
    size_in: int
    size_out: int
    options: dict[str, Any]

    def __str__(self) -> str:
        usual = {"num_layers": 1, "bias": True, "bidirectional": False}
        shown = [f"{n}={value}" for n, value in self.options.items() if value != usual.get(n)]
        return f"{self.kind.__name__}({', '.join([*map(str, self.sizes), *shown])})"


@dataclass
class Part:
    """Arrays that belong to one layer."""

    module: Instance  # the pickled module, if there is one
    arrays: dict[str, Array] = field(default_factory=dict)  # by the names of the layer
    sources: dict[str, str] = field(default_factory=dict)  # the same, to the names of the file

    @property
    def name(self) -> str:
        """The file's name of the part."""
        return next(iter(self.sources.values())).rpartition(".")[0]

    @cached_property
    def choices(self) -> list[Choice]:
        """The ways to read the part, the likeliest first. There may be none."""
        found = self._guesses()
        if not IN_PYTORCH.match(self.module.kind) or self.is_normalised:
            return found
        if self.module.state.get("max_norm") is not None:
            return []
        kind = self.module.kind.rpartition(".")[2].removesuffix("Cell")
        return [choice for choice in found if kind.endswith(choice.kind.__name__)]

    def _guesses(self) -> list[Choice]:
        shapes = {name: array.shape for name, array in self.arrays.items()}
        if self.is_normalised or "weight_hh_l0" in shapes:
            return self._normalised(shapes) if self.is_normalised else self._recurrent(shapes)
        weight, bias = shapes.get("weight", ()), shapes.get("bias")
        if set(shapes) - {"weight", "bias"} or bias not in (None, weight[:1]) or 0 in weight:
            return []
        options = {"bias": bias is not None}
        called = self.sources["weight"].rpartition(".")[0]
        told = OTHER_NORM.search(called) or (bias is None and not LIKE_LAYER_NORM.search(called))
        if len(weight) == 1 and not told:
            return [Choice(LayerNorm, [weight], *weight, *weight, options)]
        if len(weight) != 2:
            return []
        linear = Choice(Linear, weight[::-1], weight[1], weight[0], options)
        embedding = Choice(Embedding, weight, TOKENS, weight[1], {})
        called = called.rpartition(".")[2]
        likely = LIKE_LINEAR.search(called), LIKE_EMBEDDING.search(called)
        if bias is not None or (likely[0] and not likely[1]):
            return [linear]
        return [embedding] if likely[1] and not likely[0] else [linear, embedding]

    @property
    def is_normalised(self) -> bool:
        """Whether it is a BatchNorm."""
        return STATISTICS <= set(self.arrays) <= STATISTICS | {"weight", "bias"}

    def _values(self, eps: float) -> dict[str, Array]:
        """Return the parameters of the layer: of a BatchNorm, those of a Linear layer."""
        if not self.is_normalised:
            return self.arrays
        mean, variance = (self.arrays[name] for name in ("running_mean", "running_var"))
        scale = self.arrays.get("weight", np.ones_like(mean)) / np.sqrt(variance + eps)
        return {"weight": np.diag(scale), "bias": self.arrays.get("bias", 0) - mean * scale}

    def _normalised(self, shapes: Mapping[str, tuple[int, ...]]) -> list[Choice]:
        C = math.prod(shapes["running_mean"])
        fits = {*shapes.values()} == {(C,)} and 0 < C * C <= MAX_NORMALISED
        return [Choice(Linear, [C, C], C, C, {"bias": True})] * fits

    def _recurrent(self, shapes: Mapping[str, tuple[int, ...]]) -> list[Choice]:
        places = {re.sub(r"^[a-z]+_[a-z]+(?=_l)", "", name) for name in shapes}
        directions = [""] + ["_reverse"] * ("_l0_reverse" in places)
        L = len(places) // len(directions)
        expected = {f"_l{n}{direction}" for n in range(L) for direction in directions}
        W_ih, W_hh = (shapes.get(f"{name}_l0", ()) for name in ("weight_ih", "weight_hh"))
        if places != expected or len(W_ih) != 2 or len(W_hh) != 2 or 0 in W_ih + W_hh:
            return []
        projection = shapes.get("weight_hr_l0", W_hh)
        H = projection[-1] or 1
        kind = RECURRENT.get(W_hh[0] // H)
        if kind is None or W_hh[0] % H or len(projection) != 2:
            return []
        if "weight_hr_l0" in shapes and kind is not LSTM:  # which alone has a projection
            return []
        options: dict[str, Any] = {
            "num_layers": L,
            "bias": any(name.startswith("bias") for name in shapes),
            "bidirectional": len(directions) == 2,
        }
        if "weight_hr_l0" in shapes:
            options["proj_size"] = projection[0]
        return [Choice(kind, (W_ih[1], H), W_ih[1], W_hh[1] * len(directions), options)]

    @property
    def takes(self) -> set[str]:
        """The options that the layer may take."""
        names = {name for choice in self.choices for name in constructor_arguments(choice.kind)}
        return names | {"eps"} if self.is_normalised else names

    def make(self, choice: Choice, options: Mapping[str, Any]) -> Layer:
        """Return the layer. A ValueError says that its arrays do not fit together."""
        known = {
            n: v for n, v in self.module.state.items() if n in ("batch_first", "eps", "padding_idx")
        }
        given: dict[str, Any] = {"rng": 0}  # of weights that are replaced
        given |= {n: v for n, v in {**options, **known}.items() if v is not None}
        if (
            self.module.state.get("mode") == "RNN_RELU"
            or self.module.state.get("nonlinearity") == "relu"
        ):
            given["nonlinearity"] = "relu"
        values = self._values(given.get("eps", 1e-5))
        takes = constructor_arguments(choice.kind)
        given = {n: v for n, v in given.items() if n in takes}
        # Each bias may be missing, so the layer has at most twice the numbers of the file.
        with at_most(2 * sum(array.size for array in values.values())):
            layer = choice.kind(*choice.sizes, **choice.options, **given)
        biases = {n: np.zeros(shape) for n, shape in layer.parameters.shapes.items() if "bias" in n}
        layer.load_state_dict(biases | values)
        return layer
