"""How long a recurrent cell remembers: tasks, cells, trials and the search for the longest."""

from numpy_rnn.apps.memory.adding import Adding
from numpy_rnn.apps.memory.cells import CELLS, Scheme, build
from numpy_rnn.apps.memory.copying import Copying
from numpy_rnn.apps.memory.digits import Digits, Pixels
from numpy_rnn.apps.memory.first_symbol import FirstSymbol
from numpy_rnn.apps.memory.recall import Recall
from numpy_rnn.apps.memory.search import longest
from numpy_rnn.apps.memory.task import Batch, Task, Verdict
from numpy_rnn.apps.memory.trial import TASKS, Budget, Trial, run

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
