"""PyTorch's autograd gives the gradients of the registry's pairs and layers."""

from __future__ import annotations

import pytest

from benchmarks import torch_references
from numpy_rnn.checking.registry import MODELS, PAIRS, TEXTBOOK_PAIRS

ERRORS = torch_references.errors()


# Of each row that PyTorch has no counterpart of, a part of its name.
WITHOUT = [
    *("peephole", "reset before", "indrnn", "mingru", "lru", "scan", "large eps"),
    *("PeepholeLSTM", "reset_after=False", "IndRNN", "MinGRU", "LRU", " -> "),
    *("general", "clipped", "multiplied", "reverse=True"),
]


def test_every_row_is_compared_where_pytorch_has_the_function() -> None:
    names = [pair.name for pair in (*PAIRS, *TEXTBOOK_PAIRS)] + [model.name for model in MODELS]
    assert list(ERRORS) == names
    for name in names:
        assert (ERRORS[name] is None) == any(part in name for part in WITHOUT)


@pytest.mark.parametrize("name", [name for name, error in ERRORS.items() if error is not None])
def test_gradients_equal_those_of_pytorch(name: str) -> None:
    error = ERRORS[name]
    assert error is not None
    assert error <= torch_references.TOLERANCE
