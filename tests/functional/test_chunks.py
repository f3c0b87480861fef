"""Results that are computed in chunks do not depend on the size of a chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_rnn.functional import blocking
from tests.case import Case, normal
from tests.cases import CASES
from tests.complex_step import as_tuple

CHUNKED = ["lstm", "lstm projected", "gru", "scan", "mingru", "lru"]
CASE = {case.name: case for case in CASES}


def results(case: Case, T: int, B: int) -> list[Any]:
    rng = np.random.default_rng(0)
    outputs, cache = case.forward(*case.arguments(rng, T, B))
    douts = [normal(rng, *np.shape(out)) for out in as_tuple(outputs)]
    return [*as_tuple(outputs), *case.backward(*douts, cache)]


@pytest.mark.parametrize("name", CHUNKED)
@given(chunk=st.integers(1, 200), T=st.integers(0, 12), B=st.integers(0, 3))
def test_chunks_of_any_size_give_the_same(name: str, chunk: int, T: int, B: int) -> None:
    whole = results(CASE[name], T, B)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocking, "CHUNK", chunk)
        for got, want in zip(results(CASE[name], T, B), whole, strict=True):
            if want is not None:
                np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


@given(T=st.integers(0, 50), numbers=st.integers(0, 1 << 17))
def test_chunks_cover_every_step_once(T: int, numbers: int) -> None:
    steps = [t for chunk in blocking.chunks(T, numbers) for t in range(T)[chunk]]
    assert steps == list(range(T))
