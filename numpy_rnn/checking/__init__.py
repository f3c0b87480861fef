"""Gradient checks: prove any gradient, and name the place where it is wrong.

``assert_gradients(...)`` is one line in a test, ``check_gradients(...)`` returns a report.
Nothing here is imported by ``import numpy_rnn``.
"""

from numpy_rnn.checking.attribution import attribution
from numpy_rnn.checking.check import assert_gradients, check_gradients
from numpy_rnn.checking.ledger import ledger, ledger_norms, ledger_pieces, per_example
from numpy_rnn.checking.report import Report
from numpy_rnn.checking.rtrl import rtrl

__all__ = [
    "Report",
    "assert_gradients",
    "attribution",
    "check_gradients",
    "ledger",
    "ledger_norms",
    "ledger_pieces",
    "per_example",
    "rtrl",
]
