"""Decide whether the parts of a state_dict are surely a chain: the orders that fit, the gaps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from numpy_rnn.interchange.torch.parts import LIKE_LAYER_NORM, RECURRENT, Choice, Part
from numpy_rnn.interchange.torch.tree import children
from numpy_rnn.interchange.torch.unpickle import Instance
from numpy_rnn.layers import Embedding, LayerNorm, Linear

MAX_TRIED = 5_000  # beginnings of an order
MAX_PARTS = 100  # whose order is searched
# The networks that are read without being told their layers: an embedding, recurrent layers whose
# names differ in a number, and a linear layer, with a normalisation before and after the recurrent
# ones. Between and beside other layers there is often something that only the code has.
USUAL = re.compile("e?n?r*n?l?")
# A linear layer that is not the last one: of attention, of a gate, of a first state.
BESIDE = re.compile(
    r"att|align|query|key|energy|gate|init|(^|[._])([hc]_?0|h2h|hh|w_?h|skip|res(idual)?)$", re.I
)
MAX_NUMBER = 1000  # of a part of a Sequential
NUMBER = re.compile(r"(?:^|(?<=\.))\d+(?=\.|$)")
WITHOUT_EFFECT = re.compile(r"\.(dropout|loss)\.|\.Identity$")  # modules of PyTorch, in evaluation
Parts = Mapping[str, Part]


def why_no_chain(parts: Parts, chain: Mapping[str, Choice], tied: Mapping[str, str]) -> str:
    """Return why the layers may run otherwise than in this order, in which they fit, or ''."""
    numbered = all(part.name.isdecimal() for part in parts.values())  # of a Sequential
    # PyTorch's Sequential cannot run a recurrent layer, which gives two values. Ours can.
    is_ours = numbered and any(choice.kind in RECURRENT.values() for choice in chain.values())
    letters = {name: _letter(name, parts[name], chain, is_ours=is_ours) for name in chain}
    first = next(iter(chain))
    either = parts[first].choices  # an Embedding or a Linear layer
    if not numbered and len({choice.size_out for choice in either}) < min(len(either), len(chain)):
        letters[first] = "?"
    kind_of = {s: chain[name].kind for name, part in parts.items() for s in part.sources.values()}
    for name, choice in chain.items():
        sources = parts[name].sources.values()
        is_copy = all(kind_of.get(tied.get(source, "")) is choice.kind for source in sources)
        if is_copy or letters[name] == "?":
            return f"neither the name nor the shape of {name} tells what it is and where it runs"
    loops = {re.sub(r"_?\d+", "", name) for name, letter in letters.items() if letter == "r"}
    usual = numbered or (USUAL.fullmatch("".join(letters.values())) and len(loops) < 2)
    return "" if usual else "code may activate, branch or skip between such layers"


def _letter(name: str, part: Part, chain: Mapping[str, Choice], *, is_ours: bool) -> str:
    """Return the letter of a part in USUAL, or "?" if it may be something else."""
    kind = chain[name].kind
    outer = [name[:n] for n in range(len(name)) if n == 0 or name[n] == "."]
    inside = any(other in chain for other in outer)  # another layer, whose code is its own
    if inside or (kind is Linear and BESIDE.search(name)):
        return "?"
    if part.is_normalised:
        return "n"
    if kind is LayerNorm:  # or that of a group or an instance
        return "n" if is_ours or part.module.kind or LIKE_LAYER_NORM.search(part.name) else "?"
    return "e" if kind is Embedding else "l" if kind is Linear else "r"


def fit(parts: Parts, names: Sequence[str]) -> list[Choice]:
    """Return how the first parts are read, as many as fit one after another."""
    best = list[Choice]()
    for first in parts[names[0]].choices if names else ():
        chain = [first]
        for name in names[1:]:
            fitting = [c for c in parts[name].choices if c.size_in == chain[-1].size_out]
            if not fitting:
                break
            chain.append(fitting[0])
        best = max(best, chain, key=len)
    return best


def only_order(parts: Parts) -> Mapping[str, Choice]:
    """Return the only order of all parts in which the sizes fit, or nothing."""
    tried = [*islice(_beginnings(parts, {}), MAX_TRIED if len(parts) <= MAX_PARTS else 0)]
    orders = {tuple(chain): chain for chain in reversed(tried) if len(chain) == len(parts)}
    surely = len(orders) == 1 and len(tried) < MAX_TRIED
    return next(iter(orders.values())) if surely else {}


def _beginnings(
    parts: Parts, chain: Mapping[str, Choice], size: int | None = None
) -> Iterator[Mapping[str, Choice]]:
    """Yield a chain that ends in this size, and all that go on from it."""
    yield chain
    for name in sorted(set(parts) - set(chain)):
        for choice in parts[name].choices:
            if size in (None, choice.size_in):
                yield from _beginnings(parts, {**chain, name: choice}, choice.size_out)


def find_gaps(names: Iterable[str], modules: Mapping[str, Instance]) -> list[str]:
    """Return the numbers missing in a Sequential, and the pickled modules such as activations."""
    gaps, numbers = list[str](), dict[str, list[int]]()
    for name in names:
        for place in NUMBER.finditer(name):
            numbers.setdefault(name[: place.start()], []).append(int(place[0]))
    for parent, found in numbers.items():
        if max(found) < MAX_NUMBER:
            missing = (f"{parent}{n}" for n in range(max(found)) if n not in found)
            gaps += [name for name in missing if name not in modules]
    for name, module in modules.items():
        inside = children(module).values()
        empty = not any(isinstance(value, Instance) or hasattr(value, "array") for value in inside)
        if empty and "training" in module.state and not WITHOUT_EFFECT.search(module.kind):
            gaps.append(f"{name} ({module.kind.rpartition('.')[2]})")
    return gaps
