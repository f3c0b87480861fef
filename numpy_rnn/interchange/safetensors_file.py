""".safetensors files: our own models, and weights under PyTorch's names."""

from __future__ import annotations

from pathlib import Path

from numpy_rnn.interchange.contents import Contents, reading
from numpy_rnn.interchange.state_dict import StateDict
from numpy_rnn.layers.base import MODEL_FILE, Layer
from numpy_rnn.layers.model_file import read_model
from numpy_rnn.npz import FileFormat
from numpy_rnn.safetensors import BFLOAT16, open_safetensors


def recognise(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the head tells)
    """Whether there is a JSON object after the eight bytes of its length."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def read(path: Path) -> Contents:
    """Read a model of this package, or the weights in a file."""
    with reading(path, "a file of safetensors"):
        with open_safetensors(path, FileFormat("a file of safetensors", "")) as file:
            own = MODEL_FILE.settings_entry in file.metadata
            arrays = {} if own else {name: file.read(name) for name in file.entries}
            half = [name for name, entry in file.entries.items() if entry.code == BFLOAT16]
        if own:
            return _own(path)
        # The library sorts by dtype and name, so that the order tells nothing.
        state = StateDict(arrays, ordered=list(arrays) != sorted(arrays))
        state.notes += [f"bfloat16, read as float32: {', '.join(half)}"] if half else []
        return state.contents("safetensors", dict(file.metadata))


def _own(path: Path) -> Contents:
    with open_safetensors(path, MODEL_FILE) as file:
        settings = dict(file.settings)
        model = read_model(file)
    parts = getattr(model, "layers", {"-": model})
    lines = [f"{name}: {layer!r}" for name, layer in parts.items()]
    return Contents("safetensors", model.state_dict(), lines, lambda: model, [], settings)


def write(model: Layer, path: Path) -> None:
    """Write the file of :meth:`Layer.save`, whose weights have PyTorch's names."""
    model.save(path)
