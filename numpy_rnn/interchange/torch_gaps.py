"""Places of a network where a layer without parameters is, which a state_dict does not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from numpy_rnn.interchange.tree import children
from numpy_rnn.interchange.unpickle import Instance

MAX_NUMBER = 1000  # of a part of a Sequential
NUMBER = re.compile(r"(?:^|(?<=\.))\d+(?=\.|$)")
WITHOUT_EFFECT = re.compile(r"\.(dropout|loss)\.|\.Identity$")  # modules of PyTorch, in evaluation


def find_gaps(names: Iterable[str], modules: Mapping[str, Instance]) -> list[str]:
    """Return the numbers missing in a Sequential, and the pickled modules such as activations."""
    return [*_numbers_between(names, modules), *_without_parameters(modules)]


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
