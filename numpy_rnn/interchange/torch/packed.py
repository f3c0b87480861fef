"""The packed weights of PyTorch's dynamic quantisation, under the names that they had before.

``torch.ao.quantization.quantize_dynamic`` packs the weights of each Linear and of each cell of an
LSTM or GRU into an object. A file has them as int8 with a scale, or as float16 numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.contents import UnsupportedError
from numpy_rnn.interchange.torch.unpickle import Instance

PARTS = ("weight", "bias")
CELL = re.compile(r"(?P<layer>.*?)\.?_all_weight_values\.(?P<number>\d+)\.param\.(?P<name>\w+)")
RENAMED = (
    (re.compile(r"_packed_weight_(ih|hh)\.(weight|bias)$"), r"\2_\1"),  # of an RNNCell
    (re.compile(r"_packed_params\._packed_params\.(weight|bias)$"), r"\1"),  # of a Linear
)


class Packed(Instance):
    """The weights of a Linear, or of a cell, which has one for the input and one for the state."""

    def build(self, state: Any) -> None:
        """Keep the weights and biases of a pickled state."""
        values, _ = state
        lists = [part for part in values if isinstance(part, list)]
        inner = [linear.state for part in lists for linear in part if isinstance(linear, Packed)]
        if inner:
            for end, linear in zip(("ih", "hh"), inner, strict=True):
                self.state |= {f"{name}_{end}": value for name, value in linear.items()}
        else:
            self.state = name_parts(values)


def name_parts(values: Any) -> dict[str, Any]:
    """Return the weight and the bias of a pickled pair."""
    return dict(zip(PARTS, values, strict=True))


def unpack_names(arrays: Mapping[str, Array], modules: Mapping[str, Instance]) -> Mapping[str, str]:
    """Return the names before quantisation, for arrays that have others, in their order.

    A scale of a Linear's output has the name "".
    """
    renamed: dict[str, str] = {}
    layers: dict[str, dict[int, dict[str, str]]] = {}  # the weights of each numbered cell
    for name in arrays:
        if match := CELL.fullmatch(name):
            cells = layers.setdefault(match["layer"], {})
            cells.setdefault(int(match["number"]), {})[match["name"]] = name
        for pattern, new in RENAMED:
            if pattern.search(name):
                renamed[name] = pattern.sub(new, name)
    for name in list(renamed.values()):
        of_output = (name.rpartition("weight")[0] + end for end in ("scale", "zero_point"))
        renamed |= dict.fromkeys(set(of_output) & set(arrays), "")
    for layer, cells in layers.items():
        numbered = [cell for _, cell in sorted(cells.items())]
        directions = 2 if _is_bidirectional(layer, numbered, arrays, modules) else 1
        for number, cell in enumerate(numbered):
            n, reverse = divmod(number, directions)
            end = f"_l{n}{'_reverse' * reverse}"
            renamed |= {old: f"{layer}.{name}{end}".lstrip(".") for name, old in cell.items()}
    return renamed


def _is_bidirectional(
    layer: str,
    cells: list[dict[str, str]],
    arrays: Mapping[str, Array],
    modules: Mapping[str, Instance],
) -> bool:
    """Return what a pickled module says, or else what the sizes of the cells' inputs say."""
    if layer in modules and "bidirectional" in modules[layer].state:
        return bool(modules[layer].state["bidirectional"])
    sizes = [arrays[cell["weight_ih"]].shape[-1] for cell in cells]
    H = arrays[cells[0]["weight_hh"]].shape[-1]
    if len(cells) == 2 and sizes == [H, H]:
        raise UnsupportedError(
            f"{layer}: its two packed cells with inputs of {H} are two layers or two directions, "
            "expected the state_dict before quantisation, or the whole module"
        )
    return len(cells) > 1 and (sizes[1] != H or sizes[-1] == 2 * H)
