"""The layers in a state_dict: names and arrays as PyTorch writes them, in any file format.

A state_dict says neither in which order layers run nor what is between them. The order is that of
the file if the sizes fit, and else the only one in which they fit. Otherwise an error lists what
was found, and the caller gives the order: ``load(path, layers=["rnn", "fc"])``. Layers without
parameters, such as activations, are given there too.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby, takewhile
from typing import Any

import numpy as np

from numpy_rnn.functional.types import DTypeLike
from numpy_rnn.interchange.contents import Contents, UnsupportedError, first_ones
from numpy_rnn.interchange.torch.chain import find_gaps, fit, only_order, why_no_chain
from numpy_rnn.interchange.torch.numbers import computed, floating, unwrapped
from numpy_rnn.interchange.torch.parts import RECURRENT, TOKENS, Choice, Part
from numpy_rnn.interchange.torch.tree import Found
from numpy_rnn.interchange.torch.unpickle import Instance
from numpy_rnn.layers import RNN, Layer
from numpy_rnn.layers import Sequential as Chain
from numpy_rnn.layers.model_file import ACTIVATIONS, CLASSES

WITHOUT_PARAMETERS = ("LastStep", *ACTIVATIONS)
MAX_NESTED = 100  # parts inside each other
PARAMETER = re.compile(
    r"(?:(?P<part>.*)\.)?(?:(?P<name>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?:_l(?P<layer>\d{1,4}))?(?P<reverse>_reverse)?|(?P<plain>weight|bias|running_\w+))"
)


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
        self.apart = found.apart
        self.arrays = computed(arrays)
        parts: dict[str, Part] = {}
        self.leftover: list[str] = []
        for source, array in self.arrays.items():
            match = PARAMETER.fullmatch(source)
            if match is None or array.dtype.kind != "f":
                self.leftover.append(source)
                continue
            end = f"_l{match['layer'] or 0}{match['reverse'] or ''}"
            module = found.modules.get(match["part"] or "", Instance(""))
            part = parts.setdefault(unwrapped(match["part"] or ""), Part(module))
            own = match["plain"] or match["name"] + end
            part.arrays[own], part.sources[own] = array, source
        modules = {unwrapped(name): module for name, module in found.modules.items()}
        self.gaps = find_gaps(parts, modules)
        named = self._without_prefix(parts)
        self.parts = {name: part for name, part in named.items() if part.choices}
        unknown = [part for part in named.values() if not part.choices]
        self.leftover += [source for part in unknown for source in part.sources.values()]

    def contents(self, form: str, settings: Mapping[str, Any] | None = None) -> Contents:
        """Return the contents of a file of this format."""
        chosen: dict[str, Any] = {name: part.choices[0] for name, part in self.parts.items()}
        with suppress(UnsupportedError):
            chosen = self.plan()
        lines = [f"{name or '-'}: {choice}" for name, choice in chosen.items()]
        lines += [f"{name}: {self.arrays[name].shape}, no known layer" for name in self.leftover]
        notes = [*self.notes, *(f"{n} is the same memory as {one}" for n, one in self.tied.items())]
        notes += [f"at {n} is a layer without parameters, not in the file" for n in self.gaps]
        for name, part in self.parts.items():
            if part.is_normalised:
                notes.append(f"{name or 'it'} is a BatchNorm, a Linear layer")
            biases = {n.partition("_l")[0] for n in part.arrays} & {"bias_ih", "bias_hh"}
            notes += [f"{name or 'it'} has one bias, the other is zero"] * (len(biases) == 1)
        kinds = {part.choices[0].kind for part in self.parts.values() if not part.module.state}
        guessed = {"nonlinearity": "tanh"} if RNN in kinds else dict[str, Any]()
        guessed |= {"batch_first": False} if kinds & {*RECURRENT.values()} else {}
        return Contents(form, self.arrays, lines, self.build, notes, settings or {}, guessed)

    def build(
        self,
        *,
        dtype: DTypeLike | None = None,  # by default that of the file; of half precision, float32
        layers: Sequence[str | Layer] | None = None,
        nonlinearity: str | None = None,  # of an RNN
        batch_first: bool | None = None,
        reset_after: bool | None = None,  # of a GRU
        eps: float | None = None,  # of normalisations
    ) -> Layer:
        """Return the model. `layers` are names of parts, and layers without parameters."""
        given = {"nonlinearity": nonlinearity, "reset_after": reset_after, "eps": eps}
        takes = {name for part in self.parts.values() for name in part.takes}
        if useless := [name for name in given if given[name] is not None and name not in takes]:
            raise TypeError(f"option {useless[0]!r}, which none of the layers takes")
        wide = any(array.dtype == np.float64 for array in self.arrays.values())
        dtype = (np.float64 if wide else np.float32) if dtype is None else dtype
        if batch_first is None:
            batch_first = any(part.module.state.get("batch_first") for part in self.parts.values())
        options: dict[str, Any] = {**given, "dtype": dtype, "batch_first": batch_first}
        plan = self.plan(layers, batch_first=batch_first)
        try:  # the constructors check what the shapes claim
            made = {
                n: c if isinstance(c, Layer) else self.parts[n].make(c, options)
                for n, c in plan.items()
            }
            own = self.own_names(made)
            tied = {own[n]: own[one] for n, one in self.tied.items() if n in own and one in own}
            return _nest(made, tied).eval()
        except ValueError as error:
            raise UnsupportedError(error) from None

    def _named(self, names: Iterable[str]) -> list[str]:
        return [name or self.parts[name].name for name in names]

    def own_names(self, named: Container[str]) -> dict[str, str]:
        """Return the model's names of the arrays in some parts, by the file's names."""
        parts = {name: part for name, part in self.parts.items() if name in named}
        return {
            source: f"{name}.{own}".removeprefix(".")
            for name, part in parts.items()
            for own, source in part.sources.items()
        }

    def plan(
        self, layers: Sequence[str | Layer] | None = None, *, batch_first: bool = False
    ) -> dict[str, Choice | Layer]:
        """Return name and choice of each part, in the order in which they run."""
        if layers is not None:
            whole = {part.name: name for name, part in self.parts.items() if name not in layers}
            layers = [whole.get(n, n) if isinstance(n, str) else n for n in layers]
            if twice := [part.name for n, part in self.parts.items() if layers.count(n) > 1]:
                raise ValueError(f"layers has {twice[0]!r} twice, expected each name once")
            return self._given(layers, batch_first)
        names = list(self.parts)
        if numbered := all(name.isdecimal() for name in names):
            names.sort(key=int)
        in_order = fit(self.parts, names) if self.ordered or numbered else []
        whole_order = len(in_order) == len(names)
        chain = dict(zip(names, in_order, strict=True)) if whole_order else only_order(self.parts)
        if reason := self._why_no_chain(chain):
            raise self._error(reason, () if self.leftover else chain)
        return {**chain}

    def _why_no_chain(self, chain: Mapping[str, Choice]) -> str:
        """Return why the parts are not surely a chain in this order, or ''."""
        if self.apart:
            return f"{' and '.join(self.apart)} are networks with the same names"
        if self.leftover or not self.parts:
            kinds = {n: str(self.arrays[n].dtype) for n in self.leftover}
            named = [f"{n} ({kind})" if "float" not in kind else n for n, kind in kinds.items()]
            return f"no layer that is known here has {', '.join(first_ones(named)) or 'no weights'}"
        if not chain:
            return "sizes and names do not tell the order"
        if self.gaps:
            places = ", ".join(self.gaps)
            return f"at {places} is a layer without parameters, such as ReLU or a dropout"
        return why_no_chain(self.parts, chain, self.tied)

    def _error(self, reason: str, order: Iterable[str] = ()) -> UnsupportedError:
        lines = [f"{name or '-'} is {part.choices[0]}" for name, part in self.parts.items()]
        # Of a Sequential with a part that is no layer here, no other part is proposed.
        lost = [name.rpartition(".")[0].rpartition(".") for name in self.leftover]
        broken = tuple(f"{parent}." for parent, _, number in lost if number.isdecimal())
        whole_ones = [n for n, part in self.parts.items() if not part.name.startswith(broken)]
        run = whole_ones[: len(fit(self.parts, whole_ones))]
        names = self._named(order or run or self.parts)
        whole = "an ONNX file of the whole network, or " if self.leftover else ""
        expected = f"{whole}the order, and layers without parameters, as layers={names}"
        if not self.parts:
            expected = "PyTorch's names, such as 'rnn.weight_ih_l0', which convert_gates of "
            expected += "interchange.gates gives to the arrays of other libraries"
        holds = "; ".join(first_ones(lines)) or "no layers"
        return UnsupportedError(f"it holds {holds}, and {reason}; expected {expected}")

    def _given(self, layers: Sequence[str | Layer], batch_first: bool) -> dict[str, Choice | Layer]:
        """Return name and choice of each of the given layers."""
        choices: dict[Any, Choice] = {}
        for is_layer, run in groupby(layers, lambda given: isinstance(given, Layer)):
            names = [] if is_layer else [name for name in run if name in self.parts]
            found = fit(self.parts, names)  # between layers of the caller, which may change sizes
            if len(found) < len(names):
                name, size = names[len(found)], self.parts[names[len(found)]].choices[0].size_in
                what = "token ids" if size == TOKENS else f"{size} features"
                gives = found[-1].size_out
                raise UnsupportedError(f"{name} takes {what}, after a layer that gives {gives}")
            choices |= zip(names, found, strict=True)
        plan, before = dict[str, Choice | Layer](), ""
        for n, layer in enumerate(layers):
            head, _, number = before.rpartition(".")
            after = f"{head}.{int(number) + 1}".lstrip(".") if number.isdecimal() else ""
            # In a gap it has the gap's name, so that a state_dict of the model has the gap too.
            own = after if after in self.gaps else f"own{n}"
            before = layer if isinstance(layer, str) and layer in choices else own
            plan[before] = choices.get(layer) or self._without_parameters(layer, batch_first)
        return plan

    def _without_parameters(self, layer: str | Layer, batch_first: bool) -> Layer:
        if isinstance(layer, Layer):
            return layer
        if layer not in WITHOUT_PARAMETERS:
            known = [*self._named(self.parts), *WITHOUT_PARAMETERS]
            raise ValueError(f"layers has {layer!r}, expected one of {', '.join(known)}")
        return CLASSES[layer](**{"batch_first": batch_first} if layer == "LastStep" else {})

    def _without_prefix(self, parts: dict[str, Part]) -> dict[str, Part]:
        split = [name.split(".") for name in (*parts, *self.leftover)]
        columns = zip(*split, strict=False)
        shared = len(list(takewhile(lambda column: len(set(column)) == 1, columns)))
        if len(split) > 1:
            shared = min(shared, min(map(len, split)) - 1)
        return {".".join(name.split(".")[shared:]): part for name, part in parts.items()}


def _nest(named: Mapping[str, Layer], tied: Mapping[str, str] | None = None) -> Layer:
    """Return the layers as one, with a Sequential for each prefix of several names."""
    if [*named] == [""]:
        return named[""]
    runs = [(head, [*run]) for head, run in groupby(named, lambda name: name.partition(".")[0])]
    if len(dict(runs)) < len(runs):  # the parts of one prefix do not follow each other
        flat: dict[str, Any] = {name.replace(".", "_"): layer for name, layer in named.items()}
        return Chain(**flat)
    layers: dict[str, Any] = {
        head or "0": _nest({name.removeprefix(head).lstrip("."): named[name] for name in run})
        for head, run in runs
    }
    return Chain(**layers, tied=tied)
