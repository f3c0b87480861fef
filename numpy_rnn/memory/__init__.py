"""How long a recurrent cell remembers: tasks, cells, trials and the search for the longest."""

from numpy_rnn.memory.adding import Adding
from numpy_rnn.memory.cells import CELLS, Scheme, build
from numpy_rnn.memory.copying import Copying
from numpy_rnn.memory.digits import Digits, Pixels
from numpy_rnn.memory.first_symbol import FirstSymbol
from numpy_rnn.memory.recall import Recall
from numpy_rnn.memory.search import longest
from numpy_rnn.memory.task import Batch, Task, Verdict
from numpy_rnn.memory.trial import TASKS, Budget, Trial, run

__all__ = [
    "CELLS",
    "TASKS",
    "Adding",
    "Batch",
    "Budget",
    "Copying",
    "Digits",
    "FirstSymbol",
    "Pixels",
    "Recall",
    "Scheme",
    "Task",
    "Trial",
    "Verdict",
    "build",
    "longest",
    "run",
]
