"""Pickles of NumPy arrays or tensors under PyTorch's names, read without Python's unpickler."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

from numpy_rnn.files import write_atomically
from numpy_rnn.interchange import torch_file
from numpy_rnn.interchange.contents import Contents
from numpy_rnn.interchange.state_dict import check_for_torch
from numpy_rnn.layers.base import Layer


def recognise(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the head tells)
    """Whether it begins like a pickle of a dict, a list or an object."""
    return re.match(rb"\x80[\2-\5]|[(}\]]|c[\w.]+\n[\w.]+\n", head) is not None


def read(path: Path) -> Contents:
    """Read the weights in a file."""
    return torch_file.read(path, "pickle")


def write(model: Layer, path: Path) -> None:
    """Write the state_dict of a model: a pickled dict of arrays."""
    check_for_torch(model)
    arrays = model.state_dict()
    write_atomically(path, lambda file: pickle.dump(arrays, file, protocol=4))
