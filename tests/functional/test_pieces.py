"""What a backward computes piece by piece does not depend on the size of a piece."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.functional import gru, gru_reset_before, lstm, peephole_lstm, scan
from tests.case import Case, normal
from tests.cases import CASES
from tests.complex_step import as_tuple

PIECEMEAL: list[tuple[str, Any]] = [
    ("lstm", lstm),
    ("lstm projected", lstm),
    ("gru", gru),
    ("gru reset before", gru_reset_before),
    ("peephole lstm", peephole_lstm),
    ("scan", scan),
    ("mingru", scan),
    ("lru", scan),
]
CASE = {case.name: case for case in CASES}


def results(case: Case, T: int, B: int) -> list[Any]:
    rng = np.random.default_rng(0)
    outputs, cache = case.forward(*case.arguments(rng, T, B))
    douts = [normal(rng, *np.shape(out)) for out in as_tuple(outputs)]
    return [*as_tuple(outputs), *case.backward(*douts, cache)]


@pytest.mark.parametrize(("name", "module"), PIECEMEAL, ids=[name for name, _ in PIECEMEAL])
@given(piece=st.integers(1, 200), T=st.integers(0, 12), B=st.integers(0, 3))
def test_pieces_of_any_size_give_the_same(
    name: str, module: Any, piece: int, T: int, B: int
) -> None:
    whole = results(CASE[name], T, B)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", piece)
        for got, want in zip(results(CASE[name], T, B), whole, strict=True):
            if want is not None:
                np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)
