"""PyTorch's autograd gives the gradients of the registry's pairs and layers."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks import torch_references
from numpy_rnn.museum.registry import MODELS, PAIRS, TEXTBOOK_PAIRS

# Of each row that PyTorch has no counterpart of, a part of its name.
WITHOUT = [
    *("peephole", "reset before", "indrnn", "mingru", "lru", "scan", "large eps"),
    *("PeepholeLSTM", "reset_after=False", "IndRNN", "MinGRU", "LRU", " -> "),
    *("general", "clipped", "multiplied", "reverse=True"),
]
NAMES = [pair.name for pair in (*PAIRS, *TEXTBOOK_PAIRS)] + [model.name for model in MODELS]
COMPARED = [name for name in NAMES if not any(part in name for part in WITHOUT)]


@cache
def errors() -> dict[str, float | None]:
    """Compare every row once, when a test asks for it."""
    return torch_references.errors()


def test_every_row_is_compared_where_pytorch_has_the_function() -> None:
    assert list(errors()) == NAMES
    assert [name for name, error in errors().items() if error is not None] == COMPARED


@pytest.mark.parametrize("name", COMPARED)
def test_gradients_equal_those_of_pytorch(name: str) -> None:
    error = errors()[name]
    assert error is not None
    assert error <= torch_references.TOLERANCE
