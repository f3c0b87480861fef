"""Changes of the source of a function, in any form that Python allows."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from numpy_rnn.checking import check_gradients
from numpy_rnn.checking.changes import edits_of
from numpy_rnn.checking.edits import Source
from numpy_rnn.checking.repair import MAX_TEXT
from numpy_rnn.museum import REFERENCES
from numpy_rnn.museum.registry import RegisteredPair
from tests.checking.users_slips import SECONDS, checked, run

TABS = """
import numpy as np

def keeps(function):
    return functools.wraps(function)(lambda *arguments: function(*arguments))

def made(scale):
\tdef forward(x, h0, Wx, Wh, b):
\t\ty = np.tanh(x @ Wx)  # é
\t\treturn scale * y, (x, Wx, y)

\t@keeps
\tdef backward(dy, cache):
\t\t"Größe"; x, Wx, y = cache
\t\tif scale < 0: raise ValueError
\t\telif scale == 7: δ = dy
\t\telse:
\t\t\tδ = scale * dy * (1 -
\t\t\t\ty)  # the square is missing
\t\tif len(x): dx = δ @ Wx.T; dWx = np.einsum("btd,bth->dh", x, δ)
\t\treturn dx, None, dWx, None, None
\treturn forward, backward

forward, backward = made(2.0)
"""


def test_the_text_of_a_function_may_have_any_form(tmp_path: Path) -> None:
    found = checked("import functools" + TABS, tmp_path, cause_seconds=SECONDS)
    line = 'line 18 of of_user.py: with "δ = scale * dy * (1 - y ** 2)" instead'
    assert line in found[-1]


POWERS = """
import numpy as np

def forward(x, k):
    y = np.exp(x)
    p = y ** np.exp(k)
    return p.sum(axis=0), (y, k, p)

def backward(dy, cache):
    y, k, p = cache
    dx = dy * p * np.exp(k)
    dk = (dy * y * np.log(y)).sum(axis=0) * np.exp(k)
    return dx, dk
"""


def test_changes_of_two_places_are_tried_as_they_are_shown(tmp_path: Path) -> None:
    pair = itemgetter("forward", "backward")(run(POWERS, tmp_path))
    found = check_gradients(pair, "B H", "H", cause_seconds=SECONDS).suggestions
    assert "(dy * p * np.log(y)).sum(axis=0)" in found[-1]  # not np.log(p)


@pytest.mark.parametrize("pair", REFERENCES, ids=lambda pair: pair.name)
def test_nearly_every_change_of_a_page_is_code(pair: RegisteredPair) -> None:
    backward: Any = pair.checked()[1]
    source = Source(backward, (backward.__globals__, {}))
    edits = list(edits_of(source, [source]))[::7]
    compiled = [edit for edit in edits if source.compiled(edit) is not None]
    assert len(compiled) > max(5, 0.9 * len(edits))
    for edit in compiled:
        before, after = source.before_and_after(edit, MAX_TEXT)
        assert before != after
