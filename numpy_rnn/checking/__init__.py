"""Gradient checks: verify any gradient, name the place where it is wrong, show where it comes from.

``assert_gradients(...)`` is one line in a test, and ``check_gradients(...)`` returns a report.
Start reading in ``check.py``. ``ledger.py`` shows where a gradient comes from. ``museum/`` has the
bugs that the checks are measured on. ``checker.py`` takes the steps of a check:

    what is checked     check, target, losses, objects, parameters, frameworks, nested, capture
    its inputs          shapes, regimes
    its derivatives     derivatives, traced, equals
    what is wrong       compare, side_effects
    where, and why      places, locate, repair, changes, rules, pool, edits
"""

from numpy_rnn.checking.check import assert_gradients, check_gradients
from numpy_rnn.checking.derivatives import rtrl
from numpy_rnn.checking.ledger import attribution, ledger, ledger_chunks, ledger_norms, per_example
from numpy_rnn.checking.report import Report

__all__ = [
    "Report",
    "assert_gradients",
    "attribution",
    "check_gradients",
    "ledger",
    "ledger_chunks",
    "ledger_norms",
    "per_example",
    "rtrl",
]
