"""Whether parts of a state_dict are a chain: its order, its gaps, and names that say it is none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from numpy_rnn.interchange.torch_parts import RECURRENT, Choice, Part
from numpy_rnn.interchange.tree import COPY, children
from numpy_rnn.interchange.unpickle import Instance
from numpy_rnn.layers import Linear

MAX_STEPS = 20_000  # of the search for an order
BESIDE = re.compile(  # Linear layers of cells, attention, gates, first states, or beside others
    r"(^|[._])(h2h|hh|w_?h|u|recurrent\w{0,30}|h(id(den)?)?_?(2|to)_?h(id(den)?)?|w3"
    r"|(w|x2|h2|u)_?[ifczrg]|query|key|(w|to)?_?[qkv](_proj|_linear)?|energy|[hc]_?0"
    r"|init(ial)?_?(h|c|cell|state)\w{0,30}|mix(er|ing)?|shortcut|bypass|downsample"
    r"|(att|align|gate|forget|reset|update|router|highway|skip|aux|lora|adapter|theta)\w{0,30}"
    r"|ws\d|state_linearity|film"
    r"|res(idual)?(_\w{1,30})?|pos(ition\w{0,30})?)(_\w)?(\.\w{1,30})?$",
    re.IGNORECASE,
)
TWINS = (  # words of names, of which two are of branches beside each other
    "forward backward, fwd bwd, fw bw, left right, intra inter, time freq, user item, gamma beta, "
    "scale shift, actor critic, policy value, action value, value advantage, adv val, mean lv, "
    "generator discriminator, netg netd, backcast forecast, mu mean sigma std var logvar logstd"
)
NUMBERED = re.compile(  # networks beside each other, and no parts of a Sequential
    r"(?:^|[._])((?:heads|experts|branches|directions|towers|models|critics|projs)\.\d+"
    r"|(?:head|expert|branch|tower|critic)_?\d+)"
)
HEAD = re.compile(
    r"(^|[._])(out(put)?|head|cls|classifier|logits?|pred\w{0,30}|readout|decoder)$", re.I
)
MAX_NUMBER = 1000  # of a part of a Sequential
NUMBER = re.compile(r"(?:^|(?<=\.))\d+(?=\.|$)")
WITHOUT_EFFECT = re.compile(r"\.(dropout|loss)\.|\.Identity$")  # modules of PyTorch, in evaluation
Parts = Mapping[str, Part]
Step = tuple[str, Choice]  # of a chain: a part and how it is read


def reasons_of_names(parts: Parts, tied: Mapping[str, str]) -> Iterator[str]:
    """Yield why the names are hardly those of a chain."""
    kinds = {name: part.choices[0].kind for name, part in parts.items()}
    heads = [name.partition(".")[0] for name in parts]
    copies = [head for head in heads if COPY.search(head)]
    if 0 < len(copies) < len(heads):
        yield f"{copies[0]} is a copy of other layers"
    if cells := [name for name, kind in kinds.items() if kind is Linear and BESIDE.search(name)]:
        yield f"{', '.join(cells)} looks like a part of a cell, of attention or of a gate"
    if beside := _branches([part.name for part in parts.values()]):
        yield f"{' and '.join(beside)} look like branches beside each other"
    if inside := [n for n in kinds if any(n.startswith(f"{o}.") or not o for o in kinds if o != n)]:
        yield f"{inside[0]} is inside another layer, whose code is its own"
    kind_of = {source: kinds[n] for n, part in parts.items() for source in part.sources.values()}
    for name, part in parts.items():
        if all(kind_of.get(tied.get(s, "")) is kinds[name] for s in part.sources.values()):
            yield f"{name} has all its weights from another layer"
    loops = _loops(parts)
    if all(any(re.search(rf"(^|[._]){side}", n) for n in loops) for side in ("enc", "dec")):
        yield "what the decoder gets of the encoder is code"


def reasons_of_order(parts: Parts, names: Sequence[str]) -> Iterator[str]:
    """Yield why an order is hardly the one in which the layers run."""
    loops, first = _loops(parts), parts[names[0]].choices
    norms = [parts[name].is_norm for name in names]
    for n, name in enumerate(names):
        if norms[n : n + 2] == [True, True]:
            yield f"{name} and {names[n + 1]} are two normalisations in a row"
        if HEAD.search(name) and name not in loops and set(names[n:]) & set(loops):
            yield f"{name}, before a recurrent layer, looks like the last one"
    if len({choice.size_out for choice in first}) < len(first) and set(names[1:2]) & set(loops):
        yield f"{names[0]} may be an Embedding or a Linear layer"
    if len(alike := _blocks_of_one_size(parts, names)) > 1:
        yield f"{' and '.join(alike)} are blocks of one size, often with skip connections"
    if (other := _interleaved(names)) != [*names] and find_orders(parts, other):
        yield f"{', '.join(other)} is an order that fits, too"


def _loops(parts: Parts) -> list[str]:
    """Return the names of the recurrent layers."""
    return [n for n, part in parts.items() if part.choices[0].kind in RECURRENT.values()]


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


def _blocks_of_one_size(parts: Parts, names: Sequence[str]) -> list[str]:
    """Return numbered blocks of a recurrent layer and a norm, with as many outputs as inputs."""
    blocks: dict[str, list[Part]] = {}
    for name in names:
        if place := NUMBER.search(name):
            blocks.setdefault(name[: place.end()], []).append(parts[name])
    return [
        name
        for name, inside in blocks.items()
        if inside[0].choices[0].size_in == inside[-1].choices[0].size_out
        and any(part.is_norm for part in inside)
        and any(part.choices[0].kind in RECURRENT.values() for part in inside)
    ]


def _interleaved(names: Sequence[str]) -> list[str]:
    """Return the names with those of two lists in turn, if lists are of the same length."""
    lists: dict[str, list[str]] = {}
    for name in names:
        if place := NUMBER.search(name):
            lists.setdefault(name[: place.start()], []).append(name)
    several = [found for found in lists.values() if 1 < len(found) < len(names)]
    if len({len(found) for found in several}) != 1:
        return [*names]
    turns = iter([name for turn in zip(*several, strict=True) for name in turn])
    return [next(turns) if any(name in found for found in several) else name for name in names]


def _branches(names: Sequence[str]) -> list[str]:
    """Return words of names, two or more of which say that there are branches, or none."""
    numbered = dict.fromkeys(m[1] for name in names for m in NUMBERED.finditer(name))
    words = {
        word for name in names for word in re.split(r"[._\d]+", name.lower().replace("log_", "log"))
    }
    found = [[word for word in twins.split() if word in words] for twins in TWINS.split(",")]
    return next((some for some in [[*numbered], *found] if len(some) > 1), [])


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
