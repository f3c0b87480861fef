"""Measurements of why a network forgets, from its own backward passes, as pictures on a page.

Not here: the attribution matrix itself, which is in :mod:`numpy_rnn.checking`, and how long cells
remember, which is :mod:`numpy_rnn.apps.memory`. Start reading in ``measurements.py``.
"""

from numpy_rnn.apps.explain.measurements import (
    Measurements,
    Sample,
    Snapshot,
    measure,
    of_model,
    of_recall,
    train,
)
from numpy_rnn.apps.explain.report import write

__all__ = [
    "Measurements",
    "Sample",
    "Snapshot",
    "measure",
    "of_model",
    "of_recall",
    "train",
    "write",
]
