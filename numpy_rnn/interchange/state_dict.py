"""The layers in a state_dict: names and arrays as PyTorch writes them, in any file format.

A state_dict says neither in which order layers run nor what is between them. The order is that of
the file if the sizes fit, and else the only one in which they fit. Otherwise an error lists what
was found, and the caller gives the order: ``load(path, layers=["rnn", "fc"])``. Layers without
parameters, such as activations, are given there too.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array, DTypeLike
from numpy_rnn.interchange.contents import Contents, UnsupportedError
from numpy_rnn.interchange.tree import Found
from numpy_rnn.layers import GRU, LSTM, RNN, Embedding, Layer, LayerNorm, Linear
from numpy_rnn.layers import Sequential as Chain
from numpy_rnn.layers.model_file import ACTIVATIONS, CLASSES
from numpy_rnn.parameters import at_most

WITHOUT_PARAMETERS = ("LastStep", "Tanh", "Softsign", *ACTIVATIONS.split())
MAX_NUMBER = 1000  # of a part of a Sequential
MAX_STEPS = 20_000  # of the search for an order
WRAPPERS = {"module", "_orig_mod"}  # of DataParallel and torch.compile
PARAMETER = re.compile(
    r"(?:(?P<part>.*)\.)?(?:(?P<name>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?:_l(?P<layer>\d{1,4}))?(?P<reverse>_reverse)?|(?P<plain>weight|bias|weight_[gv]|running_\w+))"
)
SCALE = re.compile(r"(.*)[._](scales?|zero_points?)")
TOKENS = -1  # the input size of an embedding
RECURRENT: dict[int, type[RNN | GRU | LSTM]] = {1: RNN, 3: GRU, 4: LSTM}  # by blocks of weight_hh
LIKE_EMBEDDING = re.compile(r"emb|wte|lookup", re.IGNORECASE)
LIKE_LINEAR = re.compile(r"lin|fc|proj|head|out|dense|dec|cls|classif|i2|h2|logit", re.IGNORECASE)


@dataclass
class Options:
    """What no state_dict says."""

    dtype: DTypeLike | None = None  # by default that of the file; of half precision, float32
    nonlinearity: str = "tanh"  # of an RNN
    batch_first: bool = False
    reset_after: bool = True  # of a GRU
    # Names of parts, and layers without parameters or names of their classes.
    layers: Sequence[str | Layer] | None = None


class Choice(NamedTuple):
    """One way to read a part: its sizes, and how to make its layer."""

    size_in: int
    size_out: int
    make: Callable[[Options, DTypeLike], Layer]
    line: str


@dataclass
class Part:
    """Arrays that belong to one layer."""

    arrays: dict[str, Array] = field(default_factory=dict)  # by the names of the layer
    sources: dict[str, str] = field(default_factory=dict)  # the same, to the names of the file
    known: dict[str, Any] = field(default_factory=dict)  # attributes of the pickled module

    def choices(self) -> list[Choice]:
        """Return the ways to read the part, the likeliest first. There may be none."""
        shapes = {name: array.shape for name, array in self.arrays.items()}
        if "weight_hh_l0" in shapes:
            return self._recurrent(shapes)
        weight, bias = shapes.get("weight", ()), shapes.get("bias")
        rows = weight[:1]
        if set(shapes) - {"weight", "bias"} or bias not in (None, rows) or 0 in weight:
            return []
        if len(weight) == 1:
            return [self._choice(LayerNorm, (rows[0],), rows[0], rows[0], bias=bias is not None)]
        if len(weight) != 2:
            return []
        sizes = weight[1], weight[0]
        linear = self._choice(Linear, sizes, *sizes, bias=bias is not None)
        embedding = self._choice(Embedding, weight, TOKENS, weight[1])
        called = ".".join(self.sources["weight"].split(".")[-2:-1])
        likely = LIKE_LINEAR.search(called), LIKE_EMBEDDING.search(called)
        if bias is not None or (likely[0] and not likely[1]):
            return [linear]
        return [embedding] if likely[1] and not likely[0] else [linear, embedding]

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
        options: dict[str, Any] = {
            "num_layers": L,
            "bias": any(name.startswith("bias") for name in shapes),
            "bidirectional": len(directions) == 2,
        }
        if "weight_hr_l0" in shapes:
            options["proj_size"] = projection[0]
        out = W_hh[1] * len(directions)
        return [self._choice(kind, (W_ih[1], H), W_ih[1], out, **options)]

    def _choice(
        self, kind: Callable[..., Layer], sizes: Any, size_in: int, size_out: int, **own: Any
    ) -> Choice:
        usual = {"num_layers": 1, "bias": True, "bidirectional": False}
        shown = "".join(f", {n}={value}" for n, value in own.items() if value != usual.get(n))
        name = getattr(kind, "__name__", "")

        def make(options: Options, dtype: DTypeLike) -> Layer:
            more: dict[str, Any] = {"dtype": dtype}
            if name not in ("Embedding", "LayerNorm"):
                more["rng"] = 0  # of weights that are replaced
            if kind in RECURRENT.values():
                more["batch_first"] = options.batch_first
            more |= {"nonlinearity": options.nonlinearity} if kind is RNN else {}
            more |= {"reset_after": options.reset_after} if kind is GRU else {}
            for option in ("batch_first", "eps", "padding_idx"):
                if self.known.get(option) is not None:
                    more[option] = self.known[option]
            if kind is RNN and self.known.get("mode") == "RNN_RELU":
                more["nonlinearity"] = "relu"
            # Each bias may be missing, so the layer has at most twice the numbers of the file.
            with at_most(2 * sum(array.size for array in self.arrays.values())):
                layer = kind(*sizes, **own, **more)
            zeros = {n: np.zeros(s) for n, s in layer.parameters.shapes.items() if "bias" in n}
            layer.load_state_dict(zeros | self.arrays)
            return layer

        return Choice(size_in, size_out, make, f"{name}({', '.join(map(str, sizes))}{shown})")


class StateDict:
    """The parts of a state_dict, in the order of the file.

    Parameters
    ----------
    arrays : mapping of str to array
        By the file's names.
    ordered : bool
        Whether the order of the names is that in which the model was made.
    found : Found, optional
        What else was found with the arrays.
    """

    def __init__(
        self, arrays: Mapping[str, Array], *, ordered: bool, found: Found | None = None
    ) -> None:
        found = found or Found()
        self.ordered, self.notes, self.tied = ordered, list(found.notes), found.tied
        self.arrays = self._floating(arrays)
        self.parts: dict[str, Part] = {}
        self.leftover: list[str] = []
        for source, array in self.arrays.items():
            match = PARAMETER.fullmatch(source)
            if match is None:
                self.leftover.append(source)
                continue
            components = (match["part"] or "").split(".")
            name = ".".join(c for c in components if c not in WRAPPERS)
            own = (
                match["plain"] or f"{match['name']}_l{match['layer'] or 0}{match['reverse'] or ''}"
            )
            part = self.parts.setdefault(name, Part())
            part.arrays[own], part.sources[own] = array, source
            if (match["part"] or "") in found.modules:
                part.known = found.modules[match["part"] or ""].state
        self._strip_prefix()
        self.choices = {name: part.choices() for name, part in self.parts.items()}
        for name, part in list(self.parts.items()):
            if not self.choices[name]:
                self.leftover += part.sources.values()
                del self.parts[name]
        self.gaps = list(_gaps(self.parts))
        for name, module in found.modules.items():
            if module.kind.startswith(("torch.nn.modules.activation", "torch.nn.modules.pooling")):
                self.gaps.append(f"{name} ({module.kind.rpartition('.')[2]})")

    def contents(self, form: str, settings: Mapping[str, Any] | None = None) -> Contents:
        """Return the contents of a file of this format."""
        chosen: dict[str, Any] = {name: self.choices[name][0] for name in self.parts}
        with suppress(UnsupportedError):
            chosen = dict(self.plan())
        lines = [f"{n or '-'}: {choice.line}" for n, choice in chosen.items() if n in self.parts]
        lines += [f"{name}: {self.arrays[name].shape}, no known layer" for name in self.leftover]
        notes = [*self.notes, *(f"{n} is the same memory as {one}" for n, one in self.tied.items())]
        notes += [f"{gap} has no parameters and is left out" for gap in self.gaps]
        for name, part in self.parts.items():
            biases = {n.partition("_l")[0] for n in part.arrays} & {"bias_ih", "bias_hh"}
            notes += [f"{name or 'it'} has one bias, the other is zero"] * (len(biases) == 1)
        return Contents(form, self.arrays, lines, self.build, notes, settings or {})

    def build(self, **options: Any) -> Layer:
        """Return the model. The options are those of :class:`Options`."""
        known = Options(**options)
        wide = any(array.dtype == np.float64 for array in self.arrays.values())
        dtype = (np.float64 if wide else np.float32) if known.dtype is None else known.dtype
        plan = self.plan(known.layers)
        try:  # the constructors check what the shapes claim
            named = [(n, c if isinstance(c, Layer) else c.make(known, dtype)) for n, c in plan]
            model = _nest(named, self._tied_names(dict(named))).eval()
        except ValueError as error:
            raise UnsupportedError(error) from None
        if self.gaps and known.layers is None:
            warnings.warn(
                f"{', '.join(self.gaps)} has no parameters and is left out, expected, if it is not "
                f"dropout, in layers={[name for name, _ in named]}",
                stacklevel=4,
            )
        return model

    def _tied_names(self, named: Mapping[str, Layer]) -> dict[str, str]:
        """Return the tied weights by the names of the model."""
        own = {
            source: f"{name}.{own}"
            for name, part in self.parts.items()
            for own, source in part.sources.items()
            if name in named
        }
        return {own[n]: own[one] for n, one in self.tied.items() if n in own and one in own}

    def plan(self, layers: Sequence[str | Layer] | None = None) -> list[tuple[str, Choice | Layer]]:
        """Return name and choice of each part, in the order in which they run."""
        if layers is not None:
            return list(self._chosen(layers))
        if self.leftover or not self.parts:
            raise self._error(
                f"{', '.join(self.leftover) or 'nothing'} belongs to no layer that is known here"
            )
        found = self._orders(list(self.parts)) if self.ordered else []
        found = found or self._orders()
        if len(found) != 1:
            raise self._error(f"their sizes fit in {len(found) or 'no'} orders")
        return list(found[0])

    def _error(self, reason: str) -> UnsupportedError:
        lines = [f"{name or '-'} is {self.choices[name][0].line}" for name in self.parts]
        return UnsupportedError(
            f"it holds {'; '.join(lines) or 'no layers'}, and {reason}; expected the order, and "
            f"layers without parameters, as layers=[{', '.join(map(repr, self.parts))}]"
        )

    def _chosen(self, layers: Sequence[str | Layer]) -> Iterator[tuple[str, Choice | Layer]]:
        size: int | None = None
        for n, layer in enumerate(layers):
            if isinstance(layer, Layer):
                yield f"own{n}", layer
            elif layer in WITHOUT_PARAMETERS:
                yield f"own{n}", CLASSES[layer]()
            elif layer in self.parts:
                choices = self.choices[layer]
                fitting = [c for c in choices if size in (None, c.size_in)] or choices
                yield layer, fitting[0]
                size = fitting[0].size_out
            else:
                known = [*self.parts, *WITHOUT_PARAMETERS]
                raise ValueError(f"layers has {layer!r}, expected one of {', '.join(known)}")

    def _orders(self, order: Sequence[str] | None = None) -> list[list[tuple[str, Choice]]]:
        """Return orders of all parts in which the sizes fit: the given one, or all up to three."""
        found: dict[tuple[str, ...], list[tuple[str, Choice]]] = {}
        unfinished = [list[tuple[str, Choice]]()]
        for _ in range(MAX_STEPS):
            if not unfinished or len(found) == 3:
                return list(found.values())
            chain = unfinished.pop()
            used = tuple(name for name, _ in chain)
            if len(chain) == len(self.parts):
                found.setdefault(used, chain)
                continue
            left = set(self.parts) - set(used) if order is None else order[len(chain) :][:1]
            unfinished += [
                [*chain, (name, choice)]
                for name in sorted(left)
                for choice in reversed(self.choices[name])
                if not chain or chain[-1][1].size_out == choice.size_in
            ]
        return []

    def _strip_prefix(self) -> None:
        """Remove what all names of parts begin with."""
        split = [name.split(".") for name in (*self.parts, *self.leftover)]
        shared = len(
            list(takewhile(lambda column: len(set(column)) == 1, zip(*split, strict=False)))
        )
        if len(split) > 1:
            shared = min(shared, min(map(len, split)) - 1)
        self.parts = {".".join(n.split(".")[shared:]): part for n, part in self.parts.items()}

    def _floating(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Return the floating-point arrays, with scaled integers as what they stand for."""
        scales = {match[1] for name in arrays if (match := SCALE.fullmatch(name))}
        found: dict[str, Array] = {}
        half: list[str] = []
        ignored: list[str] = []
        for name, array in arrays.items():
            match = SCALE.fullmatch(name)
            if match and match[1] in arrays:
                continue
            if array.dtype.kind == "f":
                if array.dtype.itemsize < 4:
                    half.append(name)
                found[name] = array.astype(np.float32) if array.dtype.itemsize < 4 else array
            elif name in scales and array.dtype.kind in "iu":
                found[name] = self._dequantise(name, arrays)
            else:
                ignored.append(name)
        if half:
            self.notes.append(f"half precision, read as float32: {', '.join(half)}")
        if ignored:
            self.notes.append(f"not floating-point, left out: {', '.join(ignored)}")
        return found

    def _dequantise(self, name: str, arrays: Mapping[str, Array]) -> Array:
        """Return (q - zero_point) scale, with one of each or one for each row."""

        def find(what: str) -> Any:
            keys = [f"{name}{mark}{what}{s}" for mark in "_." for s in ("", "s")]
            found = next((arrays[key] for key in keys if key in arrays), np.zeros(()))
            rows = (-1,) + (1,) * (arrays[name].ndim - 1)
            return found.astype(np.float32).reshape(rows if found.size > 1 else ())

        self.notes.append(f"{name} is quantised, read as float32")
        q = arrays[name].astype(np.float32)
        return np.asarray((q - find("zero_point")) * find("scale"), np.float32)


def _gaps(names: Iterable[str]) -> Iterator[str]:
    """Yield the numbers that are missing between the numbered parts of a Sequential."""
    numbers: dict[str, list[int]] = {}
    for name in names:
        for place in re.finditer(r"(?:^|(?<=\.))\d+(?=\.|$)", name):
            numbers.setdefault(name[: place.start()], []).append(int(place[0]))
    for parent, found in numbers.items():
        if max(found) < MAX_NUMBER:
            yield from (f"{parent}{n}" for n in range(max(found)) if n not in found)


def _nest(named: list[tuple[str, Layer]], tied: Mapping[str, str] | None = None) -> Layer:
    """Return the layers as one, with a Sequential for each prefix of several names."""
    if len(named) == 1 and not named[0][0]:
        return named[0][1]
    heads = [name.partition(".")[0] for name, _ in named]
    runs = [b for a, b in pairwise(["", *heads]) if a != b]
    layers: dict[str, Any] = {name.replace(".", "_"): layer for name, layer in named}
    if len(set(runs)) == len(runs):  # else the parts of one prefix do not follow each other
        groups: dict[str, list[tuple[str, Layer]]] = {}
        for name, layer in named:
            head, _, rest = name.partition(".")
            groups.setdefault(head or "0", []).append((rest, layer))
        layers = {head: _nest(parts) for head, parts in groups.items()}
    elif tied:
        tied = None
    return Chain(**layers, tied=tied)


# The layers with parameters that PyTorch has, and the options of theirs that it does not have.
TORCH = ("RNN", "LSTM", "GRU", "Linear", "Embedding", "LayerNorm")
OURS = ("reset_after", "reverse", "merge", "activations", "clip", "input_forget")


def check_for_torch(model: Layer) -> None:
    """Raise UnsupportedError if PyTorch lacks a layer or an option. The message names them all."""
    if wrong := list(dict.fromkeys(_foreign(model))):
        raise UnsupportedError(f"PyTorch has no {', '.join(wrong)}")


def _foreign(model: Layer) -> Iterator[str]:
    name = type(model).__name__
    if isinstance(model, Chain):
        for layer in model.layers.values():
            yield from _foreign(layer)
    elif name not in TORCH:
        yield from [name] if model.parameters.shapes else []
    else:
        different = [n for n in OURS if getattr(model, n, None) != model._options.get(n)]
        if isinstance(model, RNN) and model.nonlinearity not in ("tanh", "relu"):
            different.append("nonlinearity")
        yield from (f"{name} with {n}={getattr(model, n)!r}" for n in different)
