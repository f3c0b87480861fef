"""Training: batches, schedules, the loop, what is called between its steps, and files to go on."""

from numpy_rnn.training import checkpoint
from numpy_rnn.training.batch import Batch, Source
from numpy_rnn.training.checkpoint import DamagedFileError, load, save
from numpy_rnn.training.checkpoints import Checkpoints
from numpy_rnn.training.examples import Examples
from numpy_rnn.training.history import History
from numpy_rnn.training.json_lines import JsonLines
from numpy_rnn.training.schedule import Schedule, constant, cosine, steps
from numpy_rnn.training.time_budget import TimeBudget
from numpy_rnn.training.trainer import Callback, Step, Trainer, TrainingFailedError
from numpy_rnn.training.validation import Validation
from numpy_rnn.training.windows import Windows

__all__ = [
    "Batch",
    "Callback",
    "Checkpoints",
    "DamagedFileError",
    "Examples",
    "History",
    "JsonLines",
    "Schedule",
    "Source",
    "Step",
    "TimeBudget",
    "Trainer",
    "TrainingFailedError",
    "Validation",
    "Windows",
    "checkpoint",
    "constant",
    "cosine",
    "load",
    "save",
    "steps",
]
