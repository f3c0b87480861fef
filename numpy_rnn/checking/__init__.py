"""Gradient checks: prove any gradient, and name the place where it is wrong.

``assert_gradients(...)`` is one line in a test, ``check_gradients(...)`` returns a report.
Nothing here is imported by ``import numpy_rnn``.
"""

from numpy_rnn.checking.check import assert_gradients, check_gradients
from numpy_rnn.checking.report import Report

__all__ = ["Report", "assert_gradients", "check_gradients"]
