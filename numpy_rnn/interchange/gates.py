"""Gate orders, layouts and bias conventions of other libraries, as one table.

A convention says for each cell which arrays there are and what each holds, as ``parts:gates``.
The parts are "x" and "h" (weights of the input and of the state, "xh" for both side by side),
"bx" and "bh" (their biases, "b" for the sum of the two, "bx/bh" for two rows, "bx+bh" for one
after the other). The gates are in the order of the blocks: i, f, o and the candidate g of the
LSTM, r, z and the candidate n of the GRU, h for the only block of the plain RNN. "{}" in a name
stands for a gate: there is one array for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from numpy_rnn.functional.types import Array
from numpy_rnn.layers.recurrent import Recurrent

_Blocks = dict[tuple[str, str], Array]  # by part and gate


class Convention(NamedTuple):
    """A library's way to store the weights of one cell in one direction."""

    cells: Mapping[str, Mapping[str, str]]  # cell to name of an array to "parts:gates"
    columns: bool = False  # whether matrices are (in, out), as in x @ W, instead of (out, in)
    gate_names: Mapping[str, str] = {}  # where they are not our letters
    forget_bias: float = 0.0  # added to the forget gate at run time, so it is not in the file
    inverted: str = ""  # gates stored for 1 - gate


def _cells(arrays: Mapping[str, str], **orders: str) -> dict[str, dict[str, str]]:
    return {
        cell: {name: f"{parts}:{order}" for name, parts in arrays.items()}
        for cell, order in orders.items()
    }


_TORCH = {"weight_ih": "x", "weight_hh": "h", "bias_ih": "bx", "bias_hh": "bh"}
_KERAS = {"kernel": "x", "recurrent_kernel": "h", "bias": "b"}
_KERAS1 = {"W_{}": "x", "U_{}": "h", "b_{}": "b"}
_ONNX = {"W": "x", "R": "h", "B": "bx+bh"}
_FLAX = {"i{}/kernel": "x", "h{}/kernel": "h"}
_FLAX_GRU = {"ir/bias": "b:r", "iz/bias": "b:z", "in/bias": "bx:n", "hn/bias": "bh:n"}
_TF1 = {"kernel": "xh", "bias": "b"}
_TF1_GRU = {"gates/kernel": "xh:rz", "gates/bias": "b:rz"}
_TF1_GRU |= {"candidate/kernel": "xh:n", "candidate/bias": "b:n"}

# "gru" applies the reset gate after the recurrent product, "gru_reset_before" before it.
CONVENTIONS: dict[str, Convention] = {
    "torch": Convention(_cells(_TORCH, rnn="h", lstm="ifgo", gru="rzn", gru_reset_before="rzn")),
    "keras": Convention(
        _cells(_KERAS, rnn="h", lstm="ifgo", gru_reset_before="zrn")
        | _cells(_KERAS | {"bias": "bx/bh"}, gru="zrn"),
        columns=True,
    ),
    "keras1": Convention(
        _cells(_KERAS1, lstm="igfo", gru_reset_before="zrn"),
        columns=True,
        gate_names={"g": "c", "n": "h"},
    ),
    "onnx": Convention(_cells(_ONNX, rnn="h", lstm="iofg", gru="zrn", gru_reset_before="zrn")),
    "tf1": Convention(
        _cells(_TF1, rnn="h", lstm="igfo") | {"gru_reset_before": _TF1_GRU},
        columns=True,
        forget_bias=1.0,
    ),
    "flax": Convention(
        _cells({"i/kernel": "x", "h/kernel": "h", "i/bias": "b"}, rnn="h")
        | _cells(_FLAX | {"h{}/bias": "b"}, lstm="ifgo")
        | {"gru": _cells(_FLAX, gru="rzn")["gru"] | _FLAX_GRU},
        columns=True,
    ),
    "dynet": Convention(
        _cells({"x2i": "x", "h2i": "h", "bi": "b"}, lstm="ifog")
        | _cells({"x2h": "x", "h2h": "h", "hb": "b"}, rnn="h")
        | _cells({"x2{}": "x", "h2{}": "h", "b{}": "b"}, gru_reset_before="zrn"),
        gate_names={"n": "h"},
        forget_bias=1.0,
        inverted="z",
    ),
}


def convert_gates(
    arrays: Mapping[str, Array], source: str, target: str, cell: str
) -> dict[str, Array]:
    """Return the weights of one cell in the arrays of another library.

    Parameters
    ----------
    arrays : mapping of str to array
        The arrays of one cell in one direction, under the names of :data:`CONVENTIONS`. Absent
        biases are zero. Other names are ignored.
    source, target : str
        Keys of :data:`CONVENTIONS`. A ValueError names what they or the arrays lack.
    cell : {"rnn", "lstm", "gru", "gru_reset_before"}
        Kind of cell.

    Examples
    --------
    >>> import numpy as np
    >>> keras = {"kernel": np.arange(4.0)[None], "recurrent_kernel": np.ones((1, 4))}
    >>> convert_gates(keras, "keras", "onnx", "lstm")["W"]  # from i, f, g, o to i, o, f, g
    array([[0.],
           [3.],
           [1.],
           [2.]])
    """
    for library in (source, target):
        known = CONVENTIONS[library].cells if library in CONVENTIONS else {}
        if cell not in known:
            raise ValueError(f"{library}: cell is {cell!r}, expected one of {list(known)}")
    blocks = _complete(_split(arrays, CONVENTIONS[source], cell))
    for library, sign in ((source, 1), (target, -1)):  # as used at run time, then as stored
        convention = CONVENTIONS[library]
        blocks = {key: -b if key[1] in convention.inverted else b for key, b in blocks.items()}
        if (bias := blocks.get(("bx", "f"))) is not None:
            blocks["bx", "f"] = bias + bias.dtype.type(sign * convention.forget_bias)
    return _join(blocks, CONVENTIONS[target], cell)


def recurrent_layer(
    kind: type[Recurrent],
    directions: Sequence[Mapping[str, Array]],
    source: str,
    cell: str,
    **options: Any,
) -> Recurrent:
    """Return a layer made of the arrays of its cell in a convention, for each direction.

    `options` are arguments of the class. Memory is taken after the shapes were checked. Peepholes
    have the layer's form and its name of them, ``weight_ch``.
    """
    found = [convert_gates(arrays, source, "torch", cell) for arrays in directions]
    (G, D), dtype = found[0]["weight_ih"].shape, found[0]["weight_ih"].dtype
    if found[-1]["weight_ih"].shape != (G, D):
        raise ValueError(f"its directions have sizes {[w['weight_ih'].shape for w in found]}")
    options = {"dtype": dtype} | {n: v for n, v in options.items() if v is not None}
    options |= {"bias": "bias_ih" in found[0], "bidirectional": len(found) == 2}
    layer = kind(D, found[0]["weight_hh"].shape[1], **options)
    for end, arrays, given in zip(("_l0", "_l0_reverse"), found, directions, strict=False):
        arrays |= {name: array for name, array in given.items() if name == "weight_ch"}
        layer.load_state_dict({f"{n}{end}": a for n, a in arrays.items()}, strict=False)
    return layer


def cell_arrays(
    layer: Recurrent, number: int, direction: int, target: str, cell: str
) -> dict[str, Array]:
    """Return the weights of one cell of a layer, counted from 0, in a convention."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if layer.bias else 2]
    arrays = dict(zip(names, layer.weights(number, direction), strict=False))
    return convert_gates(arrays, "torch", target, cell)


def _layout(convention: Convention, cell: str) -> Iterator[tuple[str, list[str], str, bool]]:
    """Yield name, parts and gates of every array, and whether its parts are rows."""
    for name, content in convention.cells[cell].items():
        parts, gates = content.split(":")
        for group in gates if "{}" in name else [gates]:
            letter = convention.gate_names.get(group, group)
            yield name.format(letter), re.split("[/+]", parts), group, "/" in parts


def _split(arrays: Mapping[str, Array], source: Convention, cell: str) -> _Blocks:
    """Return the part of each gate in the weights, (H, ...)."""
    blocks: _Blocks = {}
    for name, parts, gates, stacked in _layout(source, cell):
        bias = parts[0][0] == "b"
        if name not in arrays:
            if bias:
                continue
            raise ValueError(f"{name!r} is missing")
        array = arrays[name]
        axes = 1 if bias and not stacked else 2
        if array.ndim != axes or array.size % (len(parts) * len(gates)):
            raise ValueError(f"{name!r} has shape {array.shape}, expected {len(gates)} blocks")
        matrix = [array.T if source.columns else array]
        split = array.reshape(len(parts), -1) if bias else matrix
        for part, rows in zip(parts, split, strict=True):
            for gate, block in zip(gates, np.split(rows, len(gates)), strict=True):
                if part == "xh":
                    blocks["x", gate], blocks["h", gate] = np.split(block, [-len(block)], axis=1)
                else:
                    blocks[part, gate] = block
    return blocks


def _complete(blocks: _Blocks) -> _Blocks:
    """Return blocks of checked shapes, with two biases or none."""
    biases = any(part[0] == "b" for part, _ in blocks)
    for gate in {gate for _, gate in blocks}:
        H, D = blocks["x", gate].shape
        for part, shape in {"x": (H, D), "h": (H, H), "b": (H,), "bx": (H,), "bh": (H,)}.items():
            if (found := blocks.get((part, gate), np.empty(shape))).shape != shape:
                raise ValueError(f"{part} of gate {gate} has shape {found.shape}, expected {shape}")
        if biases:
            zeros = np.zeros(H, blocks["x", gate].dtype)
            blocks.setdefault(("bx", gate), blocks.pop(("b", gate), zeros))
            blocks.setdefault(("bh", gate), zeros)
    return blocks


def _join(blocks: _Blocks, target: Convention, cell: str) -> dict[str, Array]:
    """Return the arrays of a convention, made of blocks."""
    for gate in {gate for _, gate in blocks}:
        blocks["xh", gate] = np.hstack([blocks["x", gate], blocks["h", gate]])
        if ("bx", gate) in blocks:
            blocks["b", gate] = blocks["bx", gate] + blocks["bh", gate]
    result = {}
    for name, parts, gates, stacked in _layout(target, cell):
        if (parts[0], gates[0]) not in blocks:  # there are no biases
            continue
        rows = [np.concatenate([blocks[part, gate] for gate in gates]) for part in parts]
        array = np.stack(rows) if stacked else np.concatenate(rows)
        transposed = target.columns and array.ndim == 2 and not stacked
        result[name] = np.ascontiguousarray(array.T) if transposed else array
    return result
