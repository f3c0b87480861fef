"""The layers in a state_dict: names and arrays as PyTorch writes them, in any file format.

A state_dict says neither in which order layers run nor what is between them. The order is that of
the file if the sizes fit, and else the only one in which they fit. Otherwise an error lists what
was found, and the caller gives the order: ``load(path, layers=["rnn", "fc"])``. Layers without
parameters, such as activations, are given there too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise, takewhile
from typing import Any

import numpy as np

from numpy_rnn.arguments import NO_DEFAULT
from numpy_rnn.functional.types import DTypeLike
from numpy_rnn.interchange.contents import Contents, UnsupportedError
from numpy_rnn.interchange.torch_arrays import computed, floating, unwrapped
from numpy_rnn.interchange.torch_parts import RECURRENT, Choice, Part
from numpy_rnn.interchange.tree import Found, children
from numpy_rnn.interchange.unpickle import Instance
from numpy_rnn.layers import GRU, LSTM, RNN, Embedding, Layer, LayerNorm, Linear
from numpy_rnn.layers import Sequential as Chain
from numpy_rnn.layers.model_file import ACTIVATIONS, CLASSES

WITHOUT_PARAMETERS = ("LastStep", *ACTIVATIONS)
MAX_NUMBER = 1000  # of a part of a Sequential
MAX_NESTED = 100  # parts inside each other
MAX_STEPS = 20_000  # of the search for an order
PARAMETER = re.compile(
    r"(?:(?P<part>.*)\.)?(?:(?P<name>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?:_l(?P<layer>\d{1,4}))?(?P<reverse>_reverse)?|(?P<plain>weight|bias|running_\w+))"
)
COPY = re.compile(r"(^|_)(ema|target|teacher|shadow)(_|$)")  # of the network beside it
BESIDE = re.compile(  # Linear layers of cells, attention, gates, first states, or beside others
    r"(^|[._])(h2h|hh|w_?h|u|recurrent\w{0,30}|h(id(den)?)?_?(2|to)_?h(id(den)?)?|w3"
    r"|(w|x2|h2|u)_?[ifczrg]|query|key|(w|to)?_?[qkv](_proj|_linear)?|energy|[hc]_?0"
    r"|init(ial)?_?(h|c|cell|state)\w{0,30}|mix(er|ing)?|shortcut|bypass|downsample"
    r"|(att|align|gate|forget|reset|update|router|highway|skip|aux|lora|adapter)\w{0,30}"
    r"|res(idual)?(_\w{1,30})?|pos(ition\w{0,30})?)(_\w)?(\.\w{1,30})?$",
    re.IGNORECASE,
)
TWINS = (  # words of names, of which two are of branches beside each other
    "forward backward, fwd bwd, fw bw, left right, intra inter, time freq, user item, gamma beta, "
    "scale shift, actor critic, policy value, value advantage, adv val, generator discriminator, "
    "mu mean sigma std var logvar logstd"
)
NUMBERED = re.compile(  # networks beside each other, and no parts of a Sequential
    r"(?:^|[._])((?:heads|experts|branches|towers|models|critics)\.\d+"
    r"|(?:head|expert|branch|tower|critic)_?\d+)"
)
HEAD = re.compile(
    r"(^|[._])(out(put)?|head|cls|classifier|logits?|pred\w{0,30}|readout|decoder)$", re.I
)
NUMBER = re.compile(r"(?:^|(?<=\.))\d+(?=\.|$)")
OTHER_KINDS = re.compile(r"\.(EmbeddingBag|(Group|RMS|Instance)Norm\w*)$")  # with the same names
WITHOUT_EFFECT = re.compile(r"\.(dropout|loss)\.|\.Identity$")  # modules of PyTorch, in evaluation


class StateDict:
    """The parts of a state_dict, by the file's names of the arrays.

    `ordered` tells whether the order of the names is that in which the model was made.
    """

    def __init__(self, found: Found, *, ordered: bool = True) -> None:
        for name in found.arrays:
            if (nested := name.count(".")) > MAX_NESTED:
                short = f"{name[:20]}..."
                raise ValueError(f"{short!r} has {nested} dots, expected at most {MAX_NESTED}")
        arrays, notes = floating(found.arrays, found.stored)
        self.ordered, self.notes, self.tied = ordered, [*found.notes, *notes], found.tied
        self.arrays = computed(arrays)
        parts: dict[str, Part] = {}
        self.leftover: list[str] = []
        for source, array in self.arrays.items():
            match = PARAMETER.fullmatch(source)
            if match is None:
                self.leftover.append(source)
                continue
            end = f"_l{match['layer'] or 0}{match['reverse'] or ''}"
            module = found.modules.get(match["part"] or "", Instance(""))
            if OTHER_KINDS.search(module.kind):
                self.leftover.append(source)
                continue
            part = parts.setdefault(unwrapped(match["part"] or ""), Part(known=module.state))
            own = match["plain"] or match["name"] + end
            part.arrays[own], part.sources[own] = array, source
        modules = {unwrapped(name): module for name, module in found.modules.items()}
        self.gaps = [*_numbers_between(parts, modules), *_without_parameters(modules)]
        self.parts = self._without_prefix(parts)
        self.choices = {name: part.choices() for name, part in self.parts.items()}
        for name, choices in self.choices.items():
            if not choices:
                self.leftover += self.parts.pop(name).sources.values()

    def contents(self, form: str, settings: Mapping[str, Any] | None = None) -> Contents:
        """Return the contents of a file of this format."""
        chosen: dict[str, Any] = {name: self.choices[name][0] for name in self.parts}
        with suppress(UnsupportedError):
            chosen = dict(self.plan())
        lines = [f"{name or '-'}: {choice}" for name, choice in chosen.items()]
        lines += [f"{name}: {self.arrays[name].shape}, no known layer" for name in self.leftover]
        notes = [*self.notes, *(f"{n} is the same memory as {one}" for n, one in self.tied.items())]
        notes += [self._gap_reason()] * bool(self.gaps)
        for name, part in self.parts.items():
            if part.is_normalised:
                notes.append(f"{name or 'it'} is a BatchNorm, a Linear layer")
            biases = {n.partition("_l")[0] for n in part.arrays} & {"bias_ih", "bias_hh"}
            notes += [f"{name or 'it'} has one bias, the other is zero"] * (len(biases) == 1)
        linear = [n for n in chosen if chosen[n].kind is Linear and not self.parts[n].is_normalised]
        for a, b in pairwise(chosen):
            if a in linear and b in linear and not self.gaps:
                notes.append(
                    f"between {a} and {b} an activation is likely, which is not in the file"
                )
        return Contents(form, self.arrays, lines, self.build, notes, settings or {})

    def build(
        self,
        *,
        dtype: DTypeLike | None = None,  # by default that of the file; of half precision, float32
        layers: Sequence[str | Layer] | None = None,
        **options: Any,
    ) -> Layer:
        """Return the model. `layers` are names of parts, and layers without parameters.

        Options are `nonlinearity` of an RNN, `batch_first`, `reset_after` of a GRU, and `eps` of
        normalisations.
        """
        if unknown := set(options) - {"nonlinearity", "batch_first", "reset_after", "eps"}:
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
        wide = any(array.dtype == np.float64 for array in self.arrays.values())
        options["dtype"] = (np.float64 if wide else np.float32) if dtype is None else dtype
        plan = self.plan(layers)
        if self.gaps and layers is None:
            raise UnsupportedError(
                f"{self._gap_reason()}; expected the layers with what is there, such as 'ReLU', "
                f"or without it if it is dropout, as layers={[name for name, _ in plan]}"
            )
        try:  # the constructors check what the shapes claim
            named = [
                (n, c if isinstance(c, Layer) else self.parts[n].make(c, options)) for n, c in plan
            ]
            return _nest(named, self._tied_names(dict(named))).eval()
        except ValueError as error:
            raise UnsupportedError(error) from None

    def _gap_reason(self) -> str:
        return f"at {', '.join(self.gaps)} is a layer without parameters, which is not in the file"

    def _tied_names(self, named: Mapping[str, Layer]) -> dict[str, str]:
        parts = {name: part for name, part in self.parts.items() if name in named}
        own = {s: f"{name}.{n}" for name, part in parts.items() for n, s in part.sources.items()}
        return {own[n]: own[one] for n, one in self.tied.items() if n in own and one in own}

    def plan(self, layers: Sequence[str | Layer] | None = None) -> list[tuple[str, Choice | Layer]]:
        """Return name and choice of each part, in the order in which they run."""
        if layers is not None:
            return list(self._chosen(layers))
        names = ", ".join(self.leftover) or "nothing"
        if not self.parts:
            raise UnsupportedError(
                f"it holds {names}, expected PyTorch's names, such as 'rnn.weight_ih_l0'; "
                "interchange.gates.convert_gates converts what other libraries have"
            )
        loops = self._check_names()
        if self.leftover:
            raise self._error(f"no layer that is known here has {names}")
        found = self._orders(list(self.parts)) if self.ordered else []
        found = found or self._orders()
        if len(found) != 1:
            fits = f"{len(found)} orders fit" if found else "no order fits"
            raise self._error(f"{fits} their sizes")
        self._check_order([name for name, _ in found[0]], loops)
        return list(found[0])

    def _check_names(self) -> list[str]:
        """Refuse names of what is no chain, and return those of the recurrent layers."""
        heads = {name: name.partition(".")[0] for name in self.parts}
        copies = [head for head in heads.values() if COPY.search(head)]
        if 0 < len(copies) < len(heads):
            raise self._error(f"{copies[0]} is a copy of other layers")
        kinds = {name: choices[0].kind for name, choices in self.choices.items() if choices}
        cells = [name for name, kind in kinds.items() if kind is Linear and BESIDE.search(name)]
        if cells:
            raise self._error(
                f"{', '.join(cells)} looks like a part of a cell, of attention or of a gate"
            )
        if beside := _branches(self._full_names(kinds)):
            raise self._error(f"{' and '.join(beside)} look like branches beside each other")
        if inside := [
            n for n in kinds if any(n.startswith(f"{o}.") or not o for o in kinds if o != n)
        ]:
            raise self._error(f"{inside[0]} is inside another layer, whose code is its own")
        if twice := self._aliases(kinds):
            raise self._error(f"{twice} has all its weights from another layer")
        loops = [name for name, kind in kinds.items() if kind in RECURRENT.values()]
        if all(any(re.search(rf"(^|[._]){side}", n) for n in loops) for side in ("enc", "dec")):
            raise self._error("what the decoder gets of the encoder is code")
        return loops

    def _check_order(self, names: Sequence[str], loops: Sequence[str]) -> None:
        """Refuse an order that is hardly the one in which the layers run."""
        norms = [self.parts[n].is_normalised or self.choices[n][0].kind is LayerNorm for n in names]
        for n, name in enumerate(names):
            if norms[n : n + 2] == [True, True]:
                raise self._error(f"{name} and {names[n + 1]} are two normalisations in a row")
            if HEAD.search(name) and name not in loops and set(names[n:]) & set(loops):
                raise self._error(f"{name}, before a recurrent layer, looks like the last one")

    def _aliases(self, kinds: Mapping[str, Any]) -> str:
        """Return the first part that is the same memory as others of its kind, or ''."""
        kind_of = {s: kind for n, kind in kinds.items() for s in self.parts[n].sources.values()}
        for name, kind in kinds.items():
            if all(
                kind_of.get(self.tied.get(s, "")) is kind for s in self.parts[name].sources.values()
            ):
                return name
        return ""

    def _full_names(self, names: Iterable[str]) -> list[str]:
        """Return the file's names of parts."""
        return [next(iter(self.parts[name].sources.values())).rpartition(".")[0] for name in names]

    def _error(self, reason: str) -> UnsupportedError:
        lines = [f"{name or '-'} is {self.choices[name][0]}" for name in self.parts]
        return UnsupportedError(
            f"it holds {'; '.join(lines) or 'no layers'}, and {reason}; expected the order, and "
            f"layers without parameters, as layers=[{', '.join(map(repr, self.parts))}]"
        )

    def _chosen(self, layers: Sequence[str | Layer]) -> Iterator[tuple[str, Choice | Layer]]:
        size: int | None = None
        before = ""
        for n, layer in enumerate(layers):
            head, _, number = before.rpartition(".")
            following = f"{head}.{int(number) + 1}".lstrip(".") if number.isdecimal() else ""
            # In a gap it has the gap's name, so that a state_dict of the model has the gap too.
            before = following if following in self.gaps else f"own{n}"
            if isinstance(layer, Layer):
                yield before, layer
            elif layer in self.parts:
                choices = self.choices[layer]
                fitting = [c for c in choices if size in (None, c.size_in)] or choices
                after = [c.size_in for c in self.choices.get(str(*layers[n + 1 : n + 2]), [])]
                fitting = [c for c in fitting if c.size_out in after] or fitting
                before = layer
                yield layer, fitting[0]
                size = fitting[0].size_out
            elif layer in WITHOUT_PARAMETERS:
                yield before, CLASSES[layer]()
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

    def _without_prefix(self, parts: dict[str, Part]) -> dict[str, Part]:
        split = [name.split(".") for name in (*parts, *self.leftover)]
        columns = zip(*split, strict=False)
        shared = len(list(takewhile(lambda column: len(set(column)) == 1, columns)))
        if len(split) > 1:
            shared = min(shared, min(map(len, split)) - 1)
        return {".".join(name.split(".")[shared:]): part for name, part in parts.items()}


def _branches(names: Sequence[str]) -> list[str]:
    """Return words of names, two or more of which say that there are branches, or none."""
    numbered = dict.fromkeys(m[1] for name in names for m in NUMBERED.finditer(name))
    words = {
        word for name in names for word in re.split(r"[._\d]+", name.lower().replace("log_", "log"))
    }
    found = [[word for word in twins.split() if word in words] for twins in TWINS.split(",")]
    return next((some for some in [[*numbered], *found] if len(some) > 1), [])


def _numbers_between(names: Iterable[str], modules: Mapping[str, Instance]) -> Iterator[str]:
    """Yield the numbers that are missing between the numbered parts of a Sequential."""
    numbers: dict[str, list[int]] = {}
    for name in names:
        for place in NUMBER.finditer(name):
            numbers.setdefault(name[: place.start()], []).append(int(place[0]))
    for parent, found in numbers.items():
        if max(found) < MAX_NUMBER:
            missing = (f"{parent}{n}" for n in range(max(found)) if n not in found)
            yield from (name for name in missing if name not in modules)


def _without_parameters(modules: Mapping[str, Instance]) -> Iterator[str]:
    """Yield the pickled modules, such as activations, that have nothing inside but an effect."""
    for name, module in modules.items():
        inside = children(module).values()
        empty = not any(isinstance(value, Instance) or hasattr(value, "array") for value in inside)
        if empty and "training" in module.state and not WITHOUT_EFFECT.search(module.kind):
            yield f"{name} ({module.kind.rpartition('.')[2]})"


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


# The layers with parameters that PyTorch has. Of their options: those that PyTorch lacks, and those
# that names and shapes tell or that change no result.
TORCH = (RNN, LSTM, GRU, Linear, Embedding, LayerNorm)
OURS = {"reset_after", "reverse", "merge", "activations", "clip", "input_forget"}
TOLD = {"num_layers", "bias", "bidirectional", "proj_size", "recompute"}


def check_for_torch(model: Layer) -> list[str]:
    """Return what a state_dict of the model does not hold, in words.

    UnsupportedError names all layers and options that PyTorch lacks.
    """
    foreign, missing = list[str](), list[str]()
    _describe(model, "", foreign, missing)
    if foreign:
        raise UnsupportedError(f"PyTorch has no {', '.join(dict.fromkeys(foreign))}")
    if not model.parameters.shapes:
        raise UnsupportedError(f"{model!r} has no weights, so its state_dict is empty")
    return missing


def _describe(model: Layer, name: str, foreign: list[str], missing: list[str]) -> None:
    kind, prefix = type(model).__name__, f"{name}: " if name else ""
    if type(model) is Chain:
        for inner, layer in model.layers.items():
            _describe(layer, f"{name}.{inner}".lstrip("."), foreign, missing)
    elif type(model) in TORCH and model.parameters.shapes:
        for option, default in model._arguments().items():
            value = getattr(model, option, default)
            if value == default or default is NO_DEFAULT or option in TOLD:
                continue
            ours = option in OURS or (option == "nonlinearity" and value not in ("tanh", "relu"))
            owner = kind if ours or not name else name
            (foreign if ours else missing).append(f"{owner} with {option}={value!r}")
    elif isinstance(model, Chain) or model.parameters.shapes:
        foreign.append(kind)
    else:
        missing.append(f"{prefix}{model!r}")
