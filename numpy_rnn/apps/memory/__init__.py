"""Measurements of how long a recurrent cell remembers: tasks, cells, runs and a search.

Not here: recall of the notebook's sentence, which is :mod:`numpy_rnn.apps.recall`, and the reasons
for forgetting, which are :mod:`numpy_rnn.apps.explain`. Start reading in ``tasks.py``, then in
``runs.py``.
"""

from numpy_rnn.apps.memory.cells import CELLS, build
from numpy_rnn.apps.memory.runs import Run, TrainingConfig, run
from numpy_rnn.apps.memory.search import read_record, search_max_length, write_record
from numpy_rnn.apps.memory.tasks import TASKS, Result, Task

__all__ = [
    "CELLS",
    "TASKS",
    "Result",
    "Run",
    "Task",
    "TrainingConfig",
    "build",
    "read_record",
    "run",
    "search_max_length",
    "write_record",
]
