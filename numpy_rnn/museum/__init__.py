"""The museum: 198 gradient bugs that people make, as patches of correct code, and who finds them.

The correct code is in ``numpy_rnn/textbook/`` and the checker that finds the bugs is in
``numpy_rnn/checking/``. Start reading in ``bug.py``, then ``elman.py``.
"""

from numpy_rnn.museum.bug import (
    Bug,
    OptimizerReference,
    Reference,
    diff,
    draw_arguments,
    patched,
    read_bugs,
)
from numpy_rnn.museum.collection import BUGS, OPTIMIZER_REFERENCES, REFERENCES
from numpy_rnn.museum.evaluate import Evaluation, evaluate, false_alarm
from numpy_rnn.museum.optimizer_check import WrongStep, check_optimizer
from numpy_rnn.museum.usual import INPUTS, UsualChecker, installed, usual_checkers

__all__ = [
    "BUGS",
    "INPUTS",
    "OPTIMIZER_REFERENCES",
    "REFERENCES",
    "Bug",
    "Evaluation",
    "OptimizerReference",
    "Reference",
    "UsualChecker",
    "WrongStep",
    "check_optimizer",
    "diff",
    "draw_arguments",
    "evaluate",
    "false_alarm",
    "installed",
    "patched",
    "read_bugs",
    "usual_checkers",
]
