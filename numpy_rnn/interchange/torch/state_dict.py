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
from inspect import signature
from itertools import pairwise, takewhile
from typing import Any

import numpy as np

from numpy_rnn.functional.types import DTypeLike
from numpy_rnn.interchange.contents import Contents, UnsupportedError, first_ones
from numpy_rnn.interchange.torch.chain import find_gaps, find_orders, longest_run, why_no_chain
from numpy_rnn.interchange.torch.numbers import computed, floating, unwrapped
from numpy_rnn.interchange.torch.parts import RECURRENT, TOKENS, Choice, Part
from numpy_rnn.interchange.torch.tree import Found
from numpy_rnn.interchange.torch.unpickle import Instance
from numpy_rnn.layers import RNN, Layer
from numpy_rnn.layers import Sequential as Chain
from numpy_rnn.layers.model_file import ACTIVATIONS, CLASSES

WITHOUT_PARAMETERS = ("LastStep", *ACTIVATIONS)
OPTIONS = {"nonlinearity", "batch_first", "reset_after", "eps"}
MAX_NESTED = 100  # parts inside each other
PARAMETER = re.compile(
    r"(?:(?P<part>.*)\.)?(?:(?P<name>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?:_l(?P<layer>\d{1,4}))?(?P<reverse>_reverse)?|(?P<plain>weight|bias|running_\w+))"
)
OWN_NAME = re.compile(r"(.+?)[._]?w(?:eights?)?_?ih", re.IGNORECASE)


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
            made = Part(known=module.state, kind=module.kind)
            part = parts.setdefault(unwrapped(match["part"] or ""), made)
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
        kinds = {part.choices[0].kind for part in self.parts.values() if not part.known}
        guessed = {"nonlinearity": "tanh"} if RNN in kinds else dict[str, Any]()
        guessed |= {"batch_first": False} if kinds & {*RECURRENT.values()} else {}
        return Contents(form, self.arrays, lines, self.build, notes, settings or {}, guessed)

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
        if unknown := set(options) - OPTIONS:
            expected = ", ".join(["dtype", "layers", *sorted(OPTIONS)])
            raise TypeError(f"option {min(unknown)!r}, expected {expected}")
        takes = {name for part in self.parts.values() for name in part.takes}
        if useless := set(options) - takes - {"batch_first"}:
            raise TypeError(f"option {min(useless)!r}, which none of the layers takes")
        wide = any(array.dtype == np.float64 for array in self.arrays.values())
        options["dtype"] = (np.float64 if wide else np.float32) if dtype is None else dtype
        batch_first = any(part.known.get("batch_first") for part in self.parts.values())
        plan = self.plan(layers, batch_first=options.get("batch_first", batch_first))
        if self.gaps and layers is None:
            raise UnsupportedError(
                f"{self._gap_reason()}; expected the layers with what is there, such as 'ReLU', "
                f"or without it if it is dropout, as layers={self._named(dict(plan))}"
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

    def _named(self, names: Iterable[str]) -> list[str]:
        return [name or self.parts[name].name for name in names]

    def _tied_names(self, named: Mapping[str, Layer]) -> dict[str, str]:
        parts = {name: part for name, part in self.parts.items() if name in named}
        own = {s: f"{name}.{n}" for name, part in parts.items() for n, s in part.sources.items()}
        return {own[n]: own[one] for n, one in self.tied.items() if n in own and one in own}

    def plan(
        self, layers: Sequence[str | Layer] | None = None, *, batch_first: bool = False
    ) -> list[tuple[str, Choice | Layer]]:
        """Return name and choice of each part, in the order in which they run."""
        if layers is not None:
            whole = {part.name: name for name, part in self.parts.items() if name not in layers}
            layers = [whole.get(n, n) if isinstance(n, str) else n for n in layers]
            if twice := [part.name for n, part in self.parts.items() if layers.count(n) > 1]:
                raise ValueError(f"layers has {twice[0]!r} twice, expected each name once")
            return list(self._chosen(layers, {"batch_first": batch_first}))
        kinds = {n: str(self.arrays[n].dtype) for n in self.leftover}
        named = [f"{n} ({kind})" if "float" not in kind else n for n, kind in kinds.items()]
        names = ", ".join(first_ones(named)) or "nothing"
        if not self.parts:
            own = next(filter(None, map(OWN_NAME.fullmatch, self.leftover)), None)
            such = f"{own[1]}.weight_ih_l0' for {own[0]!r}" if own else "rnn.weight_ih_l0'"
            raise UnsupportedError(
                f"it holds {names}, expected PyTorch's names, such as '{such}; "
                "interchange.gates.convert_gates converts what other libraries have"
            )
        if self.apart:
            raise self._error(f"{' and '.join(self.apart)} are networks with the same names")
        if self.leftover:
            raise self._error(f"no layer that is known here has {names}")
        found = find_orders(self.parts, list(self.parts)) if self.ordered else []
        found = found or find_orders(self.parts)
        if not found:
            raise self._error("no order fits their sizes: it may hold several networks")
        if len(found) > 1:
            raise self._error(f"{len(found)} orders fit their sizes", [n for n, _ in found[0]])
        reason = why_no_chain(self.parts, found[0], self.tied)
        if reason and not self.gaps:
            raise self._error(reason, [name for name, _ in found[0]])
        return list(found[0])

    def _error(self, reason: str, order: Iterable[str] = ()) -> UnsupportedError:
        lines = [f"{name or '-'} is {part.choices[0]}" for name, part in self.parts.items()]
        lost = [name.rpartition(".")[0].rpartition(".") for name in self.leftover]
        broken = {parent for parent, _, number in lost if number.isdecimal()}
        names = self._named(order or longest_run(self.parts, broken) or self.parts)
        whole = "an ONNX file of the whole network, or " if self.leftover else ""
        return UnsupportedError(
            f"it holds {'; '.join(first_ones(lines)) or 'no layers'}, and {reason}; expected "
            f"{whole}the order, and layers without parameters, as layers={names}"
        )

    def _chosen(
        self, layers: Sequence[str | Layer], options: Mapping[str, Any]
    ) -> Iterator[tuple[str, Choice | Layer]]:
        size: int | None = None
        before = ""
        for n, layer in enumerate(layers):
            head, _, number = before.rpartition(".")
            after_gap = f"{head}.{int(number) + 1}".lstrip(".") if number.isdecimal() else ""
            # In a gap it has the gap's name, so that a state_dict of the model has the gap too.
            before = after_gap if after_gap in self.gaps else f"own{n}"
            if isinstance(layer, Layer):
                size = None  # it may change it
                yield before, layer
            elif layer in self.parts:
                choices = self.parts[layer].choices
                fitting = [c for c in choices if size in (None, c.size_in)]
                if not fitting:
                    needs = choices[0].size_in
                    what = "token ids" if needs == TOKENS else f"{needs} features"
                    raise UnsupportedError(f"{layer} takes {what}, after a layer that gives {size}")
                following = [p for p in map(str, layers[n + 1 : n + 2]) if p in self.parts]
                after = [c.size_in for part in following for c in self.parts[part].choices]
                fitting = [c for c in fitting if c.size_out in after] or fitting
                before = layer
                yield layer, fitting[0]
                size = fitting[0].size_out
            elif layer in WITHOUT_PARAMETERS:
                kind = CLASSES[layer]
                takes = signature(kind).parameters
                yield before, kind(**{n: v for n, v in options.items() if n in takes})
            else:
                known = [*self._named(self.parts), *WITHOUT_PARAMETERS]
                raise ValueError(f"layers has {layer!r}, expected one of {', '.join(known)}")

    def _without_prefix(self, parts: dict[str, Part]) -> dict[str, Part]:
        split = [name.split(".") for name in (*parts, *self.leftover)]
        columns = zip(*split, strict=False)
        shared = len(list(takewhile(lambda column: len(set(column)) == 1, columns)))
        if len(split) > 1:
            shared = min(shared, min(map(len, split)) - 1)
        return {".".join(name.split(".")[shared:]): part for name, part in parts.items()}


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
