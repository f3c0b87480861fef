"""Decide whether the parts of a state_dict are surely a chain: the orders that fit, the gaps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from numpy_rnn.interchange.torch.parts import LIKE_LAYER_NORM, RECURRENT, Choice, Part
from numpy_rnn.interchange.torch.tree import children
from numpy_rnn.interchange.torch.unpickle import Instance
from numpy_rnn.layers import Embedding, LayerNorm, Linear

MAX_STEPS = 20_000  # of the search for an order
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
Step = tuple[str, Choice]  # of a chain: a part and how it is read


def why_no_chain(parts: Parts, chain: Sequence[Step], tied: Mapping[str, str]) -> str:  # noqa: PLR0911 (one for each reason)
    """Return why the layers may run otherwise than in this order, in which they fit, or ''."""
    kinds = {name: choice.kind for name, choice in chain}
    kind_of = {source: kinds[n] for n, part in parts.items() for source in part.sources.values()}
    numbered = all(part.name.isdecimal() for part in parts.values())
    # PyTorch's Sequential cannot run a recurrent layer, which gives two values. Ours can.
    is_ours = numbered and not {*kinds.values()}.isdisjoint(RECURRENT.values())
    for name, part in parts.items():
        if any(name.startswith(f"{other}.") or not other for other in kinds if other != name):
            return f"{name} is inside another layer, whose code is its own"
        if kinds[name] is Linear and BESIDE.search(name):
            return f"{name} looks like a part of attention, of a gate or of a first state"
        if all(kind_of.get(tied.get(s, "")) is kinds[name] for s in part.sources.values()):
            return f"{name} has all its weights from another layer"
        known = is_ours or part.kind or LIKE_LAYER_NORM.search(part.name)
        if kinds[name] is LayerNorm and not known:
            return f"{name} may be a LayerNorm or another normalisation, such as a GroupNorm"
    if numbered:  # of a Sequential
        return ""
    first, choices = chain[0][0], parts[chain[0][0]].choices
    if len({choice.size_out for choice in choices}) < min(len(choices), len(chain)):
        return f"{first} may be an Embedding or a Linear layer"
    letters: dict[type, str] = {Embedding: "e", Linear: "l", LayerNorm: "n"}
    found = {n: "n" if parts[n].is_normalised else letters.get(k, "r") for n, k in kinds.items()}
    loops = {re.sub(r"_?\d+", "", n) for n, kind in kinds.items() if kind in RECURRENT.values()}
    usual = USUAL.fullmatch("".join(found.values())) and len(loops) < 2
    return "" if usual else "code may activate, branch or skip between such layers"


def find_orders(parts: Parts, order: Sequence[str] | None = None) -> list[list[Step]]:
    """Return orders of all parts in which the sizes fit: the given one, or all up to three."""
    found: dict[tuple[str, ...], list[Step]] = {}
    unfinished = [list[Step]()]
    for _ in range(MAX_STEPS):
        if not unfinished or len(found) == 3:
            return list(found.values())
        chain = unfinished.pop()
        used = tuple(name for name, _ in chain)
        if len(chain) == len(parts):
            found.setdefault(used, chain)
            continue
        left = set(parts) - set(used) if order is None else order[len(chain) :][:1]
        unfinished += [
            [*chain, (name, choice)]
            for name in sorted(left)
            for choice in reversed(parts[name].choices)
            if not chain or chain[-1][1].size_out == choice.size_in
        ]
    return []


def longest_run(parts: Parts, broken: set[str]) -> list[str]:
    """Return the most parts that fit one after another, without those of broken Sequentials."""
    runs, size = [list[str]()], None
    for name, part in parts.items():
        parent, _, number = part.name.rpartition(".")
        if parent in broken and number.isdecimal():
            continue
        fitting = [choice for choice in part.choices if choice.size_in == size]
        runs += [] if fitting else [[]]
        runs[-1].append(name)
        size = (fitting or part.choices)[0].size_out
    return max(runs, key=len)


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
