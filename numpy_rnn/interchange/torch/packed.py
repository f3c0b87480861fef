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

CELL = re.compile(r"(.*?)_all_weight_values\.(\d{1,4})\.param\.(\w+)")
LINEAR = re.compile(r"(_packed_params\._packed_params|_packed_weight_(ih|hh))\.(weight|bias)$")


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
    return dict(zip(("weight", "bias"), values, strict=True))


def unpack_names(arrays: Mapping[str, Array], modules: Mapping[str, Instance]) -> Mapping[str, str]:
    """Return the names before quantisation, for arrays that have others.

    A scale of a Linear's output has the name "".
    """
    renamed: dict[str, str] = {}
    for name in arrays:
        if match := LINEAR.search(name):  # one of a cell has ih or hh
            before = name[: match.start()]
            renamed[name] = before + "_".join(filter(None, (match[3], match[2])))
            of_output = {f"{before}scale", f"{before}zero_point"} & set(arrays)
            renamed |= dict.fromkeys(of_output if match[2] is None else (), "")
    cells = list(filter(None, map(CELL.fullmatch, arrays)))
    counts = {match[1]: int(match[2]) + 1 for match in cells}
    directions = {layer: _directions(layer, n, arrays, modules) for layer, n in counts.items()}
    for match in cells:
        n, reverse = divmod(int(match[2]), directions[match[1]])
        renamed[match[0]] = f"{match[1]}{match[3]}_l{n}{'_reverse' * reverse}"
    return renamed


def _directions(
    layer: str, count: int, arrays: Mapping[str, Array], modules: Mapping[str, Instance]
) -> int:
    """Return what a pickled module says, or else what the sizes of the cells' inputs say."""
    module = modules.get(layer.removesuffix("."), Instance(""))
    if "bidirectional" in module.state:
        return 2 if module.state["bidirectional"] else 1
    cells = [f"{layer}_all_weight_values.{n}.param.weight" for n in range(count)]
    sizes, H = (
        [arrays[f"{cell}_ih"].shape[-1] for cell in cells],
        arrays[f"{cells[0]}_hh"].shape[-1],
    )
    if sizes == [H, H]:
        raise UnsupportedError(
            f"{layer[:-1]}: its two packed cells with inputs of {H} are two layers or two "
            "directions, expected the state_dict before quantisation, or the whole module"
        )
    return 2 if count > 1 and (sizes[1] != H or sizes[-1] == 2 * H) else 1
