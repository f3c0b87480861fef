"""BPTT = RTRL, for every recurrent row of the registry; and a wrong carry makes them differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numpy_rnn.checking import rtrl
from numpy_rnn.functional.elman import elman_backward, elman_forward
from numpy_rnn.museum.proof import worst
from tests.case import Case, normal
from tests.cases import CASES
from tests.complex_step import as_tuple

RECURRENT = [case for case in CASES if case.recurrent]


def arguments_and_gradients(case: Case, T: int, B: int) -> Any:
    rng = np.random.default_rng(0)
    arguments = case.arguments(rng, T, B)
    outputs, cache = case.forward(*arguments)
    douts = [normal(rng, *np.shape(out)) for out in as_tuple(outputs)]
    return arguments, douts, case.backward(*douts, cache)


def test_every_cell_is_there() -> None:
    names = {case.name for case in RECURRENT}
    assert {"elman tanh", "lstm", "lstm projected", "gru", "peephole lstm"} <= names


@pytest.mark.parametrize("case", RECURRENT, ids=lambda case: case.name)
@pytest.mark.parametrize(("T", "B"), [(11, 3), (1, 1), (0, 2), (30, 1)])
def test_bptt_is_rtrl(case: Case, T: int, B: int) -> None:
    arguments, douts, expected = arguments_and_gradients(case, T, B)
    assert worst(rtrl(case.forward, case.backward, arguments, douts), expected) <= 1e-12


def test_a_wrong_carry_shows() -> None:
    """A loop that forgets the carry gives right single steps, so RTRL is right and it is not."""

    def forgets(dh: Any, cache: Any, keep: Any = "") -> Any:
        T = len(cache.h) - 1
        if T == 1:
            return elman_backward(dh, cache, keep)
        gradients: list[Any] = list(elman_backward(dh, cache, keep))
        gradients[3] = gradients[3] * 0.9
        return tuple(gradients)

    case = next(case for case in RECURRENT if case.name == "elman tanh")
    arguments, douts, right = arguments_and_gradients(case, 5, 2)
    found = rtrl(elman_forward, forgets, arguments, douts)
    assert worst(found, right) <= 1e-12
    _, cache = elman_forward(*arguments)
    assert worst(found, forgets(douts[0], cache)) > 0.01
