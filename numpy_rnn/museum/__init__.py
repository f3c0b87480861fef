"""The museum: 198 gradient bugs that people make, as patches of correct code, and who finds them.

The correct code is in ``numpy_rnn/textbook/`` and the checker that finds the bugs is in
``numpy_rnn/checking/``. Start reading in ``bugs/elman.txt``, then ``bug.py``.
"""

from numpy_rnn.museum.bug import Bug, OptimizerReference, Reference, draw_arguments, read_bugs
from numpy_rnn.museum.evaluate import (
    Evaluation,
    WrongStep,
    check_optimizer,
    check_reference,
    evaluate,
)
from numpy_rnn.museum.references import BUGS, OPTIMIZER_REFERENCES, REFERENCES
from numpy_rnn.museum.usual import INPUTS, USUAL_CHECKERS, UsualChecker

__all__ = [
    "BUGS",
    "INPUTS",
    "OPTIMIZER_REFERENCES",
    "REFERENCES",
    "USUAL_CHECKERS",
    "Bug",
    "Evaluation",
    "OptimizerReference",
    "Reference",
    "UsualChecker",
    "WrongStep",
    "check_optimizer",
    "check_reference",
    "draw_arguments",
    "evaluate",
    "read_bugs",
]
