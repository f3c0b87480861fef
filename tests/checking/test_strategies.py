"""The strategies give what they promise, and a property test written with them finds a bug."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from numpy_rnn import GRU
from numpy_rnn import functional as F  # noqa: N812 (as PyTorch's users write it)
from numpy_rnn.checking import strategies
from numpy_rnn.checking.shapes import Given
from numpy_rnn.functional.types import Array

GRU_SHAPES: dict[str, Given] = {
    "x": "T B D",
    "h0": "B H",
    "W_ih": "3H D",
    "W_hh": "3H H",
    "b_ih": "3H",
    "b_hh": "3H",
}


@given(values=strategies.arguments(GRU_SHAPES), data=st.data())
def test_a_property_of_a_cell(values: dict[str, Array], data: Any) -> None:
    h, cache = F.gru_forward(*values.values())
    (dh,) = data.draw(strategies.cotangents(h))
    for gradient, value in zip(F.gru_backward(dh, cache), values.values(), strict=True):
        assert gradient is not None
        assert gradient.shape == value.shape


@settings(max_examples=30)
@given(data=st.data(), T=st.integers(1, 6), B=st.integers(1, 4))
def test_lengths_and_resets_are_what_a_layer_takes(data: Any, T: int, B: int) -> None:
    layer = GRU(2, 3, rng=0)
    lengths = data.draw(strategies.lengths(B, T))
    reset = data.draw(strategies.resets(T, B))
    state = data.draw(strategies.states(B, 3))
    y, _ = layer.forward(np.ones((T, B, 2)), state[None], lengths=lengths, reset=reset)
    for b, length in enumerate(lengths):
        assert not y[length:, b].any()


@given(sizes=strategies.sizes(T=(2, 5)))
def test_sizes_keep_their_bounds(sizes: dict[str, int]) -> None:
    assert 2 <= sizes["T"] <= 5
    assert 1 <= sizes["P"] <= sizes["H"]


def test_they_find_a_loop_that_does_not_run() -> None:
    """np.stack of no step raises: T = 0 is among the sizes."""

    def breaks(values: dict[str, Array]) -> bool:
        try:
            np.stack([x_t @ values["W"].T for x_t in values["x"]])
        except ValueError:
            return True
        return False

    found = find(strategies.arguments({"x": "T B D", "W": "H D"}), breaks)
    assert len(found["x"]) == 0


def test_without_hypothesis_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "numpy_rnn.checking.strategies")
    with pytest.raises(ImportError, match="the extra test: pip install hypothesis"):
        importlib.import_module("numpy_rnn.checking.strategies")
