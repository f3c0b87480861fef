"""The museum: 198 gradient bugs that people make, as patches of correct code, and their checks.

The correct code is in ``numpy_rnn/textbook/`` and the checker that finds the bugs is in
``numpy_rnn/checking/``. Start reading in ``bugs/cells.txt``, then ``bug.py``.
"""

from numpy_rnn.museum.bug import Bug, OptimizerReference
from numpy_rnn.museum.evaluate import (
    INPUTS,
    Evaluation,
    WrongStep,
    check_optimizer,
    check_reference,
    evaluate,
    usual_counts,
)
from numpy_rnn.museum.references import BUGS, OPTIMIZER_REFERENCES, REFERENCES

__all__ = [
    "BUGS",
    "INPUTS",
    "OPTIMIZER_REFERENCES",
    "REFERENCES",
    "Bug",
    "Evaluation",
    "OptimizerReference",
    "WrongStep",
    "check_optimizer",
    "check_reference",
    "evaluate",
    "usual_counts",
]
