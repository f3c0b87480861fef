"""Files to begin a search for inputs that a reader mishandles, made without PyTorch."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import numpy_rnn
from numpy_rnn import GRU, LSTM, Embedding, Linear, Sequential, interchange
from numpy_rnn.interchange import UnsupportedError
from numpy_rnn.reading import DamagedFileError

ERRORS = (DamagedFileError, UnsupportedError)  # that refuse a file


def models() -> list[Sequential]:
    """Return models with every kind of part that a state_dict can have."""
    deep = LSTM(2, 3, 2, bias=False, bidirectional=True, proj_size=1)  # the GRU has biases
    return [
        Sequential(Embedding(5, 2), deep, Linear(2, 2)),
        Sequential(rnn=GRU(2, 3, dtype=np.float32), fc=Linear(3, 2, dtype=np.float32)),
    ]


def seeds(form: str, folder: Path) -> list[bytes]:
    """Return some files of a format that :func:`numpy_rnn.interchange.save` writes."""
    found = []
    for model in models():
        interchange.save(model, folder / "seed", form)
        found.append((folder / "seed").read_bytes())
    if form == "npz":
        np.savez_compressed(folder / "seed.npz", **dict[str, Any](models()[1].state_dict()))
        found.append((folder / "seed.npz").read_bytes())
    if form == "pickle":
        state: dict[str, Any] = {"epoch": 3, "model": models()[1].state_dict()}
        found += [pickle.dumps(state, protocol) for protocol in (0, 2, 5)]
    return found


def load(path: Path) -> object:
    """Read a file, and build its model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that parts without parameters are left out
        return interchange.load(path)


def load_own(path: Path) -> object:
    """Read a model file."""
    return numpy_rnn.load(path)
