"""The registry tells the tests of the pairs which gradients have time, and which are sums."""

from __future__ import annotations

import numpy as np
import pytest

from numpy_rnn.museum.registry import MODELS, PAIRS, TEXTBOOK_PAIRS
from tests.case import Case
from tests.cases import CASES

PAIR = {pair.name: Case(*pair) for pair in (*PAIRS, *TEXTBOOK_PAIRS)}


def test_names_are_unique() -> None:
    assert len({*PAIR, *(model.name for model in MODELS)}) == sum(
        len(table) for table in (PAIRS, TEXTBOOK_PAIRS, MODELS)
    )


@pytest.mark.parametrize(
    ("name", "over_time", "summed"),
    [
        ("elman tanh", (0,), (2, 3, 4, 5)),
        ("elman tanh, tokens", (), (2, 3, 4, 5)),
        ("lstm", (0,), (3, 4, 5, 6)),
        ("lstm projected", (0,), (3, 4, 5, 6, 7)),
        ("peephole lstm", (0,), (3, 4, 5, 6, 7)),
        ("lru", (0,), (2, 3, 4, 5)),
        ("scan", (0, 1), ()),
        ("linear, tokens", (), (1, 2)),
        ("embedding", (), (1,)),
        ("layer norm", (0,), (1, 2)),
        ("dropout", (0,), ()),
        ("mse mean", (0, 1), ()),
        ("cross-entropy none", (0,), ()),
    ],
)
def test_positions_follow_from_the_shapes(
    name: str, over_time: tuple[int, ...], summed: tuple[int, ...]
) -> None:
    assert (PAIR[name].over_time, PAIR[name].summed) == (over_time, summed)


def test_cells_and_only_cells_are_recurrent() -> None:
    cells = {"elman", "lstm", "peephole", "gru", "indrnn", "mingru", "lru"}
    for name, pair in PAIR.items():
        assert pair.recurrent == bool(cells & set(name.replace(",", "").split()))
        assert pair.keeps == (bool(pair.summed) and not name.startswith("textbook"))


@pytest.mark.parametrize("pair", CASES, ids=lambda pair: pair.name)
@pytest.mark.parametrize(("T", "B"), [(5, 3), (0, 2), (4, 0)])
def test_no_argument_is_zero(pair: Case, T: int, B: int) -> None:
    for argument in pair.arguments(np.random.default_rng(0), T, B):
        if isinstance(argument, np.ndarray) and argument.dtype.kind == "f":
            assert argument.all()
