"""Recurrent layers of Keras: one direction, two, and stacked cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numpy_rnn import layers
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.gates import recurrent_layer
from numpy_rnn.interchange.keras.activations import Layers
from numpy_rnn.interchange.keras.entries import RECURRENT, Entry
from numpy_rnn.layers.wrappers import Flip

SAME: tuple[str, ...] = ("units", "activation", "recurrent_activation", "reset_after", "use_bias")
SAME += ("return_sequences",)  # what both directions must agree in


class RecurrentLayers(Layers):
    """Layers, with a method for each kind of recurrent ones."""

    def _bidirectional(self, entry: Entry) -> None:
        inner, mode = entry.config["layer"], entry.config.get("merge_mode", "concat")
        other = entry.config.get("backward_layer") or inner
        forward = entry.as_class(inner["class_name"], inner["config"])
        differ = [n for n in SAME if inner["config"].get(n) != other["config"].get(n)]
        differ += ["class"] if other["class_name"] != inner["class_name"] else []
        differ += ["go_backwards"] if forward.config.get("go_backwards") else []
        if forward.class_name not in RECURRENT or mode is None:
            self._refuse(entry, f"a {inner['class_name']} and merge_mode {mode}")
        elif differ:
            self._refuse(entry, f"directions that differ in {', '.join(differ)}")
        elif self.masked and self.repeats and forward.config.get("return_sequences"):
            self._refuse(entry, "a mask in a chain")
        else:
            self._recurrent(forward, mode)

    def _cells(self, entry: Entry) -> None:
        """Add an RNN of one cell, or of several ones that are stacked."""
        weights, cells = [*entry.weights], [entry.config["cell"]]
        if cells[0]["class_name"] == "StackedRNNCells":
            cells = cells[0]["config"]["cells"]
        kind, *others = sorted({cell["class_name"] for cell in cells})
        # Keras 3 sorts the weights by name, in which 10 is before 2.
        most = 1 if any(entry.config.get(n) for n in ("go_backwards", "return_state")) else 9
        if others or kind.removesuffix("Cell") not in RECURRENT or len(cells) > most:
            self._refuse(entry, f"cells {[cell['class_name'] for cell in cells]}")
            return
        for n, cell in enumerate(cells, start=1):
            config, size = {**entry.config, **cell["config"]}, len(entry.weights) // len(cells)
            config["return_sequences"] = n < len(cells) or config.get("return_sequences")
            part, weights = weights[:size], weights[size:]
            inner = entry.as_class(kind.removesuffix("Cell"), config)
            self._recurrent(inner._replace(weights=part), "")

    def _recurrent(self, entry: Entry, merge: str) -> None:
        """Add a recurrent layer; `merge` is "" for one of one direction."""
        config, half = entry.config, len(entry.weights) // 2
        kind, cell, _, _ = RECURRENT[entry.class_name]
        parts = [entry.weights[:half], entry.weights[half:]] if merge else [entry.weights]
        arrays = [_cell_arrays(entry, part) for part in parts]
        source = "keras1" if "W_h" in arrays[0] or "W_c" in arrays[0] else "keras"
        gates = "sigmoid" if "cudnn" in arrays[0] else self._gates
        batch_first = not config.get("time_major", False)
        backwards, last = bool(config.get("go_backwards")), not config.get("return_sequences")
        options: dict[str, Any] = {"batch_first": batch_first, "reverse": backwards or None}
        options["merge"] = None if last else merge or None
        names = {"activation": "tanh"} | ({} if cell == "rnn" else {"recurrent_activation": gates})
        form, *of_gates = [
            spec if len(spec) > 1 else spec[0]
            for spec in (self._spec(entry, name, default) for name, default in names.items())
        ]
        if cell == "rnn":
            options["nonlinearity"] = form
        else:
            options["activations"] = (*of_gates, form, form)[: 3 if cell == "lstm" else 2]
        if cell == "gru":
            bias = arrays[0].get("bias")
            after = config.get("reset_after", gates == "sigmoid") if bias is None else bias.ndim > 1
            options["reset_after"] = bool(after)
            cell = "gru" if after else "gru_reset_before"
        if config.get("return_state") and not self._states:
            self._refuse(entry, "return_state")
        if config.get("zero_output_for_mask") and not merge:
            self._refuse(entry, "zero_output_for_mask")
        layer = recurrent_layer(kind, arrays, source, cell, **options)
        H = layer.hidden_size
        self._append(entry, layer, layer.input_size, 2 * H if merge == "concat" else H)
        if last:
            ends = {"bidirectional": True, "merge": merge} if merge else {"reverse": backwards}
            self.layers.append(layers.LastStep(batch_first, **ends))
        elif backwards:
            self.layers.append(Flip(batch_first))


def _cell_arrays(entry: Entry, weights: Sequence[Array]) -> dict[str, Array]:
    """Return the arrays of one cell by name, with "cudnn" if cuDNN wrote them."""
    _, _, gates, order = RECURRENT[entry.class_name]
    if order and len(weights) == 3 * gates:
        names = [f"{what}_{gate}" for gate in order for what in "WUb"]
        return dict(zip(names, weights, strict=True))
    shapes = [w.shape for w in weights]
    columns = {shape[1:] for shape in shapes[:2]}
    if not 2 <= len(weights) <= 3 or columns != {(gates * len(weights[1]),)}:
        raise ValueError(f"{entry.name} has weights {shapes}, expected those of {entry.class_name}")
    arrays = dict(zip(("kernel", "recurrent_kernel", "bias"), weights, strict=False))
    D, H = len(weights[0]), len(weights[1])
    if shapes[2:] != [(2 * gates * H,)]:
        return arrays
    # Each block is the transposed matrix, flat; there are two biases.
    for name, rows in {"kernel": D, "recurrent_kernel": H}.items():
        blocks = np.split(arrays[name], gates, axis=1)
        arrays[name] = np.hstack([block.reshape(-1, rows).T for block in blocks])
    bias = weights[2].reshape(2, -1)
    return arrays | {"bias": bias.sum(axis=0) if gates == 4 else bias, "cudnn": bias}
