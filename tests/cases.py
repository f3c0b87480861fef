"""The registry's pairs by name, as the tests of the pairs use them: every check runs on each."""

from __future__ import annotations

from numpy_rnn.museum.registry import PAIRS
from tests.case import Case

CASES = [Case(*pair) for pair in PAIRS]
CASE = {case.name: case for case in CASES}

elman_arguments = CASE["elman tanh"].arguments
lstm_arguments = CASE["lstm"].arguments
projected_lstm_arguments = CASE["lstm projected"].arguments
peephole_lstm_arguments = CASE["peephole lstm"].arguments
gru_arguments = CASE["gru"].arguments
