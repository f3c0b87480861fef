"""Arrays under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from numpy_rnn import Layer
from numpy_rnn.functional.types import Array
from numpy_rnn.interchange.torch.state_dict import StateDict
from numpy_rnn.interchange.torch.tree import Found


def rows(*shapes: int) -> Array:
    return np.arange(float(np.prod(shapes))).reshape(shapes) / 100


def recurrent(prefix: str, gates: int, D: int, H: int, end: str = "_l0") -> dict[str, Array]:
    return {
        f"{prefix}weight_ih{end}": rows(gates * H, D),
        f"{prefix}weight_hh{end}": rows(gates * H, H),
        f"{prefix}bias_ih{end}": rows(gates * H),
        f"{prefix}bias_hh{end}": rows(gates * H),
    }


def linear(prefix: str, D: int, G: int) -> dict[str, Array]:
    return {f"{prefix}weight": rows(G, D), f"{prefix}bias": rows(G)}


def build(arrays: dict[str, Array], *, ordered: bool = True, **options: Any) -> Layer:
    return StateDict(Found(arrays), ordered=ordered).build(**options)


EMBEDDING = {"word_embeddings.weight": rows(7, 3)}
